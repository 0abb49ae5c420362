"""Which images each step is measured on, and that every table shows it."""

import json

from affinitynet.cli import main
from affinitynet.pipeline.run import run_pipeline
from affinitynet.tools.report.report import write_report
from affinitynet.work.metrics import MASKS, SEGMENTER
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
