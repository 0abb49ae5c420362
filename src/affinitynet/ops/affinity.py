"""Pair affinities between nearby pixels, their labels and their loss (paper, section 3.2).

Pairs are laid out as one grid of sources per offset, ``[..., P, h, w]``: the entry ``[p, y, x]`` is the
pair of source (y, x) with the pixel ``pair_offsets(radius)[p]`` away. The border rule says which pixels
are sources:

- ``"original"``: rows [0, H - r + 1) and columns [r - 1, W - r + 1), as in the released code, so that
  every target lies inside; h = H - r + 1 and w = W - 2 (r - 1), or 0 where the map is smaller than that.
- ``"full"``: every pixel, h = H and w = W; a pair whose target lies outside has affinity 0 and no label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from affinitynet.records import BACKGROUND, IGNORE

Border = Literal["original", "full"]

SCORE_FLOOR = 1e-5  # below it in every map, a pixel has no scores: it is padding (docs/method.md, "Labels")
LOSS_FLOOR = 1e-5  # keeps the logarithms and the means of empty sets finite (docs/method.md, "Loss")


@lru_cache(maxsize=8)
def pair_offsets(radius: int = 5) -> tuple[tuple[int, int], ...]:
    """Return the offsets (dy, dx) from a pixel to those nearer than ``radius``, each pair once.

    In ascending order, as in the released code: (0, 1) to (0, r - 1), then row by row.

    Args:
        radius: in pixels of the feature map, at least 1; 5 in the paper (gamma, section 3.2).

    Raises:
        ValueError: ``radius`` is less than 1.

    Example:
        >>> pair_offsets(2)
        ((0, 1), (1, -1), (1, 0), (1, 1))
        >>> len(pair_offsets(5))
        34
    """
    if radius < 1:
        raise ValueError(f"radius must be at least 1, got {radius}; the paper uses 5")
    reach = range(-radius + 1, radius)
    return tuple((dy, dx) for dy in reach for dx in reach if (dy, dx) > (0, 0) and dy**2 + dx**2 < radius**2)


def source_grid(height: int, width: int, radius: int, border: Border) -> tuple[int, int]:
    """Return the size (h, w) of the grid of sources in a map of ``height`` x ``width`` pixels.

    Raises:
        ValueError: an unknown border rule.

    Example:
        >>> source_grid(56, 56, 5, "original"), source_grid(56, 56, 5, "full")
        ((52, 48), (56, 56))
    """
    if border == "full":
        return height, width
    if border == "original":
        return max(0, height - radius + 1), max(0, width - 2 * (radius - 1))
    raise ValueError(f"border must be 'original' or 'full', got {border!r}")


def pair_affinity(features: Tensor, radius: int = 5, border: Border = "original") -> Tensor:
    """Return how alike the features of nearby pixels are: exp(-mean_c |f_i - f_j|) (paper, equation 5).

    Neither pass holds more than one image's differences at one offset: the backward pass recomputes them.

    Args:
        features: floating [B, C, H, W]; channels-last memory is fastest.
        radius: only pairs nearer than this many pixels.
        border: which pixels are sources (module docstring).

    Returns:
        [B, P, h, w] in [0, 1], float32 (float64 for float64 features). Differentiable once.

    Raises:
        ValueError: ``features`` is not floating [B, C, H, W] with C >= 1.

    Example:
        >>> features = torch.zeros(1, 3, 8, 12)
        >>> features[..., 4] = 1
        >>> pair_affinity(features, radius=2)[0, 0, 0, 2:5]
        tensor([0.3679, 0.3679, 1.0000])
    """
    if features.ndim != 4 or not features.is_floating_point() or features.shape[1] == 0:
        raise ValueError(
            f"features must be floating [B, C, H, W], got {features.dtype} {list(features.shape)}; "
            "add a batch axis to a single image"
        )
    if features.dtype != torch.float64:
        features = features.float()
    # An infinitely distant target has affinity exp(-inf) = 0 and gradient 0.
    channels_last = padded(features, radius, border, float("inf")).permute(0, 2, 3, 1).contiguous()
    affinity: Tensor = _PairAffinity.apply(channels_last, radius)
    return affinity


class _PairAffinity(torch.autograd.Function):
    """Affinities [B, P, h, w] under the original border rule, from features [B, H, W, C]."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, radius: int) -> Tensor:
        batch, height, width, _ = features.shape
        size = source_grid(height, width, radius, "original")
        affinity = features.new_empty(batch, len(pair_offsets(radius)), *size)
        for image, grids in zip(features, affinity, strict=True):
            for (source, target), grid in zip(pair_views(image, radius), grids, strict=True):
                grid.copy_((source - target).abs_().mean(-1))
        affinity.neg_().exp_()
        ctx.save_for_backward(features, affinity)
        ctx.radius = radius
        return affinity

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        features, affinity = ctx.saved_tensors
        slope = upstream * affinity / -features.shape[-1]
        gradient = torch.zeros_like(features)
        for image, image_gradient, slopes in zip(features, gradient, slope, strict=True):
            pairs = zip(pair_views(image, ctx.radius), pair_views(image_gradient, ctx.radius), slopes, strict=True)
            for (source, target), (source_gradient, target_gradient), grid in pairs:
                step = (source - target).sign_().mul_(grid[..., None])
                source_gradient += step
                target_gradient -= step
        return gradient, None


def pair_views(image: Tensor, radius: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield, per offset, the views [h, w, ...] of [H, W, ...] at sources and at targets, by the original border rule.

    Example:
        >>> source, target = next(pair_views(torch.arange(8).reshape(2, 4), 2))
        >>> source.tolist(), target.tolist()
        ([[1, 2]], [[2, 3]])
    """
    height, width = source_grid(image.shape[0], image.shape[1], radius, "original")
    left = radius - 1
    source = image[:height, left : left + width]
    for dy, dx in pair_offsets(radius):
        yield source, image[dy : dy + height, left + dx : left + dx + width]


def padded(maps: Tensor, radius: int, border: Border, fill: float) -> Tensor:
    """Pad [..., H, W] so that the original rule, applied to the result, makes the pairs of ``border``.

    Raises:
        ValueError: an unknown border rule.

    Example:
        >>> padded(torch.zeros(4, 6), 5, "full", 1.0).shape
        torch.Size([8, 14])
    """
    if border == "original":
        return maps
    if border == "full":
        margin = radius - 1
        return F.pad(maps, (margin, margin, 0, margin), value=fill)
    raise ValueError(f"border must be 'original' or 'full', got {border!r}")


def affinity_labels(low: Tensor, high: Tensor, foreground_first: bool = False) -> Tensor:
    """Label the pixels AffinityNet can learn from (paper, section 3.2; docs/method.md, "Labels").

    A pixel is confident foreground where a class wins against an amplified background (low alpha), and
    confident background where even a weakened background wins against the classes (high alpha).

    Args:
        low, high: floating [K + 1, H, W], CRF scores with the low and the high alpha, background
            first, average-pooled to the feature map; 0 everywhere where the image was padded.
        foreground_first: a pixel of which both are confident is foreground, as in IRNet; else it is background.

    Returns:
        int64 [H, W]: 0 background, k the foreground of row k, 255 neutral.

    Raises:
        ValueError: the shapes differ or there is no row.

    Example:
        >>> low = torch.tensor([[[0.1, 0.6, 0.9, 0.0]], [[0.9, 0.4, 0.1, 0.0]]])
        >>> high = torch.tensor([[[0.0, 0.4, 0.8, 0.0]], [[1.0, 0.6, 0.2, 0.0]]])
        >>> affinity_labels(low, high)
        tensor([[  1, 255,   0, 255]])
    """
    if low.ndim != 3 or low.shape != high.shape or len(low) == 0:
        raise ValueError(
            f"low and high must both be [K + 1, H, W], background first; got {list(low.shape)} and {list(high.shape)}"
        )
    labels = low.argmax(0)
    unsure = labels == BACKGROUND
    labels[unsure] = IGNORE
    background = high.argmax(0) == BACKGROUND
    labels[background & unsure if foreground_first else background] = BACKGROUND
    labels[torch.maximum(low, high).amax(0) < SCORE_FLOOR] = IGNORE
    return labels


def pair_labels(labels: Tensor, radius: int = 5, border: Border = "original") -> tuple[Tensor, Tensor, Tensor]:
    """Return which pairs are alike and which differ (paper, section 3.2).

    Args:
        labels: int64 [B, H, W]; 0 background, 255 neutral.
        radius, border: as in :func:`pair_affinity`.

    Returns:
        bool [B, P, h, w] three times: both background; both the same foreground; different. Pairs
        with a neutral pixel are in none.

    Raises:
        ValueError: ``labels`` is not integer [B, H, W].

    Example:
        >>> background, foreground, negative = pair_labels(torch.tensor([[[0, 0, 1, 1, 255]]]), 2, "full")
        >>> [grid[0, 0, 0].int().tolist() for grid in (background, foreground, negative)]
        [[1, 0, 0, 0, 0], [0, 0, 1, 0, 0], [0, 1, 0, 0, 0]]
    """
    if labels.ndim != 3 or labels.is_floating_point():
        raise ValueError(f"labels must be integer [B, H, W], got {labels.dtype} {list(labels.shape)}")
    inside = padded(labels, radius, border, IGNORE)
    shape = (
        len(labels),
        len(pair_offsets(radius)),
        *source_grid(labels.shape[1], labels.shape[2], radius, border),
    )
    grids = [torch.empty(shape, dtype=torch.bool, device=labels.device) for _ in range(3)]
    for p, (source, target) in enumerate(pair_views(inside.permute(1, 2, 0), radius)):
        known = (source != IGNORE) & (target != IGNORE)
        alike = known & (source == target)
        kinds = alike & (source == BACKGROUND), alike & (source != BACKGROUND), known & ~alike
        for grid, kind in zip(grids, kinds, strict=True):
            grid[:, p] = kind.permute(2, 0, 1)
    background, foreground, negative = grids
    return background, foreground, negative


def affinity_loss(
    affinity: Tensor,
    background: Tensor,
    foreground: Tensor,
    negative: Tensor,
    mean_count: Callable[[Tensor], Tensor] = lambda count: count,
) -> Tensor:
    """Return the class-balanced cross-entropy of pair affinities (paper, equations 6 to 9).

    L = L_background / 4 + L_foreground / 4 + L_negative / 2, each the mean over its pairs in the
    whole batch of -log(a + 1e-5), for the negative ones of -log(1 + 1e-5 - a); 0 without pairs.

    Args:
        affinity: floating [B, P, h, w] in [0, 1], from :func:`pair_affinity`.
        background, foreground, negative: bool of the same shape, from :func:`pair_labels`.
        mean_count: number of pairs here -> its mean over the processes that share the batch.

    Returns:
        A scalar of the affinity's dtype.

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> yes, no = torch.tensor([True]), torch.tensor([False])
        >>> float(affinity_loss(torch.tensor([0.5]), no, no, yes))  # log(2) / 2
        0.346...
    """
    if not affinity.shape == background.shape == foreground.shape == negative.shape:
        raise ValueError(
            f"affinity {list(affinity.shape)} and its labels {list(background.shape)} must have the same shape; "
            "compute both with the same radius and border"
        )
    alike = -torch.log(affinity + LOSS_FLOOR)
    different = -torch.log(1 + LOSS_FLOOR - affinity)

    def mean(loss: Tensor, pairs: Tensor) -> Tensor:
        return (loss * pairs).sum() / (mean_count(pairs.sum(dtype=loss.dtype)) + LOSS_FLOOR)

    return mean(alike, background) / 4 + mean(alike, foreground) / 4 + mean(different, negative) / 2
