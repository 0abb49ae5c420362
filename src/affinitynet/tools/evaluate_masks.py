"""Any folder of masks against a collection's ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from affinitynet.data.collection import Collection, open_collection
from affinitynet.data.images import image_size, load_mask
from affinitynet.errors import InputError
from affinitynet.records import IGNORE, TaggedImage
from affinitynet.runtime.runtime import Runtime
from affinitynet.work.metrics import confusion, numbers


def measure_masks(
    masks: Path | str,
    data: Path | str,
    *,
    split: str | None = None,
    classes: Sequence[str] | None = None,
    runtime: Runtime | None = None,
) -> dict[str, dict]:
    """Measure a folder of masks, from wherever they are, against a data set's ground truth.

    Args:
        masks: folder with ``NAME.png`` of every measured image, 8 bit: 0 background, class + 1, in the order of
            ``classes``. 255 is no label here: a mask has to decide.
        data: a data set with ground truth.
        split: one of its splits; by default all that can be measured.
        classes: those to measure; by default all of the data set's.
        runtime: how to compute.

    Returns:
        split -> numbers, as in ``metrics.json``.

    Raises:
        InputError: a mask or the ground truth is missing, of another size, or holds an unknown value.
    """
    collection = open_collection(data, classes)
    if not Path(masks).is_dir():
        raise InputError(f"--masks {masks}: no such folder; name the one that holds NAME.png of every image")
    splits = (split,) if split else collection.evaluation_splits
    if not splits:
        raise InputError(f"--data {data}: has no ground-truth masks to measure against")
    return {name: _measure_split(Path(masks), collection, name, runtime or Runtime.alone()) for name in splits}


def _measure_split(folder: Path, collection: Collection, split: str, runtime: Runtime) -> dict:
    records = [record for record in collection.split(split) if record.mask is not None]
    if not records:
        raise InputError(f"--split {split}: {collection.root} has no ground-truth masks of it to measure against")
    missing = [record.name for record in records if not (folder / f"{record.name}.png").is_file()]
    if missing:
        raise InputError(
            f"--masks {folder}: lacks {len(missing)} of the {len(records)} masks of split {split} "
            f"(the first: {missing[0]}.png); make them, or name another --split"
        )
    labels = len(collection.classes) + 1
    matrices: list[Tensor] = []

    def measure(record: TaggedImage) -> None:
        path = folder / f"{record.name}.png"
        mask = load_mask(path, image_size(record.path))
        if mask.max(initial=0) >= labels:
            cure = "255 is no label here" if mask.max() == IGNORE else f"there are {len(collection.classes)} classes"
            raise InputError(f"{path}: holds value {mask.max()}, but {cure}; every pixel is 0 or a class + 1")
        matrices.append(confusion(mask, collection.mask(record), labels))

    runtime.for_each_image(f"evaluate {split}", measure, records)
    return numbers(torch.stack(matrices).sum(0), collection.classes, len(records))
