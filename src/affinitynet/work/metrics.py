"""Masks against ground truth: the numbers that metrics.json holds."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from affinitynet.errors import InputError
from affinitynet.files import read_json, write_json, write_text

CAM, BEST_CAM, CAM_CRF = "CAM", "CAM at its best threshold", "CAM + CRF"
WALK, WALK_CRF = "random walk", "random walk + CRF"
MASKS = "masks"
SEGMENTER = "segmentation network, no tags"
"""The steps of the method, as ``metrics.json`` names them."""

_AGAIN = "delete it and run `affinitynet evaluate` again"

Shares: TypeAlias = dict[str, float]
"""Class name, "background" first -> share in [0, 1]; NaN where it is not defined."""


@dataclass(frozen=True)
class StepMetrics:
    """How good one step's masks are on a split.

    Args:
        miou: mean IoU over the classes that occur, in [0, 1].
        pixel_accuracy: share of the pixels with their own label.
        iou, precision, recall: of each class.
        images: number of images measured.
        confusion: pixels by true (row) and predicted (column) label.
        threshold: background score that the step was decided with, if it was a constant.
    """

    miou: float
    pixel_accuracy: float
    iou: Shares
    precision: Shares
    recall: Shares
    images: int
    confusion: list[list[int]]
    threshold: float | None = None

    @classmethod
    def of(cls, matrix: np.ndarray, classes: Sequence[str], images: int, threshold: float | None = None) -> StepMetrics:
        """Return what follows from a confusion matrix int64 [C + 1, C + 1] over ``images`` images.

        Example:
            >>> found = StepMetrics.of(np.array([[3, 1], [0, 4]]), ["cat"], images=2)
            >>> found.miou, found.precision["cat"], found.recall["background"]
            (0.775, 0.8, 0.75)
        """
        import torch

        from affinitynet.ops.metrics import mean_iou, pixel_accuracy, precision_recall

        counts, names = torch.from_numpy(matrix), ("background", *classes)
        miou, per_class = mean_iou(counts)
        iou, precision, recall = (
            dict(zip(names, values.tolist(), strict=True)) for values in (per_class, *precision_recall(counts))
        )
        return cls(miou, pixel_accuracy(counts), iou, precision, recall, images, matrix.tolist(), threshold)

    @property
    def without_truth(self) -> tuple[str, ...]:
        """Names of the classes, background aside, that the ground truth has no pixel of.

        Example:
            >>> StepMetrics.of(np.array([[3, 1], [0, 0]]), ["cat"], images=2).without_truth
            ('cat',)
        """
        names = list(self.iou)[1:]
        return tuple(name for name, row in zip(names, self.confusion[1:], strict=True) if not sum(row))

    @property
    def tells(self) -> bool:
        """Whether the numbers say anything: without a pixel of any class, empty masks would be perfect."""
        return len(self.without_truth) < len(self.iou) - 1

    def to_json(self) -> dict[str, Any]:
        """Return what ``metrics.json`` says of the step."""
        content = asdict(self)
        threshold = content.pop("threshold")
        return content if threshold is None else {"threshold": threshold, **content}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> StepMetrics:
        """Undo :meth:`to_json`; what JSON says with null was NaN."""
        shares = {key: {k: _number(v) for k, v in content[key].items()} for key in ("iou", "precision", "recall")}
        single = {key: _number(content[key]) for key in ("miou", "pixel_accuracy")}
        return cls(**{**content, **shares, **single})


Metrics: TypeAlias = dict[str, dict[str, StepMetrics]]
"""Split -> step of the method -> how good it is."""


def _number(share: float | None) -> float:
    return math.nan if share is None else share


def read_metrics(path: Path) -> Metrics:
    """Read ``metrics.json``; nothing was measured where there is none.

    Raises:
        InputError: it cannot be read.
    """
    content = read_json(path, _AGAIN) if path.exists() else {}
    try:
        return {
            split: {step: StepMetrics.from_json(found) for step, found in steps.items()}
            for split, steps in content.items()
        }
    except (AttributeError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not the metrics of a run ({error}); {_AGAIN}") from None


def steps_of(metrics: Metrics) -> list[str]:
    """Return the steps that were measured on any split, in their order.

    Example:
        >>> found = StepMetrics.of(np.array([[3, 1], [0, 0]]), ["cat"], images=2)
        >>> steps_of({"train": {"CAM": found}, "val": {"CAM": found, "masks": found}})
        ['CAM', 'masks']
    """
    return list(dict.fromkeys(step for steps in metrics.values() for step in steps))


def write_metrics(path: Path, metrics: Metrics) -> None:
    """Write metrics to a JSON file ``path`` and, as a table, to the CSV file beside it.

    The table has a row per split, step and class; class "all" holds the means.
    """
    write_json(
        path, {split: {step: found.to_json() for step, found in steps.items()} for split, steps in metrics.items()}
    )
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["split", "step", "class", "iou", "precision", "recall", "pixel_accuracy"])
    for split, steps in metrics.items():
        for step, found in steps.items():
            writer.writerow([split, step, "all", _digits(found.miou), "", "", _digits(found.pixel_accuracy)])
            for name in found.iou:
                shares = (found.iou[name], found.precision[name], found.recall[name])
                writer.writerow([split, step, name, *map(_digits, shares), ""])
    write_text(path.with_suffix(".csv"), table.getvalue())


NAMED = 5
"""Classes that a remark names."""


def truth_remark(split: str, found: StepMetrics) -> str:
    """Say which classes a split has no ground truth of; an empty string if it has some of each.

    Example:
        >>> found = StepMetrics.of(np.array([[3, 1], [0, 0]]), ["cat"], images=2)
        >>> truth_remark("val", found)[:71]
        'val: the ground truth of its 2 images has no pixel of any class, only 0'
    """
    missing = found.without_truth
    if not missing:
        return ""
    if not found.tells:
        return (
            f"{split}: the ground truth of its {found.images} images has no pixel of any class, only 0 (background) "
            "and 255, which is 'ignore': nothing can be measured; paint each class with its number"
        )
    more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
    return f"{split}: no ground truth of {', '.join(missing[:NAMED])}{more}: what the masks show of it counts as wrong"


def _digits(share: float) -> str:
    return "" if share != share else f"{share:.4f}"


def confusion(mask: np.ndarray, truth: np.ndarray, labels: int) -> np.ndarray:
    """Return the confusion matrix int64 [labels, labels] of a mask uint8 [H, W] and its ground truth."""
    import torch

    from affinitynet.ops.metrics import confusion_matrix

    found, expected = (torch.from_numpy(np.array(array)) for array in (mask, truth))
    return confusion_matrix(found, expected, labels).numpy()
