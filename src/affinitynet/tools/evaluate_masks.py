"""Any folder of masks against a collection's ground truth."""

from __future__ import annotations

from pathlib import Path
from threading import Lock

import numpy as np

from affinitynet.data.collection import Collection, open_collection
from affinitynet.data.images import image_size
from affinitynet.data.masks import load_mask
from affinitynet.errors import InputError
from affinitynet.records import IGNORE, TaggedImage
from affinitynet.runtime.runtime import Runtime
from affinitynet.work.metrics import StepMetrics, confusion, write_metrics


def measure_masks(
    masks: Path,
    data: Path,
    *,
    tags: Path | None = None,
    split: str | None = None,
    classes: tuple[str, ...] | None = None,
    out: Path | None = None,
    runtime: Runtime | None = None,
) -> dict[str, StepMetrics]:
    """Measure a folder of masks, wherever they come from, against a collection's ground truth.

    IoU, precision and recall of each class. Every image of the split needs its NAME.png.

    Args:
        masks: Folder of NAME.png, 8 bit: 0 background, class + 1. 255 is not a label here: a mask has to decide.
        data: Collection with ground-truth masks.
        tags: Table of tags, if it is not in --data under its usual name.
        split: Split to measure; null: all that have ground truth.
        classes: Classes to measure, separated by commas, in the order of their mask values; null: all.
        out: Folder to write metrics.json and metrics.csv to; null: only print.
        runtime: how to compute.

    Returns:
        split -> how good its masks are.

    Raises:
        InputError: a mask or the ground truth is missing, of another size, or holds an unknown value.
    """
    collection = open_collection(data, classes, tags=tags, split=split)
    if not Path(masks).is_dir():
        raise InputError(f"--masks {masks}: no such folder; name the one that holds NAME.png of every image")
    runtime = runtime or Runtime(alone=True)
    for remark in collection.remarks:
        runtime.progress.say(f"note: {remark.text}")
    splits = (split,) if split else collection.evaluation_splits
    if not splits:
        raise InputError(f"--data {data}: has no ground-truth masks to measure against")
    found = {name: _measure_split(Path(masks), collection, name, runtime) for name in splits}
    if out is not None:
        write_metrics(out / "metrics.json", {name: {"masks": measured} for name, measured in found.items()})
    return found


def _measure_split(folder: Path, collection: Collection, split: str, runtime: Runtime) -> StepMetrics:
    records = collection.masked(split)
    if not records:
        raise InputError(f"--split {split}: {collection.root} has no ground-truth masks of it to measure against")
    missing = [record.name for record in records if not (folder / f"{record.name}.png").is_file()]
    if missing:
        raise InputError(
            f"--masks {folder}: lacks {len(missing)} of the {len(records)} masks of split {split} "
            f"(the first: {missing[0]}.png); make them, or name another --split"
        )
    labels = len(collection.classes) + 1
    total, lock = np.zeros((labels, labels), np.int64), Lock()

    def measure(record: TaggedImage) -> None:
        path = folder / f"{record.name}.png"
        mask = load_mask(path, image_size(record.path))
        if mask.max(initial=0) >= labels:
            cure = "255 is not a label here" if mask.max() == IGNORE else f"there are {len(collection.classes)} classes"
            raise InputError(f"{path}: holds value {mask.max()}, but {cure}; every pixel is 0 or a class + 1")
        found = confusion(mask, collection.mask(record), labels)
        with lock:
            np.add(total, found, out=total)

    runtime.for_each_image(f"evaluate {split}", measure, records)
    return StepMetrics.of(total, collection.classes, len(records))
