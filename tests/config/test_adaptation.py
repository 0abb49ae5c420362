"""Settings that are left open, the plan, and what was given by hand."""

from dataclasses import replace

import pytest

from affinitynet.config.adaptation import PAPER, PROBABILITIES, Decision, adapted, given, is_open, lines_of, seed_crf
from affinitynet.config.presets import PRESETS
from affinitynet.config.settings import PipelineConfig, SeedConfig
from affinitynet.pipeline.adapt import USUAL, WALKED, decisions
from affinitynet.work.learnt import ClassLearnt, Learnt


def seen(size):
    return Learnt((ClassLearnt("a", 80, 20, precision=0.9, chance=0.2, share=0.01, size=size),), "local")


def test_without_a_plan_the_papers_values_hold():
    config = adapted(PipelineConfig())
    assert [setting for setting in PAPER if is_open(config, setting)] == ["segmenter.long_side"]  # the image's own
    assert (config.seeds.low_alpha, config.seeds.high_alpha, config.masks.source) == (4.0, 32.0, "walk")
    assert seed_crf(config) == config.crf


@pytest.mark.parametrize("size", [12.0, 36.0, WALKED - 1, WALKED + 1, 500.0])
def test_what_was_given_by_hand_is_never_overridden(size):
    given_by_hand = PipelineConfig(seeds=SeedConfig(low_alpha=2.0, crf_scale=0.5))
    config = adapted(given_by_hand, decisions(seen(size)))
    assert (config.seeds.low_alpha, config.seeds.crf_scale) == (2.0, 0.5)
    assert config.seeds.high_alpha == 4.0


def test_the_plan_follows_the_size_of_the_objects():
    small, large = (adapted(PipelineConfig(), decisions(seen(size))) for size in (WALKED - 1, WALKED + 1))
    assert (small.masks.source, large.masks.source) == ("crf", "walk")
    scales = [adapted(PipelineConfig(), decisions(seen(size))).seeds.crf_scale for size in (1, 50, 100, USUAL, 900)]
    assert None not in scales
    assert scales == sorted(scales, key=lambda scale: scale or 0.0)
    assert scales[-1] == 1.0
    assert seed_crf(small).bilateral_sxy == pytest.approx(80 * (WALKED - 1) / USUAL)


def test_the_network_sees_small_objects_enlarged_and_large_ones_whole():
    def side(*parts):
        found = tuple(
            ClassLearnt(str(n), 80, 20, precision=0.9, chance=0.2, share=0.01, size=50.0, part=part)
            for n, part in enumerate(parts)
        )
        return adapted(PipelineConfig(), decisions(Learnt(found, "local"))).segmenter.long_side

    assert (side(0.4), side(1.0), side(None)) == (512, 512, 512)
    assert (side(0.1), side(0.03), side(0.001)) == (600, 1024, 1024)
    assert side(None, 0.09, 0.1, 0.3) == 600


def test_where_nothing_was_seen_no_piece_is_made_up():
    unseen = decisions(Learnt((ClassLearnt("a", 80, 20, precision=0.3, chance=0.2),), "local"))
    assert "pieces" not in " ".join(decision.because for decision in unseen)
    config = adapted(PipelineConfig(), unseen)
    assert (config.masks.source, config.segmenter.rounds, config.seeds.crf_scale) == ("crf", 1, 1.0)


def test_a_class_that_was_not_learnt_has_no_vote_on_the_sizes():
    rust, dirt = (
        ClassLearnt(name, 80, 20, precision=precision, chance=0.2, share=0.01, size=size, part=size / 500)
        for name, precision, size in (("rust", 0.9, 36.0), ("dirt", 0.25, 300.0))
    )
    unknown = replace(dirt, precision=None)

    def source(*classes):
        return adapted(PipelineConfig(), decisions(Learnt(classes, "local"))).masks.source

    assert (source(rust, dirt), source(dirt), source(rust, unknown)) == ("crf", "walk", "walk")
    said = " ".join(decision.because for decision in decisions(Learnt((rust, dirt), "local")))
    assert "36 pixels, the median over the classes that were learnt" in said


def test_every_decision_is_of_a_setting_that_can_be_left_open():
    for size in (10.0, 300.0):
        assert {decision.setting for decision in decisions(seen(size))} <= set(PAPER)


@pytest.mark.parametrize("name", ["vgg16", "resnet38"])
def test_the_papers_presets_take_the_papers_values(name):
    config = adapted(PRESETS[name])
    assert (config.classifier.maps, config.classifier.hold_out) == ("cam", 0.0)
    assert (config.masks.source, config.masks.alpha, config.masks.keep_tags) == ("walk", 16.0, False)
    assert (config.refine.masks, config.segmenter.rounds, config.evaluate.cam_threshold) == (False, 1, 0.2)
    assert seed_crf(config) == config.crf
    segmenter = config.segmenter
    assert (segmenter.long_side, segmenter.min_scale * segmenter.learnt_at, segmenter.learnt_at) == (None, 256, 512)
    assert (segmenter.labelled_crops, segmenter.dice, segmenter.min_steps) == (0, 0, 240)


def test_a_setting_left_open_is_not_computed_with():
    with pytest.raises(ValueError, match="left open"):
        given(None)


def test_a_line_of_the_plan_reads_as_a_sentence():
    assert lines_of([Decision("seeds.crf_scale", 0.16666, "small", "x")]) == ["seeds.crf_scale = 0.167: small"]


def test_the_plan_of_another_setting_changes_nothing():
    plan = [Decision("walk.beta", 3.0, "a rule of another version", "train-classifier")]
    assert adapted(PipelineConfig(), plan) == adapted(PipelineConfig())
    assert replace(adapted(PipelineConfig()), seed=1).seed == 1


@pytest.mark.parametrize(
    ("given", "filled"),
    [
        (SeedConfig(low_alpha=5.0), (5.0, 20.0)),
        (SeedConfig(high_alpha=0.5), (0.125, 0.5)),
        (SeedConfig(low_alpha=2.0), (2.0, 4.0)),
        (SeedConfig(low_alpha=5.0, high_alpha=6.0), (5.0, 6.0)),
    ],
)
def test_a_strength_left_open_stays_on_its_side_of_the_one_that_is_given(given, filled):
    found = adapted(PipelineConfig(seeds=given), PROBABILITIES).seeds
    assert (found.low_alpha, found.high_alpha) == filled
