"""One record per image, regardless of the on-disk layout: recognition, splits, ground truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from affinitynet.data.image_files import PassedOver, find_image_files
from affinitynet.data.images import image_size
from affinitynet.data.layouts import folder as plain_folder
from affinitynet.data.layouts.base import Layout
from affinitynet.data.layouts.registry import FALLBACKS, LAYOUTS, SPECIAL_CASES
from affinitynet.data.layouts.tables import tables_of_other_names
from affinitynet.data.truth import CorrectedMask, upright_labels
from affinitynet.data.white_masks import white_masks
from affinitynet.errors import InputError, LeftOut, OnError, Problems, Remark, did_you_mean
from affinitynet.records import BACKGROUND, IGNORE, MAX_CLASSES, GroundTruth, TaggedImage, ValueRanges


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
        layout: what a folder of its layout is.
        unsound: splits that are neither trained on nor evaluated and have something wrong -> what.
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
    layout: str = ""
    unsound: Mapping[str, str] = field(default_factory=dict)

    def split(self, name: str) -> tuple[TaggedImage, ...]:
        """Return the images of a split.

        Raises:
            InputError: there is no split of that name, or something in it is wrong.
        """
        if name in self.unsound:
            raise InputError(self.unsound[name])
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
                replace(record, truth=None, drawn=None) if record.name in masks else record
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

    def unseen(self, split: str) -> tuple[TaggedImage, ...]:
        """Return the images with ground truth, each once, that are not of the split that is learnt from.

        Where all of them are learnt from, return them all.

        Raises:
            InputError: as :meth:`split`.
        """
        learnt = {record.name for record in self.split(split)}
        measured = {record.name: record for name in self.evaluation_splits for record in self.masked(name)}
        unseen = tuple(record for name, record in measured.items() if name not in learnt)
        return unseen or tuple(measured.values())

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
        return self._labels(record.truth, record.path, problems)

    def drawn(self, record: TaggedImage, problems: Problems | None = None) -> np.ndarray:
        """Return what somebody drew of an image to be learnt from, as :meth:`mask` returns its ground truth.

        Raises:
            InputError: as :meth:`mask`.
        """
        if record.drawn is None:
            raise InputError(f"{record.name}: nobody drew its mask")
        if isinstance(record.drawn, CorrectedMask):
            return record.drawn.labels(image_size(record.path))
        return self._labels(record.drawn, record.path, problems)

    def _labels(self, source: GroundTruth, image: Path, problems: Problems | None) -> np.ndarray:
        stored = upright_labels(source, image, problems)
        values = self.mask_values[stored]
        unknown = np.unique(stored[(values == IGNORE) & (stored != IGNORE)])
        if len(unknown):
            raise InputError(f"{source}: contains value {unknown[0]}, but {self._numbering()}; fix the mask")
        return values

    def _numbering(self) -> str:
        if self.mask_values[IGNORE] != IGNORE:
            return "the other masks hold 0 and 255 only, where 255 is the class"
        return f"there are {len(self.classes)} classes (0 is background, class + 1, 255 ignore)"


def open_collection(
    root: Path | str,
    classes: Sequence[str] | None = None,
    on_error: OnError = "stop",
    tags: Path | str | None = None,
    split: str | None = None,
) -> Collection:
    """Read a collection of any known layout.

    Args:
        root: a folder of one of the layouts of :data:`affinitynet.data.layouts.registry.LAYOUTS`.
        classes: names to learn, in the order of their mask values; all by default. Tags and mask
            regions of other classes are dropped.
        on_error: what to do with a row of a list or tag file that cannot be used: "skip" it and name it in
            :attr:`Collection.left_out`, or "stop".
        tags: a table of tags anywhere, for images anywhere below ``root``; by default the tags are read
            from what is in ``root``.
        split: the one that will be used besides those that are evaluated; by default the default split. What is
            wrong in the lists of the others does no harm.

    Raises:
        InputError: the folder or something in it cannot be used.
    """
    folder = Path(root)
    if not folder.is_dir():
        raise InputError(f"--data {folder}: no such folder; pass the folder that contains your images")
    problems = Problems(on_error)
    try:
        layout = _read_layout(folder, problems) if tags is None else _read_table(folder, Path(tags), problems)
    except InputError as error:
        if problems.first:  # the skipped rows may be the real reason
            raise InputError(f"{problems.first} (skipped, and then: {error})") from None
        raise
    chosen = layout.classes if classes is None else tuple(classes)
    collection = _with_white_masks(_choose(folder, layout, chosen), layout, problems)
    collection = replace(collection, passed_over=layout.passed_over)
    return _with_problems(collection, problems, split or collection.default_split)


def _read_layout(folder: Path, problems: Problems) -> Layout:
    found: dict[str, Path] = {}
    for name, layout in LAYOUTS.items():
        if not (found and name in FALLBACKS) and (root := layout.recognise(folder)):
            found[name] = root
    if not found:
        raise InputError(f"--data {folder}: {_nearest_layout(folder)}")
    own = any(path.name.casefold().startswith("tags.") for path in folder.iterdir())
    first = "folder" if "folder" in found and own else next(iter(found))
    if others := [LAYOUTS[name].FORM for name in found if name not in (first, SPECIAL_CASES.get(first))]:
        problems.warn(f"read as {LAYOUTS[first].FORM}; it could also be {' or '.join(others)}")
    chosen = LAYOUTS[first].read(found[first], problems)
    return replace(chosen, form=chosen.form or LAYOUTS[first].FORM)


def _read_table(folder: Path, table: Path, problems: Problems) -> Layout:
    if not table.is_file():
        raise InputError(f"--tags {table}: no such file; name a table of tags (CSV, .xlsx, JSON)")
    return plain_folder.read(folder, problems, table)


def _nearest_layout(folder: Path) -> str:
    """Say what a folder of no known layout holds, and how to make it one."""
    files = find_image_files(folder)
    others = Counter(other.path.suffix.lower() for other in files.passed_over if other.path.suffix)
    count, kinds = len(files.images), ", ".join(f"{number} {suffix}" for suffix, number in others.most_common(3))
    if not count:
        seen = f"there is no image in it{f' ({kinds} files)' if kinds else ''}"
        return f"{seen}; pass the folder that contains the images"
    seen = f"there are {count} images{f' and {kinds} files' if kinds else ''}, but nothing that says what is in them"
    if tables := tables_of_other_names(folder):
        return f"{seen}; if {tables[0].name} holds the tags, add --tags {tables[0]}"
    forms = ", ".join(layout.FORM for layout in LAYOUTS.values())
    return (
        f"{seen}; write tags.csv with the columns file,tags (a line is: photo.jpg,cat;dog), or move the images into "
        f"sub-folders named like their classes. Layouts that are read: {forms}"
    )


def _with_problems(collection: Collection, problems: Problems, split: str) -> Collection:
    """Add what was noted while it was read; what is wrong in splits that are not used is a warning.

    Raises:
        InputError: something is wrong in a split in use, and is not to be skipped.
    """
    used = dict.fromkeys((split, *collection.evaluation_splits))
    left_out = list(problems.found)
    for name in used:
        rows = problems.of_split.get(name, [])
        if name in problems.unreadable or (rows and not problems.skip):
            raise InputError(problems.unreadable.get(name) or rows[0].reason)
        left_out += rows
    unsound = {name: rows[0].reason for name, rows in problems.of_split.items() if name not in used}
    unsound |= {name: reason for name, reason in problems.unreadable.items() if name not in used}
    for name, reason in unsound.items():
        count = len(problems.of_split.get(name, []))
        problems.warn(f"split {name!r} is not used; {f'{count} problems in it' if count else 'problem'}: {reason}")
    return replace(collection, left_out=tuple(dict.fromkeys(left_out)), remarks=problems.remarks, unsound=unsound)


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
    measured = _evaluation_splits(splits)
    return Collection(root, chosen, splits, mask_values, layout.default_split, measured, layout=layout.form)


def _with_white_masks(collection: Collection, layout: Layout, problems: Problems) -> Collection:
    """Take 255 for the only class if that is how its masks are painted: black and white."""
    if len(layout.classes) != 1:
        return collection
    white = white_masks(record for records in collection.splits.values() for record in records)
    if not white:
        return collection
    values = collection.mask_values.copy()
    values[IGNORE], values[1] = 1, IGNORE  # a mask with both is an error: never both meanings
    rule = f"masks are painted with 0 and 255: 255 is the class {collection.classes[0]!r} in them, not 'ignore'"
    for mask in white:
        problems.taken(rule, mask.name)
    return replace(collection, mask_values=values)


def _evaluation_splits(splits: Mapping[str, tuple[TaggedImage, ...]]) -> tuple[str, ...]:
    counts = {name: sum(record.truth is not None for record in records) for name, records in splits.items()}
    whole = tuple(name for name, records in splits.items() if records and counts[name] == len(records))
    return whole or tuple(name for name in splits if counts[name])
