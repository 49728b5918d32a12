# mypy: ignore-errors
"""Features

Each block returns its inputs for the training rows `fit` and for `rows`; what it learns, it learns from `fit` alone.
"""

from collections.abc import Callable
from functools import wraps
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree
from scipy.special import ndtri
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold
from sklearn.preprocessing import OneHotEncoder, QuantileTransformer

from .data import signals
from .task import AMOUNTS, CATEGORIES, COORDINATES, DATES, NUMBERS, SEED, TEXTS, THREADS


def once(make: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, which keeps its latest answer: models that are fitted on the same rows share their inputs."""
    kept: list[Any] = [None, None, None]

    @wraps(make)
    def shared(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> Any:
        if kept[0] is not fit or kept[1] is not rows:
            kept[:] = fit, rows, make(fit, y, rows)
        return kept[2]

    return shared


def gives_up(find: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    """The same function, which looks no more once it has found nothing: what part of the rows hides, all of them do."""
    vain: list[bool] = []

    @wraps(find)
    def look(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> list[Any]:
        found = [] if vain else find(fit, y, rows)
        if not found:
            vain.append(True)
        return found

    return look


def numbers(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> list[np.ndarray]:
    """The numeric columns as they are."""
    return [part[NUMBERS].to_numpy() for part in (fit, rows)]


def gaps(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> list[np.ndarray]:
    """Which numbers a row lacks, and how many."""
    holes = [column for column in NUMBERS if fit[column].isna().any()]
    return [np.c_[part[holes].isna(), part[NUMBERS].isna().sum(axis=1)] for part in (fit, rows)]


def ratios(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> list[np.ndarray]:
    """The logarithm of the ratio of every two amounts that grow together, as totals do with the size of a thing."""
    size = fit[AMOUNTS].mean()
    logs = [np.log(part[AMOUNTS] / size + 1e-3) for part in (fit, rows)]
    left, right = np.nonzero(np.triu(logs[0].corr() > 0.3, 1))
    return [log.to_numpy()[:, left] - log.to_numpy()[:, right] for log in logs]


def products(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> list[np.ndarray]:
    """Products, sums and differences of the five numeric columns that correlate most with the target."""
    parts = standardized(fit, rows, NUMBERS)
    strength = np.abs(parts[0].T @ (signals(y) - signals(y).mean(axis=0))).max(axis=1)
    pairs = list(combinations(np.argsort(-strength, kind="stable")[:5], 2))
    views = [lambda a, b: a * b, lambda a, b: a + b, lambda a, b: a - b]
    return [np.column_stack([view(part[:, i], part[:, j]) for i, j in pairs for view in views]) for part in parts]


def standardized(fit: pd.DataFrame, rows: pd.DataFrame, columns: list[str]) -> list[np.ndarray]:
    """Columns with mean 0 and deviation 1 on the training rows; a missing cell counts as average."""
    mean, deviation = fit[columns].mean().to_numpy(), fit[columns].std().replace(0, 1).to_numpy()
    scores = [(part[columns].to_numpy() - mean) / deviation for part in (fit, rows)]
    return [np.where(np.isnan(score), 0, score) for score in scores]


@once
@gives_up
def planes(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> list[list[str]]:
    """The pairs of columns that, as a map, say most more about the target than the two add up to; the best three."""
    chosen = np.random.default_rng(SEED).permutation(len(fit))[:1_000]
    points, target = standardized(fit, fit, COORDINATES)[0][chosen], signals(y)[chosen]
    told = [nearby_mean(points[:, [i]], target) for i in range(len(COORDINATES))]
    strong = np.argsort([explained(one, target) for one in told], kind="stable")[::-1][:6]
    gain = {}
    for i, j in combinations(strong, 2):
        terms = np.column_stack([np.ones(len(target)), told[i], told[j]])
        added = terms @ np.linalg.lstsq(terms, target, rcond=None)[0]
        gain[i, j] = explained(nearby_mean(points[:, [i, j]], target), target) - explained(added, target)
    best = sorted(gain, key=lambda pair: -gain[pair])[:3]
    return [[COORDINATES[i], COORDINATES[j]] for i, j in best if gain[i, j] > 0.07]


def nearby_mean(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The mean target of the ten nearest other rows; along one column, of the five on each side."""
    if points.shape[1] > 1:
        return target[cKDTree(points).query(points, 11)[1][:, 1:]].mean(axis=1)
    order, size = np.argsort(points[:, 0], kind="stable"), len(target)
    sums = np.vstack([np.zeros_like(target[:1]), np.cumsum(target[order], axis=0)])
    first, last = np.clip([np.arange(size) - 5, np.arange(size) + 6], 0, size)
    means = np.empty_like(target)
    means[order] = (sums[last] - sums[first] - target[order]) / (last - first - 1)[:, None]
    return means


def explained(prediction: np.ndarray, target: np.ndarray) -> float:
    """The share of the target's variance that a prediction explains."""
    return float(1 - (target - prediction).var() / target.var())


def rotations(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> list[np.ndarray]:
    """The best plane seen from seven other angles: trees cut along the axes, borders seldom run along them."""
    angles = np.pi * np.arange(1, 8) / 8
    turn = np.array([np.cos(angles), np.sin(angles)])
    blocks = [[np.empty((len(part), 0)) for part in (fit, rows)]]
    for plane in planes(fit, y, rows)[:1]:
        blocks.append([part @ turn for part in standardized(fit, rows, plane)])
    return [np.hstack(part) for part in zip(*blocks, strict=True)]


def neighbourhoods(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> list[np.ndarray]:
    """The mean target of the 5 and of the 15 nearest other training rows, in the two best planes."""
    blocks = [[np.empty((len(part), 0)) for part in (fit, rows)]]
    for plane in planes(fit, y, rows)[:2]:
        points, others = standardized(fit, rows, plane)
        tree, target = cKDTree(points), signals(y)
        for size in (5, 15):
            blocks.append([nearest_mean(tree, points, target, size, 1), nearest_mean(tree, others, target, size, 0)])
    return [np.hstack(part) for part in zip(*blocks, strict=True)]


def neighbourhoods__wide(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> list[np.ndarray]:
    """The mean target of the 3, 8, 20 and 50 nearest other training rows, in the three best planes."""
    blocks = [[np.empty((len(part), 0)) for part in (fit, rows)]]
    for plane in planes(fit, y, rows):
        points, others = standardized(fit, rows, plane)
        tree, target = cKDTree(points), signals(y)
        for size in (3, 8, 20, 50):
            blocks.append([nearest_mean(tree, points, target, size, 1), nearest_mean(tree, others, target, size, 0)])
    return [np.hstack(part) for part in zip(*blocks, strict=True)]


def nearest_mean(tree: cKDTree, points: np.ndarray, target: np.ndarray, size: int, skip: int) -> np.ndarray:
    """The mean of `target` over the nearest rows of the tree, the closer the heavier, leaving out the first `skip`."""
    distance, near = tree.query(points, size + skip, workers=THREADS)
    weight = 1 / (distance[:, skip:] + 1e-3)
    return np.einsum("rn,rnk->rk", weight, target[near[:, skip:]]) / weight.sum(axis=1)[:, None]


def one_hot(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> list[np.ndarray]:
    """One column for each frequent category; rare and unknown ones share a column."""
    encoder = OneHotEncoder(
        handle_unknown="infrequent_if_exist", min_frequency=5, max_categories=12, sparse_output=False
    ).fit(fit[CATEGORIES].astype(object))
    return [encoder.transform(part[CATEGORIES].astype(object)) for part in (fit, rows)]


def category_counts(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> list[np.ndarray]:
    """How many training rows share each category, as a logarithm."""
    counts = {column: fit[column].value_counts() for column in CATEGORIES}
    return [
        np.column_stack([np.log1p(part[column].map(counts[column]).fillna(0).to_numpy(float)) for column in CATEGORIES])
        for part in (fit, rows)
    ]


def category_means(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> list[np.ndarray]:
    """The mean target of each category, as if ten more rows had the overall mean; for a training row, over the four
    fifths of the rows that it is not part of."""
    target, fifth = signals(y), np.random.default_rng(SEED).permutation(len(fit)) % 5
    overall, blocks = target.mean(axis=0), []
    for column in CATEGORIES:
        codes, names = pd.factorize(fit[column])
        sums, counts = np.zeros((5, len(names) + 1, target.shape[1])), np.zeros((5, len(names) + 1, 1))
        np.add.at(sums, (fifth, codes), target)  # the last place is left for unknown names: code -1
        np.add.at(counts, (fifth, codes), 1)
        others = (sums.sum(axis=0) - sums + 10 * overall) / (counts.sum(axis=0) - counts + 10)
        whole = (sums.sum(axis=0) + 10 * overall) / (counts.sum(axis=0) + 10)
        blocks.append([others[fifth, codes], whole[names.get_indexer(rows[column])]])
    return [np.hstack(part) for part in zip(*blocks, strict=True)]


def dates(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> list[np.ndarray]:
    """Year, month, day, weekday, hour and the days since 2000 of each date."""

    def parts(column: pd.Series) -> np.ndarray:
        moment = column.dt
        days = (column - pd.Timestamp("2000-01-01", tz="UTC")) / pd.Timedelta(days=1)
        return np.column_stack([moment.year, moment.month, moment.day, moment.day_of_week, moment.hour, days])

    return [np.hstack([parts(part[column]) for column in DATES]).astype(float) for part in (fit, rows)]


def text_shape(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> list[np.ndarray]:
    """Length, words, word length, and the shares of capitals, digits and punctuation of each text."""

    def shape(column: pd.Series) -> np.ndarray:
        text, length = column.str, column.str.len().clip(1)
        words = text.count(r"\w+")
        shares = [text.count(pattern) / length for pattern in ("[A-Z]", "[0-9]", r"[^\w\s]", "[!?]")]
        return np.column_stack([length, words, length / words.clip(1), *shares])

    return [np.hstack([shape(part[column]) for column in TEXTS]).astype(float) for part in (fit, rows)]


@once
def word_weights(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> list[Any]:
    """The TF-IDF weights of words and pairs of words, as sparse matrices."""
    train, new = (part[TEXTS].agg(" ".join, axis=1) for part in (fit, rows))
    words = TfidfVectorizer(sublinear_tf=True, min_df=2, ngram_range=(1, 2), max_features=50_000)
    try:
        return [words.fit_transform(train), words.transform(new)]
    except ValueError:  # no word is in two rows: pieces of words are
        pieces = TfidfVectorizer(sublinear_tf=True, analyzer="char", ngram_range=(1, 3), max_features=50_000)
        return [pieces.fit_transform(train + " "), pieces.transform(new + " ")]


def text_topics(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> list[np.ndarray]:
    """Each text as a point in the twenty directions along which the words of the training rows vary most."""
    train, new = word_weights(fit, y, rows)
    topics = TruncatedSVD(min(20, train.shape[1]), random_state=SEED).fit(train)
    return [topics.transform(part) for part in (train, new)]


def text_opinion(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> list[np.ndarray]:
    """What a ridge regression on the words says about a row; it never saw the row's own target."""
    (train, new), target = word_weights(fit, y, rows), signals(y)
    ridge, opinion = Ridge(alpha=1.0, solver="sparse_cg", tol=1e-2), np.zeros(target.shape)
    for inside, outside in KFold(3, shuffle=True, random_state=SEED).split(target):
        opinion[outside] = ridge.fit(train[inside], target[inside]).predict(train[outside]).reshape(len(outside), -1)
    return [opinion, ridge.fit(train, target).predict(new).reshape(len(rows), -1)]


FEATURES: list[Callable[[pd.DataFrame, np.ndarray, pd.DataFrame], list[np.ndarray]]] = []


@once
def inputs(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> list[np.ndarray]:
    """All feature blocks side by side, for the training rows and for `rows`; where there is none, a constant."""
    blocks = [block(fit, y, rows) for block in FEATURES] or [[np.zeros((len(part), 1)) for part in (fit, rows)]]
    return [np.hstack(part) for part in zip(*blocks, strict=True)]


@once
def filled(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> list[np.ndarray]:
    """The same, with the median of its column in place of each missing value."""
    train, new = inputs(fit, y, rows)
    if not np.isnan(train).any() and not np.isnan(new).any():
        return [train, new]
    fill = SimpleImputer(strategy="median", keep_empty_features=True).fit(train)
    return [fill.transform(part) for part in (train, new)]


@once
def scaled(fit: pd.DataFrame, y: np.ndarray, rows: pd.DataFrame) -> list[np.ndarray]:
    """The same without gaps and with normal quantiles: for models that compare or add up columns."""
    train, new = filled(fit, y, rows)
    ranks = QuantileTransformer(n_quantiles=min(200, len(fit)), subsample=100_000, random_state=SEED).fit(train)
    return [ndtri(ranks.transform(part)).clip(-3, 3) for part in (train, new)]
