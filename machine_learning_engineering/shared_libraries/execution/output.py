"""What a script prints: kept within bounds while it runs, then made into text that is the same on every machine."""

import re
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

SHOWN_CHARACTERS = 20_000

_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,16}\b")
_OVERWRITTEN = re.compile(r"(?m)^[^\n]*\r(?=[^\n])")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class HeadTail:
    """The first and the last bytes of a stream of any length, `limit` bytes in all."""

    def __init__(self, limit: int) -> None:
        self._head_room = limit - limit // 2
        self._tail_room = limit // 2
        self._head = bytearray()
        self._tail = bytearray()
        self._left_out = 0

    def feed(self, data: bytes) -> None:
        room = self._head_room - len(self._head)
        self._head += data[:room]
        self._tail += data[room:]
        if len(self._tail) > 2 * self._tail_room + 65_536:  # trimmed seldom: each time costs a copy
            self._trim()

    def value(self) -> bytes:
        """What was kept, with a line in the gap that tells its size."""
        self._trim()
        if not self._left_out:
            return bytes(self._head + self._tail)
        return bytes(self._head) + f"\n[... {self._left_out} bytes left out ...]\n".encode() + bytes(self._tail)

    def _trim(self) -> None:
        excess = max(len(self._tail) - self._tail_room, 0)
        del self._tail[:excess]
        self._left_out += excess


def cut(text: str, limit: int = SHOWN_CHARACTERS) -> str:
    """The head and tail of a text, at most `limit` (>= 100) characters with the line that stands for the gap."""
    if len(text) <= limit:
        return text
    room = limit - len(_gap(len(text)))
    head, tail = room - room // 2, room // 2
    return text[:head] + _gap(len(text) - head - tail) + text[len(text) - tail :]


def _gap(characters: int) -> str:
    return f"\n[... {characters} characters left out ...]\n"


class Normaliser:
    """Makes output independent of the machine: paths become `.`, `<tmp>` and `<env>`, addresses `0x`."""

    def __init__(self, folder: Path, temps: Iterable[Path], python: Path) -> None:
        names = dict.fromkeys(_environment_paths(python), "<env>")
        names |= {path: "<tmp>" for temp in temps for path in _spellings(temp)}
        names |= dict.fromkeys(_spellings(folder), ".")
        names.pop("/", None)
        self._names = names
        longest_first = sorted(names, key=len, reverse=True)
        self._paths = re.compile(rf"(?<![\w.-])(?:{'|'.join(map(re.escape, longest_first))})(?![\w-])")

    def __call__(self, output: bytes) -> str:
        """The text of some output: without NUL, undecodable bytes replaced, progress bars in their last state."""
        text = output.decode("utf-8", errors="replace").replace("\r\n", "\n")
        text = _UNSTORABLE.sub("", _OVERWRITTEN.sub("", text))
        text = self._paths.sub(lambda match: self._names[match[0]], text)
        return _ADDRESS.sub("0x", text)


def _spellings(path: Path) -> set[str]:
    return {str(path), str(path.resolve())}


def _environment_paths(python: Path) -> set[str]:
    prefixes = {python.absolute().parent.parent, python.resolve().parent.parent, Path(sys.prefix)}
    prefixes |= {Path(sys.base_prefix), Path(sysconfig.get_path("purelib")), Path(sysconfig.get_path("platlib"))}
    return {spelling for prefix in prefixes for spelling in _spellings(prefix)}
