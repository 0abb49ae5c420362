"""Masks that were corrected in another tool, back to the work folder they came from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from affinitynet.data.collection import Collection, open_collection
from affinitynet.data.corrections import Correction
from affinitynet.data.images import image_size
from affinitynet.errors import InputError, LeftOut, Remark, did_you_mean
from affinitynet.records import BACKGROUND, IGNORE, TaggedImage
from affinitynet.runtime.runtime import Runtime
from affinitynet.tools.finished import Finished, open_finished
from affinitynet.work.folder import save_left_out

UNSEEN = 0.001
"""Share of an image's pixels that may differ without anybody having corrected them: outlines are rounded."""


@dataclass(frozen=True)
class Imported:
    """What became of a folder of masks.

    Args:
        corrected: images whose masks differ from those of the work folder.
        same: images whose masks do not.
        left_out: masks that could not be taken.
        table: lists them, if there are any.
        remarks: what the user should know.
    """

    corrected: int
    same: int
    left_out: tuple[LeftOut, ...]
    table: Path
    remarks: tuple[Remark, ...]


def import_masks(masks: Path, work: Path, *, data: Path | None = None, runtime: Runtime | None = None) -> Imported:
    """Take masks that were corrected in another tool as corrections: the next run learns from them.

    What differs from the masks of the work folder was corrected; a class that a mask has becomes a tag of its image.
    Images are found by their names. A mask that cannot be read or is not of its image's size is left out and listed.

    Args:
        masks: Folder in a form that `export` writes or a tool does: VOC, COCO, YOLO, CVAT, a folder with tags ...
        work: Work folder whose masks they were.
        data: The collection, if it has moved since; null: where it was.
        runtime: where progress is shown.

    Raises:
        InputError: the folder has no masks, other classes, none of the images, or no mask that can be taken.
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
    unfit: list[LeftOut] = []

    def take(pair: tuple[TaggedImage, TaggedImage]) -> None:
        ours, other = pair
        try:
            mask = values[theirs.mask(other)]
            if mask.shape != image_size(ours.path):
                raise InputError(f"{other.truth}: is not of the size of {ours.path}; export the image with it again")
        except InputError as error:
            unfit.append(LeftOut(ours.name, "mask", str(error)))
            return
        if _save(finished, ours, mask):
            different.append(ours.name)

    (runtime or Runtime(alone=True)).for_each_image("import-masks", take, pairs)
    unfit.sort(key=lambda left: left.name)
    if len(unfit) == len(pairs):
        raise InputError(f"{masks}: none of its {len(pairs)} masks can be taken, e.g. {unfit[0].reason}")
    table = finished.folder.corrections.root / "left_out.csv"
    table.unlink(missing_ok=True)  # an earlier call's
    if unfit:
        save_left_out(table, unfit)
    said = (
        (Remark("warning", f"{len(strange)} images are not in the work folder, e.g. {strange[0]}"),) if strange else ()
    )
    same = len(pairs) - len(different) - len(unfit)
    return Imported(len(different), same, tuple(unfit), table, (*theirs.remarks, *said))


def _save(finished: Finished, image: TaggedImage, mask: np.ndarray) -> bool:
    """Keep a mask uint8 [H, W] as a correction, unless it is the one that the image has; return whether it was kept."""
    if image.name in finished.folder.masks:
        before = finished.folder.masks.load(image.name)
        if (before != mask).mean() <= UNSEEN:
            return False
    seen = {value - 1 for value in np.unique(mask).tolist() if value not in (BACKGROUND, IGNORE)}
    known, classes = set(image.tags), finished.collection.classes
    tags = tuple(classes[number] for number in sorted(seen | known)) if seen - known else None
    finished.folder.corrections.save(image.name, Correction("corrected", tags), mask)
    return True


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
