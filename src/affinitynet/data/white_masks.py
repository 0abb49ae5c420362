"""Ground truth painted black and white: one class, 0 and 255."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from affinitynet.data.truth import PngMask, upright_labels
from affinitynet.errors import InputError
from affinitynet.records import BACKGROUND, IGNORE, GroundTruth, TaggedImage

LOOKED_AT = 64
"""Masks, about, that are read before 255 is taken for the class: each of an image that has it."""


def white_masks(images: Iterable[TaggedImage]) -> tuple[Path, ...]:
    """Return the masks of a one-class collection if 255 must be the class in them and not "ignore"; else nothing.

    It is if masks of images that are tagged with the class, spread over the collection, hold 0 and 255 and nothing
    else. The first mask with another value, as a rule the first of all, ends the search.

    Args:
        images: of a collection with one class.
    """
    known = {record.name: (record, mask) for record in images if (mask := record.truth or record.drawn) is not None}
    tagged = [(record, mask) for record, mask in known.values() if record.tags]
    found: set[int] = set()
    for record, mask in tagged[:: 1 + len(tagged) // LOOKED_AT]:
        found |= _values(record, mask)
        if found - {BACKGROUND, IGNORE}:
            return ()
    return tuple(mask.file for _, mask in known.values()) if IGNORE in found else ()


def _values(record: TaggedImage, mask: GroundTruth) -> set[int]:
    """Return the values stored in a mask that somebody painted; none if it cannot be read, which check-data reports."""
    if not isinstance(mask, PngMask):
        return {BACKGROUND + 1}  # other forms of ground truth name their classes
    try:
        return set(np.unique(upright_labels(mask, record.path)).tolist())
    except InputError:
        return set()
