"""Masks that were corrected in another tool, back to the work folder they came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from scipy import ndimage

from affinitynet.data.collection import Collection, open_collection
from affinitynet.data.corrections import Correction
from affinitynet.data.images import image_size
from affinitynet.errors import InputError, LeftOut, Remark, did_you_mean
from affinitynet.records import BACKGROUND, IGNORE, TaggedImage
from affinitynet.runtime.runtime import Runtime
from affinitynet.tools.export.registry import exported_names
from affinitynet.tools.finished import Finished, open_finished
from affinitynet.tools.review.steps import Step, load_steps
from affinitynet.work.folder import save_left_out

UNSEEN, RIM = 0.001, 3
"""Share of an image's pixels that may differ without anybody having corrected them, in pieces that are narrower than
so many: other tools round outlines."""


@dataclass(frozen=True)
class Imported:
    """What became of a folder of masks.

    Args:
        corrected: images whose masks differ from those of the work folder.
        teaching: those of them that are trained on.
        same: images whose masks do not.
        left_out: what could not be taken.
        table: lists them, if there are any.
        remarks: what the user should know.
    """

    corrected: int
    teaching: int
    same: int
    left_out: tuple[LeftOut, ...]
    table: Path
    remarks: tuple[Remark, ...]


def import_masks(masks: Path, work: Path, *, data: Path | None = None, runtime: Runtime | None = None) -> Imported:
    """Take masks that were corrected in another tool as corrections: the next run learns from them.

    What differs from the masks of the work folder was corrected; a class that a mask has becomes a tag of its image.
    Images are found by their names. A mask that cannot be read, is not of its image's size, is one of several for an
    image, or shows nothing of an image that has tags is left out and listed. A correction that comes back as it was
    stays as it is.

    Args:
        masks: Folder in a form that `export` writes or a tool does: VOC, COCO, YOLO, CVAT, a folder with tags ...
        work: Work folder whose masks they were.
        data: The collection, if it has moved since; null: where it was.
        runtime: where progress is shown.

    Raises:
        InputError: the folder has no masks, other classes, none of the images, or no mask that can be taken.
    """
    finished = open_finished(work, data)
    theirs = open_collection(masks, on_error="skip")
    values = _values(theirs, finished, masks)
    pairs, twice, strange = _pairs(theirs, finished, masks)
    unfit = [LeftOut(name, "mask", f"{masks}: several masks may be that of {name}; keep one") for name in twice]
    different: list[str] = []
    same: list[str] = []

    def take(pair: tuple[TaggedImage, TaggedImage]) -> None:
        ours, other = pair
        try:
            mask = _fitting(values[theirs.mask(other)], ours, other)
            (different if _save(finished, ours, mask) else same).append(ours.name)
        except InputError as error:
            unfit.append(LeftOut(ours.name, "mask", str(error)))

    (runtime or Runtime(alone=True)).for_each_image("import-masks", take, pairs)
    left_out = (*theirs.left_out, *sorted(unfit, key=lambda left: left.name))
    if not different and not same:
        raise InputError(
            f"{masks}: none of its {len(pairs) + len(twice)} masks can be taken, e.g. {left_out[0].reason}"
        )
    table = finished.folder.corrections.root / "left_out.csv"
    table.unlink(missing_ok=True)  # an earlier call's
    if left_out:
        save_left_out(table, left_out)
    text = f"{len(strange)} images are not in the work folder, e.g. {strange[0]}" if strange else ""
    said = (Remark("warning", text),) if strange else ()
    teaching = len({record.name for record in finished.collection.split(finished.split)} & set(different))
    return Imported(len(different), teaching, len(same), left_out, table, (*theirs.remarks, *said))


def _pairs(
    theirs: Collection, finished: Finished, masks: Path
) -> tuple[list[tuple[TaggedImage, TaggedImage]], list[str], list[str]]:
    """Return (our image, theirs with its mask), the names of ours that several may be, and of theirs that none is.

    Raises:
        InputError: there is no mask, or none of an image of ours.
    """
    found = {record.name: record for records in theirs.splits.values() for record in records if record.truth}
    if not found:
        raise InputError(f"{masks}: has no masks; name the folder that the other tool wrote")
    meant = _meant(found, finished.collection)
    strange = [name for name in found if name not in meant]
    if not meant:
        raise InputError(
            f"{masks}: none of its {len(found)} images is in --work {finished.folder.root}, e.g. {strange[0]}; name "
            "another"
        )
    claims = Counter(image.name for image in meant.values())
    pairs = [(image, found[name]) for name, image in meant.items() if claims[image.name] == 1]
    return pairs, [name for name, number in claims.items() if number > 1], strange


def _fitting(mask: np.ndarray, ours: TaggedImage, other: TaggedImage) -> np.ndarray:
    if mask.shape != image_size(ours.path):
        raise InputError(f"{other.truth}: is not of the size of {ours.path}; export the image with it again")
    return mask


def _save(finished: Finished, image: TaggedImage, mask: np.ndarray) -> bool:
    """Keep a mask uint8 [H, W] as a correction, unless it is the one that the image has; return whether it was kept.

    Raises:
        InputError: nothing is in it, though the image has tags: nobody has annotated it.
    """
    corrections, classes = finished.folder.corrections, finished.collection.classes
    before = corrections.mask(image.name, classes)
    if before is None and image.name in finished.folder.masks:
        before = finished.folder.masks.load(image.name)
    if before is not None and not _differs(before, mask):
        return False
    seen = {value - 1 for value in np.unique(mask).tolist() if value not in (BACKGROUND, IGNORE)}
    if image.tags and not seen and IGNORE not in mask:
        tagged = ", ".join(classes[tag] for tag in image.tags)
        raise InputError(f"{image.name}: shows nothing, but is tagged {tagged}; annotate it, or take away its tags")
    tags = tuple(classes[number] for number in sorted(seen | set(image.tags)))
    said = corrections.load(image.name)
    if said.history is not None and before is not None:  # a step like those of the review, which can undo it
        steps = load_steps(corrections, image.name, tags, classes)
        steps.add(Step({"kind": "reset"}, tags, "corrected"), mask, before)
        return True
    retagged = said.tags is not None or seen - set(image.tags)
    corrections.save(image.name, Correction("corrected", tags if retagged else None, classes=classes), mask)
    return True


def _differs(before: np.ndarray, mask: np.ndarray) -> bool:
    """Return whether somebody has changed a mask [H, W], and not only a tool its outlines.

    Example:
        >>> before, after = np.zeros((2, 99, 99), np.uint8)
        >>> after[40, 20:25] = 1
        >>> rounded = _differs(before, after)
        >>> after[40:43, 20:23] = 1
        >>> rounded, _differs(before, after)
        (False, True)
    """
    different = before != mask
    return bool(different.mean() > UNSEEN or ndimage.binary_opening(different, np.ones((RIM, RIM), bool)).any())


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


def _meant(names: Iterable[str], ours: Collection) -> dict[str, TaggedImage]:
    """Return their names -> our images, where only one can be meant.

    Tools keep the folders of an image, make them a part of its name, put others before them, or drop them; and exports
    change some names.
    """
    whole: dict[str, dict[str, TaggedImage]] = {}
    bare: dict[str, dict[str, TaggedImage]] = {}
    for records in ours.splits.values():
        for record in records:
            for form in {record.name, record.name.replace("/", "_"), *exported_names(record.name, ours.splits)}:
                whole.setdefault(form, {})[record.name] = record
            bare.setdefault(PurePosixPath(record.name).name, {})[record.name] = record
    found = {}
    for name in names:
        candidates = [whole[form] for form in _forms(name) if form in whole]
        if "/" not in name and name in bare:  # with other folders it may be another image of that name
            candidates.append(bare[name])
        if candidates and len(candidates[0]) == 1:
            found[name] = next(iter(candidates[0].values()))
    return found


def _forms(name: str) -> list[str]:
    """Return what may be our name in theirs, the longest first.

    Example:
        >>> _forms("train/garden/cat 1")
        ['train/garden/cat 1', 'train_garden_cat 1', 'garden/cat 1', 'garden_cat 1', 'cat 1']
    """
    parts = name.split("/")
    endings = [parts[start:] for start in range(len(parts))]
    return list(dict.fromkeys(form for ending in endings for form in ("/".join(ending), "_".join(ending))))
