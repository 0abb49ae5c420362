"""Drawn masks choose the strength of the background."""

import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from affinitynet.config.settings import MaskConfig, SeedConfig
from affinitynet.files import read_label_image
from affinitynet.ops.decision import decide
from affinitynet.pipeline import drawn_alpha
from affinitynet.pipeline.drawn_alpha import closest
from affinitynet.pipeline.run import run_pipeline
from affinitynet.training import places
from affinitynet.work.folder import WorkFolder
from tests.support.worlds import QUICK, tags_of, tiny_world

LOCAL = replace(
    QUICK,
    classifier=replace(QUICK.classifier, maps="local"),
    masks=MaskConfig(source="crf"),
    learn_from="masks",
)
UNTIL_THE_SEEDS = ("check-data", "train-classifier", "make-cams", "make-seeds")
ALPHAS = (0.25, 0.5, 0.7, 1.0, 1.4, 2.0, 4.0)
BAD, GOOD = [[900, 40], [40, 20]], [[900, 10], [10, 50]]
CLASSES = 4


@pytest.fixture(autouse=True)
def _few_starts(monkeypatch):
    monkeypatch.setattr(places, "STARTS", 2)
    monkeypatch.setattr(places, "STEPS", 4)


def true_miou(data, masks):
    """Return the mIoU in percent of masks (name -> labels) with the ground truth, by counting in numpy."""
    truth = {name: read_label_image(data / "masks" / f"{name}.png") for name in masks}
    ious = []
    for label in range(CLASSES + 1):
        found = [(masks[name] == label)[truth[name] != 255] for name in masks]
        true = [(truth[name] == label)[truth[name] != 255] for name in masks]
        union = sum(int((a | b).sum()) for a, b in zip(found, true, strict=True))
        if union:
            ious.append(sum(int((a & b).sum()) for a, b in zip(found, true, strict=True)) / union)
    return 100 * float(np.mean(ious))


def plan_of(work):
    return {decision.setting: decision for decision in WorkFolder(work).plan()}


def tagged(data):
    """Return the tagged training images of a drawn world."""
    return [name for name, tags in tags_of(data).items() if tags and name.startswith("train")]


def found_with(work, name, alpha, source):
    """Return the mask of an image that follows from a strength, by the files of a run with it."""
    if source == "crf":
        seeds = WorkFolder(work).seeds.load(name)
        return decide(seeds.low, seeds.classes)
    cams = WorkFolder(work).cams.load(name)
    scores = cams.scores.numpy()
    labels = np.array([0, *(number + 1 for number in cams.classes)])
    return labels[np.stack([(1 - scores.max(0)) ** alpha, *scores]).argmax(0)]


@pytest.mark.parametrize("source", ["cams", "crf"])
def test_it_is_the_strength_whose_masks_are_closest(tmp_path, monkeypatch, source):
    data, work = tiny_world(tmp_path / "data"), tmp_path / "work"
    config = replace(LOCAL, masks=MaskConfig(source=source))
    monkeypatch.setattr(drawn_alpha, "LOW_ALPHAS", ALPHAS)
    monkeypatch.setattr(drawn_alpha, "_standard_error", lambda *_: 0.0)
    run_pipeline(data, work, config, stages=UNTIL_THE_SEEDS, workers=1)
    chosen, found = plan_of(work)["seeds.low_alpha"], {}
    made = {name: found_with(work, name, chosen.value, source) for name in tagged(data)}
    for alpha in ALPHAS:
        given = replace(config, seeds=SeedConfig(low_alpha=alpha, high_alpha=4 * alpha))
        run_pipeline(data, work, given, stages=UNTIL_THE_SEEDS, workers=1, force=True)
        masks = {name: found_with(work, name, alpha, source) for name in tagged(data)}
        found[alpha] = true_miou(data, masks)
        if alpha == chosen.value:
            assert all((made[name] == masks[name]).all() for name in masks)  # the seeds were made with it
    best = max(found, key=lambda alpha: found[alpha])
    assert chosen.value == best != 1.0
    assert plan_of(work)["seeds.high_alpha"].value == 4 * best
    assert f"the {len(tagged(data))} images" in chosen.because
    assert float(re.findall(r"[\d.]+(?= %)", chosen.because)[0]) == pytest.approx(found[best], abs=0.1)
    assert float(re.findall(r"[\d.]+(?= %)", chosen.because)[1]) == pytest.approx(found[1.0], abs=0.1)
    assert f"seeds.low_alpha = {best:.3g}" in (work / "log.txt").read_text()


@pytest.mark.parametrize(
    "changes",
    [
        {"seeds": SeedConfig(low_alpha=1.0)},
        {"seeds": SeedConfig(high_alpha=4.0)},
        {"seeds": SeedConfig(thresholds=(0.05, 0.3))},
        {"masks": MaskConfig(source="walk")},
        {"learn_from": "drawn"},
        {"classifier": QUICK.classifier},
    ],
    ids=["given low", "given high", "thresholds", "a walk makes the masks", "nothing was drawn", "the paper's maps"],
)
def test_otherwise_nothing_is_measured(tmp_path, monkeypatch, changes):
    def measure(*_):
        raise AssertionError("nothing is to be measured")

    monkeypatch.setattr(drawn_alpha, "_measure", measure)
    data, work = tiny_world(tmp_path / "data"), tmp_path / "work"
    run_pipeline(data, work, replace(LOCAL, **changes), stages=UNTIL_THE_SEEDS[:2], workers=1)
    assert "images that were drawn" not in (work / "log.txt").read_text()


def test_masks_in_which_nothing_is_said_choose_nothing(tmp_path):
    data, work = tiny_world(tmp_path / "data"), tmp_path / "work"
    (data / "drawn").mkdir()
    for name in tagged(data):
        mask = np.full_like(read_label_image(data / "masks" / f"{name}.png"), 255)
        Image.fromarray(mask).save(data / "drawn" / f"{name}.png")
    run_pipeline(data, work, replace(LOCAL, learn_from="drawn"), stages=UNTIL_THE_SEEDS[:2], workers=1)
    assert plan_of(work)["seeds.low_alpha"].because == "maps of probabilities"
    assert (work / "classifier.safetensors").exists()


def test_a_few_images_that_disagree_change_nothing():
    first = [[[900, 60 - hit], [60 - hit, hit]] for hit in (10, 50, 20, 45, 15, 40)]
    second = [[[900, 60 - hit], [60 - hit, hit]] for hit in (50, 12, 48, 20, 44, 16)]
    assert closest((1.0, 2.0), np.array([first, second]), 1.0) == (
        1.0,
        "the 6 images that were drawn speak for no other",
    )
    assert closest((1.0, 2.0), np.array([first, second]), 2.0)[0] == 2.0


def test_a_small_gain_that_all_images_agree_on_is_taken():
    better = [[902, 8], [9, 51]]
    assert closest((1.0, 2.0), np.array([[GOOD] * 6, [better] * 6]), 1.0)[0] == 2.0
    assert closest((1.0, 2.0), np.array([[GOOD], [better]]), 1.0)[0] == 1.0  # a single image may be anything


def test_of_those_that_are_as_good_it_is_the_nearest_to_the_usual_one():
    """The farthest is better by what one image of six says against the five others."""
    good = np.array([GOOD] * 6)
    farthest = good + np.array([[[0, 5], [5, -5]]] * 5 + [[[0, -10], [-10, 35]]])
    assert farthest.sum(0)[1, 1] > good.sum(0)[1, 1]
    measured = np.array([[BAD] * 6, good, farthest])
    assert closest((1.0, 2.0, 8.0), measured, 1.0)[0] == 2.0
    measured[2] = good + np.array([[0, -5], [-5, 5]])
    assert closest((1.0, 2.0, 8.0), measured, 1.0)[0] == 8.0
