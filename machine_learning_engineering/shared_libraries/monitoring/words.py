"""How numbers, durations and paths are written for people."""

from decimal import Decimal
from pathlib import Path


def duration(seconds: float) -> str:
    """Seconds as a clock shows them: 0:07, 12:30, 2:03:09."""
    whole = max(int(seconds), 0)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def figure(value: float | None, digits: int = 6, signed: bool = False) -> str:
    """A number to so many significant digits, in full but where it is tiny or huge: 0.8123, -26,060, 1.2e-07.

    `signed` puts a plus before what is more than nothing; where there is no number, there is a dash.
    """
    if value is None:
        return "-"
    sign = "+" if signed else ""
    if value == 0 or 1e-4 <= abs(value) < 1e15:
        return f"{Decimal(f'{value:.{digits}g}'):{sign},f}"
    return f"{value:{sign}.{digits}g}"


def name_of(column: str, most: int = 40) -> str:
    """A column's name as a line or a picture can show it: printable, on one line, cut in its middle."""
    plain = "".join(sign if sign.isprintable() else "�" for sign in column)
    half = (most - 1) // 2
    return plain if len(plain) <= most else f"{plain[:half]}…{plain[-half:]}"


def counted(number: int, noun: str) -> str:
    """A number and its noun: 1 script, 2 scripts."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def size(count: float) -> str:
    """Bytes in a unit that people read: 512 MB, 3.2 GB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit in ("bytes", "kB") or count >= 10 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def near(path: Path) -> str:
    """A path as a person here would write it."""
    here, home = Path.cwd(), Path.home()
    if path.is_relative_to(here):
        return f"./{path.relative_to(here)}"
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
