"""What a classifier has learnt of the tags, as ``classifier.json`` keeps it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from affinitynet.errors import InputError
from affinitynet.files import read_json, write_json

CAM = "cam"
"""Kind of the maps of a classifier of whole images."""

NAMED = 12
"""Classes of which each has its line; of more, those that are not learnt."""

LEARNT, PARTLY = 0.8, 0.5
"""How far average precision has to be on the way from chance to 1 for a class to be learnt, or partly."""

ENOUGH = 10
"""Held-out images with a tag below which its average precision is hardly more than a guess."""


@dataclass(frozen=True)
class ClassLearnt:
    """What is known of a class.

    Args:
        name: of the class.
        images: training images with the tag that were learnt from.
        held_out: those that only measure.
        precision: average precision of the held-out images' tags, in [0, 1]; ``None`` if none of them has the tag.
        chance: what guessing would reach: the share of the held-out images that have the tag.
        share: median share of a tagged image that shows it, as far as the classifier sees; ``None`` if unknown.
        size: median diameter of a connected piece of it in pixels of the image; ``None`` if unknown.
        part: the same as a share of the image's long side.
    """

    name: str
    images: int
    held_out: int
    precision: float | None
    chance: float
    share: float | None = None
    size: float | None = None
    part: float | None = None

    @property
    def skill(self) -> float:
        """How far the average precision is on the way from chance to 1; NaN if unknown.

        Example:
            >>> ClassLearnt("cat", 90, 10, precision=0.6, chance=0.2).skill
            0.5
        """
        if self.precision is None or self.chance >= 1:
            return math.nan
        return round((self.precision - self.chance) / (1 - self.chance), 9)

    @property
    def remark(self) -> str:
        """What that means for the masks, in a line.

        Example:
            >>> ClassLearnt("cat", 90, 10, precision=0.3, chance=0.2).remark
            'cat: not learnt (average precision 0.30, guessing gives 0.20): look at its masks before you use \
them, and tag more images of it'
        """
        if self.precision is None:
            return (
                f"{self.name}: too few of its images were held out to know whether it was learnt; tag more of it, or "
                "hold out more (--classifier.hold-out)"
            )
        if self.chance >= 1:
            return (
                f"{self.name}: in every held-out image, so nobody knows whether it was learnt; add images of the same "
                "places without it"
            )
        found = f"average precision {self.precision:.2f}, guessing gives {self.chance:.2f}"
        unsure = f", on {self.held_out} images only" if self.held_out < ENOUGH else ""
        if self.skill >= LEARNT:
            return f"{self.name}: learnt ({found}{unsure})"
        if self.skill >= PARTLY:
            return f"{self.name}: partly learnt ({found}{unsure}): expect holes and false places in its masks"
        return (
            f"{self.name}: not learnt ({found}{unsure}): look at its masks before you use them, and tag more images of "
            "it"
        )


@dataclass(frozen=True)
class Learnt:
    """What a classifier has learnt.

    Args:
        classes: one by one, in the order of the logits.
        maps: kind of its maps, "cam" or "local".
    """

    classes: tuple[ClassLearnt, ...]
    maps: str

    @property
    def precision(self) -> float:
        """Mean average precision of the classes where it is known; NaN where none is."""
        known = [found.precision for found in self.classes if found.precision is not None]
        return sum(known) / len(known) if known else math.nan

    def lines(self) -> list[str]:
        """Return what was learnt, in a line for each class; of many classes, for those that are not."""
        tagged = [found for found in self.classes if found.images + found.held_out]
        poor = [found for found in tagged if not found.skill >= LEARNT]
        shown = tagged if len(tagged) <= NAMED else poor[:NAMED]
        lines = [found.remark for found in shown]
        if len(tagged) > NAMED:
            lines.append(
                f"{len(tagged) - len(poor)} of {len(tagged)} classes are learnt, mean average precision "
                f"{self.precision:.2f}; classifier.json has each"
            )
        return lines


def write_learnt(path: Path, learnt: Learnt) -> None:
    """Write ``classifier.json``."""
    write_json(path, asdict(learnt))


def read_learnt(path: Path) -> Learnt | None:
    """Read ``classifier.json``; ``None`` if it was not written.

    Raises:
        InputError: it cannot be read.
    """
    if not path.exists():
        return None
    content: dict[str, Any] = read_json(path)
    try:
        return Learnt(tuple(ClassLearnt(**found) for found in content["classes"]), str(content["maps"]))
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: not what a classifier has learnt ({error}); delete it and run again") from None


def classes_learnt(
    names: Sequence[str], images: Sequence[int], held_out: Sequence[int], total: int, precision: Sequence[float]
) -> tuple[ClassLearnt, ...]:
    """Put together what was counted and measured of each class.

    Args:
        images, held_out: with each tag.
        total: of the held-out images.
        precision: NaN where it is unknown.
    """
    return tuple(
        ClassLearnt(name, count, held, None if math.isnan(value) else float(value), held / max(total, 1))
        for name, count, held, value in zip(names, images, held_out, precision, strict=True)
    )
