"""Average precision of objects, as PASCAL VOC defines it since 2010."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage


@dataclass(frozen=True)
class Comparison:
    """The objects found in one image beside those that are there.

    Args:
        classes: int [R], 0-based, of the objects found.
        scores: float [R], how sure each is.
        true_classes: int [G].
        overlaps: float [R, G], intersection / union of each pair.
        difficult: bool [G], objects that need not be found; to find one is neither right nor wrong. ``None``: none is.
    """

    classes: np.ndarray
    scores: np.ndarray
    true_classes: np.ndarray
    overlaps: np.ndarray
    difficult: np.ndarray | None = None


def mask_overlaps(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Return intersection / union of all pairs of objects of two images of numbers.

    Args:
        found, true: int [H, W], 0 for none, the R and G objects from 1.

    Returns:
        float64 [R, G].

    Example:
        >>> mask_overlaps(np.array([[1, 1, 2]]), np.array([[1, 0, 1]])).tolist()
        [[0.333...], [0.5]]
    """
    shape = (int(found.max(initial=0)) + 1, int(true.max(initial=0)) + 1)
    pairs = found.astype(np.int64).ravel() * shape[1] + true.astype(np.int64).ravel()
    both = np.bincount(pairs, minlength=shape[0] * shape[1]).reshape(shape)
    either = both.sum(1, keepdims=True) + both.sum(0, keepdims=True) - both
    overlaps: np.ndarray = (both / np.maximum(either, 1))[1:, 1:]
    return overlaps


def boxes_of(labels: np.ndarray) -> np.ndarray:
    """Return the boxes float64 [R, 4] around objects: left, top, right, bottom.

    Args:
        labels: int [H, W], 0 for none, the R objects from 1.

    Example:
        >>> boxes_of(np.array([[0, 1, 1], [2, 0, 0]])).tolist()
        [[1.0, 0.0, 3.0, 1.0], [0.0, 1.0, 1.0, 2.0]]
    """
    boxes = []
    for window in ndimage.find_objects(labels):
        rows, columns = window if window is not None else (slice(0, 0), slice(0, 0))
        boxes.append((columns.start, rows.start, columns.stop, rows.stop))
    return np.array(boxes, np.float64).reshape(-1, 4)


def box_overlaps(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Return intersection / union of all pairs of boxes.

    Args:
        found, true: float [R, 4] and [G, 4], left, top, right, bottom.

    Returns:
        float64 [R, G].

    Example:
        >>> box_overlaps(np.array([[0.0, 0, 2, 2]]), np.array([[1.0, 0, 3, 2]])).tolist()
        [[0.333...]]
    """
    low = np.maximum(found[:, None, :2], true[None, :, :2])
    high = np.minimum(found[:, None, 2:], true[None, :, 2:])
    both = np.clip(high - low, 0, None).prod(2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(1) for boxes in (found, true)]
    either = areas[0][:, None] + areas[1][None] - both
    overlaps: np.ndarray = both / np.where(either > 0, either, 1)
    return overlaps


def mean_average_precision(
    images: Iterable[Comparison], num_classes: int, least_overlap: float = 0.5
) -> tuple[float, np.ndarray]:
    """Return the mean over classes of the area under precision over recall, and that of each class.

    The objects of all images are taken by falling score (of equal ones the earlier first). Each is true if, of the
    objects of its class in its image, the one it overlaps most is overlapped by at least ``least_overlap`` and was not
    found before. Precision is made monotone from the right, and the area is exact.

    Args:
        images: of the whole collection.
        num_classes: C, without background.
        least_overlap: 0.5 for AP50.

    Returns:
        The mean in [0, 1] and float64 [C]. A class that is in no image is NaN and not part of the mean; without any
        such class the mean is NaN.

    Example:
        >>> image = Comparison(np.array([0, 0]), np.array([0.9, 0.8]), np.array([0]), np.array([[0.2], [0.7]]))
        >>> mean_average_precision([image], 1)
        (0.5, array([0.5]))
    """
    counts = np.zeros(num_classes, np.int64)
    scores: list[list[float]] = [[] for _ in range(num_classes)]
    hits: list[list[bool]] = [[] for _ in range(num_classes)]
    for image in images:
        asked = image.true_classes if image.difficult is None else image.true_classes[~image.difficult]
        counts += np.bincount(asked, minlength=num_classes)
        taken: set[int] = set()
        for index in np.argsort(-image.scores, kind="stable"):
            number = int(image.classes[index])
            best = _best(image, int(index), least_overlap)
            if best is not None and image.difficult is not None and image.difficult[best]:
                continue
            scores[number].append(float(image.scores[index]))
            hits[number].append(best is not None and best not in taken)
            taken |= set() if best is None else {best}
    areas = [_area(*of_class) for of_class in zip(scores, hits, counts.tolist(), strict=True)]
    known = [area for area in areas if not np.isnan(area)]
    return (float(np.mean(known)) if known else float("nan")), np.array(areas)


def _best(image: Comparison, index: int, least_overlap: float) -> int | None:
    """Return the object of its class that a found one overlaps most, if that is enough."""
    overlaps = np.where(image.true_classes == image.classes[index], image.overlaps[index], -1.0)
    best = int(overlaps.argmax()) if overlaps.size else -1
    return best if best >= 0 and overlaps[best] >= least_overlap else None


def _area(scores: Sequence[float], hits: Sequence[bool], count: int) -> float:
    if count == 0:
        return float("nan")
    order = np.argsort(-np.array(scores), kind="stable")
    true = np.cumsum(np.array(hits, bool)[order])
    precision = np.concatenate([true / np.arange(1, len(order) + 1), [0.0]])
    recall = np.concatenate([[0.0], true / count])
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall) * precision[:-1]).sum())
