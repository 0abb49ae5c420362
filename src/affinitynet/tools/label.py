"""One shard of the labelling, by itself: for the job arrays of a cluster, whose tasks know nothing of each other."""

from __future__ import annotations

import re
from pathlib import Path

from affinitynet.errors import InputError
from affinitynet.runtime.processes import ALONE
from affinitynet.runtime.runtime import Runtime
from affinitynet.tools.finished import open_finished


def label_shard(
    work: Path, *, shard: str = "1/1", data: Path | None = None, missing: bool = False, runtime: Runtime | None = None
) -> list[str]:
    """Label a share of the images with the networks that a work folder has: for job arrays, without torchrun.

    Each shard makes the maps, seeds, walks and masks of its images as far as the networks for them are trained, and
    waits for no other. One that was killed is started again and goes on. When all have ended, the stages are finished,
    and `affinitynet run` does what is left, such as the next training.

    Args:
        work: Work folder with a trained classifier.
        shard: Which share of the images, of how many: 3/64 is the third of sixty-four.
        data: The collection, if it has moved since; null: where it was.
        missing: Only say which files are still missing, and to which shards they belong.
        runtime: how to compute.

    Returns:
        What was made or is missing.

    Raises:
        InputError: there is no such shard, no network to label with, or settings or images have changed since.
    """
    from affinitynet.pipeline.labelling import label, lacking, ready_stages
    from affinitynet.pipeline.run import open_context

    number, count = shard_of(shard)
    runtime = (runtime or Runtime()).by(ALONE)  # whatever the rank of this task is
    finished = open_finished(work, data, "check-data")
    context = open_context(finished.collection.root, finished.folder, finished.given, runtime, finished.tags)
    stages = ready_stages(context)
    if missing and stages:
        lines = [line for stage in stages if (line := lacking(context, stage, count)) is not None]
        return lines or ["nothing is missing"]
    if not stages:
        return ["nothing is left to label; `affinitynet run` does what is left"]
    images = label(context, stages, number - 1, count)
    return [f"shard {number}/{count}, {images} images: {', '.join(stage.name for stage in stages)}"]


def images_of(work: Path, shard: str, data: Path | None = None) -> list[str]:
    """Return the names of the images that a shard labels, with their tags or without.

    Raises:
        InputError: there is no such shard, or nothing has been checked in the work folder yet.
    """
    number, count = shard_of(shard)
    finished = open_finished(work, data, "check-data")
    collection, split = finished.collection, finished.split
    lists = (collection.targets(split), collection.unseen(split))
    return list(dict.fromkeys(record.name for images in lists for record in images[number - 1 :: count]))


def shard_of(text: str) -> tuple[int, int]:
    """Read which shard of how many.

    Raises:
        InputError: it is not written as 3/64, or there is no such shard.

    Example:
        >>> shard_of("3/64")
        (3, 64)
    """
    found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text.strip())
    number, count = (int(part) for part in found.groups()) if found else (0, 0)
    if not 1 <= number <= count:
        raise InputError(f"--shard {text}: has to be a shard like 3/64, from 1/64 to 64/64")
    return number, count
