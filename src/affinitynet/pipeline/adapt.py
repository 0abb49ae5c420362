"""The rules by which what a classifier sees decides the settings that were left open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from affinitynet.config.adaptation import OF_THE_CLASSIFIER, PROBABILITIES, Decision
from affinitynet.models.local_classifier import LOCAL
from affinitynet.work.learnt import PARTLY, ClassLearnt, Learnt

USUAL = 216.0
"""Diameter in pixels of the objects that the paper's CRF fits: a quarter of a photograph of 500 x 375 pixels."""

FINEST = 0.04
"""Least factor of the CRF's widths: 3 pixels of appearance kernel."""

WALKED = 56.0
"""Diameter in pixels from which the random walk is tried: seven places of its grid. Smaller ones it washes away."""

SHOWN = 60.0
"""Diameter in pixels at which the segmentation network is to see the objects."""

LONG_SIDES = (512, 1024)
"""Least and greatest long side of the images it learns from: more makes it slow, and a crop of it too small a part."""

UNSEEN = "no class was seen in the images that were looked at"
"""Reason where the classifier sees nothing."""

Line: TypeAlias = tuple[str, Any, str]
"""(setting, value, reason)"""


def decisions(learnt: Learnt) -> list[Decision]:
    """Return what a local classifier has decided.

    Example:
        >>> from affinitynet.config.adaptation import lines_of
        >>> from affinitynet.work.learnt import ClassLearnt
        >>> seen = ClassLearnt("rust", 80, 20, precision=0.9, chance=0.2, share=0.01, size=36.0, part=0.07)
        >>> for line in lines_of(decisions(Learnt((seen,), "local"))):
        ...     print(line)
        seeds.low_alpha = 1, seeds.high_alpha = 4, masks.alpha = 6, evaluate.cam_threshold = 0.5: maps of probabilities
        seeds.crf_scale = 0.167: its kernels follow pieces of 36 pixels, the median over the classes
        masks.source = crf: pieces of 36 pixels are too small for the walk's grid
        segmenter.rounds = 1: pieces of 36 pixels are too small for the network to sharpen
        refine.masks = True: the segmentation network, told the tags, has learnt from all images
        segmenter.long_side = 857: pieces of 7.0 % of the long side have 60 pixels then
    """
    if learnt.maps != LOCAL:
        return []
    voting, whose = _voting(learnt.classes)
    refined = ("refine.masks", True, "the segmentation network, told the tags, has learnt from all images")
    decided = [*_by_size(voting, whose), refined, _long_side(voting)]
    return [*PROBABILITIES, *(Decision(*decision, OF_THE_CLASSIFIER) for decision in decided)]


def _voting(classes: Sequence[ClassLearnt]) -> tuple[list[ClassLearnt], str]:
    """Return the classes whose pieces decide, and what to call them.

    What is taken for a class that was not learnt says nothing of its size.
    """
    seen = [found for found in classes if found.size is not None]
    learnt = [found for found in seen if not found.skill < PARTLY]
    if not learnt or len(learnt) == len(seen):
        return seen, "the classes"
    return learnt, "the classes that were learnt"


def _by_size(voting: Sequence[ClassLearnt], whose: str) -> list[Line]:
    """Return what the diameter of the pieces decides."""
    size = _median([found.size for found in voting])
    if size is None:
        return [
            ("seeds.crf_scale", 1.0, f"{UNSEEN}: the paper's widths"),
            ("masks.source", "crf", f"{UNSEEN}: there is nothing for a walk to spread"),
            ("segmenter.rounds", 1, UNSEEN),
        ]
    source, rounds, fit = ("walk", 2, "large enough") if size >= WALKED else ("crf", 1, "too small")
    pieces = f"pieces of {size:.0f} pixels"
    return [
        (
            "seeds.crf_scale",
            min(max(size / USUAL, FINEST), 1.0),
            f"its kernels follow {pieces}, the median over {whose}",
        ),
        ("masks.source", source, f"{pieces} are {fit} for the walk's grid"),
        ("segmenter.rounds", rounds, f"{pieces} are {fit} for the network to sharpen"),
    ]


def _long_side(voting: Sequence[ClassLearnt]) -> Line:
    """Return at which size the segmentation network learns and labels."""
    part, (least, greatest) = _median([found.part for found in voting]), LONG_SIDES
    if part is None:
        return "segmenter.long_side", least, UNSEEN
    side = min(max(round(SHOWN / part), least), greatest)
    reason = f"pieces of {100 * part:.1f} % of the long side have {part * side:.0f} pixels then"
    return "segmenter.long_side", side, reason


def _median(values: Sequence[float | None]) -> float | None:
    """Return the median of what is known, if anything is; of two in the middle, the greater."""
    known = sorted(value for value in values if value is not None)
    return known[len(known) // 2] if known else None
