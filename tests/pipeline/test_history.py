"""After corrections an evaluation says what they were worth."""

import csv

import numpy as np

from affinitynet.data.corrections import Correction, Corrections
from affinitynet.files import read_label_image
from affinitynet.pipeline.run import run_pipeline
from tests.support.worlds import QUICK, tiny_world


def test_it_says_how_the_numbers_moved_and_with_how_many_corrections(tmp_path):
    data, work = tiny_world(tmp_path / "data"), tmp_path / "work"
    run_pipeline(data, work, QUICK, workers=1)
    assert "with 1 correction" not in (work / "log.txt").read_text()
    name = (data / "splits" / "train.txt").read_text().split()[0].removesuffix(".png")
    mask = np.zeros_like(read_label_image(work / "masks" / f"{name}.png"))
    Corrections(work / "corrections").save(name, Correction("corrected"), mask)
    run_pipeline(data, work, QUICK, workers=1, force=True)
    log = (work / "log.txt").read_text()
    assert "evaluate: val, 2 images: mIoU with 1 correction instead of 0, %: masks " in log
    assert "evaluate: train, 3 images (4 images then): mIoU with 1 correction instead of 0" in log
    with (work / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["evaluation"], row["split"], row["corrections"]) for row in rows] == [
        ("1", "train", "0"),
        ("1", "val", "0"),
        ("2", "train", "1"),
        ("2", "val", "1"),
    ]
    assert all(0 <= float(row["masks"]) <= 1 for row in rows)
