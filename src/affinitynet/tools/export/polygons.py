"""Regions of a mask as polygons that give them back."""

from __future__ import annotations

from typing import Any

import numpy as np

from affinitynet.tools.export.common import needs

TOLERANCE = 0.24
"""How far an outline may be from the one that visits every pixel, in pixels, which saves a third of the corners.

Up to 0.25 it passes no pixel's centre.
"""


def opencv() -> Any:
    """Return the module that finds outlines.

    Raises:
        InputError: OpenCV is not installed.
    """
    return needs("cv2", "opencv-python-headless")


def polygons(region: np.ndarray) -> list[np.ndarray]:
    """Outline each connected part of a region by one polygon.

    A hole is joined to the outline by a slit without width, so that one polygon can express it. The outline runs a
    quarter of a pixel inside the region: a reader that fills the pixels whose centres are inside, and one that rounds
    corners down to pixels and fills up to them, both get exactly the region back.

    Args:
        region: bool [H, W]; pixels that touch at a corner are connected.

    Returns:
        Arrays float64 [corners, 2] of x, y in pixels, where (0, 0) is the upper left corner of the image and
        (W, H) the lower right one; at least 3 corners each.

    Raises:
        InputError: OpenCV is not installed.

    Example:
        >>> region = np.zeros((5, 6), bool)
        >>> region[1:4, 2:5] = True
        >>> sorted(polygons(region)[0].tolist())
        [[2.25, 1.25], [2.25, 3.75], [4.75, 1.25], [4.75, 3.75]]
    """
    cv2 = opencv()
    # At twice the size, even a line of one pixel has an inside.
    double = region.astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
    chains, tree = cv2.findContours(double, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    parents = [int(links[3]) for links in tree[0]] if chains else []
    holes: dict[int, list[np.ndarray]] = {number: [] for number, parent in enumerate(parents) if parent < 0}
    for chain, parent in zip(chains, parents, strict=True):
        if parent >= 0:
            holes[parent].append(chain[:, 0])
    rings = (_joined(chains[number][:, 0], inside, double) for number, inside in holes.items())
    return [(_corners(cv2, ring, ends) + 0.5) / 2 for ring, ends in rings]


def _joined(outline: np.ndarray, holes: list[np.ndarray], double: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Join holes to the outline around them: each by a slit to the left, up to the nearest edge.

    That edge belongs to the outline, or to a hole that begins further to the left and is therefore already joined.

    Args:
        outline, holes: chains of neighbouring pixels, int [N, 2] of x, y.
        double: the region they are in, uint8 [H, W].

    Returns:
        One closed chain int [N, 2], and which of its pixels are ends of slits, bool [N].
    """
    chain, ends = outline, np.zeros(len(outline), bool)
    for hole in sorted(holes, key=lambda hole: int(hole[:, 0].min())):
        around = np.roll(hole, -int(hole[:, 0].argmin()), axis=0)
        around = np.concatenate((around, around[:1]))
        x, y = around[0]
        gaps = np.flatnonzero(double[y, :x] == 0)
        edge = (gaps[-1] + 1 if len(gaps) else 0, y)
        at = int(np.flatnonzero((chain == edge).all(axis=1))[0])
        chain = np.concatenate((chain[: at + 1], around, chain[at:]))
        slit = np.zeros(len(around) + 2, bool)
        slit[[0, 1, -2, -1]] = True
        ends = np.concatenate((ends[:at], slit, ends[at + 1 :]))
    return chain, ends


def _corners(cv2: Any, chain: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return the corners int [N, 2] of a closed chain; the ends of slits are among them."""
    if not ends.any():
        return cv2.approxPolyDP(chain, 2 * TOLERANCE, True)[:, 0]
    first = int(ends.argmax())
    chain = np.roll(chain, -first, axis=0)
    starts = np.flatnonzero(np.roll(ends, -first))
    chain = np.concatenate((chain, chain[:1]))
    pieces = [chain[start : end + 1] for start, end in zip(starts, [*starts[1:], len(chain) - 1], strict=True)]
    return np.concatenate([_open_corners(cv2, piece) for piece in pieces])


def _open_corners(cv2: Any, piece: np.ndarray) -> np.ndarray:
    """Return the corners of a part of a chain, its first pixel included, its last one not."""
    if len(piece) <= 2:
        return piece[:1]
    if (piece[0] == piece[-1]).all():  # around a hole: OpenCV would treat it as closed, and start anywhere
        far = int(np.abs(piece - piece[0]).sum(axis=1).argmax())
        return np.concatenate([_open_corners(cv2, half) for half in (piece[: far + 1], piece[far:])])
    return cv2.approxPolyDP(piece, 2 * TOLERANCE, False)[:-1, 0]
