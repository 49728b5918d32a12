"""Small tasks made of real files."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from machine_learning_engineering.shared_libraries.records import (
    ColumnProfile,
    DataProfile,
    Metric,
    Predicts,
    Problem,
    Task,
)

MakeTask = Callable[..., Task]

RMSE = Metric(name="rmse", title="root mean squared error", maximize=False, predicts="value")
ACCURACY = Metric(name="accuracy", title="accuracy", maximize=True, predicts="label")


def build_task(
    folder: Path,
    rows: int = 60,
    problem: Problem = "regression",
    metric: Metric = RMSE,
    digest: str = "d",
    classes: tuple[str, ...] = (),
    with_id: bool = True,
    group: str | None = None,
    time: str | None = None,
    others: tuple[Path, ...] = (),
    shared_groups: bool = True,
) -> Task:
    """A task of `rows` training and 10 test rows: columns id, x, g (groups of 5), t (shuffled days), y."""
    rng = random.Random(1)
    days = rng.sample(range(rows), rows)
    header = "id,x,g,t,y" if with_id else "x,g,t,y"
    lines = []
    for i in range(rows):
        y = classes[i % len(classes)] if classes else f"{i}.50"
        cells = [f"0{i}", f"{i}.10", f"g{i // 5}", f"2020-01-01 00:{days[i] // 60:02}:{days[i] % 60:02}", y]
        lines.append(",".join(cells if with_id else cells[1:]))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.csv").write_text("\n".join([header, *lines]) + "\n")
    test = [line.rsplit(",", 1)[0] for line in lines[:10]]
    if not shared_groups:
        test = [line.replace(",g", ",new") for line in test]
    (folder / "test.csv").write_text("\n".join([header.rsplit(",", 1)[0], *test]) + "\n")
    target = ColumnProfile(name="y", kind="numeric", missing=0, unique=rows)
    counts = tuple(rows // len(classes) for _ in classes)
    profile = DataProfile(
        train_rows=rows, test_rows=10, columns=(), target=target, classes=classes, class_counts=counts
    )
    return Task(
        name="small",
        description="Predict y.",
        task_type="Tabular",
        problem=problem,
        metric=metric,
        train=folder / "train.csv",
        test=folder / "test.csv",
        others=others,
        target="y",
        id="id" if with_id else None,
        group=group,
        time=time,
        submission_columns=("id", "y") if with_id else ("y",),
        profile=profile,
        digest=digest,
    )


def metric_that_predicts(predicts: Predicts) -> Metric:
    return Metric(name="some", title="some", maximize=True, predicts=predicts)


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return build_task(tmp_path / "task")
