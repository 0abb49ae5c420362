"""What drawn masks choose: the strength of the background whose masks come closest to them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from affinitynet.config.adaptation import OF_THE_CLASSIFIER, Decision, given, is_open, seed_crf
from affinitynet.inference.refine import map_scores
from affinitynet.inference.tagged import MaskPredictor
from affinitynet.models.local_classifier import LocalClassifier
from affinitynet.ops.crf import DenseCRF
from affinitynet.ops.decision import decide
from affinitynet.ops.metrics import mean_iou
from affinitynet.pipeline.context import Context
from affinitynet.records import IGNORE, TaggedImage
from affinitynet.training.holdout import some_of_each_class
from affinitynet.work.metrics import confusion

LOW_ALPHAS = (0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0)
"""Strengths to choose from; where the classifier has learnt from drawn masks, its maps hardly go beyond an object, and
a high one fits."""

EACH, MOST = 20, 60
"""Drawn images that choose, of each class where there are many, and in all: enough for a difference of a point or two,
at one to ten seconds each."""


def choose_low_alpha(context: Context, model: LocalClassifier) -> None:
    """Decide ``seeds.low_alpha`` by drawn masks, where the dense CRF or the maps themselves make the masks.

    ``seeds.high_alpha`` stays as many times as high.

    Args:
        model: the trained classifier.
    """
    config = context.adapted.config
    if config.masks.source == "walk" or config.seeds.thresholds is not None or config.cams.from_folder is not None:
        return
    if not (is_open(context.given, "seeds.low_alpha") and is_open(context.given, "seeds.high_alpha")):
        return
    records = _drawn(context)
    if not records:
        return
    measured = _measure(context, model, records)
    low, high = given(config.seeds.low_alpha), given(config.seeds.high_alpha)
    alpha, because = closest(LOW_ALPHAS, measured, low)
    found = (("seeds.low_alpha", alpha), ("seeds.high_alpha", alpha * high / low))
    context.decide(Decision(setting, value, because, OF_THE_CLASSIFIER) for setting, value in found)


def closest(alphas: Sequence[float], measured: np.ndarray, usual: float) -> tuple[float, str]:
    """Return the strength whose masks come closest to the drawn ones, and why in words.

    Of those whose mIoU is not surely lower than the best one's, it is the nearest to the usual one: a few masks say
    little, and what has learnt from them fits them too well. Surely means by more than the standard error of the
    difference, the jackknife's over the images (Efron and Stein, Annals of Statistics 1981).

    Args:
        alphas: A strengths.
        measured: their confusion matrices int [A, N, C + 1, C + 1] on N drawn images, each with a pixel that is
            counted.
        usual: one of the strengths.

    Example:
        >>> better, worse = [[[9, 0], [1, 5]]], [[[9, 0], [4, 2]]]
        >>> closest([1.0, 2.0], np.array([worse * 5, better * 5]), usual=1.0)
        (2.0, 'on the 5 images that were drawn its masks agree better (mIoU 86.7 %) than those of the usual 1 (51.3 %)')
        >>> closest([1.0, 2.0], np.array([worse, better]), usual=1.0)
        (1.0, 'the only image that was drawn speaks for no other')
    """
    count = measured.shape[1]
    mious = dict(zip(alphas, (_miou(matrices.sum(0)) for matrices in measured), strict=True))
    matrices = dict(zip(alphas, measured, strict=True))
    best = max(mious, key=lambda alpha: mious[alpha])
    as_good = [a for a in alphas if mious[best] - mious[a] <= _standard_error(matrices[best], matrices[a])]
    chosen = min(as_good, key=lambda alpha: abs(math.log(alpha / usual)))
    if chosen != usual:
        better, worse = (f"{100 * mious[alpha]:.1f} %" for alpha in (chosen, usual))
        than = f"than those of the usual {usual:g} ({worse})"
        return chosen, f"on the {count} images that were drawn its masks agree better (mIoU {better}) {than}"
    many = f"the {count} images that were drawn speak" if count > 1 else "the only image that was drawn speaks"
    return usual, f"{many} for no other"


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
    """Return tagged images of whose drawn masks at least a pixel says something."""
    drawn = [record for record in context.training_images if record.drawn and not record.rejected]
    some = some_of_each_class(drawn, EACH, MOST, context.config.seed)
    return [record for record in some if (context.work.drawn.load(record.name) != IGNORE).any()]


def _measure(context: Context, model: LocalClassifier, records: Sequence[TaggedImage]) -> np.ndarray:
    """Compare the mask of each strength with the drawn one: confusion matrices int32 [A, N, C + 1, C + 1]."""
    config, labels = context.adapted.config, len(context.collection.classes) + 1
    predictor = MaskPredictor(model, None, config, context.runtime.device)
    measured = np.zeros((len(LOW_ALPHAS), len(records), labels, labels), np.int32)

    def compare(number: int) -> None:
        record = records[number]
        image, drawn = context.image(record), context.work.drawn.load(record.name)
        cams = predictor.cams(image, record.tags)
        crf = DenseCRF(torch.from_numpy(image.copy()).to(context.runtime.device), seed_crf(config))
        for row, alpha in enumerate(LOW_ALPHAS):
            scores = map_scores(cams, alpha)
            mask = decide(crf(scores) if config.masks.source == "crf" else scores, record.tags, drawn.shape)
            measured[row, number] = confusion(mask, drawn, labels)

    context.runtime.for_each_image(f"{OF_THE_CLASSIFIER}: drawn masks", compare, range(len(records)))
    return measured
