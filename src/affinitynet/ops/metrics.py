"""Confusion matrix, and the metrics that follow from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from affinitynet.records import BACKGROUND, IGNORE

_PART = 2**20  # pixels counted at a time, so that memory does not grow with the image


def confusion_matrix(prediction: Tensor, target: Tensor, num_classes: int) -> Tensor:
    """Count pixels by true (row) and predicted (column) label; pixels with target 255 are dropped.

    Args:
        prediction: int [...], labels in [0, num_classes).
        target: int of the same shape, labels in [0, num_classes) or 255.
        num_classes: C, background included.

    Returns:
        int64 [C, C]; matrices of several images can be added.

    Raises:
        ValueError: shapes differ, or a label that is counted is out of range.

    Example:
        >>> confusion_matrix(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 255]), 2).tolist()
        [[1, 1], [0, 0]]
    """
    if prediction.shape != target.shape:
        raise ValueError(f"prediction {list(prediction.shape)} and target {list(target.shape)} differ in shape")
    counts = torch.zeros(num_classes, num_classes, dtype=torch.int64, device=prediction.device)
    for predicted, true in _parts(prediction, target):
        counts += _count(predicted, true, num_classes)[0]
    return counts


def confusion_at(
    thresholds: Sequence[float], strength: Tensor, labels: Tensor, target: Tensor, num_classes: int
) -> Tensor:
    """Count pixels as :func:`confusion_matrix` does at each of several thresholds, going over them once.

    Args:
        thresholds: T numbers, ascending; where the strength is not above one of them, it predicts background.
        strength: float32 [...], of the strongest class.
        labels: int of the same shape, that class, in [0, num_classes).
        target: int of the same shape, labels in [0, num_classes) or 255.
        num_classes: C, background included.

    Returns:
        int64 [T, C, C].

    Raises:
        ValueError: shapes differ, or a label that is counted is out of range.

    Example:
        >>> strength, labels, target = torch.tensor([0.3, 0.6]), torch.tensor([1, 1]), torch.tensor([0, 1])
        >>> confusion_at((0.2, 0.5), strength, labels, target, 2).tolist()
        [[[0, 1], [0, 1]], [[1, 0], [0, 1]]]
    """
    if not strength.shape == labels.shape == target.shape:
        shapes = ", ".join(str(list(array.shape)) for array in (strength, labels, target))
        raise ValueError(f"strength, labels and target differ in shape: {shapes}")
    numbers = torch.tensor(thresholds, dtype=strength.dtype, device=strength.device)
    levels = len(numbers) + 1
    counts = torch.zeros(levels, num_classes, num_classes, dtype=torch.int64, device=strength.device)
    for strong, label, true in _parts(strength, labels, target):
        counts += _count(label, true, num_classes, levels, torch.bucketize(strong, numbers))
    above = counts.flip(0).cumsum(0).flip(0)[1:]  # of the pixels that exceed each threshold
    above[..., BACKGROUND] += counts.sum((0, 2)) - above.sum(-1)
    return above


def _parts(*arrays: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Yield pieces of arrays of the same shape, flat."""
    return zip(*(array.flatten().split(_PART) for array in arrays), strict=True)


def _count(prediction: Tensor, target: Tensor, num_classes: int, levels: int = 1, level: Tensor | int = 0) -> Tensor:
    """Count flat pixels by level, true and predicted label: int64 [levels, C, C]."""
    counted = target != IGNORE
    predicted, true = prediction[counted].long(), target[counted].long()
    for name, labels in (("prediction", predicted), ("target", true)):
        if labels.numel() and not (labels.min() >= 0 and labels.max() < num_classes):
            raise ValueError(
                f"{name} holds label {int(labels.max())}, but there are {num_classes} classes with background"
            )
    above = level[counted] if isinstance(level, Tensor) else level
    cells = (above * num_classes + true) * num_classes + predicted
    return torch.bincount(cells, minlength=levels * num_classes**2).reshape(levels, num_classes, num_classes)


def mean_iou(confusion: Tensor) -> tuple[float, Tensor]:
    """Return the mean over classes of intersection / union, and that of each class.

    Args:
        confusion: int [C, C] of the whole collection, from :func:`confusion_matrix`.

    Returns:
        The mean in [0, 1], and float64 [C]. A class with neither ground truth nor prediction is
        NaN and not part of the mean.

    Example:
        >>> miou, iou = mean_iou(torch.tensor([[2, 1, 0], [0, 3, 0], [0, 0, 0]]))
        >>> round(miou, 4), iou[2].isnan().item()
        (0.7083, True)
    """
    matrix = confusion.double()
    intersection = matrix.diagonal()
    iou = intersection / (matrix.sum(0) + matrix.sum(1) - intersection)
    return iou.nanmean().item(), iou


def precision_recall(confusion: Tensor) -> tuple[Tensor, Tensor]:
    """Return each class's precision and recall over pixels.

    Args:
        confusion: int [C, C] of the whole collection, from :func:`confusion_matrix`.

    Returns:
        float64 [C] twice: the share of the pixels predicted as a class that belong to it, NaN if there are
        none; the share of the pixels of a class that were predicted as it, NaN if it has none.

    Example:
        >>> precision, recall = precision_recall(torch.tensor([[2, 1], [0, 3]]))
        >>> precision.tolist(), [round(share, 3) for share in recall.tolist()]
        ([1.0, 0.75], [0.667, 1.0])
    """
    matrix = confusion.double()
    return matrix.diagonal() / matrix.sum(0), matrix.diagonal() / matrix.sum(1)


def pixel_accuracy(confusion: Tensor) -> float:
    """Return the share of all pixels with the correct label, from int [C, C]; NaN without pixels.

    Example:
        >>> pixel_accuracy(torch.tensor([[2, 1], [0, 1]]))
        0.75
    """
    matrix = confusion.double()
    return (matrix.diagonal().sum() / matrix.sum()).item()


def average_precision(scores: np.ndarray, tags: np.ndarray) -> np.ndarray:
    """Return the average precision of each class: the mean, over the images with the tag, of the share of images that
    have it among those ranked as high (Everingham et al., IJCV 2010, without its interpolation).

    Args:
        scores: floating [N, C]; of equal ones the earlier image is ranked higher.
        tags: bool [N, C].

    Returns:
        float64 [C] in [0, 1]; NaN for a class that no image has.

    Example:
        >>> average_precision(np.array([[0.9], [0.8], [0.7]]), np.array([[True], [False], [True]])).round(3)
        array([0.833])
    """
    order = np.argsort(-scores, axis=0, kind="stable")
    ranked = np.take_along_axis(tags, order, axis=0)
    precision = np.cumsum(ranked, axis=0) / np.arange(1, len(ranked) + 1)[:, None]
    with np.errstate(invalid="ignore"):
        return (precision * ranked).sum(0) / ranked.sum(0)
