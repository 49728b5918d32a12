# mypy: ignore-errors
"""Models"""

import numpy as np
from scipy.linalg import solve_triangular
from scipy.spatial.distance import cdist

from .task import SEED


def kernel_ridge(
    train: np.ndarray, targets: np.ndarray, new: np.ndarray, widths: tuple[float, ...], centres: int
) -> tuple[np.ndarray, np.ndarray]:
    """Ridge regression on the nearness to some training rows, its width and penalty chosen by leave-one-out errors.

    Returns what each training row is given without its own target, and the predictions for `new`.
    """
    chosen = train[np.random.default_rng(SEED).permutation(len(train))[:centres]]
    far, own = (cdist(part, chosen, "sqeuclidean") / train.shape[1] for part in (train, chosen))
    mean, least = targets.mean(axis=0), np.inf
    for width in widths:
        root = np.linalg.cholesky(np.exp(-width * own) + 1e-4 * np.eye(len(own)))
        near = solve_triangular(root, np.exp(-width * far).T, lower=True).T
        sizes, directions = np.linalg.eigh(near.T @ near)
        near = near @ directions
        told = near.T @ (targets - mean)
        for penalty in (0.03, 0.1, 0.3, 1.0):
            shrink = 1 / (sizes.clip(0) + penalty)
            weights, leverage = shrink[:, None] * told, near**2 @ shrink
            errors = (targets - mean - near @ weights) / (1 - leverage)[:, None]
            if least == np.inf or (errors**2).sum() < least:
                least, best = (errors**2).sum(), (width, root, directions @ weights, errors)
    width, root, weights, errors = best
    ahead = np.exp(-width * cdist(new, chosen, "sqeuclidean") / train.shape[1])
    return targets - errors, solve_triangular(root, ahead.T, lower=True).T @ weights + mean
