"""Exporting the masks of a work folder to the format of another tool."""

from __future__ import annotations

from pathlib import Path

from affinitynet.errors import InputError, did_you_mean
from affinitynet.runtime.runtime import Runtime
from affinitynet.tools.export.common import LabelledImages
from affinitynet.tools.export.registry import FORMATS
from affinitynet.tools.finished import open_finished


def export_masks(
    work: Path, out: Path, format: str, *, data: Path | None = None, runtime: Runtime | None = None
) -> int:
    """Write images and masks in the layout of the tool that uses them next: VOC, COCO, YOLO, Hugging Face.

    CVAT and Label Studio import the COCO form.

    Args:
        work: Work folder with finished masks.
        out: A new folder to write to.
        format: voc: palette PNGs; coco: run-length encoded; yolo: polygons; huggingface: imagefolder of `datasets`.
        data: The collection, if it has moved since; null: where it was.
        runtime: where progress is shown.

    Returns:
        The number of images written.

    Raises:
        InputError: there is no such format, the work folder has no masks, or ``out`` exists.
    """
    if format not in FORMATS:
        raise InputError(
            f"--format {format}: unknown format; known: {', '.join(FORMATS)} {did_you_mean(format, FORMATS)}"
        )
    if out.exists() and any(out.iterdir() if out.is_dir() else [out]):
        raise InputError(f"--out {out}: exists already; choose a new folder")
    finished = open_finished(work, data)
    folder, collection = finished.folder, finished.collection
    chosen = (finished.split, *collection.evaluation_splits)
    splits = {name: collection.split(name) for name in dict.fromkeys(chosen)}
    missing = [r.name for records in splits.values() for r in records if r.name not in folder.masks]
    if missing:
        raise InputError(f"--work {work}: {len(missing)} masks are missing, e.g. of {missing[0]}; run make-masks again")
    FORMATS[format](
        LabelledImages(collection.classes, splits, folder.masks, (runtime or Runtime(alone=True)).progress), out
    )
    return sum(map(len, splits.values()))
