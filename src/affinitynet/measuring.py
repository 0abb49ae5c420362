"""Masks against ground truth: the numbers that metrics.json holds, for a step of the method or any folder of masks."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from affinitynet.data.datasets import Dataset, open_dataset
from affinitynet.data.images import image_size, load_mask
from affinitynet.data.store import write_json, write_text
from affinitynet.engine import for_each_image
from affinitynet.ops.metrics import confusion_matrix, mean_iou, pixel_accuracy, precision_recall
from affinitynet.progress import Reporter
from affinitynet.types import IGNORE, InputError, TaggedImage

CAM, BEST_CAM, CAM_CRF = "CAM", "CAM at its best threshold", "CAM + CRF"
WALK, WALK_CRF = "random walk", "random walk + CRF"
SEGMENTER = "segmentation network, no tags"
"""The steps of the method, as ``metrics.json`` names them."""


def numbers(matrix: Tensor, classes: Sequence[str], images: int) -> dict[str, Any]:
    """Return what ``metrics.json`` says of a confusion matrix int64 [C + 1, C + 1] over ``images`` images.

    Example:
        >>> found = numbers(torch.tensor([[3, 1], [0, 4]]), ["cat"], images=2)
        >>> found["miou"], found["precision"]["cat"], found["recall"]["background"]
        (0.775, 0.8, 0.75)
    """
    names = ("background", *classes)
    miou, iou = mean_iou(matrix)
    precision, recall = precision_recall(matrix)
    per_class = {"iou": iou, "precision": precision, "recall": recall}
    return {
        "miou": miou,
        "pixel_accuracy": pixel_accuracy(matrix),
        **{key: dict(zip(names, values.tolist(), strict=True)) for key, values in per_class.items()},
        "images": images,
        "confusion": matrix.tolist(),
    }


def write_metrics(path: Path, metrics: dict[str, dict[str, dict]]) -> None:
    """Write metrics (split -> step -> numbers) to a JSON file ``path`` and, as a table, to the CSV file beside it.

    The table has a row per split, step and class; class "all" holds the means.
    """
    write_json(path, metrics)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["split", "step", "class", "iou", "precision", "recall", "pixel_accuracy"])
    for split, steps in metrics.items():
        for step, found in steps.items():
            writer.writerow([split, step, "all", _digits(found["miou"]), "", "", _digits(found["pixel_accuracy"])])
            for name in found["iou"]:
                shares = (found[key][name] for key in ("iou", "precision", "recall"))
                writer.writerow([split, step, name, *map(_digits, shares), ""])
    write_text(path.with_suffix(".csv"), table.getvalue())


def _digits(share: float) -> str:
    return "" if share != share else f"{share:.4f}"


def measure_masks(
    masks: Path | str,
    data: Path | str,
    *,
    split: str | None = None,
    classes: Sequence[str] | None = None,
    workers: int = 1,
    report: Reporter | None = None,
) -> dict[str, dict]:
    """Measure a folder of masks, from wherever they are, against a data set's ground truth.

    Args:
        masks: folder with ``NAME.png`` of every measured image, 8 bit: 0 background, class + 1, in the order of
            ``classes``. 255 is no label here: a mask has to decide.
        data: a data set with ground truth.
        split: one of its splits; by default all that can be measured.
        classes: those to measure; by default all of the data set's.
        workers: masks in work at the same time.
        report: shows progress.

    Returns:
        split -> numbers, as in ``metrics.json``.

    Raises:
        InputError: a mask or the ground truth is missing, of another size, or holds an unknown value.
    """
    dataset = open_dataset(data, classes)
    if not Path(masks).is_dir():
        raise InputError(f"--masks {masks}: no such folder; name the one that holds NAME.png of every image")
    splits = (split,) if split else dataset.evaluation_splits
    if not splits:
        raise InputError(f"--data {data}: has no ground-truth masks to measure against")
    return {name: _measure_split(Path(masks), dataset, name, workers, report or Reporter()) for name in splits}


def _measure_split(folder: Path, dataset: Dataset, split: str, workers: int, report: Reporter) -> dict:
    records = [record for record in dataset.split(split) if record.mask is not None]
    if not records:
        raise InputError(f"--split {split}: {dataset.root} has no ground-truth masks of it to measure against")
    missing = [record.name for record in records if not (folder / f"{record.name}.png").is_file()]
    if missing:
        raise InputError(
            f"--masks {folder}: lacks {len(missing)} of the {len(records)} masks of split {split} "
            f"(the first: {missing[0]}.png); make them, or name another --split"
        )
    labels = len(dataset.classes) + 1
    matrices: list[Tensor] = []

    def measure(record: TaggedImage) -> None:
        path = folder / f"{record.name}.png"
        mask = load_mask(path, image_size(record.path))
        if mask.max(initial=0) >= labels:
            cure = "255 is no label here" if mask.max() == IGNORE else f"there are {len(dataset.classes)} classes"
            raise InputError(f"{path}: holds value {mask.max()}, but {cure}; every pixel is 0 or a class + 1")
        matrices.append(confusion(mask, dataset.mask(record), labels))

    label = f"evaluate {split}"
    for_each_image(measure, records, total=len(records), workers=workers, report=report, label=label)
    return numbers(torch.stack(matrices).sum(0), dataset.classes, len(records))


def confusion(mask: np.ndarray, truth: np.ndarray, labels: int) -> Tensor:
    """Return the confusion matrix int64 [labels, labels] of a mask uint8 [H, W] and its ground truth."""
    found, expected = (torch.from_numpy(np.array(array)) for array in (mask, truth))
    return confusion_matrix(found, expected, labels)
