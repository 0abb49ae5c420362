"""One record per image, regardless of the on-disk layout: recognition, splits, ground truth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from affinitynet.data.image_files import PassedOver
from affinitynet.data.layouts.base import Layout
from affinitynet.data.layouts.registry import LAYOUTS
from affinitynet.data.truth import upright_labels
from affinitynet.errors import InputError, LeftOut, OnError, Problems, Remark, did_you_mean
from affinitynet.records import BACKGROUND, IGNORE, MAX_CLASSES, TaggedImage, ValueRanges


@dataclass(frozen=True)
class Collection:
    """Tagged images in splits.

    Args:
        root: the folder it was read from.
        classes: names; class c has mask value c + 1.
        splits: name -> images.
        mask_values: uint8 [256], stored mask value -> value in the order of ``classes``.
        default_split: the split to train on unless another is named.
        evaluation_splits: those that can be measured, because all of their images have ground truth. If there is no
            such split, those in which some images have it.
        left_out: rows that could not be used.
        remarks: what was read tolerantly, and what looks wrong.
        passed_over: files below the folder that were not used as images.
    """

    root: Path
    classes: tuple[str, ...]
    splits: Mapping[str, tuple[TaggedImage, ...]]
    mask_values: np.ndarray
    default_split: str
    evaluation_splits: tuple[str, ...]
    left_out: tuple[LeftOut, ...] = ()
    remarks: tuple[Remark, ...] = ()
    passed_over: tuple[PassedOver, ...] = ()

    def split(self, name: str) -> tuple[TaggedImage, ...]:
        """Return the images of a split.

        Raises:
            InputError: there is no split of that name.
        """
        if name not in self.splits:
            raise InputError(
                f"--split {name}: {self.root} has no such split; it has {', '.join(self.splits)} "
                f"{did_you_mean(name, self.splits)}"
            )
        return self.splits[name]

    def masked(self, split: str) -> tuple[TaggedImage, ...]:
        """Return the images of a split that have ground truth.

        Raises:
            InputError: as :meth:`split`.
        """
        return tuple(record for record in self.split(split) if record.truth is not None)

    def without(self, left_out: Iterable[LeftOut]) -> Collection:
        """Return the collection without the images and ground-truth masks that are skipped."""
        left_out = tuple(left_out)
        images = {left.name for left in left_out if left.part == "image"}
        masks = {left.name for left in left_out if left.part == "mask"}
        splits = {
            name: tuple(
                replace(record, truth=None) if record.name in masks else record
                for record in records
                if record.name not in images
            )
            for name, records in self.splits.items()
        }
        measured = tuple(name for name in self.evaluation_splits if any(record.truth for record in splits[name]))
        return replace(self, splits=splits, evaluation_splits=measured)

    def targets(self, split: str) -> tuple[TaggedImage, ...]:
        """Return the images to be given masks: those of a split and of the evaluation splits, each once."""
        splits = (split, *self.evaluation_splits)
        return tuple({record.name: record for name in splits for record in self.split(name)}.values())

    def with_values(self, values: ValueRanges | None) -> Collection:
        """Return the collection with the values that become black and white in its images of more than 8 bits."""
        if values is None:
            return self
        splits = {
            name: tuple(replace(record, values=values) for record in records) for name, records in self.splits.items()
        }
        return replace(self, splits=splits)

    def mask(self, record: TaggedImage, problems: Problems | None = None) -> np.ndarray:
        """Return an image's ground truth, uint8 [H, W]: 0 background, class + 1, 255 ignore.

        Args:
            problems: takes note of a mask that was turned with its photograph.

        Raises:
            InputError: it cannot be read, differs from the image in size, or contains a value that
                is not a class.
        """
        if record.truth is None:
            raise InputError(f"{record.name}: has no ground-truth mask")
        stored = upright_labels(record.truth, record.path, problems)
        values = self.mask_values[stored]
        unknown = np.unique(stored[(values == IGNORE) & (stored != IGNORE)])
        if len(unknown):
            raise InputError(
                f"{record.truth}: contains value {unknown[0]}, but there are {len(self.classes)} classes "
                "(0 is background, class + 1, 255 ignore); fix the mask"
            )
        return values


def open_collection(root: Path | str, classes: Sequence[str] | None = None, on_error: OnError = "stop") -> Collection:
    """Read a collection of any known layout.

    Args:
        root: a VOC devkit folder (``JPEGImages``, ``Annotations``, ``ImageSets``), the folder that
            contains it, or a folder of images with ``tags.csv`` or ``tags.json``.
        classes: names to learn, in the order of their mask values; all by default. Tags and mask
            regions of other classes are dropped.
        on_error: what to do with a row of a list or tag file that cannot be used: "skip" it and name it in
            :attr:`Collection.left_out`, or "stop".

    Raises:
        InputError: the folder or something in it cannot be used.
    """
    folder = Path(root)
    if not folder.is_dir():
        raise InputError(f"--data {folder}: no such folder; pass the folder that contains your images")
    problems = Problems(on_error)
    try:
        layout = _read_layout(folder, problems)
    except InputError as error:
        if problems.found:  # the skipped rows may be the real reason
            raise InputError(f"{problems.found[0].reason} (skipped, and then: {error})") from None
        raise
    chosen = layout.classes if classes is None else tuple(classes)
    collection = _choose(folder, layout, chosen)
    return replace(collection, left_out=tuple(problems.found), remarks=problems.remarks, passed_over=layout.passed_over)


def _read_layout(folder: Path, problems: Problems) -> Layout:
    for layout in LAYOUTS.values():
        if root := layout.recognise(folder):
            return layout.read(root, problems)
    forms = " nor ".join(layout.FORM for layout in LAYOUTS.values())
    raise InputError(f"--data {folder}: neither {forms}; write tags.csv with the columns file,tags")


def _choose(root: Path, layout: Layout, chosen: tuple[str, ...]) -> Collection:
    """Keep the chosen classes, renumbered in their order."""
    for name in chosen:
        if name not in layout.classes:
            raise InputError(f"--classes {name}: {root} has no class of that name {did_you_mean(name, layout.classes)}")
    if len(set(chosen)) < len(chosen) or not 0 < len(chosen) <= MAX_CLASSES:
        raise InputError(f"--classes: {len(chosen)} names; need 1 to {MAX_CLASSES} different ones")
    numbers = {layout.classes.index(name): number for number, name in enumerate(chosen)}
    mask_values = np.full(256, IGNORE, np.uint8)
    mask_values[: len(layout.classes) + 1] = BACKGROUND
    for old, new in numbers.items():
        mask_values[old + 1] = new + 1

    def renumber(record: TaggedImage) -> TaggedImage:
        return replace(record, tags=tuple(sorted(numbers[tag] for tag in record.tags if tag in numbers)))

    splits = {name: tuple(map(renumber, records)) for name, records in layout.splits.items()}
    return Collection(root, chosen, splits, mask_values, layout.default_split, _evaluation_splits(splits))


def _evaluation_splits(splits: Mapping[str, tuple[TaggedImage, ...]]) -> tuple[str, ...]:
    counts = {name: sum(record.truth is not None for record in records) for name, records in splits.items()}
    whole = tuple(name for name, records in splits.items() if records and counts[name] == len(records))
    return whole or tuple(name for name in splits if counts[name])
