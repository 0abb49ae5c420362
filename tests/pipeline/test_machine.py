"""The machine chooses the arithmetic of trainings and of labelling, each by its own measurement."""

from dataclasses import replace

import pytest
import torch

from affinitynet.config.adaptation import adapted, lines_of
from affinitynet.config.settings import PipelineConfig
from affinitynet.inference.untagged import SegmentationPredictor
from affinitynet.models.backbones.registry import build_backbone
from affinitynet.pipeline import machine
from affinitynet.pipeline.machine import LABELLED, TRAINED, chosen_precision
from affinitynet.pipeline.run import run_pipeline
from affinitynet.work.folder import WorkFolder
from tests.support.worlds import QUICK


def taking(**seconds: float):
    """Return a measurement that takes these seconds, by the arithmetic."""
    return lambda backbone, x, precision: seconds[precision]


@pytest.fixture
def measured(monkeypatch):
    monkeypatch.setattr(machine, "_training_step", taking(float32=0.2, bfloat16=0.3))
    monkeypatch.setattr(machine, "_forward_pass", taking(float32=0.08, bfloat16=0.05))
    monkeypatch.setattr(machine, "_convolution", lambda device, precision: 0.001)


def test_each_is_what_its_own_measurement_says(measured):
    found = chosen_precision(build_backbone("lite"), torch.device("cpu"), [*TRAINED, *LABELLED], "check-data")
    config = adapted(PipelineConfig(), found)
    assert {getattr(config, section).precision for section in TRAINED} == {"float32"}
    assert {getattr(config, section).precision for section in LABELLED} == {"bfloat16"}
    settings = ", ".join(f"{section}.precision = bfloat16" for section in LABELLED)
    assert lines_of(found)[1] == f"{settings}: a forward pass takes 80 ms in float32 and 50 ms in bfloat16 here"


def test_a_gain_of_less_than_a_tenth_is_not_worth_the_rounding(monkeypatch):
    monkeypatch.setattr(machine, "_forward_pass", taking(float32=0.108, bfloat16=0.1))
    monkeypatch.setattr(machine, "_convolution", lambda device, precision: 0.001)
    (found,) = chosen_precision(build_backbone("lite"), torch.device("cpu"), ["cams"], "check-data")
    assert found.value == "float32"


def test_a_gain_that_is_not_there_each_time_is_other_work_on_the_machine(monkeypatch):
    seconds = iter([9.0, 0.1, 0.8, 0.6, 0.9, 0.5, 0.6, 0.7])  # the first turn does not count

    monkeypatch.setattr(machine, "_forward_pass", lambda backbone, x, precision: next(seconds))
    monkeypatch.setattr(machine, "_convolution", lambda device, precision: 0.001)
    (found,) = chosen_precision(build_backbone("lite"), torch.device("cpu"), ["cams"], "check-data")
    assert found.value == "float32"
    assert found.because.startswith("a forward pass takes 600 ms in float32 and 500 ms in bfloat16 here, but ")


def test_a_network_is_not_tried_where_one_convolution_shows_that_it_is_hopeless(monkeypatch):
    def never(backbone, x, precision):
        raise AssertionError("it was tried")

    monkeypatch.setattr(machine, "_training_step", never)
    monkeypatch.setattr(
        machine, "_convolution", lambda device, precision: {"float32": 0.01, "bfloat16": 0.2}[precision]
    )
    (found,) = chosen_precision(build_backbone("lite"), torch.device("cpu"), ["affinity"], "check-data")
    assert found.value == "float32"
    assert found.because == "one convolution takes 10 ms in float32 and 200 ms in bfloat16 here"


def test_the_plan_keeps_it_for_the_stages_and_for_predict(measured, world, tmp_path):
    config = replace(
        QUICK, **{section: replace(getattr(QUICK, section), precision="auto") for section in ("cams", "predict")}
    )
    run_pipeline(world, tmp_path / "work", config, stages=["check-data"])
    plan = {line.setting: line.value for line in WorkFolder(tmp_path / "work").plan()}
    assert plan == {"cams.precision": "bfloat16", "predict.precision": "bfloat16"}  # the rest was given
    run_pipeline(world, tmp_path / "work", config)
    assert SegmentationPredictor.load(tmp_path / "work").config.precision == "bfloat16"


def test_both_are_really_measured_here():
    found = chosen_precision(build_backbone("lite"), torch.device("cpu"), ["segmenter", "predict"], "check-data")
    assert [line.setting for line in found] == ["segmenter.precision", "predict.precision"]
    assert found[0].because.startswith(("a training step takes ", "one convolution takes "))
    assert found[1].because.startswith(("a forward pass takes ", "one convolution takes "))
