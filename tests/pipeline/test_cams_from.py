"""Activation maps of another method, through the stages."""

import json
from dataclasses import replace

import numpy as np
import pytest

from affinitynet.cli import main
from affinitynet.errors import InputError
from affinitynet.files import load_arrays
from affinitynet.pipeline.run import run_pipeline
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
