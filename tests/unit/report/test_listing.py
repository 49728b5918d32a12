"""Code in colour: put together from parts that scripts share, and the same as if it had been coloured in one piece."""

from pathlib import Path

import pytest
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from machine_learning_engineering.shared_libraries.report.listing import code, visible

RECIPES = Path(__file__).parents[3] / "machine_learning_engineering/shared_libraries/models/offline/recipes"
ODD = (
    "",
    "\n\nx = 1",
    'def f():\n    """a\n\ndef g(): pass\n"""\n',
    "@one\n@two(\n    3\n)\nclass C:\n    pass\nx = 1; y = 2\ndef h(): ...",
    "async def f(): ...\r\ndef g():\r\n    return '''\r\ndef h'''\r\n",
    "x = '\\\n'\nif x:\n    def f(): ...\ndef g(): ... ; z = 3\n",
    "def broken(:\n    pass\n",
    "# é\u2028def f(): ...\nname = '\x85'\ndef g(): ...\n",
)


@pytest.mark.parametrize("text", [*(path.read_text() for path in sorted(RECIPES.glob("*.py"))), *ODD])
def test_code_has_the_colours_of_the_whole_script(text: str) -> None:
    whole = highlight(visible(text), PythonLexer(stripnl=False), HtmlFormatter(nowrap=True))
    assert code(text, 10**9) == whole
