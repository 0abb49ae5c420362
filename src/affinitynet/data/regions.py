"""Outlines and run lengths, as annotation files have them, to pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from affinitynet.errors import InputError

_BLOCK = 2**20  # crossings of edges and rows that are computed at once
_LARGEST_CORNER = 1e7  # pixels
_SMALLEST_POLYGON = 3  # corners


def corners(numbers: Any) -> np.ndarray:
    """Return the corners float64 [N, 2] of a flat list x1, y1, x2, y2 ...

    Raises:
        InputError: it is not an even number of finite numbers, or fewer than three corners.

    Example:
        >>> corners([0, 0, 4, 0, 4, 2]).tolist()
        [[0.0, 0.0], [4.0, 0.0], [4.0, 2.0]]
    """
    try:
        flat = np.asarray(numbers, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InputError("an outline is not a list of numbers x1, y1, x2, y2 ...") from None
    if flat.ndim != 1 or flat.size % 2 or flat.size < 2 * _SMALLEST_POLYGON:
        raise InputError("an outline is not a list of at least three corners x1, y1, x2, y2 ...")
    if not (np.abs(flat) <= _LARGEST_CORNER).all():  # NaN fails too
        raise InputError("an outline has a corner that is not a number of pixels")
    return flat.reshape(-1, 2)


def polygon_region(outline: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the pixels whose centre lies inside a polygon, bool [H, W].

    Args:
        outline: corners float64 [N, 2] of x, y; pixel (0, 0) reaches from 0 to 1. What the outline crosses twice
            is outside (the even-odd rule).
        size: (H, W).

    Example:
        >>> polygon_region(np.array([[1.0, 0], [3, 0], [3, 1], [1, 1]]), (2, 4)).astype(int).tolist()
        [[0, 1, 1, 0], [0, 0, 0, 0]]
    """
    region = np.zeros(size, bool)
    limits = np.array(size)[::-1]
    low = np.clip(np.floor(outline.min(axis=0)), 0, limits).astype(np.int64)
    high = np.clip(np.ceil(outline.max(axis=0)), 0, limits).astype(np.int64)
    (left, top), (right, bottom) = low, high
    region[top:bottom, left:right] = _inside(outline - low, (int(bottom - top), int(right - left)))
    return region


def _inside(outline: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    height, width = size
    ends = np.stack([outline, np.roll(outline, -1, axis=0)])
    rows = np.ceil(np.clip(ends[..., 1], 0, height) - 0.5).astype(np.int64)
    first, counts = rows.min(axis=0), np.abs(rows[1] - rows[0])
    crossings = np.zeros((height, width + 1), np.uint8)
    edges = np.flatnonzero(counts)
    for block in np.array_split(edges, 1 + int(counts.sum()) // _BLOCK):
        edge = np.repeat(block, counts[block])
        starts = np.cumsum(counts[block]) - counts[block]
        row = np.arange(len(edge)) - np.repeat(starts - first[block], counts[block])
        (x0, y0), (x1, y1) = ends[0, edge].T, ends[1, edge].T
        x = x0 + (row + 0.5 - y0) * (x1 - x0) / (y1 - y0)
        np.add.at(crossings, (row, np.ceil(np.clip(x, 0, width) - 0.5).astype(np.int64)), 1)
    return (np.add.accumulate(crossings, axis=1, dtype=np.uint8)[:, :width] & 1).astype(bool)


def ellipse_outline(centre: tuple[float, float], radii: tuple[float, float]) -> np.ndarray:
    """Return an ellipse as a polygon of 360 corners, float64 [360, 2]."""
    angles = np.linspace(0, 2 * np.pi, 360, endpoint=False)
    return np.asarray(centre) + np.stack([np.cos(angles), np.sin(angles)], axis=1) * np.asarray(radii)


def run_lengths(text: str) -> np.ndarray:
    """Return the run lengths int64 [N] of COCO's compressed form.

    Each number is written in groups of five bits, least first, six bits a character from "0" on, the sixth bit saying
    that another follows; from the fourth number on it is the difference to the last but one.

    Raises:
        InputError: it is not such a text.

    Example:
        >>> run_lengths("52203").tolist()
        [5, 2, 2, 2, 5]
    """
    numbers: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 40:
            raise InputError("a run-length code has characters that do not belong to it")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        numbers.append(value + (numbers[-2] if len(numbers) > 2 else 0))
        value = shift = 0
    if shift:
        raise InputError("a run-length code ends in the middle of a number")
    return np.array(numbers, np.int64)


def runs_region(runs: Any, size: tuple[int, int], *, by_columns: bool) -> np.ndarray:
    """Return the region of run lengths, bool [H, W].

    Args:
        runs: lengths of background and region in turn, background first.
        size: (H, W).
        by_columns: whether the runs go down the columns (COCO) or along the rows (CVAT).

    Raises:
        InputError: they are not lengths, or do not add up to the pixels.

    Example:
        >>> runs_region([1, 2, 3], (2, 3), by_columns=True).astype(int).tolist()
        [[0, 1, 0], [1, 0, 0]]
    """
    height, width = size
    try:
        lengths = np.asarray(runs)
        whole = lengths.astype(np.int64)
    except (TypeError, ValueError, OverflowError):
        raise InputError("a run-length code is not a list of numbers") from None
    if whole.ndim != 1 or lengths.dtype.kind not in "iu" or (whole < 0).any() or (whole > height * width).any():
        raise InputError("a run-length code is not a list of lengths")
    if whole.sum() != height * width:
        raise InputError(f"a run-length code is of {whole.sum()} pixels, not of {width} x {height}")
    flat = np.repeat(np.arange(len(whole)) % 2 == 1, whole)
    return flat.reshape(width, height).T if by_columns else flat.reshape(height, width)


def coco_region(segmentation: Any, size: tuple[int, int]) -> np.ndarray:
    """Return the region of a COCO annotation's ``segmentation``, bool [H, W].

    Args:
        segmentation: a list of polygons, of which the region is the union, or ``{"size": [H, W], "counts": ...}``
            with run lengths as a list or in COCO's compressed form.
        size: (H, W).

    Raises:
        InputError: it is something else, or does not fit the size.
    """
    if isinstance(segmentation, dict):
        if segmentation.get("size") != list(size):
            raise InputError(
                f"a run-length code is of size {segmentation.get('size')}, not of {list(size)} (rows, columns)"
            )
        counts = segmentation.get("counts")
        return runs_region(run_lengths(counts) if isinstance(counts, str) else counts, size, by_columns=True)
    region = np.zeros(size, bool)
    if not isinstance(segmentation, Sequence) or isinstance(segmentation, str):
        raise InputError("a segmentation is neither a list of outlines nor a run-length code")
    for numbers in segmentation:
        region |= polygon_region(corners(numbers), size)
    return region
