"""Masks against ground truth: the numbers that metrics.json holds."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from affinitynet.files import write_json, write_text

CAM, BEST_CAM, CAM_CRF = "CAM", "CAM at its best threshold", "CAM + CRF"
WALK, WALK_CRF = "random walk", "random walk + CRF"
SEGMENTER = "segmentation network, no tags"
"""The steps of the method, as ``metrics.json`` names them."""


def numbers(matrix: np.ndarray, classes: Sequence[str], images: int) -> dict[str, Any]:
    """Return what ``metrics.json`` says of a confusion matrix int64 [C + 1, C + 1] over ``images`` images.

    Example:
        >>> found = numbers(np.array([[3, 1], [0, 4]]), ["cat"], images=2)
        >>> found["miou"], found["precision"]["cat"], found["recall"]["background"]
        (0.775, 0.8, 0.75)
    """
    import torch

    from affinitynet.ops.metrics import mean_iou, pixel_accuracy, precision_recall

    names = ("background", *classes)
    counts = torch.from_numpy(matrix)
    miou, iou = mean_iou(counts)
    precision, recall = precision_recall(counts)
    per_class = {"iou": iou, "precision": precision, "recall": recall}
    return {
        "miou": miou,
        "pixel_accuracy": pixel_accuracy(counts),
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


def confusion(mask: np.ndarray, truth: np.ndarray, labels: int) -> np.ndarray:
    """Return the confusion matrix int64 [labels, labels] of a mask uint8 [H, W] and its ground truth."""
    import torch

    from affinitynet.ops.metrics import confusion_matrix

    found, expected = (torch.from_numpy(np.array(array)) for array in (mask, truth))
    return confusion_matrix(found, expected, labels).numpy()
