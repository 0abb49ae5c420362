"""Images above ``longest_side`` are labelled reduced, and their masks have the full size."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from affinitynet.data.images import load_image
from affinitynet.data.transforms import reduced
from affinitynet.files import load_arrays
from affinitynet.inference.tagged import MaskPredictor
from affinitynet.ops.decision import decide, enlarge
from affinitynet.pipeline.run import run_pipeline
from affinitynet.runtime.runtime import Runtime
from affinitynet.tools.report.report import write_report
from affinitynet.tools.tune.tune import tune_masks
from tests.support.worlds import QUICK

SIDE = 64
CONFIG = replace(QUICK, longest_side=SIDE)


@pytest.fixture(scope="module")
def made(world, tmp_path_factory):
    work = tmp_path_factory.mktemp("large") / "work"
    metrics = run_pipeline(world, work, CONFIG, workers=1)
    return world, work, metrics


def test_artifacts_are_small_and_masks_large(made):
    data, work, _ = made
    for path in (data / "images").iterdir():
        height, width = load_image(path).shape[:2]
        small = reduced(load_image(path), SIDE).shape[:2]
        assert max(small) == SIDE < max(height, width)
        assert load_arrays(work / "cams" / f"{path.stem}.npz")["scores"].shape[1:] == small
        assert load_arrays(work / "seeds" / f"{path.stem}.npz")["low"].shape[1:] == small
        assert Image.open(work / "masks" / f"{path.stem}.png").size == (width, height)


def test_all_that_follows_takes_them(made):
    _, work, metrics = made
    assert {step for steps in metrics.values() for step in steps} >= {"random walk"}
    assert tune_masks(work, betas=(4.0,), runtime=Runtime("cpu", workers=1)).images > 0
    assert write_report(work).exists()


def test_the_predictor_gives_the_masks_of_the_stages(made):
    data, work, _ = made
    name = "train_000"
    config = replace(CONFIG, masks=MaskPredictor.from_work(work).config.masks)
    run_pipeline(data, work, config, workers=1, force=True)
    rows = dict(line.split(",") for line in (data / "tags.csv").read_text(encoding="utf-8").split())
    image = load_image(data / "images" / f"{name}.jpg")
    found = MaskPredictor.from_work(work).predict(image, rows[f"{name}.jpg"].split(";"))
    stored = np.asarray(Image.open(work / "masks" / f"{name}.png"))
    assert found.mask.shape == image.shape[:2]
    assert max(found.scores.shape[1:]) == SIDE
    assert (found.mask == stored).mean() > 0.99  # the stages store the walk in float16


def test_enlarged_scores_decide_between_pixels():
    scores = torch.tensor([[[0.9, 0.1]], [[0.1, 0.9]]])
    assert decide(scores, [4], (1, 8)).tolist() == [[0, 0, 0, 0, 5, 5, 5, 5]]
    assert decide(scores, [4]).tolist() == [[0, 5]]


def test_nearest_pixels_of_odd_sizes():
    labels = np.arange(6).reshape(2, 3)
    picture = Image.fromarray(labels.astype(np.uint8)).resize((7, 5), Image.Resampling.NEAREST)
    assert (enlarge(labels, (5, 7)) == np.asarray(picture)).all()
