# mypy: ignore-errors
"""Validation"""

import numpy as np
import pandas as pd
from scipy.optimize import nnls
from scipy.stats import kendalltau, pearsonr, spearmanr
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    cohen_kappa_score,
    f1_score,
    log_loss,
    matthews_corrcoef,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_pinball_loss,
    mean_poisson_deviance,
    median_absolute_error,
    r2_score,
    roc_auc_score,
    root_mean_squared_error,
    root_mean_squared_log_error,
)
from sklearn.model_selection import GroupKFold, ShuffleSplit, StratifiedKFold

from .data import decode
from .task import CLASSES, GROUP, LEVEL, SEED, TIME
from .values import MODELS


def split(train: pd.DataFrame, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows to fit on and rows to check on: two fifths of them, or one fifth where there are many rows."""
    share = 0.2 if len(train) > 20_000 else 0.4
    return next(ShuffleSplit(1, test_size=share, random_state=SEED).split(train))


def split__classes(train: pd.DataFrame, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows to fit on and rows to check on, of each class alike: half of them, or a fifth where there are many rows."""
    parts = 5 if len(train) > 20_000 else 2
    return next(StratifiedKFold(parts, shuffle=True, random_state=SEED).split(train, y))


def split__groups(train: pd.DataFrame, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows to fit on and rows to check on, half of them each, that share no group unless there is only one."""
    groups = train[GROUP].astype(str)
    if groups.nunique() > 1:
        return next(GroupKFold(2).split(train, groups=groups))
    return next(ShuffleSplit(1, test_size=0.5, random_state=SEED).split(train))


def split__time(train: pd.DataFrame, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows to fit on and rows to check on: the last fifth in time is checked on the rows before it."""
    order = np.argsort(train[TIME].to_numpy(), kind="stable")
    cut = len(train) * 4 // 5
    return order[:cut], order[cut:]


def score(y: np.ndarray, prediction: np.ndarray) -> float:
    """Root mean squared error."""
    return float(root_mean_squared_error(decode(y), decode(prediction)))


def score__mse(y: np.ndarray, prediction: np.ndarray) -> float:
    """Mean squared error."""
    return float(root_mean_squared_error(decode(y), decode(prediction)) ** 2)


def score__mae(y: np.ndarray, prediction: np.ndarray) -> float:
    """Mean absolute error."""
    return float(mean_absolute_error(decode(y), decode(prediction)))


def score__medae(y: np.ndarray, prediction: np.ndarray) -> float:
    """Median absolute error."""
    return float(median_absolute_error(decode(y), decode(prediction)))


def score__mape(y: np.ndarray, prediction: np.ndarray) -> float:
    """Mean absolute percentage error, as a fraction."""
    return float(mean_absolute_percentage_error(decode(y), decode(prediction)))


def score__smape(y: np.ndarray, prediction: np.ndarray) -> float:
    """Symmetric mean absolute percentage error, from 0 to 200."""
    truth, given = decode(y), decode(prediction)
    return float(np.mean(200 * np.abs(truth - given) / (np.abs(truth) + np.abs(given)).clip(1e-300)))


def score__pinball(y: np.ndarray, prediction: np.ndarray) -> float:
    """The pinball loss of the quantile LEVEL."""
    return float(mean_pinball_loss(decode(y), decode(prediction), alpha=LEVEL))


def score__poisson(y: np.ndarray, prediction: np.ndarray) -> float:
    """Mean Poisson deviance."""
    return float(mean_poisson_deviance(decode(y), decode(prediction).clip(1e-9)))


def score__rmsle(y: np.ndarray, prediction: np.ndarray) -> float:
    """Root mean squared error of logarithms."""
    return float(root_mean_squared_log_error(decode(y).clip(0), decode(prediction).clip(0)))


def score__r2(y: np.ndarray, prediction: np.ndarray) -> float:
    """The share of the target's variance that the predictions explain."""
    return float(r2_score(decode(y), decode(prediction)))


def score__pearson(y: np.ndarray, prediction: np.ndarray) -> float:
    """Pearson's correlation."""
    return float(pearsonr(decode(y), decode(prediction)).statistic)


def score__spearman(y: np.ndarray, prediction: np.ndarray) -> float:
    """Spearman's rank correlation."""
    return float(spearmanr(decode(y), decode(prediction)).statistic)


def score__kendall(y: np.ndarray, prediction: np.ndarray) -> float:
    """Kendall's rank correlation."""
    return float(kendalltau(decode(y), decode(prediction)).statistic)


def score__accuracy(y: np.ndarray, prediction: np.ndarray) -> float:
    """The share of rows whose most probable class is right."""
    return float(accuracy_score(y, prediction.argmax(axis=1)))


def score__balanced_accuracy(y: np.ndarray, prediction: np.ndarray) -> float:
    """The mean over the classes of the share of their rows that is recognised."""
    return float(balanced_accuracy_score(y, prediction.argmax(axis=1)))


def score__f1(y: np.ndarray, prediction: np.ndarray) -> float:
    """The F1 score of the last class."""
    return float(f1_score(y, prediction.argmax(axis=1)))


def score__f1_macro(y: np.ndarray, prediction: np.ndarray) -> float:
    """The mean F1 score of the classes."""
    return float(f1_score(y, prediction.argmax(axis=1), average="macro"))


def score__f1_micro(y: np.ndarray, prediction: np.ndarray) -> float:
    """The F1 score of all classes' hits together."""
    return float(f1_score(y, prediction.argmax(axis=1), average="micro"))


def score__f1_weighted(y: np.ndarray, prediction: np.ndarray) -> float:
    """The F1 score of the classes, weighed by their rows."""
    return float(f1_score(y, prediction.argmax(axis=1), average="weighted"))


def score__mcc(y: np.ndarray, prediction: np.ndarray) -> float:
    """Matthews' correlation coefficient."""
    return float(matthews_corrcoef(y, prediction.argmax(axis=1)))


def score__kappa(y: np.ndarray, prediction: np.ndarray) -> float:
    """Cohen's kappa."""
    return float(cohen_kappa_score(y, prediction.argmax(axis=1)))


def score__qwk(y: np.ndarray, prediction: np.ndarray) -> float:
    """Cohen's kappa with quadratic weights; labels that are numbers count in the order of their values."""
    places = pd.to_numeric(pd.Series(CLASSES), errors="coerce").rank(method="first", na_option="bottom").to_numpy()
    return float(cohen_kappa_score(places[y], places[prediction.argmax(axis=1)], weights="quadratic"))


def score__log_loss(y: np.ndarray, prediction: np.ndarray) -> float:
    """Mean logarithmic loss."""
    return float(log_loss(y, prediction, labels=range(len(CLASSES))))


def score__brier(y: np.ndarray, prediction: np.ndarray) -> float:
    """Mean squared error of the probabilities of the last class."""
    return float(np.mean((prediction[:, 1] - (y == 1)) ** 2))


def score__brier_multiclass(y: np.ndarray, prediction: np.ndarray) -> float:
    """Mean squared distance between the probabilities and the truth."""
    return float(((prediction - np.eye(len(CLASSES))[y]) ** 2).sum(axis=1).mean())


def score__auc(y: np.ndarray, prediction: np.ndarray) -> float:
    """Area under the ROC curve of the last class."""
    return float(roc_auc_score(y, prediction[:, 1]))


def score__auc_multiclass(y: np.ndarray, prediction: np.ndarray) -> float:
    """Area under the ROC curve, the mean of each class against the rest."""
    return float(roc_auc_score(y, prediction, multi_class="ovr", labels=range(len(CLASSES))))


def score__gini(y: np.ndarray, prediction: np.ndarray) -> float:
    """The normalised Gini coefficient of the last class."""
    return float(2 * roc_auc_score(y, prediction[:, 1]) - 1)


def score__gini_multiclass(y: np.ndarray, prediction: np.ndarray) -> float:
    """The normalised Gini coefficient, the mean of each class against the rest."""
    return float(2 * roc_auc_score(y, prediction, multi_class="ovr", labels=range(len(CLASSES))) - 1)


def score__average_precision(y: np.ndarray, prediction: np.ndarray) -> float:
    """The average precision of the last class."""
    return float(average_precision_score(y, prediction[:, 1]))


def score__average_precision_multiclass(y: np.ndarray, prediction: np.ndarray) -> float:
    """The average precision, the mean of each class against the rest."""
    return float(np.mean([average_precision_score(y == n, prediction[:, n]) for n in range(len(CLASSES))]))


def score__map(y: np.ndarray, prediction: np.ndarray) -> float:
    """The mean of one over the true label's place among the LEVEL most probable; 0 where it is not among them."""
    places = (-prediction).argsort(axis=1, kind="stable").argsort(axis=1)[np.arange(len(y)), y] + 1
    return float(np.mean((places <= LEVEL) / places))


def score__ndcg(y: np.ndarray, prediction: np.ndarray) -> float:
    """The gain of the true label's place among the LEVEL most probable, discounted by its logarithm."""
    places = (-prediction).argsort(axis=1, kind="stable").argsort(axis=1)[np.arange(len(y)), y] + 1
    return float(np.mean((places <= LEVEL) / np.log2(places + 1)))


def loss(y: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """What the weights of the models minimise, for each prediction: squared errors on the scale that models learn."""
    return ((y - predictions) ** 2).mean(axis=-1)


def loss__distances(y: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """What the weights of the models minimise, for each prediction: absolute errors on the scale that models learn."""
    return np.abs(y - predictions).mean(axis=-1)


def loss__quantile(y: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """What the weights of the models minimise, for each prediction: the pinball loss of the quantile LEVEL."""
    return np.maximum(LEVEL * (y - predictions), (LEVEL - 1) * (y - predictions)).mean(axis=-1)


def loss__classes(y: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """What the weights of the models minimise, for each prediction: the mean logarithmic loss."""
    return -np.log(predictions[..., np.arange(len(y)), y].clip(1e-6)).mean(axis=-1)


def out_of_fold(train: pd.DataFrame, y: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """The rows that were checked, and what each model, fitted without them, predicts for them."""
    fit, check = split(train, y)
    inside, outside = train.iloc[fit], train.iloc[check]
    return check, [model(inside, y[fit], outside) for model in MODELS]


def blend_weights(y: np.ndarray, predictions: list[np.ndarray]) -> np.ndarray:
    """The share of each model in the blend: 20 times, add the model whose vote lowers the loss most.

    The mean of ten such elections, each on rows drawn anew, since one alone fits the noise of few rows.
    """
    draws, votes = np.random.default_rng(SEED), np.zeros(len(predictions))
    for _ in range(10):
        sample = draws.integers(0, len(y), min(len(y), 5_000))
        candidates, truth = np.array([prediction[sample] for prediction in predictions]), y[sample]
        total = np.zeros_like(candidates[0])
        for turn in range(1, 21):
            best = int(np.argmin(loss(truth, (total + candidates) / turn)))
            total, votes[best] = total + candidates[best], votes[best] + 1
    return votes / votes.sum()


def blend_weights__equal(y: np.ndarray, predictions: list[np.ndarray]) -> np.ndarray:
    """The share of each model in the blend: the same for all."""
    return np.full(len(predictions), 1 / len(predictions))


def blend_weights__shrunk(y: np.ndarray, predictions: list[np.ndarray]) -> np.ndarray:
    """The share of each model in the blend: half by greedy votes that lower the loss, half the same for all."""
    sample = np.linspace(0, len(y) - 1, min(len(y), 20_000)).astype(int)
    candidates, truth = np.array([prediction[sample] for prediction in predictions]), y[sample]
    total, votes = np.zeros_like(candidates[0]), np.zeros(len(candidates))
    for turn in range(1, 41):
        best = int(np.argmin(loss(truth, (total + candidates) / turn)))
        total, votes[best] = total + candidates[best], votes[best] + 1
    return 0.5 * votes / votes.sum() + 0.5 / len(votes)


def blend_weights__stacked(y: np.ndarray, predictions: list[np.ndarray]) -> np.ndarray:
    """The weight of each model in a regression of the target on what the models predict, none below zero."""
    sample = np.linspace(0, len(y) - 1, min(len(y), 20_000)).astype(int)
    told = np.column_stack([prediction[sample].ravel() for prediction in predictions])
    if predictions[0].ndim == 1:
        return nnls(told, y[sample])[0]
    weights = nnls(told, np.eye(predictions[0].shape[1])[y[sample]].ravel())[0]
    return weights / weights.sum()  # probabilities have to add up to one


def blend(predictions: list[np.ndarray], weights: np.ndarray) -> np.ndarray:
    """The weighted mean of the models' predictions."""
    return np.tensordot(weights, np.array(predictions), axes=1)


def predict(train: pd.DataFrame, y: np.ndarray, test: pd.DataFrame, weights: np.ndarray) -> np.ndarray:
    """What the models, fitted on all rows, predict together for others; a model without weight need not be fitted."""
    some = np.flatnonzero(weights) if weights.any() else np.arange(len(weights))
    return blend([MODELS[place](train, y, test) for place in some], weights[some])
