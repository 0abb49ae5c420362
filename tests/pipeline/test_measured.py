"""Which images each step is measured on, and that every table shows it."""

import json
from dataclasses import replace

import numpy as np

from affinitynet.cli import main
from affinitynet.files import read_label_image, save_mask
from affinitynet.pipeline.run import run_pipeline
from affinitynet.tools.report.report import write_report
from affinitynet.work.metrics import MASKS, SEGMENTER, WALK_CRF
from tests.support.worlds import QUICK, tiny_world


def test_the_network_has_no_number_for_images_it_has_learnt_from(finished, work, world, capsys):
    metrics = json.loads((finished / "metrics.json").read_text())
    assert {split: (MASKS in steps, SEGMENTER in steps) for split, steps in metrics.items()} == {
        "train": (True, False),
        "val": (True, True),
    }
    assert (
        "segment: train left out, since the network has learnt from these images" in (finished / "log.txt").read_text()
    )
    assert main(["run", "--data", str(world), "--work", str(work), "--config", str(work / "config.yaml")]) == 0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if SEGMENTER in line]
    train, val = (cell.strip() for cell in row.split("│")[2:4])
    assert (train, val) == ("", f"{100 * metrics['val'][SEGMENTER]['miou']:.1f}")
    page = write_report(work).read_text(encoding="utf-8")
    assert f"<tr><th>{SEGMENTER}</th><td></td><td>{val}</td>" in page


def test_where_all_that_is_measured_was_learnt_from_the_network_is_measured_there(tmp_path):
    data, work = tiny_world(tmp_path / "data"), tmp_path / "work"
    (data / "splits" / "val.txt").unlink()
    metrics = run_pipeline(data, work, QUICK, workers=1)
    assert metrics["train"][SEGMENTER]["images"] == 4
    assert (
        "segment: the network has learnt from all images with ground truth, and may be worse on new ones"
        in (work / "log.txt").read_text()
    )


def test_the_walk_with_its_crf_is_measured_before_the_network_makes_its_masks_anew(tmp_path):
    data, work = tiny_world(tmp_path / "data"), tmp_path / "work"
    config = replace(QUICK, masks=replace(QUICK.masks, crf=True))
    run_pipeline(data, work, config, workers=1)
    for path in (work / "masks").glob("val*.png"):  # as a network does that has learnt more than this one
        save_mask(path, np.ones_like(read_label_image(path)))
    (work / "metrics.json").unlink()
    steps = run_pipeline(data, work, config, workers=1, stages=["evaluate"])["val"]
    for step, folder in ((WALK_CRF, "first_masks"), (MASKS, "masks")):
        pairs = [
            (read_label_image(work / folder / path.name), read_label_image(path))
            for path in (data / "masks").glob("val*.png")
        ]
        right = sum(np.count_nonzero((mask == truth) & (truth != 255)) for mask, truth in pairs)
        known = sum(np.count_nonzero(truth != 255) for _, truth in pairs)
        assert abs(steps[step]["pixel_accuracy"] - right / known) < 1e-6
    assert steps[WALK_CRF]["pixel_accuracy"] != steps[MASKS]["pixel_accuracy"]


def test_a_mask_that_is_added_later_is_measured_by_the_network_too(tmp_path):
    data, work = tiny_world(tmp_path / "data"), tmp_path / "work"
    for mask in (data / "masks").glob("train*.png"):
        mask.unlink()
    added = data / "masks" / "val_001.png"
    added.rename(tmp_path / "val_001.png")
    assert run_pipeline(data, work, QUICK, workers=1)["val"][SEGMENTER]["images"] == 1
    assert [path.stem for path in (work / "segmented").glob("*.png")] == ["val_000"]
    (tmp_path / "val_001.png").rename(added)
    assert run_pipeline(data, work, QUICK, workers=1)["val"][SEGMENTER]["images"] == 2
