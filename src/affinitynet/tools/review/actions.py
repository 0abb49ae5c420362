"""What a browser may ask for: plain JSON, checked before anything is done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from affinitynet.data.corrections import Verdict
from affinitynet.errors import InputError
from affinitynet.inference.clicks import Click
from affinitynet.records import BACKGROUND

MOST_POINTS = 5000
"""Points of a stroke at most."""

CLICKS = 12
"""Clicks that stand for a stroke at most, evenly along it."""

WIDEST = 200  # radius of the brush, pixels

SIZE = "size"
"""What a saved action calls the (H, W) that the image was labelled at when it was taken."""

Point = tuple[int, int]
"""(x, y) in pixels of the image as it is labelled."""


@dataclass(frozen=True)
class Stroke:
    """A click or a line drawn over what belongs to a class.

    Args:
        label: 0-based class, ``None`` for background.
        points: one or more.
    """

    label: int | None
    points: tuple[Point, ...]

    def clicks(self) -> Iterator[Click]:
        """Yield the clicks that stand for it."""
        step = max(1, -(-len(self.points) // CLICKS))
        for x, y in dict.fromkeys((*self.points[::step], self.points[-1])):
            yield Click(x, y, self.label)


@dataclass(frozen=True)
class Brush:
    """A line whose pixels are a class, however the image looks there.

    Args:
        label: 0-based class, ``None`` for background.
        points: one or more.
        radius: pixels to each side of the line; 0 is one pixel wide.
    """

    label: int | None
    points: tuple[Point, ...]
    radius: int


@dataclass(frozen=True)
class Change:
    """What an action changes."""

    strokes: tuple[Stroke, ...] = ()
    brush: Brush | None = None
    tags: tuple[str, ...] | None = None
    verdict: Verdict | None = None
    reset: bool = False


def read_action(action: Any, classes: Sequence[str], size: tuple[int, int]) -> Change:
    """Check an action.

    Args:
        action: ``{"kind": "click" or "brush", "class": a name or null, "points": [[x, y], ...]}``, a brush with a
            ``radius``; ``{"kind": "tags", "tags": [...]}``; or ``{"kind": "accept", "reject" or "reset"}``.
        classes: names.
        size: (H, W) of the image as it is labelled.

    Raises:
        InputError: it is something else.

    Example:
        >>> read_action({"kind": "click", "class": "cat", "points": [[3, 2]]}, ["cat"], (10, 20)).strokes
        (Stroke(label=0, points=((3, 2),)),)
    """
    kind = action.get("kind") if isinstance(action, dict) else None
    if kind == "click":
        return Change(strokes=(Stroke(_label(action, classes), _points(action, size)),))
    if kind == "brush":
        radius = action.get("radius")
        if type(radius) is not int or not 0 <= radius <= WIDEST:
            raise InputError(f"radius {radius!r}: must be a whole number in 0..{WIDEST}")
        return Change(brush=Brush(_label(action, classes), _points(action, size), radius))
    if kind == "tags":
        tags = action.get("tags")
        if not isinstance(tags, list) or not all(tag in classes for tag in tags):
            raise InputError(f"tags {tags!r}: must be a list of class names")
        return Change(tags=tuple(tags))
    if kind == "accept":
        return Change(verdict="accepted")
    if kind == "reject":
        return Change(verdict="rejected")
    if kind == "reset":
        return Change(reset=True)
    raise InputError(f"action {kind!r}: unknown")


def _label(action: dict[str, Any], classes: Sequence[str]) -> int | None:
    name = action.get("class")
    if name is None:
        return None
    if name not in classes:
        raise InputError(f"class {name!r}: unknown")
    return list(classes).index(name)


def _points(action: dict[str, Any], size: tuple[int, int]) -> tuple[Point, ...]:
    points = action.get("points")
    if not isinstance(points, list) or not 0 < len(points) <= MOST_POINTS:
        raise InputError(f"points: must be a list of 1 to {MOST_POINTS}")
    for point in points:
        if not isinstance(point, list) or len(point) != 2 or not all(type(value) is int for value in point):
            raise InputError(f"point {point!r}: must be two whole numbers")
        if not (0 <= point[0] < size[1] and 0 <= point[1] < size[0]):
            raise InputError(f"point {point!r}: is not inside the image of {size[1]} x {size[0]}")
    return tuple((point[0], point[1]) for point in points)


def scaled(action: dict[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    """Return an action that was taken when the image was labelled at another size; all its points are in the image.

    Args:
        action: as it was saved.
        size: (H, W) of the image as it is labelled now.

    Raises:
        InputError: its points or its size are not as this program writes them.

    Example:
        >>> scaled({"kind": "click", "class": None, "points": [[40, 10]], "size": [30, 60]}, (20, 40))["points"]
        [[26, 6]]
    """
    if "points" not in action:
        return action
    height, width = size
    try:
        before = tuple(action.get(SIZE, size))
        down, across = height / before[0], width / before[1]
        points = [
            [min(max(int(x * across), 0), width - 1), min(max(int(y * down), 0), height - 1)]
            for x, y in action["points"]
        ]
        radius = {"radius": min(round(action["radius"] * across), WIDEST)} if "radius" in action else {}
    except (TypeError, ValueError, IndexError, ZeroDivisionError, OverflowError) as error:
        raise InputError(f"points: are not those of a saved action ({error})") from None
    return {**action, "points": points, **radius}


def painted(mask: np.ndarray, brush: Brush) -> np.ndarray:
    """Return a mask uint8 [H, W] with what a brush painted.

    Example:
        >>> painted(np.zeros((1, 4), np.uint8), Brush(2, ((1, 0), (2, 0)), 0)).tolist()
        [[0, 3, 3, 0]]
    """
    value = BACKGROUND if brush.label is None else brush.label + 1
    picture = Image.fromarray(mask)
    pen = ImageDraw.Draw(picture)
    if len(brush.points) > 1:
        pen.line(brush.points, fill=value, width=2 * brush.radius + 1)
    for x, y in brush.points:
        pen.ellipse((x - brush.radius, y - brush.radius, x + brush.radius, y + brush.radius), fill=value)
    return np.asarray(picture)
