"""Labelling strip by strip: the masks of the whole image, in memory that does not grow with the classes."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from affinitynet.config.settings import PredictConfig
from affinitynet.inference import strips
from affinitynet.inference.untagged import SegmentationPredictor
from affinitynet.models.segmenter import ARCHITECTURES, Segmenter
from affinitynet.ops.decision import labels_at

CLASSES = ["a", "b", "c", "d"]


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


class Largest(TorchDispatchMode):
    """Notes the numbers of the largest map, or stack of maps, that anything makes; weights are small squares."""

    numbers = 0

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        made = function(*arguments, **(options or {}))
        if isinstance(made, torch.Tensor) and made.ndim > 2 and made.shape[-1] > 9:
            self.numbers = max(self.numbers, made.numel())
        return made


@pytest.mark.parametrize("finds_tags", [False, True])
@pytest.mark.parametrize("architecture", [*ARCHITECTURES, "LargeFOV"])
def test_rows_of_every_architecture_are_those_of_the_whole(architecture, finds_tags, monkeypatch):
    torch.manual_seed(0)
    model = Segmenter(architecture, "lite", CLASSES, finds_tags=finds_tags).eval()
    predictor = SegmentationPredictor(model, PredictConfig((1.0, 0.6), crf=False, precision="float32"))
    image = noise(140, 100)
    whole = predictor.scores(image)
    monkeypatch.setattr(strips, "STRIP_NUMBERS", 5 * 100 * 13)  # 13 rows at a time, which do not divide the height
    torch.testing.assert_close(predictor.scores(image), whole, atol=1e-5, rtol=1e-4)
    assert (predictor.predict(image) == labels_at(whole, (140, 100))).mean() > 0.999


def test_bfloat16_is_rounded_in_strips_as_in_the_whole(monkeypatch):
    torch.manual_seed(0)
    predictor = SegmentationPredictor(
        Segmenter("DeepLabV3Plus", "lite", CLASSES).eval(), PredictConfig(crf=False, precision="bfloat16")
    )
    image = noise(140, 100)
    whole = predictor.scores(image)
    monkeypatch.setattr(strips, "STRIP_NUMBERS", 5 * 100 * 13)
    assert (predictor.scores(image) - whole).abs().median() < 1e-6
    assert (predictor.predict(image) == labels_at(whole, (140, 100))).mean() > 0.999


@pytest.mark.parametrize("architecture", ["DeepLabV3Plus", "Unet", "LargeFOV"])
def test_memory_does_not_grow_with_the_classes(architecture, monkeypatch):
    monkeypatch.setattr(strips, "STRIP_NUMBERS", 2**14)
    monkeypatch.setattr("affinitynet.ops.decision.BAND_NUMBERS", 2**14)
    largest = []
    for count in (2, 120):
        model = Segmenter(architecture, "lite", [str(i) for i in range(count)], finds_tags=True).eval()
        predictor = SegmentationPredictor(model, PredictConfig(longest_side=160, crf=False))
        with Largest() as seen:
            predictor.predict(noise(240, 320))
        largest.append(seen.numbers)
    assert largest[0] == largest[1] < 121 * 120 * 160


@pytest.mark.parametrize("crf", [False, True])
def test_predict_and_scores_agree_on_enlarged_masks(crf, monkeypatch):
    torch.manual_seed(1)
    predictor = SegmentationPredictor(
        Segmenter("LargeFOV", "lite", CLASSES).eval(), PredictConfig(longest_side=96, crf=crf, precision="float32")
    )
    image = noise(200, 310)
    monkeypatch.setattr(strips, "STRIP_NUMBERS", 5 * 96 * 7)
    assert (predictor.predict(image) == labels_at(predictor.scores(image), (200, 310))).all()
