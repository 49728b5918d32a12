"""Output is bounded while a script runs, and the same text on every machine afterwards."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from machine_learning_engineering.shared_libraries.execution.output import HeadTail, Normaliser, cut


def normalise(output: bytes) -> str:
    return Normaliser(Path("/scratch/x/work"), (Path("/scratch/x/tmp"), Path("/tmp")), Path(sys.executable))(output)


@given(st.text(), st.integers(100, 400), st.integers(1, 50))
def test_cut_text_keeps_its_bound_its_head_and_its_tail(text: str, limit: int, times: int) -> None:
    whole = text * times
    short = cut(whole, limit)
    assert len(short) <= limit
    assert short == whole if len(whole) <= limit else (short[:20] == whole[:20] and short[-20:] == whole[-20:])


@given(st.integers(100, 1000), st.integers(101, 10**6))
def test_the_gap_tells_how_much_is_missing(limit: int, length: int) -> None:
    short = cut("x" * length, limit)
    kept = short.count("x")
    assert length <= limit or f"[... {length - kept} characters left out ...]" in short


@given(st.lists(st.binary(max_size=300)), st.integers(1, 500))
def test_head_and_tail_of_a_stream_in_any_chunks(chunks: list[bytes], limit: int) -> None:
    kept = HeadTail(limit)
    for chunk in chunks:
        kept.feed(chunk)
    whole = b"".join(chunks)
    if len(whole) <= limit:
        assert kept.value() == whole
    else:
        head, tail = limit - limit // 2, limit // 2
        gap = f"\n[... {len(whole) - limit} bytes left out ...]\n".encode()
        assert kept.value() == whole[:head] + gap + whole[len(whole) - tail :]


def test_a_long_stream_is_held_in_bounded_memory() -> None:
    kept = HeadTail(1000)
    for _ in range(10_000):
        kept.feed(b"x" * 1000)
    assert len(kept._head) + len(kept._tail) < 100_000
    assert b"9999000 bytes left out" in kept.value()


@given(st.binary())
def test_normalised_text_can_be_stored_anywhere(output: bytes) -> None:
    text = normalise(output)
    assert "\x00" not in text
    assert text.encode("utf-8").decode("utf-8") == text


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ("open /scratch/x/work/a.csv and /scratch/x/work", "open ./a.csv and ."),
        ("/scratch/x/workshop", "/scratch/x/workshop"),
        ("home/tmp/x and (/tmp/x)", "home/tmp/x and (<tmp>/x)"),
        ("<object at 0x7f3c2a1b4d90>", "<object at 0x>"),
        ("0x1F is 31", "0x1F is 31"),
        (f"{sys.prefix}/lib/a.py", "<env>/lib/a.py"),
        ("1%\r 50%\r100%\ndone\r\nnext", "100%\ndone\nnext"),
        ("bar\r", "bar\r"),
    ],
)
def test_what_depends_on_the_machine_is_replaced(output: str, text: str) -> None:
    assert normalise(output.encode()) == text
