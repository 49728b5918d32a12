"""Blends: better than their members where those err apart, honest about it, and runnable as a script of their own."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from machine_learning_engineering.shared_libraries.records import Metric, Predicts, Task
from machine_learning_engineering.shared_libraries.scoring.blend import blend, space_of
from machine_learning_engineering.shared_libraries.scoring.blend_script import blend_script
from machine_learning_engineering.shared_libraries.scoring.out_of_fold import OutOfFold, compare
from machine_learning_engineering.shared_libraries.scoring.places import place_curve, value_curve
from machine_learning_engineering.shared_libraries.tasks.metrics import METRICS
from tests.unit.scoring.conftest import build_task

ROWS = 600
FOLDS = np.repeat(np.arange(5), ROWS // 5)


def out_of_fold(task: Task, truth: np.ndarray, predictions: np.ndarray) -> OutOfFold:
    return OutOfFold(task, truth, predictions, FOLDS)


def test_members_that_err_apart_are_blended(task: Task) -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=ROWS)
    members = [out_of_fold(task, truth, truth + rng.normal(size=ROWS)) for _ in range(3)]
    found = blend(members)
    assert found is not None
    assert sum(found.weights.values()) == pytest.approx(1)
    assert set(found.weights) == {0, 1, 2}
    better = compare(found.predictions, members[0])
    assert better.gain == pytest.approx(1 - 3**-0.5, abs=0.1)
    assert better.is_real


@pytest.mark.parametrize("seed", range(5))
def test_a_blend_of_noise_is_not_worth_what_its_own_rows_say(seed: int, task: Task) -> None:
    """25 scripts that know nothing: weights chosen on all rows look good on them; the cross-fitted value does not."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=ROWS)
    members = [out_of_fold(task, truth, rng.normal(scale=0.3, size=ROWS)) for _ in range(25)]
    found = blend(members)
    assert found is not None
    mixed = sum(weight * members[one].predictions for one, weight in found.weights.items())
    assert found.predictions.value() > out_of_fold(task, truth, mixed).value()
    assert found.predictions.value() > truth.std() * 0.99


def test_one_script_alone_may_be_best(task: Task) -> None:
    truth = np.arange(ROWS, dtype=float)
    assert blend([out_of_fold(task, truth, truth + 0.1), out_of_fold(task, truth, truth + 5)]) is None
    assert blend([out_of_fold(task, truth, truth)]) is None


@pytest.mark.parametrize(
    ("name", "space"), [("rmse", "raw"), ("rmsle", "log"), ("auc", "rank"), ("accuracy", "vote"), ("log_loss", "raw")]
)
def test_predictions_are_averaged_where_the_metric_looks(name: str, space: str) -> None:
    assert space_of(METRICS[name]) == space


def test_texts_cannot_be_averaged() -> None:
    assert space_of(Metric(name="levenshtein", title="t", maximize=False, predicts="text")) is None


MEMBER = """\
import csv, os
assert __name__ == "__main__"
rows = list(csv.DictReader(open("input/test.csv")))
os.makedirs("final", exist_ok=True)
with open("final/submission.csv", "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["id", "y"])
    writer.writerows([row["id"], {value}] for row in {order}rows{end})
print('it''s "quoted" \\'\\'\\' \\\\ text')
"""


def run_blend(folder: Path, task: Task, values: list[str], predicts: Predicts = "value") -> dict[str, str]:
    members = {
        f"m{n}": (1 / len(values), MEMBER.format(value=value, order="reversed(" if n else "", end=")" if n else ""))
        for n, value in enumerate(values)
    }
    (folder / "input").mkdir()
    (folder / "input" / "test.csv").write_bytes(task.test.read_bytes())
    space = "vote" if predicts == "label" else "raw"
    (folder / "solution.py").write_text(blend_script(task, space, members))
    subprocess.run([sys.executable, "solution.py"], cwd=folder, check=True, capture_output=True)
    lines = (folder / "final" / "submission.csv").read_text().splitlines()
    assert lines[0] == "id,y"
    return dict(line.split(",") for line in lines[1:])


def test_the_script_runs_its_members_and_averages_by_id(task: Task, tmp_path: Path) -> None:
    made = run_blend(tmp_path, task, ["float(row['x'])", "10.0"])
    assert float(made["03"]) == pytest.approx((3.1 + 10) / 2)
    assert list(made) == [f"0{i}" for i in range(10)]


def test_the_script_votes_on_labels(tmp_path: Path) -> None:
    task = build_task(tmp_path / "t", problem="binary", metric=METRICS["accuracy"], classes=("no", "yes"))
    made = run_blend(tmp_path, task, ["'yes'", "'no'", "'yes'"], "label")
    assert set(made.values()) == {"yes"}


def chances(truth: np.ndarray, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.asarray(1 / (1 + np.exp(2 - 2 * (truth == "yes") - rng.normal(scale=0.8 + seed, size=len(truth)))))


def test_places_become_chances_again(tmp_path: Path) -> None:
    """A blend by rank has the members' mean chance, and its script gives a row the same whatever stands beside it."""
    task = build_task(tmp_path / "t", problem="binary", metric=METRICS["auc"], classes=("no", "yes"))
    truth = np.where(np.random.default_rng(0).random(ROWS) < 0.15, "yes", "no").astype(object)
    members = [out_of_fold(task, truth, chances(truth, seed)) for seed in range(3)]
    found = blend(members)
    assert found is not None
    assert found.predictions.value() > max(one.value() for one in members)
    means = [members[one].predictions.mean() for one in found.weights]
    assert min(means) < found.predictions.predictions.mean() < max(means)
    assert found.predictions.predictions.min() >= 0
    assert found.predictions.predictions.max() <= 1

    texts = [f"{one!r}" for one in ("float(row['x']) / 10", "1 - float(row['x']) / 12", "0.5")]
    parts = {
        f"m{n}": (weight, MEMBER.format(value=eval(text), order="", end=""))
        for (n, weight), text in zip(found.weights.items(), texts, strict=False)
    }
    script = blend_script(task, "rank", parts, found.scales)
    whole = submitted(tmp_path / "whole", script, task.test.read_text())
    lines = task.test.read_text().splitlines()
    assert submitted(tmp_path / "one", script, "\n".join((lines[0], lines[4]))) == dict([[*whole.items()][3]])
    x = np.array([float(line.split(",")[1]) for line in lines[1:]])
    given = [x / 10, 1 - x / 12, np.full(len(x), 0.5)][: len(found.weights)]
    assert [*whole.values()] == pytest.approx(found.of(given, ("no", "yes")), rel=1e-4)


def submitted(folder: Path, script: str, test: str) -> dict[str, float]:
    (folder / "input").mkdir(parents=True)
    (folder / "input" / "test.csv").write_text(test)
    (folder / "solution.py").write_text(script)
    subprocess.run([sys.executable, "solution.py"], cwd=folder, check=True)
    rows = (line.split(",") for line in (folder / "final" / "submission.csv").read_text().splitlines()[1:])
    return {key: float(value) for key, value in rows}


@given(
    st.lists(st.integers(0, 1000).map(lambda n: n / 1000), min_size=2, max_size=60),
    st.lists(st.floats(-2, 3), min_size=2, max_size=20),
    st.booleans(),
)
def test_curves_keep_the_order_of_rows(known: list[float], others: list[float], bounded: bool) -> None:
    places = place_curve(np.array(known))
    back = value_curve(np.linspace(0.1, 1, len(known)), [np.array(known)], [1.0], bounded)
    made = np.interp(np.interp(np.sort(others), *places), *back)
    assert np.all(np.diff(made) >= -1e-12)
    assert not bounded or (made.min() >= 0 and made.max() <= 1)


def test_a_member_that_fails_ends_the_script_with_its_name(task: Task, tmp_path: Path) -> None:
    (tmp_path / "solution.py").write_text(blend_script(task, "raw", {"good": (1.0, "raise SystemExit(3)")}))
    ended = subprocess.run([sys.executable, "solution.py"], cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 1
    assert "member_good.py ended with exit code 3" in ended.stderr


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=4), st.integers(0, 2**16))
def test_a_blend_never_claims_more_than_a_perfect_score(biases: list[float], seed: int) -> None:
    """Whatever the members, weights are positive and sum to 1, and at most five scripts are trained."""
    task = _TASK
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=ROWS)
    members = [out_of_fold(task, truth, truth * 0.5 + bias + rng.normal(size=ROWS)) for bias in biases]
    if found := blend(members):
        assert sum(found.weights.values()) == pytest.approx(1)
        assert min(found.weights.values()) > 0
        assert 2 <= len(found.weights) <= 5


@pytest.fixture(autouse=True, scope="module")
def _small(tmp_path_factory: pytest.TempPathFactory) -> None:
    global _TASK
    _TASK = build_task(tmp_path_factory.mktemp("blend"))


_TASK: Task
