"""The scripts of the offline model, run as a person would run them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn import model_selection
from sklearn.preprocessing import QuantileTransformer

from machine_learning_engineering.shared_libraries.models.offline import design
from machine_learning_engineering.shared_libraries.models.offline.program import cut
from machine_learning_engineering.shared_libraries.models.offline.words import ensemble_plans
from machine_learning_engineering.shared_libraries.records import Metric

from .conftest import AUC, LOG_LOSS, RMSE, Runner, card, rows, script


def every_family(metric: Metric) -> str:
    base = card("candidate", metric)
    return design.script(base, design.ranking(base)).render()


@pytest.mark.parametrize("metric", [RMSE, AUC, LOG_LOSS], ids=lambda metric: metric.name)
def test_every_family_runs_without_a_warning_and_predicts_every_row(run: Runner, metric: Metric) -> None:
    done, folder = run(every_family(metric), metric)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Final Validation Performance: " in done.stdout
    submission = pd.read_csv(folder / "final" / "submission.csv")
    assert list(submission) == list(card("candidate", metric).submission_columns)
    assert np.isfinite(submission.iloc[:, 1:].to_numpy()).all()
    assert submission["key"].tolist() == list(range(60))


def test_an_ablation_names_a_figure_for_each_component_and_writes_no_submission(run: Runner) -> None:
    done, folder = run(script("ablation", script("candidate")), RMSE)
    assert done.stderr == ""
    assert "Ablation Performance [baseline]: " in done.stdout
    assert done.stdout.count("Ablation Performance [") >= 3
    assert not (folder / "final").exists()


def test_class_probabilities_of_a_row_sum_to_one(run: Runner) -> None:
    done, folder = run(script("candidate", metric=LOG_LOSS), LOG_LOSS)
    assert done.returncode == 0
    submission = pd.read_csv(folder / "final" / "submission.csv", index_col="key")
    np.testing.assert_allclose(submission.sum(axis=1), 1, atol=1e-6)


def parts_of(text: str) -> dict[str, Any]:
    """The names that a script defines."""
    names: dict[str, Any] = {"__name__": "script"}
    exec(text, names)  # our own text
    return names


def test_ids_and_labels_that_pandas_reads_as_missing_are_taken_as_they_are_spelt(tmp_path: Path) -> None:
    base = card("candidate", LOG_LOSS)
    asked = base.model_copy(update={"profile": base.profile.model_copy(update={"classes": ("NA", "None", "top")})})
    names = parts_of(design.script(asked, ["linear"]).render())
    spelt = ["NA", "None", "top"] * 4
    rows(12, 0).assign(key=spelt, grade=spelt).to_csv(tmp_path / "train.csv", index=False)
    train = names["read"](str(tmp_path / "train.csv"))
    assert train["key"].tolist() == spelt
    assert names["encode"](train).tolist() == [0, 1, 2] * 4


def test_ranks_lead_back_to_the_target() -> None:
    parts = [cut("regression", "RANKED").text, *(cut("regression", n, "ranks").text for n in ("encode", "decode"))]
    names: dict[str, Any] = {"np": np, "pd": pd, "norm": norm, "TARGET": "y"}
    exec("\n".join(parts), names)  # our own text
    target = np.array([3.0, -1e9, 4.0, 4.0, 1e9])
    learnt = names["encode"](pd.DataFrame({"y": target}))
    assert np.abs(learnt).max() < 2
    np.testing.assert_allclose(names["decode"](learnt), target)


def test_scaled_columns_are_normal_scores_by_the_quantiles_of_the_training_rows() -> None:
    names = parts_of(design.script(card("candidate"), ["kernel"]).render())
    draw = np.random.default_rng(3)
    train, new = draw.exponential(size=(300, 2)), draw.exponential(size=(50, 2)) * 2
    names["filled"] = lambda *_: [train, new]
    normal = QuantileTransformer(n_quantiles=200, output_distribution="normal").fit(train)
    for scaled, part in zip(names["scaled"](train, None, new), (train, new), strict=True):
        np.testing.assert_allclose(scaled, normal.transform(part).clip(-3, 3), atol=1e-9)


def test_planes_are_sought_anew_for_other_rows_until_there_are_none() -> None:
    names = parts_of(design.script(card("candidate"), ["kernel"]).render())
    asked: list[list[str]] = []
    look = names["gives_up"](lambda fit, y, rows: asked.append(fit) or fit)
    assert [look(fit, None, None) for fit in (["a"], ["b"], [], ["c"])] == [["a"], ["b"], [], []]
    assert asked == [["a"], ["b"], []]


@pytest.mark.parametrize("variant", ["", "distances", "quantile", "classes"])
def test_the_losses_of_several_predictions_are_those_of_each(variant: str) -> None:
    names: dict[str, Any] = {"np": np, "LEVEL": 0.3}
    exec(cut("multiclass" if variant == "classes" else "regression", "loss", variant).text, names)  # our own text
    draw = np.random.default_rng(5)
    y, many = draw.integers(3, size=40), draw.uniform(0.1, 1, size=(4, 40, 3))
    many = many if variant == "classes" else many[..., 0]
    assert names["loss"](y, many) == pytest.approx([float(names["loss"](y, one)) for one in many])
    assert float(names["loss"](y, many[0])) != pytest.approx(float(names["loss"](y, many[1])))


@pytest.mark.parametrize("metric", [RMSE, LOG_LOSS], ids=lambda metric: metric.name)
def test_a_stack_finds_what_the_target_is_made_of(metric: Metric) -> None:
    plan = next(plan for plan in ensemble_plans(card("ensemble", metric)) if "Stack" in plan)
    names = parts_of(script("ensemble", script("candidate", metric=metric), metric=metric, plan=plan))
    draw = np.random.default_rng(1)
    if metric == RMSE:
        y, useless = draw.normal(size=90), draw.normal(size=90)
        weights = names["blend_weights"](y, [0.5 * y, useless])
        assert weights[0] == pytest.approx(2, abs=0.01)
    else:
        y = draw.integers(3, size=90)
        weights = names["blend_weights"](y, [np.eye(3)[y], np.full((90, 3), 1 / 3)])
        assert weights == pytest.approx([1, 0])


def test_a_leave_one_out_answer_of_the_kernel_machine_hardly_knows_the_row_s_own_target() -> None:
    names = parts_of(design.script(card("candidate"), ["kernel"]).render())
    rows = np.random.default_rng(0).normal(size=(80, 2))
    target = np.sin(rows[:, :1])

    def answers() -> tuple[float, float]:
        left_out, predicted = names["kernel_ridge"](rows, target, rows, widths=(1.0,), centres=40)
        return left_out[0, 0], predicted[0, 0]

    before = answers()
    target[0] += 1
    moved = np.abs(np.subtract(answers(), before))
    assert moved[0] < 0.03 < moved[1]


@pytest.mark.parametrize(
    ("weights", "fitted"), [([0.0, 1.0, 0.0], [1]), ([0.5, 0.0, 0.5], [0, 2]), ([0.0] * 3, [0, 1, 2])]
)
def test_only_models_that_count_are_fitted_on_all_rows(weights: list[float], fitted: list[int]) -> None:
    seen: list[int] = []

    def model(number: int) -> Any:
        return lambda train, y, test: seen.append(number) or np.full(2, 10.0**number)

    names: dict[str, Any] = {"np": np, "pd": pd, "MODELS": [model(number) for number in range(3)]}
    exec("\n".join(cut("regression", name).text for name in ("blend", "predict")), names)  # our own text
    predicted = names["predict"](None, None, None, np.array(weights))
    assert seen == fitted
    np.testing.assert_allclose(predicted, sum(w * 10.0**n for n, w in enumerate(weights)))


@pytest.mark.parametrize("variant", ["", "classes", "groups", "time"])
@pytest.mark.parametrize("many", [200, 20_005])
def test_rows_are_checked_once_and_not_fitted_on(variant: str, many: int) -> None:
    y = np.arange(many) % 2
    train = pd.DataFrame({"house": np.arange(many) // 4, "day": np.arange(many)[::-1]})
    names = parts_of(script("candidate")) | {"GROUP": "house", "TIME": "day"}
    names |= {name: getattr(model_selection, name) for name in ("GroupKFold", "ShuffleSplit", "StratifiedKFold")}
    exec(cut("regression", "split", variant).text, names)  # our own text
    fit, check = names["split"](train, y)
    assert sorted([*fit, *check]) == list(range(many))
    share = {"": 0.4, "time": 0.2}.get(variant, 0.5) if many < 20_000 or variant == "groups" else 0.2
    assert len(check) == pytest.approx(many * share, abs=4)
    if variant == "classes":
        assert y[check].mean() == pytest.approx(0.5, abs=0.01)
    if variant == "groups":
        assert not set(train["house"].iloc[fit]) & set(train["house"].iloc[check])
    if variant == "time":
        assert train["day"].iloc[fit].max() < train["day"].iloc[check].min()


@pytest.mark.parametrize(("many", "solver"), [(300, "lbfgs"), (3_000, "adam")])
@pytest.mark.parametrize(("metric", "network"), [(RMSE, "MLPRegressor"), (AUC, "MLPClassifier")])
def test_a_network_learns_a_part_of_the_rows_as_it_learns_all(
    metric: Metric, network: str, many: int, solver: str
) -> None:
    base = card("candidate", metric)
    asked = base.model_copy(update={"profile": base.profile.model_copy(update={"train_rows": many})})
    parts, solvers = parts_of(design.script(asked, ["network"]).render()), []

    class Noted(parts[network]):  # type: ignore[misc]
        def fit(self, *rows: Any) -> Any:
            solvers.append(self.solver)
            return super().fit(*rows)

    parts[network], parts["scaled"] = Noted, lambda fit, y, rows: (fit.to_numpy(), rows.to_numpy())
    inputs = pd.DataFrame(np.random.default_rng(0).normal(size=(many, 3)), columns=list("abc"))
    y = (inputs["a"] > 0).to_numpy(int)
    for part in (many * 4 // 10, many):
        answers = parts["network"](inputs[:part], y[:part], inputs[:50])
        assert np.corrcoef(answers if answers.ndim == 1 else answers[:, 1], inputs["a"][:50])[0, 1] > 0.7

    assert set(solvers) == {solver}
    alone = many < 1_000 and network == "MLPRegressor"
    assert len(solvers) == 2 * (1 if alone else 2), "in regression few rows are not worth a second network"
