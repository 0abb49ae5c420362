"""What drawn masks choose: the background strength, and the step, whose masks come closest to them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import torch

from affinitynet.config.adaptation import Decision, given, is_open, seed_crf
from affinitynet.inference.links import PairNetwork
from affinitynet.inference.refine import map_scores, mask_scores
from affinitynet.inference.tagged import MaskPredictor
from affinitynet.models.local_classifier import LOCAL, LocalClassifier
from affinitynet.ops.decision import decide, enlarge
from affinitynet.ops.metrics import mean_iou
from affinitynet.ops.seeds import confident_seeds
from affinitynet.pipeline.context import Context
from affinitynet.records import TaggedImage, Walk
from affinitynet.training.holdout import some_of_each_class
from affinitynet.work.metrics import confusion

LOW_ALPHAS = (0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0)
"""Strengths to choose from; where the classifier has learnt from drawn masks, its maps hardly go beyond an object, and
a high one fits."""

HIGH = 4.0
"""The high strength is so many times the low one."""

EACH, MOST = 20, 60
"""Drawn images that choose: of each class where there are many, and in all."""

Choice: TypeAlias = tuple[str, float]
"""A step and the strength of its background."""


def choose_low_alpha(context: Context, model: LocalClassifier) -> None:
    """Decide ``seeds.low_alpha`` by drawn masks, where the dense CRF or the maps themselves make the masks."""
    config, records = context.adapted.config, _drawn(context)
    source, usual = config.masks.source, given(config.seeds.low_alpha)
    open_ones = is_open(context.given, "seeds.low_alpha") and is_open(context.given, "seeds.high_alpha")
    if not records or source == "walk" or config.seeds.thresholds is not None or not open_ones:
        return
    predictor = MaskPredictor(model, None, config, context.runtime.device)

    def masks(record: TaggedImage) -> list[np.ndarray]:
        image = context.image(record)
        cams = predictor.cams(image, record.tags)
        if source == "cams":
            found = [map_scores(cams, alpha) for alpha in LOW_ALPHAS]
        else:
            pixels = torch.from_numpy(image.copy()).to(context.runtime.device)
            found = list(confident_seeds(pixels, cams.scores, LOW_ALPHAS, seed_crf(config)))
        return [decide(scores, record.tags) for scores in found]

    measured = _measure(
        context, "train-classifier: drawn masks", records, [(source, alpha) for alpha in LOW_ALPHAS], masks
    )
    (_, alpha), because = closest(measured, (source, usual))
    found = (("seeds.low_alpha", alpha), ("seeds.high_alpha", HIGH * alpha))
    context.decide(Decision(setting, value, because, "train-classifier") for setting, value in found)


def choose_walk(context: Context, network: PairNetwork, stage: str) -> None:
    """Decide by drawn masks with which strength the random walk makes the masks, and whether it does at all.

    Args:
        network: whose affinities are walked.
        stage: that has trained it.
    """
    config, records = context.config, _drawn(context)
    if not records or config.classifier.maps != LOCAL or config.masks.source != "walk":
        return
    if config.masks.threshold is not None or not is_open(context.given, "masks.alpha"):
        return
    predictor = MaskPredictor(None, network, config, context.runtime.device)
    without = [("crf", given(config.seeds.low_alpha))] if is_open(context.given, "masks.source") else []
    choices: list[Choice] = [*(("walk", alpha) for alpha in config.walk.alphas), *without]

    def mask(record: TaggedImage, image: np.ndarray, walk: Walk, choice: Choice) -> np.ndarray:
        source, alpha = choice
        if source == "crf":
            return decide(context.work.seeds.load(record.name).low, record.tags)
        masks = replace(config.masks, alpha=alpha)
        return decide(mask_scores(walk, image.shape[:2], masks, config.crf, lambda: image), record.tags)

    def masks(record: TaggedImage) -> list[np.ndarray]:
        image = context.image(record)
        walk = predictor.walk(image, context.work.cams.load(record.name))
        return [mask(record, image, walk, choice) for choice in choices]

    measured = _measure(context, f"{stage}: drawn masks", records, choices, masks)
    (source, alpha), because = closest(measured, ("walk", given(config.masks.alpha)))
    found = Decision("masks.source", source, because, stage)
    context.decide([found if source == "crf" else Decision("masks.alpha", alpha, because, stage)])


def closest(measured: Mapping[Choice, np.ndarray], usual: Choice) -> tuple[Choice, str]:
    """Return the choice whose masks come closest to the drawn ones, and why in words.

    Of those whose mIoU is not surely lower than the best one's, it is the nearest to the usual one: a few masks say
    little, and what has learnt from them fits them too well. Surely means by more than the standard error of the
    difference, the jackknife's over the images (Efron and Stein, Annals of Statistics 1981).

    Args:
        measured: choice -> confusion matrices int [N, C + 1, C + 1] of N drawn images.
        usual: one of them.

    Example:
        >>> better, worse = [[[9, 0], [1, 5]]], [[[9, 0], [4, 2]]]
        >>> closest({("crf", 1.0): np.array(worse * 5), ("crf", 2.0): np.array(better * 5)}, ("crf", 1.0))
        (('crf', 2.0), '5 drawn masks are closer to its masks: mIoU 86.7 %, not 51.3 as with crf at 1')
        >>> closest({("crf", 1.0): np.array(worse), ("crf", 2.0): np.array(better)}, ("crf", 1.0))[1]
        'a drawn mask says nothing against it'
    """
    found = {choice: _miou(matrices.sum(0)) for choice, matrices in measured.items()}
    best = max(found, key=lambda choice: found[choice])
    nearest = sorted(found, key=lambda choice: (choice[0] != usual[0], abs(math.log(choice[1] / usual[1]))))
    chosen = next(c for c in nearest if found[best] - found[c] <= _standard_error(measured[best], measured[c]))
    count = len(measured[usual])
    if chosen == usual:
        return usual, f"{f'{count} drawn masks say' if count > 1 else 'a drawn mask says'} nothing against it"
    before = f"{100 * found[usual]:.1f} as with {usual[0]} at {usual[1]:g}"
    return chosen, f"{count} drawn masks are closer to its masks: mIoU {100 * found[chosen]:.1f} %, not {before}"


def _standard_error(first: np.ndarray, second: np.ndarray) -> float:
    """Return the jackknife's standard error of the difference in mIoU; infinite for a single image."""
    count = len(first)
    if count < 2:
        return math.inf
    totals = first.sum(0), second.sum(0)
    without = [_miou(totals[0] - one) - _miou(totals[1] - other) for one, other in zip(first, second, strict=True)]
    return float(np.std(without) * math.sqrt(count - 1))


def _miou(matrix: np.ndarray) -> float:
    return mean_iou(torch.from_numpy(matrix))[0]


def _drawn(context: Context) -> list[TaggedImage]:
    """Return the tagged images whose drawn masks choose."""
    drawn = [record for record in context.training_images if record.drawn and not record.rejected]
    return some_of_each_class(drawn, EACH, MOST, context.config.seed)


def _measure(
    context: Context,
    label: str,
    records: Sequence[TaggedImage],
    choices: Sequence[Choice],
    masks: Callable[[TaggedImage], list[np.ndarray]],
) -> dict[Choice, np.ndarray]:
    """Compare each choice's mask of each image with the drawn one: confusion matrices int64 [N, C + 1, C + 1]."""
    classes = len(context.collection.classes) + 1
    found: dict[str, list[np.ndarray]] = {}

    def compare(record: TaggedImage) -> None:
        drawn = context.work.drawn.load(record.name)
        found[record.name] = [confusion(enlarge(mask, drawn.shape), drawn, classes) for mask in masks(record)]

    context.runtime.for_each_image(label, compare, records)
    each = np.array([found[record.name] for record in records])
    return {choice: each[:, number] for number, choice in enumerate(choices)}
