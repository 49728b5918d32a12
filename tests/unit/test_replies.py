"""What is read out of replies and script output."""

import contextlib
import json
import textwrap
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from machine_learning_engineering.shared_libraries.common_util import storable
from machine_learning_engineering.shared_libraries.errors import ReplyFormatError
from machine_learning_engineering.shared_libraries.prompt_parts import fenced
from machine_learning_engineering.shared_libraries.replies import (
    MARKER,
    calls_exit,
    code_of,
    fences,
    find_block,
    json_of,
    missing_module,
    parse_ablation,
    parsed,
    prose_of,
    replace_block,
    text_of,
)

# --- Text -------------------------------------------------------------------------------------------------------------


def _part(text: str | None, thought: bool | None = None) -> SimpleNamespace:
    return SimpleNamespace(text=text, thought=thought)


def test_text_leaves_out_reasoning_and_function_calls() -> None:
    parts = [_part("let me think", thought=True), _part("x = "), _part(None), _part("1")]
    assert text_of(SimpleNamespace(parts=parts)) == text_of(parts) == "x = 1"


@pytest.mark.parametrize("content", [None, SimpleNamespace(parts=None), []])
def test_text_of_nothing_is_empty(content: object) -> None:
    assert text_of(content) == ""


def test_blank_prose_is_refused() -> None:
    with pytest.raises(ReplyFormatError, match="empty"):
        prose_of(" \n\t")


# --- Code -------------------------------------------------------------------------------------------------------------

PROGRAM = "import os\n\nprint(os.sep)\n"


@pytest.mark.parametrize("language", ["python", "py", "python3", "Python", "{.python}", "python title=main.py", ""])
@pytest.mark.parametrize("fence", ["```", "~~~", "`````"])
def test_code_in_a_fence_of_any_kind(language: str, fence: str) -> None:
    assert code_of(f"Sure.\n\n{fence}{language}\n{PROGRAM}{fence}\nDone.") == PROGRAM


@pytest.mark.parametrize("lead", ["Sure.\n\n", "Sure:\n", "1. Sure\n\n", ""])
@pytest.mark.parametrize("indent", [2, 4, 8])
def test_an_indented_fence(lead: str, indent: int) -> None:
    assert code_of(lead + textwrap.indent(f"```python\n{PROGRAM}```\n", " " * indent)) == PROGRAM


def test_a_fence_in_a_quotation() -> None:
    assert code_of(textwrap.indent(f"```python\n{PROGRAM}```", "> ", lambda _: True)) == PROGRAM


def test_windows_line_ends() -> None:
    assert code_of(f"```python\n{PROGRAM}```".replace("\n", "\r\n")) == PROGRAM


def test_the_longest_of_several_programs() -> None:
    longest = "this is (no program at all, but it is the longest of the three"
    reply = f"```python\nx = 1\n```\nno, rather\n```python\n{PROGRAM}```\n```python\n{longest}\n```"
    assert code_of(reply) == PROGRAM


def test_the_python_block_beats_longer_blocks_of_other_languages() -> None:
    assert (
        code_of(f'```json\n{{"a": "{"long" * 50}"}}\n```\n```python\nx = 1\n```\n```\nprint("output")\nx = 2\n```')
        == "x = 1\n"
    )


def test_a_lone_python_block_with_a_syntax_error_is_kept_for_its_message() -> None:
    assert code_of("```python\nx = (1\n```") == "x = (1\n"


def test_a_whole_reply_that_is_a_program() -> None:
    assert code_of(PROGRAM) == PROGRAM


@pytest.mark.parametrize(
    "reply", ["```python\nimport os\nprint(1", f"text\n```python\nx = 1\n```\n```python\n{PROGRAM}", "```"]
)
def test_a_reply_cut_inside_its_block_is_refused(reply: str) -> None:
    with pytest.raises(ReplyFormatError, match="ends inside"):
        code_of(reply)


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "  \n",
        "I cannot do that.",
        "Done",
        "Yes, done",
        "Note: this",
        "```python\n```",
        '```json\n[{"a": 1}]\n```',
        "[1]",
    ],
)
def test_a_reply_without_code_is_refused(reply: str) -> None:
    with pytest.raises(ReplyFormatError):
        code_of(reply)


def test_backticks_inside_strings_survive() -> None:
    code = 'a = "```python"\nb = """x ``` y"""\nprint(a, b)\n'
    assert code_of(f"```python\n{code}```") == code


def test_a_program_that_quotes_a_fence_of_the_same_length() -> None:
    code = 'DOC = """\n```json\n{}\n```\n"""\nprint(DOC)\n'
    assert code_of(f"First:\n```python\n{code}```\nThat is all.") == code


def test_an_unclosed_tag_does_not_swallow_the_block() -> None:
    assert code_of(f"<pre>\n<!-- note\n```python\n{PROGRAM}```") == PROGRAM


def test_a_fence_inside_a_longer_fence_belongs_to_it() -> None:
    assert [fence.info for fence in fences("````text\n```python\nx = 1\n```\n````\n")] == ["text"]


_NAMES = st.sampled_from(["alpha", "beta", "gamma", "delta"])
_STRINGS = st.text(st.sampled_from("ab `~#'\"{}[]<>\\"), max_size=12).map(repr)
_VALUES = st.one_of(st.integers(0, 99).map(str), _STRINGS, _NAMES)
_SIMPLE = st.one_of(
    st.builds("{} = {}".format, _NAMES, _VALUES),
    st.builds("print({})".format, _VALUES),
    st.builds('{} = """\n  {}\n```\n{}\n"""'.format, _NAMES, _NAMES, _NAMES),
    st.just("# a comment"),
)


def _nest(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    bodies = st.lists(inner, min_size=1, max_size=3).map("\n".join)
    return st.builds(
        lambda head, body: f"{head}\n{textwrap.indent(body, '    ')}\n    pass",
        st.sampled_from(["if alpha:", "for beta in gamma:", "def delta():", "while True:", "class Epsilon:"]),
        bodies,
    )


_STATEMENTS = st.recursive(_SIMPLE, _nest, max_leaves=6)
_PROGRAMS = st.lists(_STATEMENTS, min_size=1, max_size=5).map(lambda lines: "import os\n" + "\n".join(lines) + "\n")
_PROSE = st.text(st.characters(exclude_characters="`~>\0", exclude_categories=["Cs"]), max_size=60)


@given(_PROGRAMS, _PROSE, _PROSE)
def test_any_program_comes_back_from_a_fence_with_prose_around(program: str, before: str, after: str) -> None:
    assert code_of(f"{before}\n\n{fenced(program, 'python')}\n\n{after}") == program


@given(_PROGRAMS)
def test_any_program_comes_back_bare(program: str) -> None:
    assert code_of(program) == program


@given(st.text(st.sampled_from("`~python\n >x=1({[\"'-"), max_size=80))
def test_any_text_gives_code_or_a_named_error(reply: str) -> None:
    with contextlib.suppress(ReplyFormatError):
        assert code_of(reply).strip()


# --- exit -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code", ["exit()", "exit(0)", "if x:\n    quit()", "x = [exit(1) for _ in y]", "broken ( exit()"]
)
def test_a_program_that_calls_exit(code: str) -> None:
    assert calls_exit(code)


@pytest.mark.parametrize(
    "code",
    [
        "# exit()",
        "print('exit()')",
        "import sys\nsys.exit()",
        "import os\nos._exit(0)",
        "on_exit()",
        "exit",
        "broken ( x",
    ],
)
def test_a_program_that_does_not_call_exit(code: str) -> None:
    assert not calls_exit(code)


# --- Blocks -----------------------------------------------------------------------------------------------------------

CODE = """\
import os

def fit(x):
    scale = 2

    y = x * scale
    return y

print(fit(3))
"""


@pytest.mark.parametrize(
    "block",
    [
        "    scale = 2\n\n    y = x * scale",
        "\n    scale = 2\n\n    y = x * scale\n\n",
        "    scale = 2   \n  \n    y = x * scale\t",
        "scale = 2\n\ny = x * scale",
        "        scale = 2\n\n        y = x * scale",
        "scale = 2\n\n    y = x * scale",
        "    scale = 2\r\n\r\n    y = x * scale\r\n",
    ],
)
def test_a_block_is_found_whatever_happened_to_its_blanks(block: str) -> None:
    start, end = find_block(CODE, block)
    assert CODE[start:end] == "    scale = 2\n\n    y = x * scale"


@pytest.mark.parametrize(
    ("block", "reason"),
    [("", "empty"), (" \n ", "empty"), ("z = 3", "does not occur"), ("cale = 2", "does not occur")],
)
def test_a_block_that_cannot_be_found(block: str, reason: str) -> None:
    with pytest.raises(ReplyFormatError, match=reason):
        find_block(CODE, block)


def test_a_block_that_occurs_twice_is_refused() -> None:
    with pytest.raises(ReplyFormatError, match="2 times"):
        find_block("x = 1\ny = 2\nx = 1\n", "x = 1")


def test_the_indentation_decides_between_two_places() -> None:
    code = "x = 1\nif x:\n    x = 1\n"
    assert find_block(code, "x = 1") == (0, 5)
    assert find_block(code, "    x = 1") == (12, 21)


@pytest.mark.parametrize(
    "new",
    [
        "    y = x + 1\n    y += scale\n",
        "y = x + 1\ny += scale",
        "y = x + 1\n    y += scale",
        "\n\n        y = x + 1\n        y += scale\n",
    ],
)
def test_the_new_block_takes_the_indentation_of_the_old(new: str) -> None:
    expected = CODE.replace("    y = x * scale", "    y = x + 1\n    y += scale")
    assert replace_block(CODE, "y = x * scale", new) == expected


def test_the_inside_of_strings_keeps_its_indentation() -> None:
    new = 'y = x\ntext = """\n  a\nb\n"""'
    expected = '    y = x\n    text = """\n  a\nb\n"""'
    assert replace_block(CODE, "    y = x * scale", new) == CODE.replace("    y = x * scale", expected)


@pytest.mark.parametrize("new", ["", "\n", "y = (x"])
def test_a_new_block_that_does_not_fit_is_refused(new: str) -> None:
    with pytest.raises(ReplyFormatError):
        replace_block(CODE, "    y = x * scale", new)


def test_a_script_that_did_not_parse_may_stay_so() -> None:
    assert replace_block("x = (\ny = 1\n", "y = 1", "y = 2") == "x = (\ny = 2\n"


def test_a_whole_program_replaces_the_whole_script() -> None:
    whole = 'print("Final Validation Performance: 1")\nopen("final/submission.csv", "w").close()\n'
    assert replace_block(CODE, "    y = x * scale", whole) == whole


def test_a_block_that_spans_what_a_program_prints_and_writes_is_replaced_in_place() -> None:
    block = 'print("Final Validation Performance: 1")\nopen("final/submission.csv", "w").close()'
    better = block.replace("1", "2")
    assert replace_block(f"import os\n{block}\nx = 1\n", block, better) == f"import os\n{better}\nx = 1\n"


@given(
    _PROGRAMS, _PROGRAMS, st.integers(0, 3), st.sampled_from(["", "  ", "    ", "\t"]), st.sampled_from(["", "    "])
)
def test_a_unique_block_is_replaced_at_any_depth(before: str, after: str, depth: int, quoted: str, given_: str) -> None:
    block = "unique_name = 1\nif unique_name:\n    unique_name += 1"
    better = "other_name = 2\nfor other_name in [3]:\n    print(other_name)"
    opening = "".join(f"{'    ' * level}if True:\n" for level in range(depth))
    pad = "    " * depth
    code = before + opening + textwrap.indent(block, pad) + "\n" + after
    result = replace_block(code, textwrap.indent(block, quoted), textwrap.indent(better, given_))
    assert result == before + opening + textwrap.indent(better, pad) + "\n" + after
    assert parsed(result)


# --- JSON -------------------------------------------------------------------------------------------------------------

PLAN = [{"code_block": "x = [1]\ny = {'a': 2}", "plan": "Do [this], see {that}."}]
KEYS = ("code_block", "plan")


@pytest.mark.parametrize(
    "reply",
    [
        json.dumps(PLAN),
        json.dumps(PLAN[0]),
        f"See [the docs] and {{this}}:\n```json\n{json.dumps(PLAN, indent=1)}\n```\nHope [it] helps.",
        f"```\n{json.dumps(PLAN)}\n```",
        f"Plan [1]: {json.dumps(PLAN)}.",
        json.dumps(PLAN).replace("\\n", "\n"),
        json.dumps(PLAN)[:-1],
        json.dumps(PLAN)[:-2] + ",}]",
    ],
)
def test_json_in_any_wrapping_is_read(reply: str) -> None:
    assert json_of(reply, KEYS) == PLAN


def test_python_literals_are_repaired() -> None:
    assert json_of("[{'a': True, 'b': None}]", ("a", "b")) == [{"a": True, "b": None}]


def test_one_broken_object_does_not_hide_the_others() -> None:
    assert len(json_of('[{"a": "1"}, {"a": "2" "b": 3}, {"a": "4"}]', ("a",))) == 3


@pytest.mark.parametrize("reply", ["", "no JSON", "[]", "[1, 2]", "{}", '{"plan": "x"}', "[" * 10_000])
def test_json_without_what_was_asked_is_refused(reply: str) -> None:
    with pytest.raises(ReplyFormatError):
        json_of(reply, KEYS)


def test_the_error_names_the_missing_key() -> None:
    with pytest.raises(ReplyFormatError, match='lacks "code_block"'):
        json_of('{"plan": "x"}', KEYS)


_JSON = st.lists(st.fixed_dictionaries({key: st.text(max_size=30) for key in KEYS}), min_size=1, max_size=3)


@given(_JSON, _PROSE.filter(lambda text: not set("[{") & set(text)))
def test_any_json_comes_back_from_prose(objects: list[dict[str, str]], prose: str) -> None:
    assert json_of(f"{prose}\n```json\n{json.dumps(objects)}\n```\n{prose}", KEYS) == storable(objects)


# --- Script output ----------------------------------------------------------------------------------------------------


def test_ablation_figures_by_component() -> None:
    output = """\
    epoch 3 [1]: 0.3
    Ablation Performance [baseline]: 0.50
    Ablation Performance [log target]: 1,234.5
    Ablation Performance [a[0]]: -2e-3 (RMSE)
    Ablation Performance [nothing]: nan
    Ablation Performance [huge]: inf
    Ablation Performance [words]: n/a
    Ablation Performance [share]: 95%
    """
    assert parse_ablation(output) == {"baseline": 0.5, "log target": 1234.5, "a[0]": -0.002}


def test_the_last_figure_of_a_component_counts() -> None:
    assert parse_ablation("Ablation Performance [x]: 1\nAblation Performance [x]: 2\n") == {"x": 2.0}


@pytest.mark.parametrize(
    ("stderr", "module"),
    [
        ("Traceback\nModuleNotFoundError: No module named 'xgboost'\n", "xgboost"),
        ("ModuleNotFoundError: No module named 'sklearn.nothing'", "sklearn.nothing"),
        ("ModuleNotFoundError: No module named 'a.b'; 'a' is not a package\n\nImportError: install a", "a.b"),
        ("KeyError: 'x'", None),
        ("print: no ModuleNotFoundError: No module named 'x'", None),
        ("", None),
    ],
)
def test_the_missing_module(stderr: str, module: str | None) -> None:
    assert missing_module(stderr) == module


def test_a_block_that_imports_and_prints_the_figure_is_no_whole_program() -> None:
    code = f"rows = open('input/train.csv').read()\ns = 1.0\nprint(f'{MARKER}: {{s}}')\nopen('submission.csv', 'w')\n"
    block = f"s = 1.0\nprint(f'{MARKER}: {{s}}')"
    new = replace_block(code, block, f"import math\ns = math.pi\nprint(f'{MARKER}: {{s}}')")
    assert "train.csv" in new
    assert "math.pi" in new


def test_blank_lines_of_a_block_may_differ() -> None:
    code = "a = 1\n\nb = 2\nc = 3\n"
    assert replace_block(code, "a = 1\nb = 2", "a = 9") == "a = 9\nc = 3\n"
