"""The short form of ``fuzz.py``: every reader reads or refuses what was damaged at random."""

import random

import pytest

from tests.support.fuzz import Reader, damaged, fuzz, readers

INPUTS = 300


@pytest.fixture(scope="module")
def known(tmp_path_factory) -> dict[str, Reader]:
    return readers(tmp_path_factory.mktemp("fuzz"))


def test_good_files_are_read(known):
    for reader in known.values():
        for content in reader.seeds:
            reader.target.write_bytes(content)
            reader.read(reader.target)


@pytest.mark.parametrize(
    "name",
    [
        *("images", "masks", "tags.csv", "splits", "tags.json", "annotations", "VOC lists", "configs", "arrays"),
        *("weights", "tables", "JSON tables", "tags.xlsx", "sheet1", "sharedStrings", "workbook", "collection.json"),
        *("COCO", "CVAT", "YOLO", "YOLO labels", "Hugging Face", "labelmap.txt"),
        *("DICOM", "HEIC", "maps.npy", "maps.npz"),
    ],
)
def test_damaged_files_are_read_or_refused(name, known):
    if name not in known:
        pytest.skip(f"no reader of {name} is installed")
    found = fuzz(name, INPUTS, seed=1)
    assert found["crashes"] == []
    assert found["read"] + found["refused"] == INPUTS
    assert found["refused"] > 0 or name in ("annotations", "YOLO labels")  # there a bad file leaves out its image


def test_what_is_damaged_differs():
    draw = random.Random(0)
    assert len({damaged(b"some bytes to change", draw) for _ in range(100)}) > 90
