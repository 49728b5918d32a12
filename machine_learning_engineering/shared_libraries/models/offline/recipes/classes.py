# mypy: ignore-errors
"""Models

Each model is fitted on the training rows `fit` with classes `y` and gives each of `rows` its class probabilities.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_union
from sklearn.svm import SVC

from .data import probabilities
from .features import filled, inputs, scaled
from .task import CLASSES, SEED, TEXTS, THREADS


def lightgbm(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """Boosted trees: many small steps, each on a random part of rows and columns; the mean over two seeds."""
    train, new = inputs(fit, y, rows)
    many = len(fit) > 20_000 or len(CLASSES) > 5
    settings = {
        "n_estimators": 200 if many else 400,
        "learning_rate": 0.06 if many else 0.03,
        "num_leaves": 63 if len(fit) > 20_000 else 31 if many else 15,
        "min_child_samples": 30 if len(fit) > 20_000 else 20 if many else 10,
        "subsample": 0.8 if many else 0.7,
        "subsample_freq": 1,
        "colsample_bytree": 0.7 if many else 0.4,
        "reg_lambda": 1.0,
        "n_jobs": THREADS if len(fit) > 20_000 else 1,
        "verbose": -1,
    }
    models = [LGBMClassifier(random_state=SEED + k, **settings).fit(train, y) for k in range(1 if many else 2)]
    return np.mean([probabilities(model, new) for model in models], axis=0)


def lightgbm__bagged(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """Boosted trees in smaller steps on smaller parts of rows and columns; the mean over four seeds."""
    train, new = inputs(fit, y, rows)
    many = len(fit) > 20_000 or len(CLASSES) > 5
    settings = {
        "n_estimators": 500 if many else 600,
        "learning_rate": 0.04 if many else 0.02,
        "num_leaves": 63 if len(fit) > 20_000 else 31 if many else 10,
        "min_child_samples": 30 if len(fit) > 20_000 else 20 if many else 8,
        "subsample": 0.6,
        "subsample_freq": 1,
        "colsample_bytree": 0.5 if many else 0.25,
        "reg_lambda": 3.0,
        "n_jobs": THREADS if len(fit) > 20_000 else 1,
        "verbose": -1,
    }
    models = [LGBMClassifier(random_state=SEED + k, **settings).fit(train, y) for k in range(1 if many else 4)]
    return np.mean([probabilities(model, new) for model in models], axis=0)


def hist_boosting(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """Boosted trees on binned inputs, small steps, half of the columns at each split."""
    train, new = inputs(fit, y, rows)
    rounds = 200 if len(CLASSES) <= 5 else 60
    settings = {"learning_rate": 10 / rounds, "max_iter": rounds, "max_leaf_nodes": 15, "l2_regularization": 1.0}
    model = HistGradientBoostingClassifier(max_features=0.5, early_stopping=False, random_state=SEED, **settings)
    return probabilities(model.fit(train, y), new)


def hist_boosting__bagged(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """Boosted trees on binned inputs, a third of the columns at each split; the mean over three seeds."""
    train, new = inputs(fit, y, rows)
    rounds = 250 if len(CLASSES) <= 5 else 60
    settings = {"learning_rate": 8 / rounds, "max_iter": rounds, "max_leaf_nodes": 10, "l2_regularization": 3.0}
    models = [
        HistGradientBoostingClassifier(max_features=0.3, early_stopping=False, random_state=SEED + k, **settings)
        for k in range(3)
    ]
    return np.mean([probabilities(model.fit(train, y), new) for model in models], axis=0)


def extra_trees(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """The mean of 300 trees that cut at random places, each grown on at most 50,000 rows."""
    train, new = filled(fit, y, rows)
    drawn = {"bootstrap": True, "max_samples": 50_000} if len(fit) > 50_000 else {}
    if len(CLASSES) > 5:  # small leaves and greedy cuts tell many classes apart
        drawn |= {"max_features": 0.5}
    smallest = 1 if len(CLASSES) > 5 else 2
    model = ExtraTreesClassifier(300, min_samples_leaf=smallest, n_jobs=THREADS, random_state=SEED, **drawn)
    return probabilities(model.fit(train, y), new)


def extra_trees__bagged(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """The mean of 500 fully grown trees that look at half of the columns, each on at most 50,000 rows."""
    train, new = filled(fit, y, rows)
    drawn = {"bootstrap": True, "max_samples": 50_000} if len(fit) > 50_000 else {}
    model = ExtraTreesClassifier(500, max_features=0.5, n_jobs=THREADS, random_state=SEED, **drawn)
    return probabilities(model.fit(train, y), new)


def random_forest(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """The mean of 300 trees, each grown on its own sample of at most 50,000 rows."""
    train, new = filled(fit, y, rows)
    sample = min(50_000, len(fit))
    model = RandomForestClassifier(300, min_samples_leaf=2, max_samples=sample, n_jobs=THREADS, random_state=SEED)
    return probabilities(model.fit(train, y), new)


def linear(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """Logistic regression on normal scores, its penalty chosen on a fifth of at most 20,000 training rows."""
    train, new = scaled(fit, y, rows)
    drawn = np.random.default_rng(SEED).permutation(len(fit))[:20_000]
    check = len(drawn) // 5
    losses, penalties = [], [0.01, 0.1, 1.0]
    for c in penalties:
        model = LogisticRegression(C=c, max_iter=2_000, tol=1e-3).fit(train[drawn[check:]], y[drawn[check:]])
        held_out = probabilities(model, train[drawn[:check]])
        losses.append(log_loss(y[drawn[:check]], held_out, labels=range(len(CLASSES))))
    model = LogisticRegression(C=penalties[int(np.argmin(losses))], max_iter=2_000, tol=1e-3).fit(train, y)
    return probabilities(model, new)


def linear__squares(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """Logistic regression on normal scores and their squares, with a firm penalty."""
    train, new = (np.hstack([part, part**2]) for part in scaled(fit, y, rows))
    return probabilities(LogisticRegression(C=0.05, max_iter=2_000, tol=1e-3).fit(train, y), new)


def svm(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """A support vector machine with a Gaussian kernel on at most 8,000 rows, its margins turned into probabilities."""
    train, new = scaled(fit, y, rows)
    drawn = np.random.default_rng(SEED).permutation(len(fit))[:8_000]
    train, y = train[drawn], y[drawn]
    folds = StratifiedKFold(4, shuffle=True, random_state=SEED)
    machines = [SVC(C=2.0, gamma=width / train.shape[1]) for width in (0.4, 1.0, 2.5)]
    few = np.concatenate([np.flatnonzero(y == k)[: 2_000 // len(CLASSES)] for k in range(len(CLASSES))])
    hits = [cross_val_score(machine, train[few], y[few], cv=folds).mean() for machine in machines]
    best = machines[int(np.argmax(hits))]
    model = CalibratedClassifierCV(best, ensemble=False, cv=list(folds.split(train, y)))
    return probabilities(model.fit(train, y), new)


def neighbours(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """The classes of the 25 nearest of at most 50,000 training rows, the closer the heavier."""
    train, new = scaled(fit, y, rows)
    drawn = np.random.default_rng(SEED).permutation(len(fit))[:50_000]
    model = KNeighborsClassifier(min(25, len(drawn)), weights="distance", p=1, n_jobs=THREADS)
    return 0.98 * probabilities(model.fit(train[drawn], y[drawn]), new) + 0.02 / len(CLASSES)


def network(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """The mean of three small neural networks on normal scores, each shown up to 60,000 rows in small batches."""
    train, new = scaled(fit, y, rows)
    batch = min(64, len(fit))
    models = [
        MLPClassifier(hidden_layer_sizes=(64, 32), alpha=0.3, batch_size=batch, random_state=SEED + k) for k in range(3)
    ]
    for _ in range(min(60, max(2, 60_000 // len(fit)))):
        for model in models:
            model.partial_fit(train, y, classes=np.arange(len(CLASSES)))
    return np.mean([probabilities(model, new) for model in models], axis=0)


def words_linear(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """Logistic regression on the TF-IDF weights of words, pairs of words and letter sequences."""
    train, new = (part[TEXTS].agg(" ".join, axis=1) for part in (fit, rows))
    weights = make_union(
        TfidfVectorizer(sublinear_tf=True, min_df=2, ngram_range=(1, 2), max_features=100_000),
        TfidfVectorizer(sublinear_tf=True, min_df=3, analyzer="char_wb", ngram_range=(3, 4), max_features=50_000),
    ).fit(train)
    model = LogisticRegression(C=8.0, max_iter=1_000, tol=1e-3).fit(weights.transform(train), y)
    return probabilities(model, weights.transform(new))


MODELS: list[Callable[[pd.DataFrame, np.ndarray, pd.DataFrame], np.ndarray]] = []
