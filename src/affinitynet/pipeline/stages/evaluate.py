"""How good each step is: mIoU of CAM, CAM + CRF and random walk against ground truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from threading import Lock

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from affinitynet.data.images import load_image
from affinitynet.data.transforms import reduced
from affinitynet.files import load_arrays
from affinitynet.inference.tagged import MaskPredictor
from affinitynet.ops.decision import decide, enlarge
from affinitynet.ops.metrics import mean_iou
from affinitynet.pictures.contact_sheet import write_contact_sheet
from affinitynet.pipeline.context import Context, load_cams
from affinitynet.pipeline.stages.make_masks import load_walk
from affinitynet.records import TaggedImage
from affinitynet.work.metrics import (
    BEST_CAM,
    CAM,
    CAM_CRF,
    SEGMENTER,
    WALK,
    WALK_CRF,
    confusion,
    numbers,
    write_metrics,
)

THRESHOLDS = tuple(round(0.05 * i, 2) for i in range(1, 17))
"""Background scores among which the best one for the class activation maps is looked up."""


def evaluate(context: Context) -> None:
    """Write ``metrics.json`` (split -> step -> numbers), the same as ``metrics.csv``, and ``contact_sheet.png``.

    Raises:
        InputError: a mask of the ground truth does not fit its image.
    """
    metrics = {split: _evaluate_split(context, split) for split in context.collection.evaluation_splits}
    write_metrics(context.work.metrics_file, metrics)
    write_contact_sheet(context.work, context.collection, context.split, context.config.longest_side)


def _evaluate_split(context: Context, split: str) -> dict[str, dict]:
    records = [record for record in context.collection.split(split) if record.mask is not None]
    matrices: dict[str | float, Tensor] = {}
    lock = Lock()

    def add(record: TaggedImage) -> None:
        truth = context.collection.mask(record)
        for step, mask in _predictions(context, record):
            matrix = confusion(enlarge(mask, truth.shape), truth, len(context.collection.classes) + 1)
            with lock:
                matrices[step] = matrices.get(step, 0) + matrix

    context.runtime.for_each_image(f"evaluate {split}", add, records)
    best = max(THRESHOLDS, key=lambda threshold: mean_iou(matrices[threshold])[0])
    found = {step: numbers(matrix, context.collection.classes, len(records)) for step, matrix in matrices.items()}
    return {
        CAM: {"threshold": context.config.evaluate.cam_threshold, **found[CAM]},
        BEST_CAM: {"threshold": best, **found[best]},
        **{step: found[step] for step in (CAM_CRF, WALK, WALK_CRF, SEGMENTER) if step in found},
    }


def _predictions(context: Context, record: TaggedImage) -> Iterator[tuple[str | float, np.ndarray]]:
    """Yield (step, mask uint8) for every step, and (threshold, mask) for the sweep, at the size they were made at."""
    work, config = context.work, context.config
    cams = load_cams(work, record.name)
    classes = cams.classes.tolist()
    strongest = cams.scores.max(0, initial=0)
    foreground = decide(torch.from_numpy(np.concatenate([np.full_like(strongest, -1)[None], cams.scores])), classes)
    yield CAM, np.where(strongest > config.evaluate.cam_threshold, foreground, 0)
    for threshold in THRESHOLDS:
        yield threshold, np.where(strongest > threshold, foreground, 0)
    seeds = load_arrays(work.artifact("seeds", record.name))
    yield CAM_CRF, decide(torch.from_numpy(seeds["low"].astype(np.float32)), classes)
    if (segmented := work.artifact("segmented", record.name)).exists():
        yield SEGMENTER, np.asarray(Image.open(segmented))
    masks = np.asarray(Image.open(work.artifact("masks", record.name)))
    if not config.masks.crf:
        yield WALK, masks
        return
    plain = replace(config.masks, crf=False)
    walk = load_walk(context, record.name)[1]
    image = load_image(record.path)
    scores = MaskPredictor(None, None, config).full_scores(reduced(image, config.longest_side), walk, plain)
    yield WALK, decide(scores, classes, image.shape[:2])
    yield WALK_CRF, masks
