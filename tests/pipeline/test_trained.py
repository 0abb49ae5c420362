"""Networks that were trained elsewhere take the place of the trainings."""

import os
import shutil
from dataclasses import replace

import pytest
import torch

from affinitynet.config.config_file import read_config
from affinitynet.config.settings import PipelineConfig, RefineConfig
from affinitynet.errors import InputError
from affinitynet.files import save_weights
from affinitynet.models.weights.names import read_weights
from affinitynet.pipeline.run import run_pipeline
from tests.support.worlds import QUICK, snapshot, stamps

NETWORKS = ("classifier", "affinity", "segmenter")


def trained_in(folder, *networks):
    """Return settings that take networks from a work folder."""
    return replace(
        QUICK,
        refine=RefineConfig(masks=True),
        **{name: replace(getattr(QUICK, name), trained=str(folder / f"{name}.safetensors")) for name in networks},
    )


@pytest.mark.parametrize("networks", [NETWORKS, ("segmenter",)])
def test_another_work_folder_labels_with_them_alike(world, tmp_path, networks):
    run_pipeline(world, tmp_path / "trains", replace(QUICK, refine=RefineConfig(masks=True)))
    run_pipeline(world, tmp_path / "takes", trained_in(tmp_path / "trains", *networks))
    trains, takes = snapshot(tmp_path / "trains"), snapshot(tmp_path / "takes")
    made = [name for name in trains if name.split("/")[0] in ("cams", "walks", "masks", "refined", "segmented")]
    assert {name: takes[name] for name in made} == {name: trains[name] for name in made}
    assert [name for name in trains if name.startswith("refined/")]
    assert not (tmp_path / "takes" / "losses" / "segmenter.csv").exists()


@pytest.mark.parametrize("network", ["classifier", "segmenter"])
def test_those_of_other_classes_are_refused(finished_world, world, tmp_path, network):
    settings = replace(trained_in(finished_world / "work", network), classes=("rings", "dots"))
    with pytest.raises(
        InputError, match=rf"--{network}.trained .*: was trained on 4 classes \(.*\), the collection has 2"
    ):
        run_pipeline(world, tmp_path / "work", settings)


def test_a_later_command_finds_them_from_elsewhere(finished_world, world, tmp_path, monkeypatch):
    source, work = finished_world / "work", tmp_path / "work"
    monkeypatch.chdir(source)
    named = replace(QUICK, segmenter=replace(QUICK.segmenter, trained="segmenter.safetensors"))
    run_pipeline(world, work, replace(named, weights="random"), stages=["check-data"])
    kept = read_config(work / "config.yaml", PipelineConfig())
    assert (kept.segmenter.trained, kept.weights) == (str((source / "segmenter.safetensors").resolve()), "random")


def test_other_weights_in_the_same_file_are_noticed_and_a_file_that_is_gone_is_not_missed(
    finished_world, world, tmp_path
):
    taken, work, long_ago = tmp_path / "affinity.safetensors", tmp_path / "work", 10**9
    shutil.copy(finished_world / "work" / taken.name, taken)
    os.utime(taken, (long_ago, long_ago))
    settings = trained_in(finished_world / "work", "classifier", "segmenter")
    settings = replace(settings, affinity=replace(settings.affinity, trained=str(taken)))
    run_pipeline(world, work, settings)
    masks, kept = stamps(work / "masks"), read_weights(taken)
    taken.unlink()
    run_pipeline(world, work, settings)
    assert stamps(work / "masks") == masks
    save_weights(taken, {name: value + torch.ones_like(value) for name, value in kept.state.items()}, kept.settings)
    with pytest.raises(InputError, match=r"files of weights have changed since.*recompute: train-affinity"):
        run_pipeline(world, work, settings)
    run_pipeline(world, work, settings, force=True)
    assert stamps(work / "masks") != masks
