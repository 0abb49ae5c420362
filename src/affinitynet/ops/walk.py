"""The random walk that spreads class scores along pair affinities (paper, section 3.3)."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from affinitynet.ops.affinity import Border, pair_offsets, source_grid


def transition_matrix(
    affinity: Tensor, size: tuple[int, int], beta: float = 8.0, radius: int = 5, border: Border = "original"
) -> Tensor:
    """Return the paper's transition matrix T = D^-1 A^beta (equation 4), sparse.

    A holds the affinity of every pair both ways and 1 on the diagonal, the power is elementwise, and D is
    the diagonal of row sums. A being symmetric, this is the transpose of the matrix of the released code, which
    divides by column sums and has the scores as row vectors. At most 2 P + 1 entries per row (69 for radius 5).

    Args:
        affinity: floating [P, h, w] in [0, 1], of one image, as :func:`pair_affinity` lays it out.
        size: (H, W) of the feature map.
        beta: the paper's beta, at least 0; larger trusts strong affinities more.
        radius, border: those the affinities were computed with.

    Returns:
        Sparse CSR float64 [H W, H W] with int32 indices; every row sums to 1. Rounded to float32, 256
        steps would be wrong by up to 4e-5 where the contrast is strong, and hardly faster.

    Raises:
        ValueError: the affinity's shape does not fit, or it holds a NaN or a negative number.

    Example:
        >>> affinity = torch.zeros(4, 1, 3)  # a row of three pixels; radius 2 has four offsets,
        >>> affinity[0, 0, :2] = 1  # of which (0, 1) links each to the next
        >>> transition_matrix(affinity, (1, 3), radius=2, border="full").to_dense()
        tensor([[0.5000, 0.5000, 0.0000],
                [0.3333, 0.3333, 0.3333],
                [0.0000, 0.5000, 0.5000]], dtype=torch.float64)
    """
    height, width = size
    offsets = pair_offsets(radius)
    expected = (len(offsets), *source_grid(height, width, radius, border))
    if tuple(affinity.shape) != expected:
        raise ValueError(
            f"affinity must be {list(expected)} for a {height} x {width} map with radius {radius} and border "
            f"{border!r}, got {list(affinity.shape)}; pass pair_affinity(features[None], radius, border)[0]"
        )
    if not bool((affinity >= 0).all()):
        raise ValueError("affinity must be numbers of at least 0, got a NaN or a negative number")
    starts, neighbour, pair = _links(size, radius, border, affinity.device)
    weight = affinity.double().pow(beta) * (affinity > 0)  # 0^0 is no link
    weight = torch.cat([weight.new_ones(1), weight.flatten()]).index_select(0, pair)
    pixels = height * width
    matrix = torch.sparse_csr_tensor(starts, neighbour, weight, (pixels, pixels), check_invariants=False)
    degree = matrix @ weight.new_ones(pixels, 1)
    matrix.values().div_(degree[:, 0].repeat_interleave(starts.diff(), output_size=len(weight)))
    return matrix


@lru_cache(maxsize=4)  # the images of a collection have few sizes
def _links(size: tuple[int, int], radius: int, border: Border, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return the links between pixels: row starts and columns of a CSR matrix, and the pair of each entry, int32.

    Pairs are counted from 1 in the order of affinities [P, h, w]; 0 is a pixel's link to itself.
    """
    height, width = size
    offsets = pair_offsets(radius)
    rows, columns = source_grid(height, width, radius, border)
    left = radius - 1 if border == "original" else 0  # the first column of sources
    pairs = torch.arange(1, len(offsets) * rows * columns + 1, dtype=torch.int32, device=device)
    stencil = pairs.new_full((2 * len(offsets) + 1, height, width), -1)
    stencil[len(offsets)] = 0
    for p, (grid, (dy, dx)) in enumerate(zip(pairs.view(len(offsets), rows, columns), offsets, strict=True)):
        bottom = max(0, min(rows, height - dy))  # below it, or beside first to last, the target lies outside
        first = max(0, -dx - left)
        last = max(first, min(columns, width - dx - left))
        inside = grid[:bottom, first:last]
        stencil[len(offsets) + 1 + p, :bottom, left + first : left + last] = inside
        stencil[len(offsets) - 1 - p, dy : dy + bottom, left + dx + first : left + dx + last] = inside
    entries = stencil.flatten(1).T
    linked = entries >= 0
    shift = torch.tensor([dy * width + dx for dy, dx in offsets], dtype=torch.int32, device=device)
    shift = torch.cat([-shift.flip(0), shift.new_zeros(1), shift])
    neighbour = torch.arange(height * width, dtype=torch.int32, device=device)[:, None] + shift
    starts = torch.cat([shift.new_zeros(1), linked.sum(1).cumsum(0).int()])
    return starts, neighbour[linked], entries[linked]


def random_walk(
    scores: Tensor,
    affinity: Tensor,
    beta: float = 8.0,
    steps: int = 256,
    radius: int = 5,
    border: Border = "original",
    tolerance: float = 1e-5,
) -> Tensor:
    r"""Spread scores by ``steps`` steps of a random walk: T^steps scores (paper, equation 4).

    With far fewer than ``steps`` products. T = D^-1 A is similar to the symmetric D^-1/2 A D^-1/2, so its
    eigenvalues x are real and lie in [-1, 1]. There, writing x = cos u = (e^iu + e^-iu) / 2 and expanding
    the n-th power by the binomial theorem gives the Chebyshev series

        x^n = sum over k = n, n - 2, ... >= 0 of c_k T_k(x),   c_k = 2 C(n, (n - k) / 2) / 2^n,

    with c_0 half of that. The c_k are positive, sum to 1 and fall off like exp(-k^2 / 2n); \|T_k(x)\| <= 1.
    Keeping k <= m and dividing by the sum of the kept c_k (so that constants stay) therefore errs, in the
    2-norm weighted by D, by at most twice the dropped sum: m = 62, 70, 78 drop less than 1e-4, 1e-5, 1e-6
    of n = 256. The recurrence T_k+1 = 2 x T_k - T_k-1 costs one sparse product for each k <= m <= n.

    Args:
        scores: floating [K, H, W]; any number of maps, each walked independently.
        affinity: floating [P, h, w] in [0, 1], of one image, as :func:`pair_affinity` lays it out.
        beta: the paper's beta, at least 0; larger trusts strong affinities more.
        steps: the paper's t, at least 0.
        radius, border: those the affinities were computed with.
        tolerance: the largest sum of coefficients to drop; 0 drops none.

    Returns:
        Scores [K, H, W], float32 (float64 for float64 scores).

    Raises:
        ValueError: shapes do not fit, a score or affinity is not a number, or ``steps`` is negative.

    Example:
        >>> affinity = torch.zeros(4, 1, 3)  # a row of three pixels; radius 2 has four offsets,
        >>> affinity[0, 0, :2] = 1  # of which (0, 1) links each to the next
        >>> random_walk(torch.tensor([[[1.0, 0, 0]]]), affinity, steps=2, radius=2, border="full")
        tensor([[[0.4167, 0.2778, 0.1667]]])
    """
    if scores.ndim != 3 or not scores.is_floating_point():
        raise ValueError(f"scores must be floating [K, H, W], got {scores.dtype} {list(scores.shape)}")
    if steps < 0:
        raise ValueError(f"steps must be at least 0, got {steps}")
    if not bool(scores.isfinite().all()):
        raise ValueError("scores must be finite numbers, got a NaN or an infinity")
    count, height, width = scores.shape
    transition = transition_matrix(affinity, (height, width), beta, radius, border)
    previous, current = None, scores.double().flatten(1).T.contiguous()
    coefficients = _power_coefficients(steps, tolerance)
    walked = coefficients[0] * current
    for coefficient in coefficients[1:]:
        if previous is None:
            previous, current = current, transition @ current
        else:
            following = torch.addmm(previous, transition, current, beta=-1, alpha=2)
            previous, current = current, following
        if coefficient:
            walked.add_(current, alpha=coefficient)
    dtype = torch.float64 if scores.dtype == torch.float64 else torch.float32
    return walked.T.reshape(count, height, width).to(dtype)


def _power_coefficients(steps: int, tolerance: float) -> list[float]:
    """Return the Chebyshev coefficients of x^steps up to the first k beyond which at most ``tolerance`` is dropped.

    They are divided by their sum.

    Example:
        >>> [round(c, 6) for c in _power_coefficients(3, 0)]  # x^3 = (3 T_1 + T_3) / 4
        [0.0, 0.75, 0.0, 0.25]
        >>> len(_power_coefficients(256, 1e-6)) - 1
        78
    """
    coefficients: list[float] = []
    total = 0.0
    for k in range(steps + 1):
        half = (steps - k) // 2
        coefficient = 0.0
        if (steps - k) % 2 == 0:
            log_binomial = math.lgamma(steps + 1) - math.lgamma(half + 1) - math.lgamma(steps - half + 1)
            coefficient = (2 if k else 1) * math.exp(log_binomial - steps * math.log(2))
        coefficients.append(coefficient)
        total += coefficient
        if 1 - total <= tolerance:
            break
    return [coefficient / total for coefficient in coefficients]
