# mypy: ignore-errors
"""Models

Each model is fitted on the training rows `fit` with target `y` and predicts `rows`, on the scale of `y`.
"""

import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
from lightgbm import LGBMRegressor
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor

from .features import filled, inputs, scaled, word_weights
from .kernels import kernel_ridge
from .task import ROWS, SEED, THREADS


def lightgbm(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """Boosted trees, more and larger ones the more rows there are, each on a random part of rows and columns."""
    train, new = inputs(fit, y, rows)
    rounds = int(np.clip(len(fit) // 10, 150, 400))
    model = LGBMRegressor(
        n_estimators=rounds,
        learning_rate=max(12 / rounds, 0.05),
        num_leaves=int(np.clip(len(fit) // 150, 10, 63)),
        min_child_samples=10 if len(fit) < 20_000 else 30,
        subsample=0.6,
        subsample_freq=1,
        colsample_bytree=0.3,
        reg_lambda=3.0,
        max_bin=63 if len(fit) < 20_000 else 255,
        n_jobs=1 if len(fit) < 20_000 else THREADS,
        force_row_wise=True,
        verbose=-1,
        random_state=SEED,
    )
    return model.fit(train, y).predict(new)


def lightgbm__bagged(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """Boosted trees in smaller steps on smaller parts of rows and columns; the mean over two seeds."""
    train, new = inputs(fit, y, rows)
    rounds = int(np.clip(len(fit) // 8, 200, 600))
    settings = {
        "n_estimators": rounds,
        "learning_rate": max(12 / rounds, 0.04),
        "num_leaves": int(np.clip(len(fit) // 150, 10, 63)),
        "min_child_samples": 8 if len(fit) < 20_000 else 30,
        "subsample": 0.5,
        "subsample_freq": 1,
        "colsample_bytree": 0.25,
        "reg_lambda": 3.0,
        "max_bin": 63 if len(fit) < 20_000 else 255,
        "n_jobs": 1 if len(fit) < 20_000 else THREADS,
        "force_row_wise": True,
        "verbose": -1,
    }
    seeds = range(SEED, SEED + (2 if len(fit) < 20_000 else 1))
    return np.mean([LGBMRegressor(random_state=k, **settings).fit(train, y).predict(new) for k in seeds], axis=0)


def lightgbm__tuned(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """Boosted trees whose size is chosen on a fifth of the training rows."""
    train, new = inputs(fit, y, rows)
    rounds = int(np.clip(len(fit) // 12, 150, 400))
    settings = {
        "n_estimators": rounds,
        "learning_rate": max(12 / rounds, 0.05),
        "subsample": 0.7,
        "subsample_freq": 1,
        "colsample_bytree": 0.4,
        "max_bin": 63 if len(fit) < 20_000 else 255,
        "n_jobs": 1 if len(fit) < 20_000 else THREADS,
        "force_row_wise": True,
        "verbose": -1,
        "random_state": SEED,
    }
    inside, outside = train_test_split(np.arange(len(fit)), test_size=0.2, random_state=SEED)
    sizes = [{"num_leaves": leaves, "min_child_samples": size} for leaves, size in ((6, 20), (12, 10), (31, 20))]
    errors = []
    for size in sizes:
        model = LGBMRegressor(**settings, **size).fit(train[inside], y[inside])
        errors.append(np.mean((y[outside] - model.predict(train[outside])) ** 2))
    return LGBMRegressor(**settings, **sizes[int(np.argmin(errors))]).fit(train, y).predict(new)


def hist_boosting(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """Boosted trees on binned inputs, small steps, half of the columns at each split."""
    train, new = inputs(fit, y, rows)
    settings = {"learning_rate": 0.1, "max_iter": 120, "max_leaf_nodes": 15, "l2_regularization": 1.0}
    model = HistGradientBoostingRegressor(max_features=0.5, early_stopping=False, random_state=SEED, **settings)
    return model.fit(train, y).predict(new)


def hist_boosting__bagged(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """Boosted trees on binned inputs, smaller steps, a third of the columns a split; the mean over two seeds."""
    train, new = inputs(fit, y, rows)
    settings = {"learning_rate": 0.06, "max_iter": 150, "max_leaf_nodes": 15, "l2_regularization": 3.0}
    models = [
        HistGradientBoostingRegressor(max_features=0.3, early_stopping=False, random_state=SEED + k, **settings)
        for k in range(2)
    ]
    return np.mean([model.fit(train, y).predict(new) for model in models], axis=0)


def extra_trees(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """The mean of 30 trees, or 60 from 1,000 rows on, that cut at random places, each grown on at most 50,000 rows."""
    train, new = filled(fit, y, rows)
    drawn = {"bootstrap": True, "max_samples": 50_000} if len(fit) > 50_000 else {}
    trees = 30 if ROWS < 1_000 else 60
    model = ExtraTreesRegressor(trees, min_samples_leaf=2, max_features=0.5, n_jobs=THREADS, random_state=SEED, **drawn)
    return model.fit(train, y).predict(new)


def extra_trees__bagged(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """The mean of 120 trees that cut at random places and look at every column, each on at most 50,000 rows."""
    train, new = filled(fit, y, rows)
    drawn = {"bootstrap": True, "max_samples": 50_000} if len(fit) > 50_000 else {}
    model = ExtraTreesRegressor(120, min_samples_leaf=2, max_features=1.0, n_jobs=THREADS, random_state=SEED, **drawn)
    return model.fit(train, y).predict(new)


def random_forest(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """The mean of 60 trees, each grown on its own sample of at most 50,000 rows."""
    train, new = filled(fit, y, rows)
    sample = min(50_000, len(fit))
    model = RandomForestRegressor(
        60, min_samples_leaf=2, max_features=0.4, max_samples=sample, n_jobs=THREADS, random_state=SEED
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


def kernel(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """Kernel ridge regression with Gaussian kernels around 200 or 300 of at most 20,000 rows, on normal scores."""
    train, new = scaled(fit, y, rows)
    drawn = np.random.default_rng(SEED).permutation(len(fit))[:20_000]
    centres = 200 if ROWS < 1_500 else 300
    return kernel_ridge(train[drawn], y[drawn, None], new, (0.2, 0.7), centres)[1][:, 0]


def kernel__dense(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """Kernel ridge regression with Gaussian kernels of four widths to choose from, around 450 training rows."""
    train, new = scaled(fit, y, rows)
    drawn = np.random.default_rng(SEED).permutation(len(fit))[:20_000]
    return kernel_ridge(train[drawn], y[drawn, None], new, widths=(0.05, 0.2, 0.6, 1.5), centres=450)[1][:, 0]


def neighbours(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """The mean of the 15 nearest of at most 50,000 training rows, the closer the heavier."""
    train, new = scaled(fit, y, rows)
    drawn = np.random.default_rng(SEED).permutation(len(fit))[:50_000]
    model = KNeighborsRegressor(min(15, len(drawn)), weights="distance", p=1, n_jobs=THREADS)
    return model.fit(train[drawn], y[drawn]).predict(new)


def network(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """A small neural network on normal scores, the mean of two from 1,000 rows on: few rows are learnt at once, many in
    small batches."""
    train, new = scaled(fit, y, rows)
    mean, deviation = y.mean(), y.std() or 1.0
    if ROWS < 2_000:  # the same for every part of them, since the blend weighs what it will hand in
        settings = {"solver": "lbfgs", "alpha": len(fit) / 100, "max_iter": 40}
    else:
        epochs = min(15, max(2, 60_000 // len(fit)))
        settings = {"alpha": 0.3, "batch_size": 64, "learning_rate_init": 0.006, "max_iter": epochs}
    seeds = range(SEED, SEED + (1 if ROWS < 1_000 else 2))
    models = [MLPRegressor(hidden_layer_sizes=(32,), random_state=k, **settings) for k in seeds]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # so few steps are meant: they keep the networks smooth
        answers = [model.fit(train, (y - mean) / deviation).predict(new) for model in models]
    return np.mean(answers, axis=0) * deviation + mean


def words_linear(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """Ridge regression on the TF-IDF weights of words and pairs of words."""
    train, new = word_weights(fit, y, rows)
    return Ridge(alpha=1.0, solver="sparse_cg", tol=1e-3).fit(train, y).predict(new)


MODELS: list[Callable[[pd.DataFrame, np.ndarray, pd.DataFrame], np.ndarray]] = []
