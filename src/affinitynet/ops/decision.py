"""From scores to labels, at the size of the image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from affinitynet.ops.rows import enlarge_rows, lines_between
from affinitynet.records import Walk

BAND_NUMBERS = 2**22  # full-size scores in memory at a time


def labels_at(scores: Tensor, size: tuple[int, ...]) -> np.ndarray:
    """Return the argmax uint8 [H, W] of scores [L, h, w] enlarged bilinearly to ``size`` (H, W).

    Example:
        >>> labels_at(torch.tensor([[[0.9, 0.1]], [[0.1, 0.9]]]), (1, 4))
        array([[0, 0, 1, 1]], dtype=uint8)
    """
    return labels_of([scores], scores.shape[1], size)


def labels_of(strips: Iterable[Tensor], rows: int, size: tuple[int, ...]) -> np.ndarray:
    """Return what :func:`labels_at` does, of scores that are computed some rows at a time.

    No array of labels x image is ever in memory: neither the scores, nor the enlarged ones, of which a band is
    decided at a time.

    Args:
        strips: scores [L, r, w], from the top to the bottom of the image.
        rows: of all strips together.

    Example:
        >>> scores = torch.rand(3, 5, 4)
        >>> bool((labels_of([scores[:, :2], scores[:, 2:]], 5, (9, 8)) == labels_at(scores, (9, 8))).all())
        True
    """
    labels = np.empty(size, np.uint8)
    lines = lines_between(rows, size[0])
    seen, done, above = 0, 0, None
    for strip in strips:
        first, seen = seen, seen + strip.shape[1]
        if (rows, strip.shape[2]) == tuple(size):
            labels[first:seen] = strip.argmax(0).byte().cpu().numpy()
            continue
        if above is not None:
            strip, first = torch.cat([above, strip], 1), first - 1
        end = int((lines.high < seen).sum())
        step = max(1, BAND_NUMBERS // (len(strip) * size[1]))
        for start in range(done, end, step):
            stop = min(start + step, end)
            band = enlarge_rows(strip, first, lines.between(start, stop), size[1])
            labels[start:stop] = band.argmax(0).byte().cpu().numpy()
        done, above = end, strip[:, -1:]
    return labels


def decide(scores: Tensor, classes: Sequence[int], size: tuple[int, ...] | None = None) -> np.ndarray:
    """Return the mask uint8 [H, W] of scores [K + 1, h, w] whose rows are background and ``classes``.

    Args:
        size: (H, W) of the image; by default that of the scores.

    Example:
        >>> decide(torch.tensor([[[0.2]], [[0.1]], [[0.7]]]), [3, 7])
        array([[8]], dtype=uint8)
    """
    values = np.array([0, *(c + 1 for c in classes)], np.uint8)
    return values[labels_at(scores, size or scores.shape[1:])]


def foreground(scores: Tensor, classes: Sequence[int]) -> tuple[Tensor, np.ndarray]:
    """Return the strongest class of each pixel and how strong it is.

    ``np.where(strength > background, labels, 0)`` then equals the result of :func:`decide` with that background,
    for any number of backgrounds.

    Args:
        scores: floating [K, H, W] in [0, 1].
        classes: 0-based class numbers of the rows.

    Returns:
        The strength [H, W], -1 where K is 0, and the labels (class + 1) uint8 [H, W].

    Example:
        >>> strength, labels = foreground(torch.tensor([[[0.1]], [[0.7]]]), [3, 7])
        >>> round(strength.item(), 2), labels
        (0.7, array([[8]], dtype=uint8))
    """
    if not len(scores):
        return scores.new_full(scores.shape[1:], -1), np.zeros(scores.shape[1:], np.uint8)
    strength, index = scores.max(0)
    return strength, np.array([c + 1 for c in classes], np.uint8)[index.cpu().numpy()]


def enlarged_by(stride: int, scores: Tensor, size: tuple[int, ...]) -> Tensor:
    """Return scores [N, h, w] enlarged bilinearly by the stride of their grid and cut to ``size`` (H, W).

    Example:
        >>> enlarged_by(8, torch.zeros(2, 2, 3), (13, 20)).shape
        torch.Size([2, 13, 20])
    """
    full = F.interpolate(scores[None], scale_factor=float(stride), mode="bilinear", align_corners=False)[0]
    return full[:, : size[0], : size[1]]


def walked_scores(walk: Walk, size: tuple[int, ...], background: float | Tensor, relative: bool = False) -> Tensor:
    """Return the scores of a walk at the size its image was labelled at: float32 [K + 1, H, W], background first.

    Args:
        walk: scores at its stride.
        size: (H, W), at most the stride times that of the walk.
        background: a constant in (0, 1), or the walked background of one strength [h, w].
        relative: divide the classes' scores by the greatest of them.

    Example:
        >>> walk = Walk((0,), (4.0,), torch.zeros(1, 1, 2), torch.ones(1, 1, 2), stride=8)
        >>> scores = walked_scores(walk, (7, 13), walk.background_of(4))
        >>> tuple(scores.shape), decide(scores, walk.classes).min()
        ((2, 7, 13), np.uint8(1))
    """
    first = walk.background[:1]
    first = torch.full_like(first, background) if isinstance(background, float) else background[None]
    full = enlarged_by(walk.stride, torch.cat([first, walk.scores]), size).clamp(0, 1)
    if relative and len(walk.scores):
        full[1:] /= full[1:].amax().clamp(min=torch.finfo(full.dtype).tiny)
    return full


def enlarge(labels: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Return labels [h, w] enlarged to ``size`` (H, W) by nearest neighbour.

    Example:
        >>> enlarge(np.array([[1, 2]]), (2, 4))
        array([[1, 1, 2, 2],
               [1, 1, 2, 2]])
    """
    rows, columns = (
        (2 * np.arange(large) + 1) * small // (2 * large) for small, large in zip(labels.shape, size, strict=True)
    )
    return labels if labels.shape == tuple(size) else labels[rows[:, None], columns]


def doubt(scores: Tensor) -> float:
    """Return the mean ratio of the second-best to the best score, of scores [K + 1, h, w], background first.

    Example:
        >>> round(doubt(torch.tensor([[[0.2, 1.0]], [[0.4, 0.0]]])), 3)
        0.25
    """
    if len(scores) < 2:
        return 0.0
    second, best = scores.float().sort(0).values[-2:]
    return float((second / best.clamp(min=1e-9)).mean())
