"""Batches that several processes share are looked at before the work begins."""

from dataclasses import replace

import pytest

from affinitynet.config.settings import MaskConfig, PipelineConfig
from affinitynet.config.trainings import AffinityConfig, SegmenterConfig
from affinitynet.errors import InputError
from affinitynet.pipeline.plan import Action, Plan
from affinitynet.pipeline.run import check_batches, chosen_stages, open_context
from affinitynet.runtime.processes import Processes
from affinitynet.runtime.progress import Progress
from affinitynet.runtime.runtime import Runtime
from affinitynet.work.folder import WorkFolder

CONFIG = PipelineConfig(affinity=AffinityConfig(batch_size=8), segmenter=SegmenterConfig(batch_size=9))


@pytest.fixture
def remarks(world, tmp_path):
    def of(count, config=CONFIG, stages=None, done=()):
        runtime = Runtime("cpu", 1, Progress()).by(Processes(0, count))
        context = open_context(world, WorkFolder(tmp_path / "work"), config, runtime)
        chosen = chosen_stages(config, stages)
        actions: dict[str, Action] = {stage.name: "skip" if stage.name in done else "run" for stage in chosen}
        return check_batches(context, chosen, Plan(actions, {}, ()))

    return of


def test_fewer_images_than_processes_are_refused_with_the_flag_that_helps(remarks):
    with pytest.raises(InputError, match=r"--affinity\.batch-size 8: .* 9 processes .* give --affinity\.batch-size 36"):
        remarks(9)
    with pytest.raises(InputError, match=r"--segmenter\.batch-size 9: .* give --segmenter\.batch-size 40"):
        remarks(10, stages=["train-segmenter"])


def test_only_what_is_to_be_trained_needs_them(remarks):
    assert remarks(30, stages=["train-classifier", "make-cams"]) == []
    assert remarks(30, done=["train-affinity", "train-segmenter"]) == []
    taken = replace(CONFIG, segmenter=replace(CONFIG.segmenter, trained="segmenter.safetensors"))
    assert remarks(30, taken, stages=["train-segmenter"]) == []
    without_walk = replace(CONFIG, masks=MaskConfig(source="crf"))
    assert remarks(30, without_walk, stages=["train-affinity"]) == []


def test_small_shares_are_said(remarks):
    assert remarks(1) == remarks(2) == []
    (line,) = remarks(3)
    assert line.startswith("train-segmenter: 3 processes share the 9 images of a step")
    assert line.endswith("--segmenter.batch-size 12 gives 4 to each")


def test_only_the_papers_classifier_has_batches(remarks):
    few = replace(CONFIG, classifier=replace(CONFIG.classifier, batch_size=1))
    assert remarks(2, few) == []
    with pytest.raises(InputError, match=r"--classifier\.batch-size 1: fewer images than the 2 processes"):
        remarks(2, replace(few, classifier=replace(few.classifier, maps="cam")))
