"""A work folder in which something is finished: its settings, and the collection it was made from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from affinitynet.config.adaptation import adapted
from affinitynet.config.config_file import read_config, stored_data, stored_tags
from affinitynet.config.settings import PipelineConfig
from affinitynet.data.collection import Collection, open_collection
from affinitynet.data.corrections import corrected, lost_corrections
from affinitynet.data.drawn_masks import teaching
from affinitynet.errors import InputError
from affinitynet.work.folder import WorkFolder

MADE = {
    "make-masks": "has no finished masks; run `affinitynet run` first",
    "check-data": "was not begun; run `affinitynet train-classifier` first",
    "train-classifier": "has no trained classifier; run `affinitynet train-classifier` first",
}
"""What is said where a stage has not finished."""


@dataclass(frozen=True)
class Finished:
    """What a work folder holds and was made from.

    Args:
        folder: where the artifacts are.
        config: the settings they were made with, with what was left open filled in.
        given: the settings as they were given.
        collection: without what was skipped.
        split: name of the split that was trained on.
        tags: the table of tags, if it is not the collection's own.
        lost: says how many corrections are of images that are not there any more.
    """

    folder: WorkFolder
    config: PipelineConfig
    given: PipelineConfig
    collection: Collection
    split: str
    tags: str | None = None
    lost: str = ""


def open_finished(work: Path | str, data: Path | str | None = None, stage: str = "make-masks") -> Finished:
    """Open a work folder in which ``stage`` has finished.

    Args:
        data: the folder of the collection, if it has moved since.

    Raises:
        InputError: the stage has not finished, or the collection is no longer where it was.
    """
    folder = WorkFolder(Path(work))
    record = folder.records().get(stage)
    if record is None or not record.finished:
        raise InputError(f"--work {work}: {MADE[stage]}")
    config = read_config(folder.config_file, PipelineConfig())
    tags = stored_tags(folder.config_file)
    source = data or stored_data(folder.config_file) or ""
    collection = open_collection(source, config.classes, config.on_error, tags, config.split)
    split = config.split or collection.default_split
    checked = (
        teaching(corrected(collection, folder.corrections), split, config)
        .without(folder.left_out())
        .with_values(folder.values())
    )
    lost = lost_corrections(collection, folder.corrections)
    return Finished(folder, adapted(config, folder.plan()), config, checked, split, tags, lost)
