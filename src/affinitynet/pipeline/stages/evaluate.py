"""How good each step is: mIoU of CAM, CAM + CRF and random walk against ground truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from threading import Lock

import numpy as np
import torch
from torch import Tensor

from affinitynet.config.adaptation import given
from affinitynet.inference.refine import mask_scores
from affinitynet.ops.decision import decide, enlarge, foreground
from affinitynet.ops.metrics import confusion_at, mean_iou
from affinitynet.pictures.contact_sheet import write_contact_sheet
from affinitynet.pipeline.advice import say_advice
from affinitynet.pipeline.context import Context
from affinitynet.pipeline.history import note_history
from affinitynet.pipeline.measured_objects import measure_objects
from affinitynet.records import BACKGROUND, ScoreMaps, TaggedImage
from affinitynet.work.metrics import (
    BEST_CAM,
    CAM,
    CAM_CRF,
    MASKS,
    SEGMENTER,
    WALK,
    WALK_CRF,
    StepMetrics,
    confusion,
    truth_remark,
    write_metrics,
)

STEPS = (CAM, BEST_CAM, CAM_CRF, WALK, WALK_CRF, MASKS, SEGMENTER)
THRESHOLDS = tuple(round(0.05 * i, 2) for i in range(1, 17))
"""Background scores among which the best one for the class activation maps is looked up."""


def evaluate(context: Context) -> None:
    """Write ``metrics.json`` (split -> step -> numbers), the same as ``metrics.csv``, and ``contact_sheet.png``.

    ``history.csv`` gets a row for each split.

    Raises:
        InputError: a mask of the ground truth does not fit its image.
    """
    metrics = {split: _evaluate_split(context, split) for split in context.collection.evaluation_splits}
    write_metrics(context.work.metrics_file, metrics)
    for split, steps in metrics.items():
        if remark := truth_remark(split, next(iter(steps.values()))):
            context.runtime.progress.note(remark)
    note_history(context, metrics)
    measure_objects(context)
    write_contact_sheet(context.work, context.collection, context.split, context.config.longest_side)
    say_advice(context, metrics)


def _evaluate_split(context: Context, split: str) -> dict[str, StepMetrics]:
    records = context.collection.masked(split)
    matrices: dict[str | float, np.ndarray] = {}
    images: Counter[str | float] = Counter()
    labels, lock = len(context.collection.classes) + 1, Lock()
    unseen = {record.name for record in context.unseen_images}

    def add(record: TaggedImage) -> None:
        truth, cams = context.collection.mask(record), context.work.cams.load(record.name)
        seen = foreground(cams.scores, cams.classes)
        found = dict(_predictions(context, record, cams, seen))
        if record.name in unseen and record.name in context.work.segmented:
            found[SEGMENTER] = context.work.segmented.load(record.name)
        counted: dict[str | float, np.ndarray] = {
            step: confusion(enlarge(mask, truth.shape), truth, labels) for step, mask in found.items()
        } | _at_thresholds(seen, truth, labels)
        with lock:
            for step, matrix in counted.items():
                matrices[step] = matrices.get(step, 0) + matrix
                images[step] += 1

    context.runtime.for_each_image(f"evaluate {split}", add, records)
    best = max(THRESHOLDS, key=lambda threshold: mean_iou(torch.from_numpy(matrices[threshold]))[0])
    used = {CAM: given(context.config.evaluate.cam_threshold), BEST_CAM: best}
    keys = {step: best if step == BEST_CAM else step for step in STEPS}
    return {
        step: StepMetrics.of(matrices[key], context.collection.classes, images[key], used.get(step))
        for step, key in keys.items()
        if key in matrices
    }


def _at_thresholds(seen: tuple[Tensor, np.ndarray], truth: np.ndarray, num_labels: int) -> dict[float, np.ndarray]:
    """Return the confusion matrix of the activation maps, as strength and labels, at each of the thresholds."""
    strength, labels = seen
    strong, found = (torch.from_numpy(enlarge(array, truth.shape)) for array in (strength.numpy(), labels))
    matrices = confusion_at(THRESHOLDS, strong, found, torch.from_numpy(truth), num_labels)
    return dict(zip(THRESHOLDS, matrices.numpy(), strict=True))


def _predictions(
    context: Context, record: TaggedImage, cams: ScoreMaps, seen: tuple[Tensor, np.ndarray]
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (step, mask uint8) for every step with the tags, at the size it was made at.

    Args:
        seen: the strength of the activation maps and their labels.
    """
    work, config = context.work, context.config
    seeds = work.seeds.load(record.name)
    strength, labels = seen
    yield CAM, np.where(strength > given(config.evaluate.cam_threshold), labels, BACKGROUND)
    yield CAM_CRF, decide(seeds.low, seeds.classes)
    mask = work.masks.load(record.name)
    yield MASKS, mask
    if record.name not in work.walks:
        return
    plain, walk = replace(config.masks, crf=False), work.walks.load(record.name)
    scores = mask_scores(walk, cams.scores.shape[1:], plain, config.crf, lambda: context.image(record))
    yield WALK, decide(scores, walk.classes, mask.shape)
    if config.masks.crf and config.masks.source == "walk":
        yield WALK_CRF, work.first_masks.load(record.name)  # the network may have made the final mask anew
