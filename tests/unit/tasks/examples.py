"""Truth and predictions for every metric: imperfect, with many equal values."""

from typing import Any

import numpy as np

from machine_learning_engineering.shared_libraries.records import Metric

CLASSES = ("0", "1", "2", "3")


def example(metric: Metric, seed: int, rows: int = 300, skill: float = 1.0) -> tuple[Any, Any, tuple[str, ...]]:
    """Truth, predictions and classes; truth depends on the seed alone, `skill` says how good the predictions are."""
    truths, draw = np.random.default_rng(seed), np.random.default_rng(seed + 1)
    if metric.predicts == "value":
        truth = truths.gamma(3, 2, rows).round(1) + 0.1
        return truth, (truth * draw.lognormal(0, 0.3 / skill, rows) + draw.random(rows)).round(2), ()
    if metric.name == "kl":
        return truths.dirichlet([1.0] * 4, rows), draw.dirichlet([skill] * 4, rows), CLASSES
    if metric.predicts in ("text", "mask"):
        starts = draw.integers(1, 1 + round(9 / skill), rows)
        return np.array(["3 3 20 10"] * rows), np.array([f"{start} 3 20 10" for start in starts]), ()
    truth = truths.choice(CLASSES, rows, p=[0.1, 0.2, 0.3, 0.4])
    scores = draw.normal(0, 1, (rows, 4)).round(1)
    scores[np.arange(rows), truth.astype(int)] += skill
    order = (-scores).argsort(axis=1, kind="stable")
    if metric.predicts == "label":
        return truth, np.array(CLASSES)[order[:, 0]], CLASSES
    if metric.predicts == "ranking":
        return truth, np.array([" ".join(labels) for labels in np.array(CLASSES)[order[:, :3]]]), CLASSES
    return truth, np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True), CLASSES
