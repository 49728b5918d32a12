"""The bundled tasks: what they are, that they come out the same, and that nobody can look up their answers."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.neighbors import KNeighborsRegressor, NearestNeighbors

from machine_learning_engineering.shared_libraries.errors import TaskError
from machine_learning_engineering.shared_libraries.tasks.bundled import (
    BundledTask,
    bundled_names,
    bundled_task,
    bundled_tasks,
    truth_path,
)
from machine_learning_engineering.shared_libraries.tasks.load import load_task
from machine_learning_engineering.tasks.derive import Floats, blend
from machine_learning_engineering.tasks.glucose_progression import recipe as glucose_progression
from machine_learning_engineering.tasks.lesion_screening import recipe as lesion_screening
from machine_learning_engineering.tasks.parcel_sorting import recipe as parcel_sorting

FILES = ["sample_submission.csv", "task.yaml", "task_description.md", "test.csv", "train.csv"]


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLE_HOME", str(tmp_path / "home"))


def tables(name: str, seed: int | None = 1) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The training rows, test rows and truth of a task."""
    folder = bundled_task(name, seed).source
    return pd.read_csv(folder / "train.csv"), pd.read_csv(folder / "test.csv"), pd.read_csv(truth_path(name, seed))


@pytest.mark.parametrize("shown", bundled_tasks(), ids=bundled_names())
def test_a_task_loads_as_it_is_listed_and_nothing_about_it_is_guessed(shown: BundledTask) -> None:
    task = load_task(bundled_task(shown.name, seed=1))
    assert (task.name, task.problem, task.metric.name) == (shown.name, shown.problem, shown.metric)
    assert task.profile.train_rows + task.profile.test_rows == shown.rows
    assert task.profile.test_rows >= 100
    assert task.description.startswith(f"# {shown.title}\n")
    assert task.notes == ()


@pytest.mark.parametrize("name", bundled_names())
def test_the_truth_has_the_test_rows_in_their_order(name: str) -> None:
    task = load_task(bundled_task(name, seed=1))
    train, test, truth = tables(name)
    assert list(truth.columns) == [task.id, task.target]
    assert list(truth[task.id]) == list(test[task.id])
    assert task.target not in test
    assert not truth[task.target].isna().any()
    assert not set(train[task.id]) & set(test[task.id])


@pytest.mark.parametrize("name", bundled_names())
def test_a_description_names_every_column_and_the_metric(name: str) -> None:
    task = load_task(bundled_task(name, seed=1))
    text = task.description
    for column in [str(task.id), task.target, *(c.name for c in task.profile.columns)]:
        numbered = column[:-2].endswith("_") and column[-2:].isdigit()  # described as a range
        assert f"`{column[:-2]}01` to `{column[:-2]}" in text if numbered else f"`{column}`" in text
    assert "sample_submission.csv" in text
    assert ("higher is better" in text) == task.metric.maximize


def test_the_bearings_of_the_test_rows_are_new_ones() -> None:
    train, test, _ = tables("bearing-wear")
    assert not set(train["bearing"]) & set(test["bearing"])


def test_the_test_rows_hold_no_machine_model_that_is_never_seen_in_training() -> None:
    train, test, _ = tables("machine-prices")
    assert test["model"].dropna().isin(train["model"]).mean() > 0.98


@pytest.mark.parametrize("name", bundled_names())
def test_a_seed_gives_the_same_bytes_in_every_installation(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = bundled_task(name, seed=3).source
    truth = truth_path(name, seed=3).read_bytes()
    monkeypatch.setenv("MLE_HOME", str(tmp_path / "other"))
    second = bundled_task(name, seed=3).source
    assert first != second
    assert sorted(p.name for p in first.iterdir()) == sorted(p.name for p in second.iterdir()) == FILES
    assert all((first / file).read_bytes() == (second / file).read_bytes() for file in FILES)
    assert truth == truth_path(name, seed=3).read_bytes()


@pytest.mark.parametrize("name", bundled_names())
def test_another_installation_has_other_answers(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = truth_path(name).read_bytes()
    monkeypatch.setenv("MLE_HOME", str(tmp_path / "other"))
    assert truth_path(name).read_bytes() != here


def test_an_installation_keeps_its_data() -> None:
    folder = bundled_task("machine-prices").source
    before = (folder / "train.csv").stat().st_mtime_ns
    assert bundled_task("machine-prices").source == folder
    assert (folder / "train.csv").stat().st_mtime_ns == before


def test_a_lost_truth_file_is_made_again_with_its_task() -> None:
    path = truth_path("machine-prices")
    kept = path.read_bytes()
    path.unlink()
    bundled_task("machine-prices")
    assert path.read_bytes() == kept


def test_truth_lies_outside_the_task_folder_for_its_owner_only() -> None:
    folder, truth = bundled_task("lesion-screening").source, truth_path("lesion-screening")
    assert folder not in truth.parents
    assert truth.parent.stat().st_mode & 0o777 == 0o700
    assert {path.name for path in truth.parent.iterdir() if path.is_file()} >= {"salt", truth.name}
    assert all((truth.parent / file).stat().st_mode & 0o777 == 0o600 for file in ("salt", truth.name))
    assert sorted(p.name for p in folder.parent.iterdir()) == ["lesion-screening"]


def test_first_uses_at_the_same_time_agree() -> None:
    code = (
        "from machine_learning_engineering.shared_libraries.tasks.bundled import truth_path;"
        "print(truth_path('ticket-routing').read_bytes())"
    )
    with ThreadPoolExecutor(3) as pool:
        runs = pool.map(
            lambda _: subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout, range(3)
        )
        assert len(set(runs)) == 1


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(TaskError, match=r"no bundled task 'iris'.*glucose-progression"):
        bundled_task("iris")


def test_a_home_that_cannot_be_written_names_the_variable_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MLE_HOME", str(tmp_path / "file"))
    with pytest.raises(TaskError, match="Set MLE_HOME"):
        bundled_task("machine-prices")


def test_listing_the_tasks_imports_no_heavy_library() -> None:
    code = (
        "import sys; from machine_learning_engineering.shared_libraries.tasks.bundled import bundled_tasks;"
        "bundled_tasks(); print({'pandas', 'sklearn', 'numpy', 'yaml'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"


# Looking up the answers in the public data that three tasks are in the likeness of. The attacker of these tests has
# more than any real one: every monotone map is undone, every column is paired with its original. A join by ranks, or by
# correlations between columns, only approaches that.


@dataclass(frozen=True)
class Undone:
    """A task without its disguise beside its original, both in the original's standard units."""

    values: Floats  # (n_rows, n_columns), rows in random order
    labels: Any  # as the task has them, noise included
    original: Floats
    truth: Floats  # of the original's rows

    @property
    def cut(self) -> int:
        return round(0.8 * len(self.values))

    def honest(self) -> Any:
        """What an ordinary model says of the test rows, without the original."""
        kind = ExtraTreesRegressor if self.labels.dtype.kind == "f" else ExtraTreesClassifier
        model = kind(150, n_jobs=2, random_state=0).fit(self.values[: self.cut], self.labels[: self.cut])
        return model.predict(self.values[self.cut :])

    def joined(self) -> Floats:
        """The label of the row of the original that is nearest to each row."""
        nearest = NearestNeighbors(n_neighbors=1).fit(self.original).kneighbors(self.values, return_distance=False)
        labels: Floats = self.truth[nearest[:, 0]]
        return labels

    def blended(self, near: int = 16) -> Floats:
        """The label that the best blend of two of the nearest rows of the original would have."""
        i, j = np.triu_indices(near, 1)
        found = []
        for row in self.values:
            order = np.argsort(((self.original - row) ** 2).sum(axis=1))[:near]
            a, b = self.original[order[i]], self.original[order[j]]
            share = np.clip(((row - b) * (a - b)).sum(axis=1) / ((a - b) ** 2).sum(axis=1), 0, 1)
            best = ((row - share[:, None] * a - (1 - share[:, None]) * b) ** 2).sum(axis=1).argmin()
            found.append(share[best] * self.truth[order[i[best]]] + (1 - share[best]) * self.truth[order[j[best]]])
        return np.array(found)


def undone(recipe: ModuleType, target: str, x: Floats, y: Floats, columns: int | None = None) -> Undone:
    """The task of a recipe, followed with the same random numbers up to where the disguise begins."""
    labels = recipe.make(np.random.default_rng(0))[target].to_numpy()
    rng = np.random.default_rng(0)
    values, _ = blend(rng, x, y, recipe.ROWS, recipe.CELL_NOISE, classes=len(np.unique(y)) <= 10)
    chosen = rng.permutation(x.shape[1])[:columns] if columns else slice(None)
    rows = np.random.default_rng(1).permutation(len(values))
    original = (x - x.mean(axis=0)) / x.std(axis=0)
    return Undone(values[rows][:, chosen], labels[rows], original[:, chosen], y)


def diabetes() -> Undone:
    return undone(glucose_progression, "progression", *load_diabetes(return_X_y=True))


def breast_cancer() -> Undone:
    x, benign = load_breast_cancer(return_X_y=True)
    return undone(lesion_screening, "malignant", x, 1.0 - benign, lesion_screening.COLUMNS)


def digits() -> Undone:
    pixels, digit = load_digits(return_X_y=True)
    return undone(parcel_sorting, "chute", parcel_sorting.summaries(pixels), digit.astype(float))


def rmse(task: Undone, found: Floats) -> float:
    """Of labels found in the original, brought to the task's scale by a line fitted on the training rows."""
    line = np.polynomial.Polynomial.fit(found[: task.cut], task.labels[: task.cut], 1)
    return float(np.sqrt(np.mean((line(found[task.cut :]) - task.labels[task.cut :]) ** 2)))


def accuracy(task: Undone, found: Floats) -> float:
    """Of labels found in the original, each taken for the label it most often goes with in the training rows."""
    votes = pd.crosstab(found[: task.cut].round(), task.labels[: task.cut]).idxmax(axis=1)
    return float((votes.reindex(found[task.cut :].round()).to_numpy() == task.labels[task.cut :]).mean())


@pytest.mark.parametrize("attack", [Undone.joined, Undone.blended])
def test_joining_patients_to_the_original_is_no_better_than_a_model(attack: Callable[[Undone], Floats]) -> None:
    task = diabetes()
    honest = float(np.sqrt(np.mean((task.honest() - task.labels[task.cut :]) ** 2)))
    assert rmse(task, attack(task)) > honest


@pytest.mark.parametrize("attack", [Undone.joined, Undone.blended])
@pytest.mark.parametrize("original", [breast_cancer, digits])
def test_joining_rows_to_the_original_is_no_better_than_a_model(
    original: Callable[[], Undone], attack: Callable[[Undone], Floats]
) -> None:
    task = original()
    honest = float((task.honest() == task.labels[task.cut :]).mean())
    assert accuracy(task, attack(task)) <= honest + 0.01  # two test rows of two hundred


def test_the_original_is_worth_no_more_than_further_training_rows() -> None:
    """A model of the original, ten neighbours of clean data, gains less than 15 per cent on the honest error."""
    task = diabetes()
    honest = float(np.sqrt(np.mean((task.honest() - task.labels[task.cut :]) ** 2)))
    external = KNeighborsRegressor(10).fit(task.original, task.truth).predict(task.values)
    assert rmse(task, external) > 0.85 * honest


@pytest.mark.parametrize(
    ("name", "load"),
    [
        ("glucose-progression", load_diabetes),
        ("lesion-screening", load_breast_cancer),
        ("parcel-sorting", load_digits),
    ],
)
def test_hardly_a_row_shares_two_values_with_a_row_of_the_original(name: str, load: Callable[..., Any]) -> None:
    train, test, _ = tables(name)
    x = load(return_X_y=True)[0]
    values = pd.concat([train, test])[test.columns[1:]].to_numpy()
    known = np.unique(x[np.abs(x) > 1e-9].round(6))  # zeros would match anything
    # small values agree to six decimals by chance now and then
    assert (np.isin(values.round(6), known).sum(axis=1) < 2).mean() > 0.99
