"""Tuning: its numbers are those of a run with that setting, and its choice is what the folder then holds."""

import json
import shutil
from dataclasses import replace

import pytest

from affinitynet.cli import main
from affinitynet.config.config_file import read_config
from affinitynet.config.settings import PipelineConfig
from affinitynet.errors import InputError
from affinitynet.pipeline.run import run_pipeline
from affinitynet.runtime.runtime import Runtime
from affinitynet.tools.tune.setting import Setting
from affinitynet.tools.tune.tune import tune_masks
from tests.support.worlds import QUICK

MEASURED = ["random-walk", "make-masks", "evaluate"]
ONE = Runtime("cpu", workers=1)


def measured(work, split):
    return json.loads((work / "metrics.json").read_text())[split]["random walk"]["miou"]


def test_its_numbers_are_those_of_a_run(world, work):
    tuning = tune_masks(work, on="val", betas=[2], steps=[4, 16], runtime=ONE)
    assert set(tuning.miou) == {Setting(b, t, a) for b, t in ((8, 16), (2, 4), (2, 16)) for a in (4, 8)}
    assert tuning.present == Setting(8, 16, 8)
    assert tuning.images == 2
    for setting, miou in tuning.miou.items():
        config = setting.applied_to(QUICK)
        run_pipeline(world, work, config, stages=MEASURED, workers=1, force=True)
        assert measured(work, "val") == pytest.approx(miou, abs=2e-3)  # kept walks are float16


def test_its_choice_is_kept(work):
    tuning = tune_masks(work, on="train", betas=[1, 8], steps=[1, 16], runtime=ONE)
    config = read_config(work / "config.yaml", PipelineConfig())
    assert tuning.best.applied_to(config) == config
    assert measured(work, "train") == pytest.approx(tuning.miou[tuning.best], abs=2e-3)
    assert 0 <= tuning.better <= 1
    assert tuning.gain[0] <= tuning.gain[1]
    again = tune_masks(work, on="train", runtime=ONE)
    assert again.best == again.present == tuning.best


def test_the_command_shows_a_table_and_a_verdict(work, capsys):
    assert main(["tune", "--work", str(work), "--betas", "[1]", "--workers", "1"]) == 0
    said = capsys.readouterr().out
    assert "mIoU on train (4 images)" in said
    assert "alpha 4" in said
    assert "present setting" in said or "resampled" in said


def test_a_world_without_masks_is_told(world, work, tmp_path):
    data = shutil.copytree(world, tmp_path / "data")
    shutil.rmtree(data / "masks")
    with pytest.raises(InputError, match="no ground-truth masks to tune on"):
        tune_masks(work, data=data)
    with pytest.raises(InputError, match="no finished masks"):
        tune_masks(tmp_path / "absent")
    with pytest.raises(InputError, match="no such split"):
        tune_masks(work, on="nowhere")


def test_a_threshold_gives_way_to_the_best_alpha(world, work):
    config = replace(QUICK, masks=replace(QUICK.masks, threshold=0.3))
    run_pipeline(world, work, config, stages=["make-masks"], workers=1)
    tune_masks(work, runtime=ONE)
    assert read_config(work / "config.yaml", PipelineConfig()).masks.threshold is None
