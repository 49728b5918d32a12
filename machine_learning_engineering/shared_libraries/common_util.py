"""Seeds and files, the two functions that the specification names here, and values that every store can hold."""

import ast
import importlib.util
import math
import random
import shutil
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any


def set_random_seed(seed: int) -> None:
    """Seeds random, NumPy and, where it is installed, torch with CUDA, for this process.

    cuDNN is told to be deterministic. torch is imported only if it is installed, which costs seconds.
    """
    import numpy as np

    random.seed(seed)
    np.random.seed(seed)
    if importlib.util.find_spec("torch") is None:
        return
    import torch

    torch.manual_seed(seed)
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(seed)
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False


def copy_file(source: str | Path, destination: str | Path) -> Path:
    """The path of a copy of `source` with its times; into `destination` if that is a folder. Missing folders are made.

    Raises: FileNotFoundError if there is no such source file.
    """
    target = Path(destination)
    if target.is_dir():
        target = target / Path(source).name
    target.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy2(source, target))


def clean(text: str) -> str:
    """Text as every file and database takes it: no NUL, no byte order mark, no lone surrogate, one kind of line end."""
    text = text.removeprefix("\ufeff").replace("\0", "").replace("\r\n", "\n").replace("\r", "\n")
    return text.encode("utf-8", errors="replace").decode("utf-8")


def storable(value: Any) -> Any:
    """`value` as every session service can store it: no NaN, infinities, NUL or lone surrogates; tuples as lists."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {str(key): storable(item) for key, item in value.items()}
    return [storable(item) for item in value] if isinstance(value, list | tuple) else value


def listed(names: Iterable[object], most: int = 12) -> str:
    """The first names in quotes, and how many there are more."""
    quoted = [repr(name) for name in names]
    return ", ".join(quoted[:most]) + (f" and {len(quoted) - most} more" if len(quoted) > most else "")


@lru_cache(maxsize=64)  # a script is looked at from many sides, and run once for each fold
def parse_python(code: str) -> ast.Module:
    """The syntax tree of a program, which callers share: it is read and never changed.

    Raises: SyntaxError, ValueError, RecursionError, MemoryError, as `ast.parse` does.
    """
    while True:
        try:
            return ast.parse(code)
        except SystemError:  # CPython 3.11, when another thread parses as well
            continue
