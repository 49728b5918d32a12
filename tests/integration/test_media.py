"""Pictures, sealed from end to end: scripts find the held-out rows' pictures where the test file's will be."""

import json
import sys
import zlib
from pathlib import Path

import pytest

from machine_learning_engineering import client
from machine_learning_engineering.shared_libraries.config import RunConfig
from machine_learning_engineering.shared_libraries.entries import ScriptRun
from machine_learning_engineering.shared_libraries.runs.journal import read_journal
from tests.fixtures import tiny

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="labels are fenced off on Linux only")
READER = """
import csv, os, struct, zlib
import numpy as np


def table(name):
    with open(f"input/{name}.csv", newline="") as file:
        return list(csv.DictReader(file))


def picture(path):
    data, at, parts = open(path, "rb").read(), 8, []
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        parts += [data[at + 8:at + 8 + length]] if kind == b"IDAT" else []
        at += length + 12
    return np.frombuffer(zlib.decompress(b"".join(parts)), np.uint8).reshape(8, 9)[:, 1:].ravel()
"""
# Predicts the label of the nearest training picture; WHERE leads from a row to its picture.
SCRIPT = """
train, test = table("train"), table("test")
known = np.array([picture(WHERE.format(part="train", **row)) for row in train], float)
asked = np.array([picture(WHERE.format(part="test", **row)) for row in test], float)
nearest = ((asked[:, None] - known) ** 2).sum(-1).argmin(1)
print("Final Validation Performance: 0.5")
os.makedirs("final", exist_ok=True)
with open("final/submission.csv", "w") as file:
    file.write(NAME + ",label\\n")
    file.writelines(row[NAME] + "," + train[n]["label"] + "\\n" for row, n in zip(test, nearest))
"""
# Looks for the held-out rows' pictures wherever it gets, under any name but that in test/.
LIAR = """
train, test = table("train"), table("test")
shown = {f"input/train/{row['id']}.png" for row in train}
asked = {open(f"input/test/{row['id']}.png", "rb").read() for row in test}
told = []
for place in ("input", "/tmp", os.path.dirname(os.getcwd())):
    for folder, _, names in os.walk(place):
        paths = {os.path.join(folder, name) for name in names if name.endswith(".png")} - shown
        told += [path for path in paths if "input/test/" not in path and open(path, "rb").read() in asked]
print("pictures of held-out rows elsewhere:", len(told), *told[:3])
print("Final Validation Performance: 1.0")
with open("final/submission.csv", "w") as file:
    file.write("id,label\\n")
    file.writelines(row["id"] + ",0\\n" for row in test)
"""


def script(text: str, name: str = "id", where: str = "") -> str:
    return f"NAME, WHERE = {name!r}, {where!r}\n{READER}{text}"


def write_png(path: Path, pixels: bytes) -> None:
    """A grey picture of 8 x 8."""
    import struct

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + pixels[n : n + 8] for n in range(0, 64, 8))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def make_task(folder: Path, train_name: str, cell: str, column: str) -> dict[str, str]:
    """300 training and 100 test pictures of handwritten digits; the labels of the test pictures by cell."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    of_train, of_test, labels = [f"{column},label"], [column], {}
    for i, (image, label) in enumerate(zip(digits.images[:400], digits.target[:400], strict=True)):
        pixels = bytes((image.ravel() * 15).astype("uint8"))
        if i < 300:
            name = {"i": i, "label": label}
            write_png(folder / train_name.format(**name), pixels)
            of_train.append(f"{cell.format(**name)},{label}")
        else:
            place = f"test/{i}.png" if column == "path" else str(i)
            write_png(folder / "test" / f"{i}.png", pixels)
            of_test.append(place)
            labels[place] = str(label)
    (folder / "train.csv").write_text("\n".join(of_train) + "\n")
    (folder / "test.csv").write_text("\n".join(of_test) + "\n")
    (folder / "task.yaml").write_text(f"name: digits\nmetric: accuracy\ntarget: label\nid: {column}\n")
    return labels


async def solve(tmp_path: Path, honest: str, liar: str) -> client.Result:
    """A run in which one model is tried besides the first, and both are merged into the first again."""
    replies = tiny.replies(solutions=1)
    replies["model_eval_agent_1_1"] = [tiny.fenced(honest)]
    replies["model_eval_agent_1_2"] = [tiny.fenced(liar)]
    replies["merger_agent_1_1"] = replies["merger_agent_1_2"] = [tiny.fenced(honest)]
    path = tmp_path / "replies.json"
    path.write_text(json.dumps(replies))
    steps = dict.fromkeys(("inner_loop_round", "outer_loop_round", "ensemble_loop_round", "max_debug_round"), 0)
    config = RunConfig(
        agent_model=f"scripted/{path}",
        num_solutions=1,
        exec_timeout=30,
        folds=1,
        select_fraction=0.3,
        use_blend=False,
        **steps,
    )
    return await client.solve(client.find_request(tmp_path / "digits"), config, tmp_path / "run")


def true_accuracy(submission: Path, labels: dict[str, str]) -> float:
    rows = [line.split(",") for line in submission.read_text().splitlines()[1:]]
    assert [cell for cell, _ in rows] == list(labels)
    return sum(labels[cell] == label for cell, label in rows) / len(rows)


async def test_pictures_by_id_are_scored_on_labels_that_no_script_could_find(tmp_path: Path) -> None:
    labels = make_task(tmp_path / "digits", "train/{i}.png", "{i}", "id")
    honest = script(SCRIPT, where="input/{part}/{id}.png")
    result = await solve(tmp_path, honest, script(LIAR))
    runs = {entry.slot: entry for entry in read_journal(result.folder) if isinstance(entry, ScriptRun)}
    lied = runs["init_code_1_2"]
    assert lied.execution.outcome == "ok", lied.execution.stderr
    assert "pictures of held-out rows elsewhere: 0" in lied.execution.stdout
    assert result.winner.script == honest
    assert result.winner.score.source == "sealed"
    assert result.winner.value == pytest.approx(true_accuracy(result.submission, labels), abs=0.05)


async def test_folders_of_labels_are_sealed_too(tmp_path: Path) -> None:
    """A path such as train/7/12.png tells the label; the same row, held out, is test/12.png in table and folder."""
    labels = make_task(tmp_path / "digits", "train/{label}/{i}.png", "train/{label}/{i}.png", "path")
    honest = script(SCRIPT, "path", "input/{path}")
    liar = honest.replace('train[n]["label"]', '(row["path"].split("/")[1] if row["path"].count("/") == 2 else "0")')
    result = await solve(tmp_path, honest, liar)
    assert result.winner.script == honest
    assert result.winner.score.source == "sealed"
    assert result.winner.value == pytest.approx(true_accuracy(result.submission, labels), abs=0.05)
    lied = next(one for one in result.attempts if one.script == liar)
    assert lied.value < 0.3
