"""How far a click reaches: the cheapest way from it to every place, along what belongs together.

AffinityNet's affinity of two pixels is exp(-mean |f - g|) (paper, section 3.2), so the product of the affinities along
a way is exp(-its length) in the space of the features, and the best way's is exp(-geodesic distance). IRNet's
boundaries are what a way has to cross.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

WAYS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Steps (dy, dx) to half of the eight neighbours; the other half are their reverse."""

FARTHEST = 8.0
"""Distance from which a place is out of reach: its influence is below 0.0004."""


def grid_graph(
    features: np.ndarray, weights: np.ndarray | Sequence[float], step: float, barrier: np.ndarray | None = None
) -> csr_array:
    """Return the cost of each step from a place of a grid to one of its eight neighbours.

    Args:
        features: float [D, H, W].
        weights: of the D features; a step costs the weighted sum of their absolute differences.
        step: cost of a step between equal features, per pixel of the grid.
        barrier: float [H, W], what it costs to be in a place; a step costs the mean of its two ends.

    Returns:
        float64 [H * W, H * W], symmetric.

    Example:
        >>> graph = grid_graph(np.array([[[0.0, 0.0, 1.0]]]), [2.0], step=0.5)
        >>> graph.toarray().tolist()
        [[0.0, 0.5, 0.0], [0.5, 0.0, 2.5], [0.0, 2.5, 0.0]]
    """
    height, width = features.shape[1:]
    weighted = features * np.asarray(weights, features.dtype)[:, None, None]
    numbers = np.arange(height * width).reshape(height, width)
    ends, costs = [], []
    for dy, dx in WAYS:
        near = slice(0, height - dy), slice(max(0, -dx), width - max(0, dx))
        far = slice(dy, height), slice(max(0, dx), width - max(0, -dx))
        differs = np.abs(weighted[:, *near] - weighted[:, *far]).sum(0)
        if barrier is not None:
            differs += (barrier[near] + barrier[far]) / 2
        cost = (differs + step) * np.hypot(dy, dx)
        one, other = numbers[near].ravel(), numbers[far].ravel()
        ends += [(one, other), (other, one)]
        costs += [cost.ravel(), cost.ravel()]
    rows, columns = (np.concatenate([pair[end] for pair in ends]) for end in (0, 1))
    shape = (height * width, height * width)
    return csr_array((np.concatenate(costs).astype(np.float64), (rows, columns)), shape=shape)


def influence(graph: csr_array, place: int) -> np.ndarray:
    """Return how much a place says of every other: exp(-geodesic distance), float64 [H * W], 0 out of reach.

    Example:
        >>> graph = grid_graph(np.array([[[0.0, 0.0, 1.0]]]), [2.0], step=0.5)
        >>> np.round(influence(graph, 0), 3).tolist()
        [1.0, 0.607, 0.05]
    """
    distance = dijkstra(graph, indices=place, limit=FARTHEST)  # type: ignore[call-overload]
    found: np.ndarray = np.exp(-distance)
    return found
