"""Batches that several processes share are looked at before the work begins."""

from dataclasses import replace

import pytest

from affinitynet.config.settings import PipelineConfig
from affinitynet.config.trainings import AffinityConfig, SegmenterConfig
from affinitynet.errors import InputError
from affinitynet.pipeline.run import check_batches, chosen_stages
from affinitynet.runtime.processes import Processes
from affinitynet.runtime.progress import Progress
from affinitynet.runtime.runtime import Runtime

CONFIG = PipelineConfig(affinity=AffinityConfig(batch_size=8), segmenter=SegmenterConfig(batch_size=9))


def said(tmp_path, count, config=CONFIG, stages=None):
    log = tmp_path / "log.txt"
    check_batches(config, chosen_stages(config, stages), Runtime("cpu", 1, Progress(log)).by(Processes(0, count)))
    return log.read_text() if log.exists() else ""


def test_fewer_images_than_processes_are_refused_with_the_flag_that_helps(tmp_path):
    with pytest.raises(InputError, match=r"--affinity\.batch-size 8: .* 9 processes .* give --affinity\.batch-size 36"):
        said(tmp_path, 9)
    with pytest.raises(InputError, match=r"--segmenter\.batch-size 9: .* give --segmenter\.batch-size 40"):
        said(tmp_path, 10, stages=["train-segmenter"])
    assert said(tmp_path, 9, stages=["train-classifier", "make-cams"]) == ""


def test_too_few_images_for_batchnorm_are_said(tmp_path):
    assert said(tmp_path, 1) == said(tmp_path, 2) == ""
    assert "train-segmenter: 9 images for 3 processes are too few for BatchNorm" in said(tmp_path, 3)
    assert "--segmenter.batch-size 12 gives each 4" in said(tmp_path, 3)


def test_only_the_papers_classifier_has_batches(tmp_path):
    few = replace(CONFIG, classifier=replace(CONFIG.classifier, batch_size=1))
    assert said(tmp_path, 2, few) == ""
    with pytest.raises(InputError, match=r"--classifier\.batch-size 1: fewer images than the 2 processes"):
        said(tmp_path, 2, replace(few, classifier=replace(few.classifier, maps="cam")))
