"""Activation maps of another method, through the stages."""

import json
from dataclasses import replace

import numpy as np
import pytest

from affinitynet.cli import main
from affinitynet.config.adaptation import adapted
from affinitynet.errors import InputError
from affinitynet.files import load_arrays
from affinitynet.pipeline.run import run_pipeline
from affinitynet.work.folder import WorkFolder
from tests.support.worlds import QUICK, snapshot


def taken(folder, **changes):
    return replace(QUICK, cams=replace(QUICK.cams, from_folder=str(folder)), **changes)


@pytest.fixture
def maps(finished, tmp_path):
    """The maps of our own run, as SEAM writes them."""
    folder = tmp_path / "maps"
    folder.mkdir()
    for path in (finished / "cams").glob("*.npz"):
        stored = load_arrays(path)
        content = dict(zip(stored["classes"].tolist(), stored["scores"].astype(np.float32), strict=True))
        np.save(folder / f"{path.stem}.npy", np.array(content, dtype=object), allow_pickle=True)
    return folder


def test_our_own_maps_give_our_own_seeds_without_a_classifier(world, finished, maps, tmp_path):
    work = tmp_path / "work"
    run_pipeline(world, work, taken(maps), stages=["make-cams", "make-seeds"], workers=1)
    assert snapshot(work / "cams") == snapshot(finished / "cams")
    assert snapshot(work / "seeds") == snapshot(finished / "seeds")
    assert not (work / "classifier.safetensors").exists()
    with pytest.raises(InputError, match="train-affinity needs train-classifier"):
        run_pipeline(world, work, taken(maps), stages=["train-affinity"], workers=1)


def test_a_run_trains_no_classifier_that_nothing_reads(world, maps, tmp_path):
    work = tmp_path / "work"
    imagenet = {"affinity": replace(QUICK.affinity, start="imagenet")}
    run_pipeline(world, work, taken(maps, segmenter=replace(QUICK.segmenter, start="imagenet"), **imagenet), workers=1)
    assert "train-classifier" not in json.loads((work / "stages.json").read_text())
    assert len(list((work / "masks").glob("*.png"))) == 6


def test_a_later_command_finds_the_folder_from_elsewhere(world, maps, tmp_path, monkeypatch):
    work = tmp_path / "work"
    monkeypatch.chdir(tmp_path)
    run_pipeline(world, work, taken("maps"), stages=["make-cams"], workers=1)
    monkeypatch.chdir("/")
    assert main(["make-seeds", "--work", str(work), "--workers", "1"]) == 0


def test_changed_maps_are_noticed(world, maps, tmp_path):
    work = tmp_path / "work"
    run_pipeline(world, work, taken(maps), stages=["make-cams"], workers=1)
    run_pipeline(world, work, taken(maps), stages=["make-cams"], workers=1)
    first = next(iter(sorted(maps.iterdir())))
    first.write_bytes(sorted(maps.iterdir())[1].read_bytes())
    with pytest.raises(InputError, match="make-cams"):
        run_pipeline(world, work, taken(maps), stages=["make-cams"], workers=1)


def test_the_command_says_what_was_dropped_and_what_is_missing(world, maps, tmp_path, capsys):
    command = ["make-cams", "--data", str(world), "--work", str(tmp_path / "work"), "--workers", "1"]
    first = sorted(maps.iterdir())[0]
    np.save(first, np.array({9: np.ones((4, 4))}, dtype=object), allow_pickle=True)
    assert main([*command, "--cams.from", str(maps)]) == 0
    said = capsys.readouterr().err
    assert "1 maps of classes that are not tags, dropped, e.g. class 9" in said
    assert "tags without a map, which get no seeds" in said
    first.rename(first.with_name("other.npy"))
    assert main([*command, f"--cams.from-folder={maps}"]) == 2
    assert f"e.g. {first.name}" in capsys.readouterr().err


def test_the_list_of_commands_names_the_flag(capsys):
    assert main(["--help"]) == 0
    assert " --cams.from " in " ".join(capsys.readouterr().out.split())


def test_folders_of_earlier_versions_stay_as_they_are(finished):
    """A run without maps from elsewhere has the fingerprints it had before there was such a setting."""
    assert "from_folder" not in json.loads((finished / "stages.json").read_text())["make-cams"]["settings"]["cams"]


LOCAL = replace(QUICK.classifier, maps="local")


def test_what_our_maps_decided_does_not_hold_for_those_of_another_method(world, maps, tmp_path):
    work, fresh = tmp_path / "work", tmp_path / "fresh"
    run_pipeline(world, work, replace(QUICK, classifier=LOCAL), stages=["check-data", "train-classifier"], workers=1)
    assert {"seeds.low_alpha": 1.0}.items() <= {line.setting: line.value for line in WorkFolder(work).plan()}.items()
    for folder in (work, fresh):
        stages = ["make-cams", "make-seeds"]
        run_pipeline(world, folder, taken(maps, classifier=LOCAL), stages=stages, workers=1, force=True)
    assert snapshot(work / "seeds") == snapshot(fresh / "seeds")


def test_what_our_maps_decided_holds_once_they_take_the_place_of_others(world, maps, tmp_path):
    work = tmp_path / "work"
    chosen = ["check-data", "train-classifier"]
    run_pipeline(world, work, taken(maps, classifier=LOCAL), stages=chosen, workers=1)
    plan = [line for line in WorkFolder(work).plan() if line.stage == "train-classifier"]
    assert {line.setting for line in plan} >= {"seeds.low_alpha", "seeds.crf_scale", "masks.source"}
    assert adapted(taken(maps), plan).seeds.low_alpha == 4.0
    assert adapted(QUICK, plan).seeds.low_alpha == 1.0
    assert "plan: seeds.low_alpha" not in (work / "log.txt").read_text()
