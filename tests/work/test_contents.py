"""Content decides whether a file has changed; reading it again is spared where nothing can have."""

import os
from pathlib import Path

import pytest
import yaml
from PIL import Image

from affinitynet.pipeline.run import run_pipeline
from affinitynet.work.contents import Contents
from affinitynet.work.folder import WorkFolder
from tests.support.worlds import QUICK, copied

LONG_AGO = 10**18


def settled(path: Path, content: bytes, when: int = LONG_AGO) -> Path:
    path.write_bytes(content)
    os.utime(path, ns=(when, when))
    return path


def test_a_settled_file_is_read_once(tmp_path, monkeypatch):
    image = settled(tmp_path / "a", b"one")
    first = Contents(tmp_path / "memory.json")
    digest = first.digests([image])
    first.save()
    monkeypatch.setattr("affinitynet.work.contents.digest_of", lambda path: pytest.fail("read again"))
    assert Contents(tmp_path / "memory.json").digests([image]) == digest


@pytest.mark.parametrize("memory", ["", "[]", '{"a": 3}', "{"])
def test_a_damaged_memory_costs_reading_only(tmp_path, memory):
    image = settled(tmp_path / "a", b"one")
    (tmp_path / "memory.json").write_text(memory)
    assert Contents(tmp_path / "memory.json").digests([image]) == Contents(tmp_path / "none").digests([image])


def test_the_same_size_at_another_time_is_read_again(tmp_path):
    image = settled(tmp_path / "a", b"one")
    contents = Contents(tmp_path / "memory.json")
    before = contents.digests([image])
    assert contents.digests([settled(image, b"two", LONG_AGO + 1)]) != before
    assert contents.digests([settled(image, b"one", LONG_AGO + 2)]) == before


def test_a_file_that_cannot_be_read_stops_nothing(tmp_path):
    assert Contents(tmp_path / "memory.json").digests([tmp_path / "absent"])[0].startswith("unreadable")


def test_an_edited_mask_of_the_same_size_is_measured_again(world, work, tmp_path):
    data = copied(world, tmp_path / "data")
    before = run_pipeline(data, work, QUICK, workers=1)
    path = data / "masks" / "val_000.png"
    mask = Image.open(path)
    size = path.stat().st_size
    flipped = mask.transpose(Image.Transpose.ROTATE_180)
    flipped.putpalette(mask.getpalette() or [])
    flipped.save(path)
    content = path.read_bytes()
    path.write_bytes(content + b"\0" * max(0, size - len(content)))
    after = run_pipeline(data, work, QUICK, workers=1)
    assert after["val"]["random walk"]["confusion"] != before["val"]["random walk"]["confusion"]
    assert after["train"] == before["train"]


def test_each_stage_records_its_versions_and_config_keeps_the_first(world, work):
    config = yaml.safe_load((work / "config.yaml").read_text())
    (work / "config.yaml").write_text(yaml.safe_dump({**config, "versions": {"affinitynet": "0.0.9"}}))
    run_pipeline(world, work, QUICK, workers=1)
    assert yaml.safe_load((work / "config.yaml").read_text())["versions"] == {"affinitynet": "0.0.9"}
    records = WorkFolder(work).records()
    assert all({"affinitynet", "torch", "timm", "python"} <= set(record.versions or {}) for record in records.values())
    assert (records["make-cams"].settings or {})["cams"]["scales"] == [1.0]
