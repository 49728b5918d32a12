# mypy: ignore-errors
"""Models

Each model is fitted on the training rows `fit` with classes `y` and gives each of `rows` its class probabilities.
"""

import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier
from scipy.special import softmax
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC

from .data import probabilities
from .features import filled, inputs, scaled, word_weights
from .kernels import kernel_ridge
from .task import CLASSES, ROWS, SEED, THREADS


def lightgbm(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """Boosted trees, more and larger ones the more rows there are, each on a random part of rows and columns."""
    train, new = inputs(fit, y, rows)
    few = len(CLASSES) <= 5
    rounds = int(np.clip(len(fit) // 12, 150, 400)) if few else 70
    model = LGBMClassifier(
        n_estimators=rounds,
        learning_rate=max((9 if few else 10) / rounds, 0.05),
        num_leaves=int(np.clip(len(fit) // 150, 7 if few else 15, 63)),
        min_child_samples=10 if len(fit) < 20_000 else 30,
        subsample=0.7,
        subsample_freq=1,
        colsample_bytree=0.4 if few else 0.7,
        reg_lambda=1.0,
        max_bin=63 if len(fit) < 20_000 else 255,
        n_jobs=1 if len(fit) < 20_000 else THREADS,
        force_row_wise=True,
        verbose=-1,
        random_state=SEED,
    )
    return probabilities(model, train, y, new)


def lightgbm__bagged(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """Boosted trees in smaller steps on smaller parts of rows and columns; the mean over two seeds."""
    train, new = inputs(fit, y, rows)
    few = len(CLASSES) <= 5
    rounds = int(np.clip(len(fit) // 8, 200, 600)) if few else 100
    settings = {
        "n_estimators": rounds,
        "learning_rate": max(9 / rounds, 0.04),
        "num_leaves": int(np.clip(len(fit) // 150, 7 if few else 15, 63)),
        "min_child_samples": 8 if len(fit) < 20_000 else 30,
        "subsample": 0.6,
        "subsample_freq": 1,
        "colsample_bytree": 0.3 if few else 0.5,
        "reg_lambda": 3.0,
        "max_bin": 63 if len(fit) < 20_000 else 255,
        "n_jobs": 1 if len(fit) < 20_000 else THREADS,
        "force_row_wise": True,
        "verbose": -1,
    }
    seeds = range(SEED, SEED + (2 if len(fit) < 20_000 and few else 1))
    models = [LGBMClassifier(random_state=k, **settings) for k in seeds]
    return np.mean([probabilities(model, train, y, new) for model in models], axis=0)


def hist_boosting(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """Boosted trees on binned inputs, small steps, half of the columns at each split."""
    train, new = inputs(fit, y, rows)
    rounds = 100 if len(CLASSES) <= 5 else 40
    settings = {"learning_rate": 10 / rounds, "max_iter": rounds, "max_leaf_nodes": 15, "l2_regularization": 1.0}
    model = HistGradientBoostingClassifier(max_features=0.5, early_stopping=False, random_state=SEED, **settings)
    return probabilities(model, train, y, new)


def hist_boosting__bagged(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """Boosted trees on binned inputs, a third of the columns at each split; the mean over two seeds."""
    train, new = inputs(fit, y, rows)
    rounds = 120 if len(CLASSES) <= 5 else 50
    settings = {"learning_rate": 8 / rounds, "max_iter": rounds, "max_leaf_nodes": 10, "l2_regularization": 3.0}
    models = [
        HistGradientBoostingClassifier(max_features=0.3, early_stopping=False, random_state=SEED + k, **settings)
        for k in range(2)
    ]
    return np.mean([probabilities(model, train, y, new) for model in models], axis=0)


def extra_trees(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """The mean of 100 or more trees that cut at random places, each grown on at most 50,000 rows."""
    train, new = filled(fit, y, rows)
    drawn = {"bootstrap": True, "max_samples": 50_000} if len(fit) > 50_000 else {}
    if len(CLASSES) > 5:  # small leaves and greedy cuts tell many classes apart
        drawn |= {"max_features": 0.5}
    trees, smallest = (150, 1) if len(CLASSES) > 5 else (100, 2)
    model = ExtraTreesClassifier(trees, min_samples_leaf=smallest, n_jobs=THREADS, random_state=SEED, **drawn)
    return probabilities(model, train, y, new)


def extra_trees__bagged(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """The mean of 200 fully grown trees that look at half of the columns, each on at most 50,000 rows."""
    train, new = filled(fit, y, rows)
    drawn = {"bootstrap": True, "max_samples": 50_000} if len(fit) > 50_000 else {}
    model = ExtraTreesClassifier(200, max_features=0.5, n_jobs=THREADS, random_state=SEED, **drawn)
    return probabilities(model, train, y, new)


def random_forest(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """The mean of 100 trees, each grown on its own sample of at most 50,000 rows."""
    train, new = filled(fit, y, rows)
    sample = min(50_000, len(fit))
    model = RandomForestClassifier(100, min_samples_leaf=2, max_samples=sample, n_jobs=THREADS, random_state=SEED)
    return probabilities(model, train, y, new)


def linear(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """Logistic regression on normal scores, its penalty chosen on a fifth of at most 20,000 training rows."""
    train, new = scaled(fit, y, rows)
    drawn = np.random.default_rng(SEED).permutation(len(fit))[:20_000]
    check, rest = np.split(drawn, [max(1, len(drawn) // 5)])
    losses, penalties = [], [0.01, 0.1, 1.0]
    for c in penalties:
        model = LogisticRegression(C=c, max_iter=2_000, tol=1e-3)
        held_out = probabilities(model, train[rest], y[rest], train[check])
        losses.append(log_loss(y[check], held_out, labels=range(len(CLASSES))))
    model = LogisticRegression(C=penalties[int(np.argmin(losses))], max_iter=2_000, tol=1e-3)
    return probabilities(model, train, y, new)


def linear__squares(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """Logistic regression on normal scores and their squares, with a firm penalty."""
    train, new = (np.hstack([part, part**2]) for part in scaled(fit, y, rows))
    return probabilities(LogisticRegression(C=0.05, max_iter=2_000, tol=1e-3), train, y, new)


def kernel(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """Kernel ridge regression of each class around 200 or 300 of at most 20,000 training rows, on normal scores; its
    leave-one-out answers turn into probabilities by logistic regression."""
    train, new = scaled(fit, y, rows)
    drawn = np.random.default_rng(SEED).permutation(len(fit))[:20_000]
    train, y, centres = train[drawn], y[drawn], 200 if ROWS < 1_500 else 300
    left_out, answers = kernel_ridge(train, np.eye(len(CLASSES))[y], new, (0.2, 0.7), centres)
    return probabilities(LogisticRegression(C=16.0, max_iter=1_000), left_out, y, answers)


def kernel__vectors(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """A support vector machine with a Gaussian kernel on at most 4,000 rows; its margins become shares by softmax."""
    train, new = scaled(fit, y, rows)
    drawn = np.random.default_rng(SEED).permutation(len(fit))[:4_000]
    if len(np.unique(y[drawn])) < 3:  # too few classes for a margin each
        return probabilities(LogisticRegression(max_iter=1_000), train[drawn], y[drawn], new)
    machine = SVC(C=2.0, gamma=1.0 / train.shape[1]).fit(train[drawn], y[drawn])
    shares = np.full((len(new), len(CLASSES)), 1e-6)
    shares[:, machine.classes_] = softmax(machine.decision_function(new), axis=1)
    return shares / shares.sum(axis=1, keepdims=True)


def kernel__dense(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """Kernel ridge regression of each class with four widths to choose from, around 450 training rows; its
    leave-one-out answers turn into probabilities by logistic regression."""
    train, new = scaled(fit, y, rows)
    drawn = np.random.default_rng(SEED).permutation(len(fit))[:20_000]
    train, y, widths = train[drawn], y[drawn], (0.05, 0.2, 0.6, 1.5)
    left_out, answers = kernel_ridge(train, np.eye(len(CLASSES))[y], new, widths, centres=450)
    return probabilities(LogisticRegression(C=16.0, max_iter=1_000), left_out, y, answers)


def neighbours(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """The classes of the 25 nearest of at most 50,000 training rows, the closer the heavier."""
    train, new = scaled(fit, y, rows)
    drawn = np.random.default_rng(SEED).permutation(len(fit))[:50_000]
    model = KNeighborsClassifier(min(25, len(drawn)), weights="distance", p=1, n_jobs=THREADS)
    return 0.98 * probabilities(model, train[drawn], y[drawn], new) + 0.02 / len(CLASSES)


def network(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """The mean of two small neural networks on normal scores: few rows are learnt at once, many in small batches."""
    train, new = scaled(fit, y, rows)
    if ROWS < 1_500:  # the same for every part of them, since the blend weighs what it will hand in
        settings = {"solver": "lbfgs", "alpha": len(fit) / 40, "max_iter": 40}
    else:
        epochs = min(15, max(2, 60_000 // len(fit)))
        settings = {"alpha": 1.0, "batch_size": 64, "learning_rate_init": 0.006, "max_iter": epochs}
    models = [MLPClassifier(hidden_layer_sizes=(32,), random_state=SEED + k, **settings) for k in range(2)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # so few steps are meant: they keep the networks smooth
        return np.mean([probabilities(model, train, y, new) for model in models], axis=0)


def words_linear(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """Logistic regression, one class against the rest, on the TF-IDF weights of words and pairs of words."""
    train, new = word_weights(fit, y, rows)
    model = OneVsRestClassifier(
        LogisticRegression(C=8.0, solver="liblinear", dual=True, max_iter=1_000, random_state=SEED)
    )
    return probabilities(model, train, y, new)


MODELS: list[Callable[[pd.DataFrame, np.ndarray, pd.DataFrame], np.ndarray]] = []
