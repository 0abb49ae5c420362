"""Artifacts: whole or absent, and read back as written."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from affinitynet.errors import InputError
from affinitynet.files import UNFINISHED, atomic_file, load_arrays, save_arrays, save_mask, save_weights, write_json
from affinitynet.models.weights.names import read_weights
from affinitynet.work.folder import StageRecord, WorkFolder
from tests.support.interrupts import Kill, Lifetime


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def interrupted_write():
        with atomic_file(path) as file:
            file.write(b"half of the new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted_write()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_whoever_is_killed_while_forgetting_leaves_no_file_of_unknown_settings(tmp_path, monkeypatch):
    """Each file is deleted or written by a step of its own: a kill before any of them leaves a stage to be resumed."""
    steps, killed = 0, True
    while killed:
        work = WorkFolder(tmp_path / f"{steps}")
        work.record("make-masks", StageRecord("settings", finished=True))
        for name in ("a", "b"):
            save_mask(work.masks.path(name), np.zeros((2, 2), np.uint8))
        killed, life = False, Lifetime(steps)
        with monkeypatch.context() as patch:
            for name in ("unlink", "rmdir"):
                patch.setattr(os, name, life.ending(getattr(os, name)))
            patch.setattr("affinitynet.work.folder.write_json", life.ending(write_json))
            try:
                work.forget("make-masks", ("masks",))
            except Kill:
                killed = True
        record, names = work.records().get("make-masks"), sorted(work.masks.names())
        if record is None:
            assert names == []
        else:
            assert record.fingerprint == "settings"
            assert not record.finished or names == ["a", "b"]
        steps += 1
    assert steps > 4


def test_a_run_that_ended_before_it_wrote_its_settings_may_be_started_again(tmp_path):
    work = WorkFolder(tmp_path)
    for name in (".lock", "log.txt", f"{UNFINISHED}abc"):
        (tmp_path / name).touch()
        work.check_is_ours()
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(InputError, match="so it is not a work folder"):
        work.check_is_ours()


def test_arrays_are_read_by_plain_numpy(tmp_path):
    path = tmp_path / "sub" / "a.npz"
    scores = np.random.default_rng(0).random((2, 5, 7)).astype(np.float16)
    save_arrays(path, classes=np.array([1, 4]), scores=scores)
    for read in (np.load(path), load_arrays(path)):
        np.testing.assert_array_equal(read["scores"], scores)
        assert read["scores"].dtype == np.float16


def test_a_pickled_array_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, classes=np.array([{}], dtype=object))
    with pytest.raises(InputError, match=r"a\.npz: cannot be read"):
        load_arrays(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04torn", b"\x80\x04K\x01."])
def test_a_torn_artifact_is_named(tmp_path, content):
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match="delete it and run the command of its stage again"):
        load_arrays(path)


def test_masks_are_palette_pngs_with_vocs_colours(tmp_path):
    mask = np.array([[0, 1, 20], [255, 15, 0]], np.uint8)
    save_mask(tmp_path / "m.png", mask)
    picture = Image.open(tmp_path / "m.png")
    assert picture.mode == "P"
    np.testing.assert_array_equal(np.asarray(picture), mask)
    # colours of the VOC devkit: aeroplane, tvmonitor, void, person
    expected = {(0, 1): (128, 0, 0), (0, 2): (0, 64, 128), (1, 0): (224, 224, 192), (1, 1): (192, 128, 128)}
    colours = np.asarray(picture.convert("RGB"))
    assert {place: tuple(colours[place].tolist()) for place in expected} == expected


def test_weights_carry_their_settings(tmp_path):
    save_weights(tmp_path / "w.safetensors", {"a": torch.arange(3.0)}, {"network": "lite"})
    found = read_weights(tmp_path / "w.safetensors")
    assert found.settings == {"network": "lite"}
    torch.testing.assert_close(found.state["a"], torch.arange(3.0))


def test_foreign_weights_are_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    torch.save({"a": torch.zeros(2)}, path)
    with pytest.raises(InputError, match="of an unknown network"):
        read_weights(path)


def test_records_survive_and_are_forgotten(tmp_path):
    work = WorkFolder(tmp_path / "w")
    record = StageRecord("f", settings={"scales": [1.0]}, versions={"torch": "2"})
    work.record("make-cams", record)
    work.record("make-cams", replace(record, finished=True, seconds=1.5))
    save_arrays(work.cams.path("a/b"), classes=np.zeros(0))
    assert work.records() == {"make-cams": replace(record, finished=True, seconds=1.5)}
    work.forget("make-cams", ("cams", "absent.json"))
    assert work.records() == {}
    assert not (work.root / "cams").exists()
