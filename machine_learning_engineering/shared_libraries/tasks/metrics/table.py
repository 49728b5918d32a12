"""The table of metrics: what people call them, which way is better, between what they lie, and what they judge.

A metric costs one row here, its arithmetic in a table of kernels, and its figure in the offline model's recipes.
"""

import math
from dataclasses import dataclass

from machine_learning_engineering.shared_libraries.records import Metric, Predicts


@dataclass(frozen=True)
class Row:
    """One metric. `bounds` hold for every prediction; `default` is the number after `@`, where the metric takes one.

    `outside` says what kind of target a run would have to predict for it, where runs cannot: such a metric grades
    files only.
    """

    title: str
    maximize: bool
    predicts: Predicts
    bounds: tuple[float, float]
    aliases: tuple[str, ...] = ()
    default: float | None = None
    outside: str = ""


_LOSS, _SHARE, _SIGNED = (0.0, math.inf), (0.0, 1.0), (-1.0, 1.0)
_TEXTS = "free text"

ROWS: dict[str, Row] = {
    "rmse": Row(
        "root mean squared error", False, "value", _LOSS, ("root mean square error", "mcrmse", "root mse")
    ),
    "mse": Row("mean squared error", False, "value", _LOSS, ("mean square error",)),
    "rmsle": Row("root mean squared logarithmic error", False, "value", _LOSS, ("root mean squared log error",)),
    "mae": Row("mean absolute error", False, "value", _LOSS),
    "mape": Row("mean absolute percentage error", False, "value", _LOSS),
    "smape": Row(
        "symmetric mean absolute percentage error", False, "value", (0.0, 200.0),
        ("symmetric mape",),
    ),
    "medae": Row("median absolute error", False, "value", _LOSS),
    "pinball": Row("pinball loss of the quantile", False, "value", _LOSS, ("quantile loss",), default=0.5),
    "poisson": Row("mean Poisson deviance", False, "value", _LOSS, ("poisson deviance",)),
    "r2": Row("coefficient of determination (R2)", True, "value", (-math.inf, 1.0), ("r squared",)),
    "pearson": Row("Pearson correlation", True, "value", _SIGNED, ("pearson r",)),
    "spearman": Row("Spearman rank correlation", True, "value", _SIGNED, ("spearman rho",)),
    "kendall": Row("Kendall rank correlation", True, "value", _SIGNED, ("kendall tau",)),
    "accuracy": Row("accuracy", True, "label", _SHARE, ("acc",)),
    "balanced_accuracy": Row("balanced accuracy", True, "label", _SHARE),
    "f1": Row("F1 score of the last class", True, "label", _SHARE, ("binary f1", "f1 binary")),
    "f1_macro": Row("macro F1 score", True, "label", _SHARE, ("macro f1", "macro averaged f1")),
    "f1_micro": Row("micro F1 score", True, "label", _SHARE, ("micro f1", "micro averaged f1")),
    "f1_weighted": Row("weighted F1 score", True, "label", _SHARE, ("weighted f1",)),
    "mcc": Row("Matthews correlation coefficient", True, "label", _SIGNED),
    "kappa": Row("Cohen's kappa", True, "label", _SIGNED, ("cohen kappa",)),
    "qwk": Row("quadratic weighted kappa", True, "label", _SIGNED, ("quadratic kappa",)),
    "auc": Row("area under the ROC curve", True, "probability", _SHARE, ("roc auc", "auc roc", "auroc")),
    "gini": Row("normalised Gini coefficient", True, "probability", _SIGNED, ("normalized gini coefficient",)),
    "average_precision": Row(
        "average precision", True, "probability", _SHARE, ("pr auc", "auc pr", "area under the precision recall curve")
    ),
    "log_loss": Row(
        "logarithmic loss", False, "probability", _LOSS, ("logloss", "cross entropy", "logarithmic loss")
    ),
    "brier": Row("Brier score", False, "probability", (0.0, 2.0)),
    "kl": Row(
        "Kullback-Leibler divergence", False, "probability", _LOSS, ("kl divergence",), outside="shares of classes"
    ),
    "map": Row("mean average precision at", True, "ranking", _SHARE, default=5),
    "ndcg": Row(
        "normalised discounted cumulative gain at", True, "ranking", _SHARE,
        ("normalized discounted cumulative gain at",), default=5,
    ),
    "exact_match": Row("share of texts that are right", True, "text", _SHARE, outside=_TEXTS),
    "levenshtein": Row("mean Levenshtein distance", False, "text", _LOSS, ("edit distance",), outside=_TEXTS),
    "jaccard": Row("mean Jaccard index of the words", True, "text", _SHARE, ("word jaccard",), outside=_TEXTS),
    "dice": Row("mean Dice coefficient of the masks", True, "mask", _SHARE, outside="masks"),
}  # fmt: skip


def metric_of(key: str, number: float | None = None) -> Metric:
    """The record of a row; `number` stands after its `@`, where it takes one."""
    row = ROWS[key]
    if row.default is None:
        return Metric(name=key, title=row.title, maximize=row.maximize, predicts=row.predicts)
    at = f"{row.default if number is None else number:g}"
    return Metric(name=f"{key}@{at}", title=f"{row.title} {at}", maximize=row.maximize, predicts=row.predicts)


def row_of(metric: Metric) -> Row:
    """The row that a built-in metric comes from. Raises: KeyError for any other."""
    return ROWS[metric.name.partition("@")[0]]


METRICS: dict[str, Metric] = {metric.name: metric for metric in map(metric_of, ROWS)}
