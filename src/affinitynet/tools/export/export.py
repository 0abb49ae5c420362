"""Exporting the masks of a work folder to the format of another tool."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from affinitynet.errors import InputError, Remark, did_you_mean
from affinitynet.files import UNFINISHED, atomic_folder
from affinitynet.runtime.runtime import Runtime
from affinitynet.tools.export.common import LabelledImages
from affinitynet.tools.export.registry import FORMATS, formats_help
from affinitynet.tools.finished import open_finished


@dataclass(frozen=True)
class Exported:
    """What was exported.

    Args:
        images: their number.
        remarks: what was changed for the format, and what its reader should know.
    """

    images: int
    remarks: tuple[Remark, ...]


def export_masks(
    work: Path, out: Path, format: str, *, data: Path | None = None, runtime: Runtime | None = None
) -> Exported:
    """Write images and masks in the form that the tool that uses them next reads.

    Args:
        work: Work folder with finished masks.
        out: A new folder to write to.
        format: One of these: FORMATS.
        data: The collection, if it has moved since; null: where it was.
        runtime: where progress is shown.

    Raises:
        InputError: there is no such format, the work folder has no masks, ``out`` exists, a package that the format
            needs is not installed, or an image cannot be read.
    """
    if format not in FORMATS:
        raise InputError(
            f"--format {format}: unknown format; known: {', '.join(FORMATS)} {did_you_mean(format, FORMATS)}"
        )
    if any(item.name != UNFINISHED for item in out.iterdir()) if out.is_dir() else out.exists():
        raise InputError(f"--out {out}: exists already; choose a new folder")
    finished = open_finished(work, data)
    folder, collection = finished.folder, finished.collection
    chosen = (finished.split, *collection.evaluation_splits)
    splits = {name: collection.split(name) for name in dict.fromkeys(chosen)}
    every = {record.name: record for records in splits.values() for record in records}
    splits = {name: tuple(r for r in records if not r.rejected) for name, records in splits.items()}
    names = {name for name, record in every.items() if not record.rejected}
    missing = sorted(name for name in names if name not in folder.masks)
    if missing:
        raise InputError(f"--work {work}: {len(missing)} masks are missing, e.g. of {missing[0]}; run make-masks again")
    progress = (runtime or Runtime(alone=True)).progress
    labelled = LabelledImages(
        collection.classes,
        splits,
        folder.masks,
        progress,
        instances=folder.instances,
        corrections=folder.corrections,
    )
    if len(names) < len(every):
        labelled.problems.warn(f"{len(every) - len(names)} images whose masks were rejected are left out")
    if finished.lost:
        labelled.problems.warn(finished.lost)
    with atomic_folder(out) as unfinished:
        FORMATS[format](labelled, unfinished)
    return Exported(len(names), labelled.problems.remarks)


export_masks.__doc__ = (export_masks.__doc__ or "").replace("FORMATS", formats_help())  # for --help
