"""Values beyond 8 bits: which of them become black and white, for one image or alike for a whole collection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from affinitynet.errors import Problems
from affinitynet.records import ValueRange, ValueRanges

Kind = Literal["integers", "floats"]

DEPTHS = (8, 10, 12, 14, 16)
"""Bits that cameras, scanners and detectors use."""

_NODATA = (-9999.0, -99999.0, -32768.0)
"""Values that stand for "not measured", in files that do not say which one does."""
_HUGE = 1e30
_SHARES = (0.001, 0.999)  # of an image's values, below and above which a few outliers may be
_OF_IMAGES = (0.01, 0.99)
_DARK = 1 / 20
_SAMPLE = 2**20
_BLOCK = 2**22


@dataclass(frozen=True)
class Measured:
    """The values in use in an image.

    Args:
        kind: whole numbers or not; a collection has a range for each.
        range: that all values but a few lie in.
    """

    kind: Kind
    range: ValueRange


def known_values(values: np.ndarray, nodata: float | None = None) -> np.ndarray:
    """Return which values were measured, bool of the same shape: finite ones that do not stand for "no data".

    Example:
        >>> known_values(np.array([1.0, np.nan, -9999, np.inf, -3.4e38])).tolist()
        [True, False, False, False, False]
    """
    known = np.ones(values.shape, bool)
    if values.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            known = np.abs(values) < _HUGE
    if values.dtype.kind != "u":
        for value in _NODATA:
            known &= values != value
    if nodata is not None and nodata == nodata:
        known &= values != nodata
    return known


def own_range(values: np.ndarray, known: np.ndarray) -> ValueRange:
    """Return the range that an image has by itself: the bits that its whole numbers need, else its least to greatest.

    Example:
        >>> values = np.array([[17, 3000]], np.uint16)
        >>> own_range(values, known_values(values))
        ValueRange(low=0.0, high=4095.0)
    """
    used = values[known]
    if not used.size:
        return ValueRange(0.0, 1.0)
    low, high = float(used.min()), float(used.max())
    if low >= 0 and high < 2 ** DEPTHS[-1] and _whole(used) and high > 1:
        return ValueRange(0.0, next(float(2**bits - 1) for bits in DEPTHS if high < 2**bits))
    return ValueRange(low, high)


def _whole(values: np.ndarray) -> bool:
    return values.dtype.kind in "ui" or bool((values == np.round(values)).all())


def measure(values: np.ndarray, known: np.ndarray) -> Measured | None:
    """Return the values in use in an image, ``None`` if nothing was measured in it or all values are the same."""
    used = values[known]
    if not used.size or used.min() == used.max():
        return None
    sample = used[:: max(1, used.size // _SAMPLE)].astype(np.float64)
    low, high = (float(bound) for bound in np.quantile(sample, _SHARES))
    return Measured(kind_of(used), ValueRange(low, high))


def kind_of(values: np.ndarray) -> Kind:
    """Return whether values are whole numbers, of any type."""
    return "integers" if _whole(values) else "floats"


def ranges_of(measured: Iterable[Measured]) -> ValueRanges | None:
    """Return what becomes black and white in a whole collection, ``None`` if there is nothing to say.

    From the least to the greatest value in use in any image, where one image in a hundred may be darker or brighter
    than that. A range that fills 10, 12, 14 or 16 bits is that of all these bits.

    Example:
        >>> ranges_of([Measured("integers", ValueRange(20, 900)), Measured("integers", ValueRange(60, 4001))])
        ValueRanges(integers=ValueRange(low=0.0, high=4095.0), floats=None)
    """
    found: dict[str, list[ValueRange]] = {"integers": [], "floats": []}
    for one in measured:
        found[one.kind].append(one.range)
    if not any(found.values()):
        return None
    return ValueRanges(_common(found["integers"], whole=True), _common(found["floats"], whole=False))


def remarks_of(measured: Mapping[str, Measured], ranges: ValueRanges, problems: Problems) -> None:
    """Say how a collection's images of more than 8 bits are read, and which of them that leaves all but black.

    Args:
        measured: image name -> its values in use.
        ranges: of the collection.
        problems: takes the remarks.
    """
    dark = []
    for name, one in sorted(measured.items()):
        seen = ranges.integers if one.kind == "integers" else ranges.floats
        if seen is None:
            continue
        problems.taken(
            f"images of more than 8 bits, in all of which the values {seen.low:.6g} to {seen.high:.6g} become 0 to 255",
            name,
        )
        if one.range.high < seen.low + (seen.high - seen.low) * _DARK:
            dark.append(f"{name} ({one.range.low:.6g} to {one.range.high:.6g})")
    if dark:
        problems.warn(
            f"{len(dark)} of the {len(measured)} images of more than 8 bits use less than a twentieth of that range "
            f"and are all but black, for example {dark[0]}; if their values mean something else, rescale the files"
        )


def _common(ranges: list[ValueRange], whole: bool) -> ValueRange | None:
    if not ranges:
        return None
    low = float(np.quantile([r.low for r in ranges], _OF_IMAGES[0], method="lower"))
    high = float(np.quantile([r.high for r in ranges], _OF_IMAGES[1], method="higher"))
    for bits in DEPTHS if whole else ():
        top = 2.0**bits - 1
        if 0 <= low <= top / 10 and 0.9 * top <= high <= top:
            return ValueRange(0.0, top)
    return ValueRange(low, high)


def range_for(values: np.ndarray, known: np.ndarray, ranges: ValueRanges | None) -> ValueRange:
    """Return the range of a collection that fits an image's values, or the image's own if there is none."""
    if ranges is None:
        return own_range(values, known)
    kinds = (ranges.integers, ranges.floats)
    first, second = kinds if _whole(values[known]) else kinds[::-1]
    return first or second or own_range(values, known)


def to_8_bit(values: np.ndarray, known: np.ndarray, seen: ValueRange, inverted: bool = False) -> np.ndarray:
    """Scale values to uint8 of the same shape; what was not measured is black, +infinity white.

    Example:
        >>> values = np.array([0.0, 0.5, 2.0, np.nan])
        >>> to_8_bit(values, known_values(values), ValueRange(0.0, 1.0)).tolist()
        [0, 128, 255, 0]
    """
    scaled = np.empty(values.shape, np.uint8)
    factor = 255 / max(seen.high - seen.low, 1e-12)
    rows = max(1, _BLOCK // max(1, values[:1].size))
    for start in range(0, len(values), rows):  # block by block: float64 takes eight times the room of the result
        block, usable = values[start : start + rows], known[start : start + rows]
        light = np.where(usable, block, seen.low).astype(np.float64)
        light = ((light.clip(seen.low, seen.high) - seen.low) * factor).round()
        light = 255 - light if inverted else light
        scaled[start : start + rows] = np.where(usable, light, np.where(block == np.inf, 255, 0))
    return scaled
