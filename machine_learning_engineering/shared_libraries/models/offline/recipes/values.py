# mypy: ignore-errors
"""Models

Each model is fitted on the training rows `fit` with target `y` and predicts `rows`, on the scale of `y`.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from lightgbm import LGBMRegressor
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_union
from sklearn.svm import SVR

from .features import filled, inputs, scaled
from .task import SEED, TEXTS, THREADS


def lightgbm(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """Boosted trees: many small steps, each on a random part of rows and columns; the mean over two seeds."""
    train, new = inputs(fit, y, rows)
    many = len(fit) > 20_000
    settings = {
        "n_estimators": 400 if many else 600,
        "learning_rate": 0.06 if many else 0.03,
        "num_leaves": 63 if many else 15,
        "min_child_samples": 30 if many else 10,
        "subsample": 0.7,
        "subsample_freq": 1,
        "colsample_bytree": 0.5,
        "reg_lambda": 1.0,
        "n_jobs": THREADS if many else 1,
        "verbose": -1,
    }
    models = [LGBMRegressor(random_state=SEED + k, **settings).fit(train, y) for k in range(1 if many else 2)]
    return np.mean([model.predict(new) for model in models], axis=0)


def lightgbm__bagged(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """Boosted trees in smaller steps on smaller parts of rows and columns; the mean over five seeds."""
    train, new = inputs(fit, y, rows)
    many = len(fit) > 20_000
    settings = {
        "n_estimators": 600 if many else 900,
        "learning_rate": 0.04 if many else 0.02,
        "num_leaves": 63 if many else 15,
        "min_child_samples": 30 if many else 8,
        "subsample": 0.6,
        "subsample_freq": 1,
        "colsample_bytree": 0.35,
        "reg_lambda": 3.0,
        "n_jobs": THREADS if many else 1,
        "verbose": -1,
    }
    models = [LGBMRegressor(random_state=SEED + k, **settings).fit(train, y) for k in range(1 if many else 5)]
    return np.mean([model.predict(new) for model in models], axis=0)


def lightgbm__tuned(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """Boosted trees whose size is chosen on a fifth of the training rows; the mean over three seeds."""
    train, new = inputs(fit, y, rows)
    many = len(fit) > 20_000
    settings = {
        "n_estimators": 400 if many else 600,
        "learning_rate": 0.06 if many else 0.03,
        "subsample": 0.7,
        "subsample_freq": 1,
        "colsample_bytree": 0.5,
        "n_jobs": THREADS if many else 1,
        "verbose": -1,
    }
    inside, outside = train_test_split(np.arange(len(fit)), test_size=0.2, random_state=SEED)
    sizes = [{"num_leaves": leaves, "min_child_samples": size} for leaves, size in ((6, 20), (15, 10), (31, 20))]
    errors = []
    for size in sizes:
        model = LGBMRegressor(random_state=SEED, **settings, **size).fit(train[inside], y[inside])
        errors.append(np.mean((y[outside] - model.predict(train[outside])) ** 2))
    settings |= sizes[int(np.argmin(errors))]
    models = [LGBMRegressor(random_state=SEED + k, **settings).fit(train, y) for k in range(1 if many else 3)]
    return np.mean([model.predict(new) for model in models], axis=0)


def hist_boosting(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """Boosted trees on binned inputs, small steps, half of the columns at each split."""
    train, new = inputs(fit, y, rows)
    settings = {"learning_rate": 0.05, "max_iter": 300, "max_leaf_nodes": 15, "l2_regularization": 1.0}
    model = HistGradientBoostingRegressor(max_features=0.5, early_stopping=False, random_state=SEED, **settings)
    return model.fit(train, y).predict(new)


def hist_boosting__bagged(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """Boosted trees on binned inputs, smaller steps, a third of the columns a split; the mean over three seeds."""
    train, new = inputs(fit, y, rows)
    settings = {"learning_rate": 0.03, "max_iter": 500, "max_leaf_nodes": 15, "l2_regularization": 3.0}
    models = [
        HistGradientBoostingRegressor(max_features=0.3, early_stopping=False, random_state=SEED + k, **settings)
        for k in range(3)
    ]
    return np.mean([model.fit(train, y).predict(new) for model in models], axis=0)


def extra_trees(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """The mean of 200 trees that cut at random places, each grown on at most 50,000 rows."""
    train, new = filled(fit, y, rows)
    drawn = {"bootstrap": True, "max_samples": 50_000} if len(fit) > 50_000 else {}
    model = ExtraTreesRegressor(200, min_samples_leaf=2, max_features=0.5, n_jobs=THREADS, random_state=SEED, **drawn)
    return model.fit(train, y).predict(new)


def extra_trees__bagged(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """The mean of 300 trees that cut at random places and look at every column, each on at most 50,000 rows."""
    train, new = filled(fit, y, rows)
    drawn = {"bootstrap": True, "max_samples": 50_000} if len(fit) > 50_000 else {}
    model = ExtraTreesRegressor(300, min_samples_leaf=2, max_features=1.0, n_jobs=THREADS, random_state=SEED, **drawn)
    return model.fit(train, y).predict(new)


def random_forest(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """The mean of 200 trees, each grown on its own sample of at most 50,000 rows."""
    train, new = filled(fit, y, rows)
    sample = min(50_000, len(fit))
    model = RandomForestRegressor(
        200, min_samples_leaf=2, max_features=0.4, max_samples=sample, n_jobs=THREADS, random_state=SEED
    )
    return model.fit(train, y).predict(new)


def linear(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """Ridge regression on normal scores, its penalty chosen by leave-one-out errors."""
    train, new = scaled(fit, y, rows)
    return RidgeCV(alphas=np.logspace(-1, 4, 16)).fit(train, y).predict(new)


def linear__squares(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """Ridge regression on normal scores and their squares, its penalty chosen by leave-one-out errors."""
    train, new = (np.hstack([part, part**2]) for part in scaled(fit, y, rows))
    return RidgeCV(alphas=np.logspace(-1, 4, 16)).fit(train, y).predict(new)


def svm(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """A support vector machine with a Gaussian kernel on normal scores, fitted on at most 8,000 rows."""
    train, new = scaled(fit, y, rows)
    drawn = np.random.default_rng(SEED).permutation(len(fit))[:8_000]
    mean, deviation = y.mean(), y.std()
    model = SVR(C=2.0, epsilon=0.1, gamma=0.4 / train.shape[1]).fit(train[drawn], (y[drawn] - mean) / deviation)
    return model.predict(new) * deviation + mean


def svm__soft(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """A support vector machine with a Gaussian kernel whose softness is chosen on a fifth of the training rows."""
    train, new = scaled(fit, y, rows)
    drawn = np.random.default_rng(SEED).permutation(len(fit))[:8_000]
    mean, deviation = y.mean(), y.std()
    target, check = (y[drawn] - mean) / deviation, len(drawn) // 5
    settings = [{"C": c, "gamma": g / train.shape[1]} for c in (0.3, 1, 4) for g in (0.15, 0.4, 1.0)]
    errors = []
    for setting in settings:
        model = SVR(epsilon=0.1, **setting).fit(train[drawn[check:]], target[check:])
        errors.append(np.mean((target[:check] - model.predict(train[drawn[:check]])) ** 2))
    model = SVR(epsilon=0.1, **settings[int(np.argmin(errors))]).fit(train[drawn], target)
    return model.predict(new) * deviation + mean


def neighbours(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """The mean of the 15 nearest of at most 50,000 training rows, the closer the heavier."""
    train, new = scaled(fit, y, rows)
    drawn = np.random.default_rng(SEED).permutation(len(fit))[:50_000]
    model = KNeighborsRegressor(min(15, len(drawn)), weights="distance", p=1, n_jobs=THREADS)
    return model.fit(train[drawn], y[drawn]).predict(new)


def network(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """The mean of three small neural networks on normal scores, each shown up to 60,000 rows in small batches."""
    train, new = scaled(fit, y, rows)
    mean, deviation, batch = y.mean(), y.std(), min(64, len(fit))
    models = [
        MLPRegressor(hidden_layer_sizes=(64, 32), alpha=0.1, batch_size=batch, random_state=SEED + k) for k in range(3)
    ]
    for _ in range(min(60, max(2, 60_000 // len(fit)))):
        for model in models:
            model.partial_fit(train, (y - mean) / deviation)
    return np.mean([model.predict(new) for model in models], axis=0) * deviation + mean


def words_linear(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """Ridge regression on the TF-IDF weights of words, pairs of words and letter sequences."""
    train, new = (part[TEXTS].agg(" ".join, axis=1) for part in (fit, rows))
    weights = make_union(
        TfidfVectorizer(sublinear_tf=True, min_df=2, ngram_range=(1, 2), max_features=100_000),
        TfidfVectorizer(sublinear_tf=True, min_df=3, analyzer="char_wb", ngram_range=(3, 4), max_features=50_000),
    ).fit(train)
    return Ridge(alpha=1.0, solver="sparse_cg").fit(weights.transform(train), y).predict(weights.transform(new))


MODELS: list[Callable[[pd.DataFrame, np.ndarray, pd.DataFrame], np.ndarray]] = []
