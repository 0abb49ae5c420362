"""Masks that were corrected in another tool, back to the work folder they came from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from affinitynet.data.collection import Collection, open_collection
from affinitynet.data.corrections import Correction
from affinitynet.data.images import image_size
from affinitynet.errors import InputError, Remark, did_you_mean
from affinitynet.records import BACKGROUND, IGNORE, TaggedImage
from affinitynet.runtime.runtime import Runtime
from affinitynet.tools.finished import Finished, open_finished

UNSEEN = 0.001
"""Share of an image's pixels that may differ without anybody having corrected them: outlines are rounded."""


@dataclass(frozen=True)
class Imported:
    """What became of a folder of masks.

    Args:
        corrected: images whose masks differ from those of the work folder.
        same: images whose masks do not.
        remarks: what the user should know.
    """

    corrected: int
    same: int
    remarks: tuple[Remark, ...]


def import_masks(masks: Path, work: Path, *, data: Path | None = None, runtime: Runtime | None = None) -> Imported:
    """Take masks that were corrected in another tool as corrections: the next run learns from them.

    What differs from the masks of the work folder was corrected; a class that a mask has becomes a tag of its image.
    Images are found by their names.

    Args:
        masks: Folder in a form that `export` writes or a tool does: VOC, COCO, YOLO, CVAT, a folder with tags ...
        work: Work folder whose masks they were.
        data: The collection, if it has moved since; null: where it was.
        runtime: where progress is shown.

    Raises:
        InputError: the folder has no masks, other classes, or none of the images.
    """
    finished = open_finished(work, data)
    theirs = open_collection(masks)
    values = _values(theirs, finished, masks)
    known = _by_name(finished)
    found = {record.name: record for records in theirs.splits.values() for record in records if record.truth}
    if not found:
        raise InputError(f"{masks}: has no masks; name the folder that the other tool wrote")
    pairs = [(ours, record) for name, record in found.items() if (ours := _called(name, known))]
    strange = [name for name in found if not _called(name, known)]
    if not pairs:
        raise InputError(
            f"{masks}: none of its {len(found)} images is in --work {work}, e.g. {strange[0]}; name another"
        )
    different: list[str] = []
    classes = finished.collection.classes

    def take(pair: tuple[TaggedImage, TaggedImage]) -> None:
        ours, other = pair
        mask = values[theirs.mask(other)]
        if mask.shape != image_size(ours.path):
            raise InputError(f"{other.truth}: is not of the size of {ours.path}; export the image with its mask again")
        if ours.name in finished.folder.masks:
            before = finished.folder.masks.load(ours.name)
            if (before != mask).mean() <= UNSEEN:
                return
        seen = {value - 1 for value in np.unique(mask).tolist() if value not in (BACKGROUND, IGNORE)}
        tags = tuple(classes[number] for number in sorted(seen | set(ours.tags))) if seen - set(ours.tags) else None
        finished.folder.corrections.save(ours.name, Correction("corrected", tags), mask)
        different.append(ours.name)

    (runtime or Runtime(alone=True)).for_each_image("import-masks", take, pairs)
    said = (
        (Remark("warning", f"{len(strange)} images are not in the work folder, e.g. {strange[0]}"),) if strange else ()
    )
    return Imported(len(different), len(pairs) - len(different), (*theirs.remarks, *said))


def _values(theirs: Collection, finished: Finished, masks: Path) -> np.ndarray:
    """Return their value -> ours, uint8 [256]."""
    classes = finished.collection.classes
    values = np.arange(256, dtype=np.uint8)
    for number, name in enumerate(theirs.classes):
        if name not in classes:
            raise InputError(
                f"{masks}: has the class {name!r}, the work folder does not {did_you_mean(name, classes)}; rename it"
            )
        values[number + 1] = classes.index(name) + 1
    return values


def _by_name(finished: Finished) -> dict[str, TaggedImage]:
    """Return the images of the work folder by what other tools may call them; nothing that may mean two of them."""
    found: dict[str, dict[str, TaggedImage]] = {}
    for records in finished.collection.splits.values():
        for record in records:
            for form in _forms(record.name):
                found.setdefault(form, {})[record.name] = record
    return {form: next(iter(meant.values())) for form, meant in found.items() if len(meant) == 1}


def _called(name: str, known: dict[str, TaggedImage]) -> TaggedImage | None:
    return next((known[form] for form in _forms(name) if form in known), None)


def _forms(name: str) -> tuple[str, ...]:
    """Return what an image may be called: tools keep its folders, make them a part of its name, or drop them.

    Example:
        >>> _forms("garden/cat 1")
        ('garden/cat 1', 'garden_cat 1', 'cat 1')
    """
    return name, name.replace("/", "_"), PurePosixPath(name).name
