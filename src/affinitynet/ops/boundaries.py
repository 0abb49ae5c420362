"""Affinities from class boundaries, and the loss of displacements (IRNet: Ahn, Cho & Kwak, CVPR 2019, section 4).

Pairs are laid out as in :mod:`affinitynet.ops.affinity`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from affinitynet.ops.affinity import LOSS_FLOOR, Border, padded, pair_offsets, pair_views, source_grid

OUTSIDE = 1.0
"""Boundary beyond the image's edge: nothing crosses it."""


@lru_cache(maxsize=8)
def path_offsets(radius: int = 5) -> tuple[tuple[tuple[int, int], ...], ...]:
    """Return the pixels (dy, dx) between a source and each target of :func:`pair_offsets`, both included.

    They are those of the rectangle between the two that are nearer than 1 pixel to the straight line, the
    farthest from the source first.

    Args:
        radius: as in :func:`pair_offsets`.

    Raises:
        ValueError: ``radius`` is less than 1.

    Example:
        >>> path_offsets(3)[0], path_offsets(3)[5]
        (((0, 1), (0, 0)), ((1, 1), (0, 1), (1, 0), (0, 0)))
    """
    return tuple(_path(*target) for target in pair_offsets(radius))


def _path(dy: int, dx: int) -> tuple[tuple[int, int], ...]:
    rectangle = [(y, x) for y in range(dy + 1) for x in range(min(dx, 0), max(dx, 0) + 1)]
    near = [(y, x) for y, x in rectangle if (dy * x - dx * y) ** 2 < dy**2 + dx**2]
    return tuple(sorted(near, key=lambda point: -abs(point[0]) - abs(point[1])))


def boundary_affinity(boundaries: Tensor, radius: int = 5, border: Border = "original") -> Tensor:
    """Return how little lies between nearby pixels: 1 - the highest boundary on the path (IRNet, equation 3).

    Neither pass gathers the paths: one map of paths' highest values is compared with a shifted map at a time,
    and a byte a pair remembers which pixel of the path it was, which is the one that the gradient goes to
    (the first of equals, in the order of :func:`path_offsets`).

    Args:
        boundaries: floating [B, H, W] in [0, 1], 1 on a class boundary.
        radius: only pairs nearer than this many pixels; 10 in training and 5 in the walk (released code).
        border: which pixels are sources (:mod:`affinitynet.ops.affinity`).

    Returns:
        [B, P, h, w] in [0, 1], float32 (float64 for float64 boundaries). Differentiable once.

    Raises:
        ValueError: ``boundaries`` is not floating [B, H, W].

    Example:
        >>> boundaries = torch.zeros(1, 2, 5)
        >>> boundaries[..., 2] = 0.9
        >>> boundary_affinity(boundaries, radius=2, border="full")[0, 0, 0]
        tensor([1.0000, 0.1000, 0.1000, 1.0000, 0.0000])
    """
    if boundaries.ndim != 3 or not boundaries.is_floating_point():
        raise ValueError(
            f"boundaries must be floating [B, H, W], got {boundaries.dtype} {list(boundaries.shape)}; "
            "add a batch axis to a single map"
        )
    if boundaries.dtype != torch.float64:
        boundaries = boundaries.float()
    affinity: Tensor = _BoundaryAffinity.apply(padded(boundaries, radius, border, OUTSIDE), radius)
    return affinity


class _BoundaryAffinity(torch.autograd.Function):
    """Affinities [B, P, h, w] under the original border rule, from boundaries [B, H, W]."""

    @staticmethod
    def forward(ctx: Any, boundaries: Tensor, radius: int) -> Tensor:
        size = source_grid(boundaries.shape[1], boundaries.shape[2], radius, "original")
        affinity = boundaries.new_empty(len(boundaries), len(pair_offsets(radius)), *size)
        where = affinity.new_zeros(affinity.shape, dtype=torch.uint8) if ctx.needs_input_grad[0] else None
        for p, path in enumerate(path_offsets(radius)):
            highest = affinity[:, p]
            highest.copy_(_at(boundaries, path[0], radius, size))
            for place, point in enumerate(path[1:], 1):
                value = _at(boundaries, point, radius, size)
                if where is not None:
                    where[:, p].masked_fill_(value > highest, place)
                torch.maximum(highest, value, out=highest)
        affinity.neg_().add_(1)
        if where is not None:
            ctx.save_for_backward(where)
        ctx.radius, ctx.shape = radius, boundaries.shape
        return affinity

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        (where,) = ctx.saved_tensors
        gradient = upstream.new_zeros(ctx.shape)
        for p, path in enumerate(path_offsets(ctx.radius)):
            for place, point in enumerate(path):
                here = _at(gradient, point, ctx.radius, where.shape[2:])
                here.addcmul_(upstream[:, p], where[:, p] == place, value=-1)
        return gradient, None


def _at(maps: Tensor, point: tuple[int, int], radius: int, size: tuple[int, int] | torch.Size) -> Tensor:
    """Return the view [B, h, w] of maps [B, H, W] at an offset from every source, by the original border rule."""
    top, left = point[0], radius - 1 + point[1]
    return maps[:, top : top + size[0], left : left + size[1]]


def displacement_loss(
    displacement: Tensor,
    background: Tensor,
    foreground: Tensor,
    radius: int = 5,
    border: Border = "original",
    mean_count: Callable[[Tensor], Tensor] = lambda count: count,
) -> Tensor:
    """Return how far the pixels of an object are from pointing to one place (IRNet, equations 1 and 2).

    L = F / 2 + B / 2. With q = D(source) - D(target) and t = target - source, F is the mean of \\|q - t\\| over both
    coordinates of the pairs of one foreground class, B that of \\|q\\| over the pairs of background; 0 without pairs.
    Neither pass holds more than the differences at one offset: the backward pass recomputes them.

    Args:
        displacement: floating [B, 2, H, W], (dy, dx) of every pixel in pixels of this map.
        background, foreground: bool [B, P, h, w], from :func:`affinitynet.ops.affinity.pair_labels`.
        radius, border: those the pairs were labelled with.
        mean_count: number of pairs here -> its mean over the processes that share the batch.

    Returns:
        A scalar, float32 (float64 for float64 displacements). Differentiable once.

    Raises:
        ValueError: the shapes do not fit.

    Example:
        >>> to_the_middle = torch.tensor([[[[0.0, 0, 0]], [[1.0, 0, -1]]]])  # a row of three pixels
        >>> one_object = torch.ones(1, 4, 1, 3, dtype=torch.bool)
        >>> one_object[0, 0, 0, 2] = one_object[0, 1:] = False  # pairs that leave the map
        >>> float(displacement_loss(to_the_middle, ~one_object & False, one_object, 2, "full"))
        0.0
    """
    if displacement.ndim != 4 or displacement.shape[1] != 2:
        raise ValueError(f"displacement must be [B, 2, H, W], got {list(displacement.shape)}")
    batch, _, height, width = displacement.shape
    expected = (batch, len(pair_offsets(radius)), *source_grid(height, width, radius, border))
    if not background.shape == foreground.shape == expected:
        raise ValueError(
            f"pairs must be {list(expected)} for displacements {list(displacement.shape)}, radius {radius} and border "
            f"{border!r}, got {list(background.shape)} and {list(foreground.shape)}; label them with the same radius"
        )
    if displacement.dtype != torch.float64:
        displacement = displacement.float()
    apart, moved = _DisplacementSums.apply(padded(displacement, radius, border, 0.0), background, foreground, radius)

    def mean(total: Tensor, pairs: Tensor) -> Tensor:
        return total / (2 * mean_count(pairs.sum(dtype=total.dtype)) + LOSS_FLOOR)

    return mean(apart, foreground) / 2 + mean(moved, background) / 2


class _DisplacementSums(torch.autograd.Function):
    """Sums of |q - t| over the foreground pairs and of |q| over the background pairs, both coordinates."""

    @staticmethod
    def forward(
        ctx: Any, displacement: Tensor, background: Tensor, foreground: Tensor, radius: int
    ) -> tuple[Tensor, Tensor]:
        apart, moved = displacement.new_zeros(2)
        for p, difference, target in _differences(displacement, radius):
            moved += (difference.abs() * background[:, p, None]).sum()
            apart += (difference.sub_(target).abs_() * foreground[:, p, None]).sum()
        ctx.save_for_backward(displacement, background, foreground)
        ctx.radius = radius
        return apart, moved

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_apart: Tensor, of_moved: Tensor) -> tuple[Tensor, None, None, None]:
        displacement, background, foreground = ctx.saved_tensors
        gradient = torch.zeros_like(displacement)
        views = pair_views(gradient.permute(2, 3, 0, 1), ctx.radius)
        for (p, difference, target), (source, other) in zip(_differences(displacement, ctx.radius), views, strict=True):
            step = of_moved * difference.sign() * background[:, p, None]
            step += of_apart * difference.sub_(target).sign_() * foreground[:, p, None]
            step = step.permute(2, 3, 0, 1)
            source += step
            other -= step
        return gradient, None, None, None


def _differences(displacement: Tensor, radius: int) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Yield, per offset p: p, D(source) - D(target) [B, 2, h, w], and the offset [2, 1, 1]."""
    views = pair_views(displacement.permute(2, 3, 0, 1), radius)
    for p, ((source, target), offset) in enumerate(zip(views, pair_offsets(radius), strict=True)):
        yield p, (source - target).permute(2, 3, 0, 1), displacement.new_tensor(offset)[:, None, None]
