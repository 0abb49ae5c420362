"""Splits under the names that training tools look for: each image in one of train, val and test."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from affinitynet.records import TaggedImage
from affinitynet.tools.export.common import LabelledImages

SPELLINGS = {"val": "val", "valid": "val", "validation": "val", "dev": "val", "test": "test", "testing": "test"}
"""Name of a split (lower case) -> its role; the split that was trained on is ``train``, regardless of its name."""

HELD_OUT = 0.1
"""Share of the images that validates where a collection has no split for that."""


def in_roles(labelled: LabelledImages) -> LabelledImages:
    """Divide images into ``train``, ``val`` and ``test``, without an image in two of them.

    Images of a split called ``val`` or ``test`` (or the like) go there, even if the split that was trained on has them
    too; the rest of that one is ``train``; what is in other splits only is ``val``.
    """
    first, *others = labelled.splits
    named = [split for split in others if split.lower() in SPELLINGS]
    elsewhere = {record.name for split in named for record in labelled.splits[split]}
    if all(record.name in elsewhere for record in labelled.splits[first]):
        named = []  # nothing would be left to train on
    roles: dict[str, list[TaggedImage]] = {"train": [], "val": [], "test": []}
    seen: set[str] = set()
    for split in dict.fromkeys((*named, first, *others)):
        role = "train" if split == first else SPELLINGS.get(split.lower(), "val")
        roles[role] += [record for record in labelled.splits[split] if record.name not in seen]
        seen |= {record.name for record in labelled.splits[split]}
    return replace(labelled, splits={role: tuple(records) for role, records in roles.items() if records})


def with_validation(labelled: LabelledImages) -> LabelledImages:
    """Hold out some images of ``train`` as ``val`` where there is no ``val``, and say so.

    Which ones depends on nothing but the images' names.
    """
    splits = dict(labelled.splits)
    if "val" in splits:
        return labelled
    images = splits["train"]
    if len(images) == 1:
        splits["val"] = images
        labelled.problems.warn("val is the same image as train, because there is no other")
    else:
        chosen = held_out([record.name for record in images])
        splits["train"] = tuple(record for record in images if record.name not in chosen)
        splits["val"] = tuple(record for record in images if record.name in chosen)
        labelled.problems.warn(
            f"{len(chosen)} of {len(images)} images are val, chosen by a hash of their names, because the collection "
            "has no split of that name"
        )
    return replace(labelled, splits=splits)


def held_out(names: Sequence[str]) -> set[str]:
    """Choose a tenth of some names, at least one, the same ones each time.

    Example:
        >>> len(held_out([str(number) for number in range(30)])), held_out(["b", "a"]) == held_out(["a", "b"])
        (3, True)
    """
    ordered = sorted(names, key=lambda name: hashlib.sha256(name.encode(errors="surrogateescape")).digest())
    return set(ordered[: max(1, round(HELD_OUT * len(names)))])
