"""Which training images only measure, and which stand for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np

from affinitynet.records import TaggedImage

FOLDERS = 10
"""Folders from which whole ones are held out: images of one patient, product or place are alike."""

MOST = 200
"""Images that are held out at most: more would not measure better."""


def hold_out(records: Sequence[TaggedImage], share: float, seed: int) -> np.ndarray:
    """Choose the images that are held out: whole folders of them where there are many, else some of each set of tags.

    Args:
        records: the training images.
        share: of them to hold out, in [0, 1).
        seed: of the choice.

    Returns:
        bool [N], True where an image is held out.

    Example:
        >>> from pathlib import Path
        >>> records = [TaggedImage(f"{n}", Path(f"{n}.png"), (n % 2,)) for n in range(10)]
        >>> [bool(held) for held in hold_out(records, 0.2, seed=0)].count(True)
        2
    """
    wanted = min(round(share * len(records)), MOST)
    generator = np.random.default_rng(seed)
    folders = [str(PurePosixPath(record.name).parent) for record in records]
    groups = folders if len(set(folders)) >= FOLDERS else [str(number) for number in range(len(records))]
    order = [sorted(set(groups))[number] for number in generator.permutation(len(set(groups)))]
    members: dict[str, list[int]] = {group: [] for group in order}
    for number, group in enumerate(groups):
        members[group].append(number)
    left = _wanted_of_each(records, wanted)
    chosen = np.zeros(len(records), bool)
    for group in order:
        numbers = members[group]
        if chosen.sum() < wanted and sum(left.get(records[n].tags, 0) > 0 for n in numbers) * 2 >= len(numbers):
            chosen[numbers] = True
            for number in numbers:
                left[records[number].tags] -= 1
    return chosen


def some_of_each_class(records: Sequence[TaggedImage], each: int, most: int, seed: int) -> list[TaggedImage]:
    """Draw tagged images until each class has been drawn ``each`` times, or ``most`` images are drawn.

    Example:
        >>> from pathlib import Path
        >>> records = [TaggedImage(f"{n}", Path(f"{n}.png"), (0,) if n else (1,)) for n in range(10)]
        >>> sorted(record.tags for record in some_of_each_class(records, each=2, most=9, seed=0))
        [(0,), (0,), (1,)]
    """
    drawn: dict[int, int] = {}
    chosen: list[TaggedImage] = []
    for number in np.random.default_rng(seed).permutation(len(records)).tolist():
        tags = records[number].tags
        if tags and len(chosen) < most and min(drawn.get(tag, 0) for tag in tags) < each:
            chosen.append(records[number])
            for tag in tags:
                drawn[tag] = drawn.get(tag, 0) + 1
    return chosen


def _wanted_of_each(records: Sequence[TaggedImage], wanted: int) -> dict[tuple[int, ...], int]:
    """Return how many images of each set of tags are to be held out: their share, rounded up, of two and more."""
    counts: dict[tuple[int, ...], int] = {}
    for record in records:
        counts[record.tags] = counts.get(record.tags, 0) + 1
    return {tags: -(-count * wanted // len(records)) if count > 1 else 0 for tags, count in counts.items()}
