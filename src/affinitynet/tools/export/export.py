"""Exporting the masks of a work folder to the format of another tool."""

from __future__ import annotations

from pathlib import Path

from affinitynet.errors import InputError, did_you_mean
from affinitynet.runtime.runtime import Runtime
from affinitynet.tools.export.common import LabelledImages
from affinitynet.tools.export.formats import FORMATS
from affinitynet.tools.finished import open_finished


def export_masks(work: Path, target: Path, form: str, data: Path | None = None, runtime: Runtime | None = None) -> int:
    """Write the labelled images of a work folder and their masks.

    Args:
        work: a work folder whose ``make-masks`` has finished.
        target: a new folder.
        form: "voc", "coco", "yolo" or "huggingface".
        data: the folder of the collection, if it has moved since.

    Returns:
        The number of images written.

    Raises:
        InputError: the work folder has no masks, the target exists or the format is unknown.
    """
    if form not in FORMATS:
        raise InputError(f"--format {form}: unknown; known: {', '.join(FORMATS)} {did_you_mean(form, FORMATS)}")
    if target.exists() and any(target.iterdir() if target.is_dir() else [target]):
        raise InputError(f"--out {target}: exists already; choose a new folder")
    finished = open_finished(work, data)
    folder, collection = finished.folder, finished.collection
    chosen = (finished.split, *collection.evaluation_splits)
    splits = {name: collection.split(name) for name in dict.fromkeys(chosen)}
    missing = [r.name for records in splits.values() for r in records if r.name not in folder.masks]
    if missing:
        raise InputError(f"--work {work}: {len(missing)} masks are missing, e.g. of {missing[0]}; run make-masks again")
    FORMATS[form](
        LabelledImages(collection.classes, splits, folder.masks, (runtime or Runtime.alone()).progress), target
    )
    return sum(map(len, splits.values()))
