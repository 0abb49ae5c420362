"""Drawn masks beside the tags: what they say counts for more than what was found (docs/method.md, "Drawn masks")."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from affinitynet.pipeline.context import Context
from affinitynet.records import IGNORE, TaggedImage

REPEATS = 4
"""Times that a drawn image is among the samples of a training at most: one alone must not rule all others."""


def with_drawn(context: Context, record: TaggedImage, mask: np.ndarray) -> np.ndarray:
    """Return a mask uint8 [H, W] in which pixels are what somebody drew, where somebody did."""
    if record.drawn is None:
        return mask
    drawn = context.work.drawn.load(record.name)
    return np.where(drawn == IGNORE, mask, drawn)


def learnt_from(records: Sequence[TaggedImage], share: float) -> tuple[TaggedImage, ...]:
    """Return the images of a training on masks, the drawn ones up to four times until they have a share of all.

    Those whose masks were rejected are not among them.

    Args:
        records: the training images.
        share: in [0, 1).

    Example:
        >>> from pathlib import Path
        >>> from affinitynet.data.truth import PngMask
        >>> plain = [TaggedImage(f"{n}", Path(f"{n}.png")) for n in range(6)]
        >>> drawn = TaggedImage("drawn", Path("drawn.png"), drawn=PngMask(Path("mask.png")))
        >>> [record.name for record in learnt_from([drawn, *plain], 0.25)].count("drawn")
        2
    """
    records = [record for record in records if not record.rejected]
    drawn = [record for record in records if record.drawn is not None]
    if not drawn:
        return tuple(records)
    others = len(records) - len(drawn)
    times = min(max(1, round(share / (1 - share) * others / len(drawn))), REPEATS)
    return (*records, *drawn * (times - 1))
