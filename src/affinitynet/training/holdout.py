"""Which training images only measure, and which stand for all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

import numpy as np

from affinitynet.records import TaggedImage

FOLDERS = 10
"""Folders from which whole ones are held out: images of one patient, product or place are alike."""

MOST = 200
"""Images that are held out at most: more would not measure better."""

ENOUGH, TOO_MANY = 0.5, 1.5
"""Shares of the images wanted that whole folders have to come to, and may come to."""

LEAST = 3
"""Images of a class that say something of it."""


def hold_out(records: Sequence[TaggedImage], share: float, seed: int) -> np.ndarray:
    """Choose the images that are held out: whole folders of them where there are many, else some of each set of tags.

    Folders are divided where whole ones do not do: where they are the classes, or one holds most of the images.

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
    folders = [str(PurePosixPath(record.name).parent) for record in records]
    if len(set(folders)) >= FOLDERS:
        chosen = _chosen(records, folders, wanted, seed)
        if chosen.sum() >= ENOUGH * wanted:
            return chosen
    return _chosen(records, [str(number) for number in range(len(records))], wanted, seed)


def _chosen(records: Sequence[TaggedImage], groups: Sequence[str], wanted: int, seed: int) -> np.ndarray:
    """Choose whole groups of images, bool [N], until about as many are chosen as are wanted."""
    order = [sorted(set(groups))[number] for number in np.random.default_rng(seed).permutation(len(set(groups)))]
    members: dict[str, list[int]] = {group: [] for group in order}
    for number, group in enumerate(groups):
        members[group].append(number)
    left, images = _wanted_of_each(records, wanted), _images_of_each(records)
    chosen = np.zeros(len(records), bool)
    for group in order:
        numbers = members[group]
        fitting = sum(left.get(records[n].tags, 0) > 0 for n in numbers) * 2 >= len(numbers)
        if chosen.sum() >= wanted or not fitting:
            continue
        with_it = chosen.copy()
        with_it[numbers] = True
        if len(numbers) > 1 and not _leaves_enough(records, with_it, wanted, images):
            continue
        chosen = with_it
        for number in numbers:
            left[records[number].tags] -= 1
    return chosen


def _leaves_enough(records: Sequence[TaggedImage], chosen: np.ndarray, wanted: int, images: Mapping[int, int]) -> bool:
    """Return whether not many more images are chosen than wanted, and of each class at most half."""
    lost = _images_of_each([records[number] for number in np.flatnonzero(chosen).tolist()])
    return chosen.sum() <= TOO_MANY * wanted and all(2 * count <= images[tag] for tag, count in lost.items())


def _images_of_each(records: Sequence[TaggedImage]) -> Counter[int]:
    return Counter(tag for record in records for tag in record.tags)


def some_of_each_class(records: Sequence[TaggedImage], each: int, most: int, seed: int) -> list[TaggedImage]:
    """Draw tagged images until each class has been drawn ``each`` times.

    Of so many classes that this would be more than ``most`` images, less often, but :data:`LEAST` times.

    Example:
        >>> from pathlib import Path
        >>> records = [TaggedImage(f"{n}", Path(f"{n}.png"), (0,) if n else (1,)) for n in range(10)]
        >>> sorted(record.tags for record in some_of_each_class(records, each=3, most=9, seed=0))
        [(0,), (0,), (0,), (1,)]
    """
    kinds = len(_images_of_each(records))
    each = max(LEAST, min(each, most // max(1, kinds)))
    drawn: dict[int, int] = {}
    chosen: list[TaggedImage] = []
    for number in np.random.default_rng(seed).permutation(len(records)).tolist():
        tags = records[number].tags
        if tags and min(drawn.get(tag, 0) for tag in tags) < each:
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
