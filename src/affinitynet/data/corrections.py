"""What people say of single images after a run: other tags, a corrected mask, or that a mask is right or useless.

A folder ``corrections`` in the work folder holds ``NAME.json`` and, unless the mask was rejected, ``NAME.png``. They
lie over the collection, whose own files stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from affinitynet.data.collection import Collection
from affinitynet.data.masks import load_mask
from affinitynet.errors import InputError, did_you_mean
from affinitynet.files import read_json, read_label_image, save_mask, write_json
from affinitynet.records import IGNORE, TaggedImage

Verdict = Literal["corrected", "accepted", "rejected"]
"""corrected: the mask was changed. accepted: it is right as it is. rejected: it is of no use."""

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

    Raises:
        ValueError: it is not as it should be.
    """

    verdict: Verdict | None = None
    tags: tuple[str, ...] | None = None
    history: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.verdict is not None and self.verdict not in get_args(Verdict):
            raise ValueError(f"verdict {self.verdict!r}")
        if self.tags is not None and not all(isinstance(tag, str) for tag in self.tags):
            raise ValueError(f"tags {self.tags!r}")
        if self.history is not None and not isinstance(self.history, dict):
            raise ValueError("history")


@dataclass(frozen=True, eq=False)
class CorrectedMask:
    """A mask of the review, whose values are those of the classes of the run.

    Args:
        file: the PNG.
        stored: uint8 [256], value of the run -> value that the collection's masks have for the same class.
    """

    file: Path
    stored: np.ndarray

    def __str__(self) -> str:
        return str(self.file)

    def labels(self, size: tuple[int, int]) -> np.ndarray:
        """Return the stored label values uint8 [H, W] of an image of ``size`` (H, W).

        Raises:
            InputError: it cannot be read, or does not fit the image.
        """
        values: np.ndarray = self.stored[load_mask(self.file, size)]
        return values


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
            tags = content["tags"]
            return Correction(content["verdict"], None if tags is None else tuple(tags), content["history"])
        except (TypeError, KeyError, ValueError) as error:
            raise InputError(f"{path}: is not a correction ({error}); {CURE}") from None

    def mask(self, name: str) -> np.ndarray | None:
        """Return the mask uint8 [H, W] that was made of an image, ``None`` where none was.

        Raises:
            InputError: the file is damaged.
        """
        path = self.mask_file(name)
        return read_label_image(path) if path.exists() else None

    def save(self, name: str, correction: Correction, mask: np.ndarray | None = None) -> None:
        """Write what was said of an image: the mask first, so that a verdict never stands without its mask."""
        if mask is not None:
            save_mask(self.mask_file(name), mask)
        tags = None if correction.tags is None else list(correction.tags)
        content = {"verdict": correction.verdict, "tags": tags, "history": correction.history}
        write_json(self.file(name), content, indent=None)
        if mask is None:
            self.mask_file(name).unlink(missing_ok=True)


def corrected(collection: Collection, corrections: Corrections) -> Collection:
    """Return a collection with what people said of its images: tags, masks to learn from, masks of no use.

    An image with a corrected or accepted mask is not measured any more: it teaches.

    Raises:
        InputError: a correction is damaged, or names a class that the collection does not have.
    """
    found = {name: corrections.load(name) for name in corrections.names()}
    if not found:
        return collection
    stored = np.full(IGNORE + 1, IGNORE, np.uint8)
    for value in range(len(collection.classes), -1, -1):
        stored[value] = np.flatnonzero(collection.mask_values == value)[0]

    def laid_over(record: TaggedImage) -> TaggedImage:
        said = found.get(record.name)
        if said is None:
            return record
        if said.tags is not None:
            record = replace(record, tags=_numbers(said.tags, collection, corrections.file(record.name)))
        if said.verdict == "rejected":
            return replace(record, drawn=None, rejected=True)
        if said.verdict is not None:
            record = replace(record, drawn=CorrectedMask(corrections.mask_file(record.name), stored))
        return record

    splits = {name: tuple(map(laid_over, records)) for name, records in collection.splits.items()}
    return replace(collection, splits=splits)


def _numbers(tags: tuple[str, ...], collection: Collection, path: Path) -> tuple[int, ...]:
    for tag in tags:
        if tag not in collection.classes:
            raise InputError(
                f"{path}: {tag!r} is not a class of the collection {did_you_mean(tag, collection.classes)}; {CURE}"
            )
    return tuple(sorted({collection.classes.index(tag) for tag in tags}))
