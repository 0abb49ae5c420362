"""The method works: on a small drawn world, from tags alone, every step is better than the one before."""

from dataclasses import replace

import pytest

from affinitynet.config.presets import DEMO
from affinitynet.data.drawn_world import draw_world
from affinitynet.pipeline.run import run_pipeline
from affinitynet.pipeline.table import STAGES

pytestmark = pytest.mark.first

SMALL_DEMO = replace(
    DEMO,
    classifier=replace(DEMO.classifier, epochs=12, hold_out=0.0),
    affinity=replace(DEMO.affinity, epochs=8, crop_size=128),
)

SEGMENTER = ("train-segmenter", "refine-masks", "segment")  # not judged here: as many pictures teach it nothing
LABELLING = [stage.name for stage in STAGES if stage.name not in SEGMENTER]


def test_the_walk_beats_the_maps_it_starts_from(tmp_path):
    draw_world(tmp_path / "data", train=40, val=8)
    metrics = run_pipeline(tmp_path / "data", tmp_path / "work", SMALL_DEMO, stages=LABELLING)
    for steps in metrics.values():
        miou = {step: numbers["miou"] for step, numbers in steps.items()}
        assert miou["CAM at its best threshold"] > 0.3, miou
        assert miou["random walk"] > miou["CAM at its best threshold"] + 0.05, miou
