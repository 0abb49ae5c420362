"""How well settings of walk and masks fit ground truth: masks are decided as ``make-masks`` decides them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch

from affinitynet.config.adaptation import given
from affinitynet.data.transforms import reduced_size
from affinitynet.inference.links import load_pair_network
from affinitynet.inference.refine import mask_scores
from affinitynet.inference.tagged import MaskPredictor
from affinitynet.ops.decision import decide
from affinitynet.ops.metrics import mean_iou
from affinitynet.pipeline.context import Context
from affinitynet.records import TaggedImage, Walk
from affinitynet.tools.tune.setting import Setting
from affinitynet.work.metrics import confusion

RESAMPLES = 500
"""Draws of the bootstrap over images."""


def confusion_matrices(context: Context, records: Sequence[TaggedImage], settings: Sequence[Setting]) -> np.ndarray:
    """Measure every setting on every image.

    With the beta and t in use, the kept walks are decided again; other ones walk again. Processes share the images.

    Returns:
        int64 [settings, images, C + 1, C + 1].
    """
    labels = len(context.collection.classes) + 1
    matrices = np.zeros((len(settings), len(records), labels, labels), np.int64)
    predictors = _predictors(context, settings)

    def measure(number: int) -> None:
        record = records[number]
        truth = context.collection.mask(record)
        labelled_at = reduced_size((truth.shape[0], truth.shape[1]), context.config.longest_side)
        walks = {pair: _walk(context, record, predictor) for pair, predictor in predictors.items()}
        for row, setting in enumerate(settings):
            walk, config = walks[setting.beta, setting.steps], setting.applied_to(context.config)
            scores = mask_scores(walk, labelled_at, config.masks, config.crf, lambda: context.image(record))
            matrices[row, number] = confusion(decide(scores, walk.classes, truth.shape), truth, labels)

    context.runtime.for_each_image("tune", measure, context.runtime.processes.share(range(len(records))))
    return context.runtime.processes.total(matrices)


def _predictors(context: Context, settings: Iterable[Setting]) -> dict[tuple[float, int], MaskPredictor | None]:
    """Return a predictor for each beta and t; ``None`` for those in use, whose walks are kept."""
    config = context.config
    pairs = dict.fromkeys((setting.beta, setting.steps) for setting in settings)
    kept: dict[tuple[float, int], MaskPredictor | None] = {(config.walk.beta, config.walk.steps): None}
    others = [pair for pair in pairs if pair not in kept]
    if not others:
        return kept
    net = load_pair_network(context.work, config)
    configs = {pair: Setting(*pair, given(config.masks.alpha)).applied_to(config) for pair in others}
    return kept | {pair: MaskPredictor(None, net, chosen, context.runtime.device) for pair, chosen in configs.items()}


def _walk(context: Context, record: TaggedImage, predictor: MaskPredictor | None) -> Walk:
    if predictor is None:
        return context.work.walks.load(record.name)
    return predictor.walk(context.image(record), context.work.cams.load(record.name))


def miou(matrices: np.ndarray) -> float:
    """Return the mIoU of confusion matrices [images, C + 1, C + 1] together."""
    return mean_iou(torch.from_numpy(matrices.sum(0)))[0]


def resampled_gains(best: np.ndarray, present: np.ndarray, seed: int) -> tuple[float, tuple[float, float]]:
    """Draw the images again and again with replacement (the bootstrap), and compare two settings on them.

    Args:
        best, present: confusion matrices int64 [images, C + 1, C + 1].

    Returns:
        The share of the draws on which ``best`` has the higher mIoU, and the 2.5 and 97.5 percentile of its gain.
    """
    generator = torch.Generator().manual_seed(seed)
    draws = [torch.randint(len(best), (len(best),), generator=generator).numpy() for _ in range(RESAMPLES)]
    gains = np.array([miou(best[drawn]) - miou(present[drawn]) for drawn in draws])
    low, high = np.percentile(gains, (2.5, 97.5)).tolist()
    return float((gains > 0).mean()), (low, high)
