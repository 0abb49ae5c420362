"""Drawn masks choose the strength of the background, and whether the random walk makes the masks."""

from dataclasses import replace

import numpy as np
import pytest

from affinitynet.config.settings import MaskConfig, SeedConfig, WalkConfig
from affinitynet.files import read_label_image
from affinitynet.ops.decision import decide
from affinitynet.pipeline import drawn_choices
from affinitynet.pipeline.drawn_choices import closest
from affinitynet.pipeline.run import run_pipeline
from affinitynet.training import places
from affinitynet.work.folder import WorkFolder
from tests.support.worlds import QUICK, tags_of, tiny_world

LOCAL = replace(QUICK, classifier=replace(QUICK.classifier, maps="local"), masks=MaskConfig(), learn_from="masks")
UNTIL_THE_WALK = ("check-data", "train-classifier", "make-cams", "make-seeds", "train-affinity")
USUAL, OTHER = ("crf", 1.0), ("crf", 2.0)
ALPHAS = (0.25, 0.5, 0.7, 1.0, 1.4, 2.0, 4.0)


@pytest.fixture(autouse=True)
def _few_starts(monkeypatch):
    monkeypatch.setattr(places, "STARTS", 2)
    monkeypatch.setattr(places, "STEPS", 4)


def true_miou(data, masks):
    """Return the mIoU in percent of masks (name -> labels) with the ground truth, by counting in numpy."""
    truth = {name: read_label_image(data / "masks" / f"{name}.png") for name in masks}
    ious = []
    for label in range(5):
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


def test_the_strength_of_the_crf_is_the_one_whose_masks_are_closest(tmp_path, monkeypatch):
    data, work = tiny_world(tmp_path / "data"), tmp_path / "work"
    monkeypatch.setattr(drawn_choices, "LOW_ALPHAS", ALPHAS)
    monkeypatch.setattr(drawn_choices, "_standard_error", lambda *_: 0.0)
    config = replace(LOCAL, masks=MaskConfig(source="crf"))
    run_pipeline(data, work, config, stages=UNTIL_THE_WALK[:4], workers=1)
    chosen = plan_of(work)["seeds.low_alpha"]
    found = {}
    for alpha in ALPHAS:
        given = replace(config, seeds=SeedConfig(low_alpha=alpha, high_alpha=4 * alpha))
        run_pipeline(data, work, given, stages=UNTIL_THE_WALK[:4], workers=1, force=True)
        seeds = WorkFolder(work).seeds
        masks = {name: decide(seeds.load(name).low, seeds.load(name).classes) for name in tagged(data)}
        found[alpha] = true_miou(data, masks)
    best = max(found, key=lambda alpha: found[alpha])
    assert chosen.value == best != 1.0
    expected = f"drawn masks are closer to its masks: mIoU {found[best]:.1f} %, not {found[1.0]:.1f} as with crf at 1"
    assert chosen.because == f"{len(tagged(data))} {expected}"


def test_what_is_given_is_not_chosen(tmp_path):
    data, work = tiny_world(tmp_path / "data"), tmp_path / "work"
    config = replace(LOCAL, masks=MaskConfig(source="crf"), seeds=SeedConfig(low_alpha=1.0, high_alpha=4.0))
    run_pipeline(data, work, config, stages=UNTIL_THE_WALK[:2], workers=1)
    assert "seeds.low_alpha" not in plan_of(work)
    assert "drawn mask" not in "".join(decision.because for decision in WorkFolder(work).plan())


@pytest.mark.parametrize("maps", ["cam", "local"])
def test_nothing_is_chosen_for_the_papers_maps_or_without_drawn_masks(tmp_path, maps):
    data, work = tiny_world(tmp_path / "data"), tmp_path / "work"
    config = replace(
        LOCAL,
        classifier=replace(LOCAL.classifier, maps=maps),
        masks=MaskConfig(source="walk" if maps == "cam" else "crf"),
        learn_from="masks" if maps == "cam" else "drawn",
    )
    run_pipeline(data, work, config, stages=UNTIL_THE_WALK, workers=1)
    assert "drawn mask" not in "".join(decision.because for decision in WorkFolder(work).plan())


@pytest.fixture
def true_maps(tmp_path):
    """A drawn world, and activation maps that are its truth."""
    data, maps = tiny_world(tmp_path / "data"), tmp_path / "maps"
    maps.mkdir()
    names = sorted({tag for tags in tags_of(data).values() for tag in tags})
    for name, tags in tags_of(data).items():
        truth = read_label_image(data / "masks" / f"{name}.png")
        numbers = [names.index(tag) for tag in tags]
        scores = (
            np.stack([0.9 * (truth == number + 1) for number in numbers]) if numbers else np.zeros((0, *truth.shape))
        )
        np.savez(maps / f"{name}.npz", keys=np.array(numbers), high_res=scores.astype(np.float32))
    return data, maps


def from_maps(maps, **changes):
    local = replace(LOCAL, cams=replace(QUICK.cams, from_folder=str(maps)), **changes)
    return replace(local, affinity=replace(QUICK.affinity, start="imagenet"))


def test_a_walk_that_washes_the_maps_away_is_left_out(true_maps, tmp_path):
    data, maps = true_maps
    config = from_maps(maps, walk=WalkConfig(beta=0.01, steps=10**6, alphas=(4.0, 8.0), precision="float32"))
    run_pipeline(data, tmp_path / "work", config, stages=(*UNTIL_THE_WALK, "random-walk", "make-masks"), workers=1)
    chosen = plan_of(tmp_path / "work")["masks.source"]
    assert (chosen.value, chosen.stage) == ("crf", "train-affinity")
    assert "not" in chosen.because
    log = (tmp_path / "work" / "log.txt").read_text()
    assert f"plan: masks.source = crf: {chosen.because}" in log
    assert "random-walk: left out, since masks.source is crf" in log
    assert not any((tmp_path / "work" / "walks").glob("*"))


def test_the_strength_of_the_walk_is_the_one_whose_masks_are_closest(true_maps, tmp_path):
    data, maps = true_maps
    work = tmp_path / "work"
    config = from_maps(
        maps,
        masks=MaskConfig(source="walk", crf=False),
        walk=WalkConfig(steps=2, alphas=(0.01, 8.0), precision="float32"),
    )
    run_pipeline(data, work, config, stages=(*UNTIL_THE_WALK, "random-walk"), workers=1)
    chosen = plan_of(work)["masks.alpha"]
    found = {}
    for alpha in (0.01, 8.0):
        walks, masks = WorkFolder(work).walks, {}
        for name in tagged(data):
            walk = walks.load(name)
            size = read_label_image(data / "masks" / f"{name}.png").shape
            scores = np.stack([walk.background_of(alpha).numpy(), *walk.scores.numpy()])
            full = np.repeat(np.repeat(scores, walk.stride, 1), walk.stride, 2)[:, : size[0], : size[1]]
            masks[name] = np.array([0, *(number + 1 for number in walk.classes)])[full.argmax(0)]
        found[alpha] = true_miou(data, masks)
    assert chosen.value == max(found, key=lambda alpha: found[alpha])
    assert chosen.stage == "train-affinity"


def test_a_difference_of_a_few_images_that_disagree_changes_nothing():
    rng = np.random.default_rng(0)
    right = rng.integers(0, 60, (2, 6))
    measured = {
        choice: np.array([[[900, 60 - hit], [60 - hit, hit]] for hit in hits])
        for choice, hits in zip((USUAL, OTHER), right, strict=True)
    }
    totals = {choice: matrices.sum(0) for choice, matrices in measured.items()}
    best = max(totals, key=lambda choice: totals[choice][1, 1])
    other = USUAL if best == OTHER else OTHER
    chosen, because = closest(measured, other)
    assert chosen == other
    assert because == "6 drawn masks say nothing against it"
    assert closest(measured, best)[0] == best


def test_a_small_gain_that_all_images_agree_on_is_taken():
    matrices = np.array([[[900, 10], [10, 50]]] * 6)
    better = np.array([[[902, 8], [9, 51]]] * 6)
    assert closest({USUAL: matrices, OTHER: better}, USUAL)[0] == OTHER


def test_of_those_that_are_as_good_it_is_the_nearest_to_the_usual_one():
    """The farther one is better by what one image of six says against the five others."""
    worst = np.array([[[900, 40], [40, 20]]] * 6)
    good = np.array([[[900, 10], [10, 50]]] * 6)
    farther = good + np.array([[[0, 5], [5, -5]]] * 5 + [[[0, -10], [-10, 35]]])
    measured = {USUAL: worst, ("crf", 8.0): farther, OTHER: good}
    assert farther.sum(0)[1, 1] > good.sum(0)[1, 1]
    assert closest(measured, USUAL)[0] == OTHER
    measured = {USUAL: worst, ("crf", 8.0): good + np.array([[0, -5], [-5, 5]]), OTHER: good}
    assert closest(measured, USUAL)[0] == ("crf", 8.0)


def test_one_image_never_changes_anything():
    assert closest({USUAL: np.array([[[0, 9], [9, 0]]]), OTHER: np.array([[[9, 0], [0, 9]]])}, USUAL)[0] == USUAL
