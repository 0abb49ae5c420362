"""What people say of single images after a run: other tags, a corrected mask, or that a mask is right or useless.

A folder ``corrections`` in the work folder holds ``NAME.json`` and, unless the mask was rejected, ``NAME.png``. They
lie over the collection, whose own files stay as they are. The numbers in a mask mean the classes that the JSON names:
those of the collection may get other numbers when one is added.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from affinitynet.data.collection import Collection
from affinitynet.data.truth import CorrectedMask, renumbered
from affinitynet.errors import InputError, Remark, did_you_mean
from affinitynet.files import read_json, read_label_image, save_mask, write_json
from affinitynet.records import TaggedImage

Verdict = Literal["corrected", "accepted", "rejected"]
"""corrected: the mask was changed. accepted: it is right as it is. rejected: it is of no use."""

WITH_MASK = ("corrected", "accepted")
"""Verdicts that stand for a mask; one that is left beside another verdict was withdrawn."""

STEPS = ".steps"
"""Folder of the masks after each step of the review."""

CURE = "fix it, or delete it and correct the image again"


@dataclass(frozen=True)
class Correction:
    """What somebody said of an image.

    Args:
        verdict: of its mask; ``None`` where only the tags were changed, or nothing yet.
        tags: class names, if they were changed.
        history: what was done in the review, for it to undo; plain JSON values.
        classes: names that the values of its mask stand for, value 1 first; ``None`` where it was made by a version
            that did not note them: those of the collection.

    Raises:
        ValueError: it is not as it should be.
    """

    verdict: Verdict | None = None
    tags: tuple[str, ...] | None = None
    history: dict[str, Any] | None = None
    classes: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.verdict is not None and self.verdict not in get_args(Verdict):
            raise ValueError(f"verdict {self.verdict!r}")
        for what, names in (("tags", self.tags), ("classes", self.classes)):
            if names is not None and not all(isinstance(name, str) for name in names):
                raise ValueError(f"{what} {names!r}")
        if self.history is not None and not isinstance(self.history, dict):
            raise ValueError("history")


class Corrections:
    """The corrections of a work folder.

    Args:
        root: the folder ``corrections``; made with the first one.

    Example:
        >>> import tempfile
        >>> corrections = Corrections(Path(tempfile.mkdtemp()))
        >>> corrections.save("beach/dog", Correction("accepted"), np.zeros((2, 3), np.uint8))
        >>> corrections.load("beach/dog").verdict, list(corrections.names())
        ('accepted', ['beach/dog'])
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self) -> Iterator[str]:
        """Yield the names of the images that have one, in order."""
        for path in sorted(self.root.rglob("*.json")):
            yield path.relative_to(self.root).as_posix().removesuffix(".json")

    def file(self, name: str) -> Path:
        return self.root / f"{name}.json"

    def mask_file(self, name: str) -> Path:
        return self.root / f"{name}.png"

    def step_file(self, name: str, number: int) -> Path:
        """Return the mask after a step of the review; after step 0 it is the one that was reviewed."""
        return self.root / STEPS / name / f"{number:04d}.png"

    def load(self, name: str) -> Correction:
        """Read what was said of an image; an empty correction where nothing was.

        Raises:
            InputError: the file is damaged.
        """
        path = self.file(name)
        if not path.exists():
            return Correction()
        content = read_json(path, CURE)
        try:
            names = content["tags"], content.get("classes")
            tags, classes = (None if found is None else tuple(found) for found in names)
            return Correction(content["verdict"], tags, content["history"], classes)
        except (TypeError, KeyError, ValueError) as error:
            raise InputError(f"{path}: is not a correction ({error}); {CURE}") from None

    def mask(self, name: str, classes: Sequence[str]) -> np.ndarray | None:
        """Return the mask uint8 [H, W] that was made of an image, ``None`` where none was.

        Args:
            classes: whose numbers it is to have.

        Raises:
            InputError: a file is damaged, or the mask shows a class that is not among these.
        """
        path, said = self.mask_file(name), self.load(name)
        if said.verdict not in WITH_MASK or not path.exists():
            return None
        return renumbered(read_label_image(path), said.classes or classes, classes, path)

    def save(self, name: str, correction: Correction, mask: np.ndarray | None = None) -> None:
        """Write what was said of an image: the mask first, so that a verdict never stands without its mask."""
        if mask is not None:
            save_mask(self.mask_file(name), mask)
        tags, classes = (None if names is None else list(names) for names in (correction.tags, correction.classes))
        content = {"verdict": correction.verdict, "tags": tags, "classes": classes, "history": correction.history}
        write_json(self.file(name), content, indent=None)
        if mask is None:
            self.mask_file(name).unlink(missing_ok=True)


def corrected(collection: Collection, corrections: Corrections) -> Collection:
    """Return a collection with what people said of its images: tags, masks to learn from, masks of no use.

    An image with a corrected or accepted mask is not measured any more but teaches, if it is trained on
    (:func:`affinitynet.data.drawn_masks.teaching`).

    Raises:
        InputError: a correction is damaged, or names a class that the collection does not have.
    """
    found = {name: replace(corrections.load(name), history=None) for name in corrections.names()}
    if not found:
        return collection

    def laid_over(record: TaggedImage) -> TaggedImage:
        said = found.get(record.name)
        if said is None:
            return record
        if said.tags is not None:
            record = replace(record, tags=_numbers(said.tags, collection, corrections.file(record.name)))
        if said.verdict == "rejected":
            return replace(record, drawn=None, rejected=True)
        if said.verdict is not None:
            meant = said.classes or collection.classes
            drawn = CorrectedMask(corrections.mask_file(record.name), meant, collection.classes)
            record = replace(record, drawn=drawn)
        return record

    splits = {name: tuple(map(laid_over, records)) for name, records in collection.splits.items()}
    lost = lost_corrections(collection, corrections)
    remarks = (*collection.remarks, Remark("warning", lost)) if lost else collection.remarks
    return replace(collection, splits=splits, remarks=remarks)


def lost_corrections(collection: Collection, corrections: Corrections) -> str:
    """Say how many corrections are of no image of the collection; nothing if none is."""
    known = {record.name for records in collection.splits.values() for record in records}
    strange = [(name, corrections.load(name)) for name in corrections.names() if name not in known]
    lost = [name for name, said in strange if said.verdict is not None or said.tags is not None]
    if not lost:
        return ""
    return (
        f"{len(lost)} corrections in {corrections.root} are of images that are not here, the first of {lost[0]}; if it "
        "was renamed or moved, rename its files there alike"
    )


def _numbers(tags: tuple[str, ...], collection: Collection, path: Path) -> tuple[int, ...]:
    for tag in tags:
        if tag not in collection.classes:
            raise InputError(
                f"{path}: {tag!r} is not a class of the collection {did_you_mean(tag, collection.classes)}; {CURE}"
            )
    return tuple(sorted({collection.classes.index(tag) for tag in tags}))
