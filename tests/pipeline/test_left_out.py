"""What cannot be used is left out and named, and the rest goes on: exit code 3."""

import csv
import shutil
from dataclasses import replace

import pytest
import yaml
from PIL import Image

from affinitynet.cli import main
from affinitynet.config.config_file import read_config, to_dict
from affinitynet.config.settings import PipelineConfig
from affinitynet.pipeline.run import run_pipeline
from affinitynet.tools.audit_tags import audit_tags
from affinitynet.work.folder import WorkFolder
from tests.support.worlds import QUICK, copied, snapshot, tiny_world


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """A world of six pictures, with one bad image, one bad mask and two bad rows more."""
    root = tmp_path_factory.mktemp("broken")
    data = tiny_world(root / "data")
    names = sorted(p.stem for p in (data / "images").iterdir())
    (data / "images" / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")
    with (data / "tags.csv").open("a", encoding="utf-8") as file:
        file.write("torn.png,rings\nabsent.png,rings\n../outside.png,rings\n")
    with (data / "splits" / "train.txt").open("a", encoding="utf-8") as file:
        file.write("torn.png\n")
    Image.new("L", (3, 3)).save(data / "masks" / f"{names[-1]}.png")
    (root / "quick.yaml").write_text(yaml.safe_dump(to_dict(QUICK)), encoding="utf-8")
    return root, names


@pytest.fixture(scope="module")
def finished(broken):
    root, _ = broken
    arguments = [
        "run",
        "--data",
        str(root / "data"),
        "--work",
        str(root / "work"),
        "--config",
        str(root / "quick.yaml"),
    ]
    assert main(arguments) == 3
    return root / "work"


def left_out(work):
    with (work / "left_out.csv").open(encoding="utf-8") as file:
        return {(row["name"], row["part"]): row["reason"] for row in csv.DictReader(file)}


def test_the_list_names_each_and_says_why(finished, broken):
    _, names = broken
    found = left_out(finished)
    assert set(found) == {
        ("absent.png", "row"),
        ("../outside.png", "row"),
        ("torn", "image"),
        (names[-1], "mask"),
    }
    assert "leads outside" in found["../outside.png", "row"]
    assert "not a readable image" in found["torn", "image"]
    assert "3 x 3" in found[names[-1], "mask"]


def test_the_rest_is_labelled_and_measured(finished, broken):
    _, names = broken
    assert sorted(path.stem for path in (finished / "masks").iterdir()) == names  # a bad mask costs no label
    metrics = (finished / "metrics.csv").read_text(encoding="utf-8")
    assert "random walk" in metrics


def test_it_is_said_at_the_end_and_in_the_report(finished, capsys):
    assert main(["run", "--work", str(finished)]) == 3
    error = capsys.readouterr().err
    assert "4 skipped" in error
    assert "skipped: " in error
    assert "done before" in error
    assert main(["report", "--work", str(finished), "--workers", "1"]) == 0
    page = (finished / "report.html").read_text(encoding="utf-8")
    assert "What was skipped?" in page
    assert "../outside.png" in page


def test_other_commands_leave_out_the_same(finished, tmp_path):
    assert main(["export", "--work", str(finished), "--format", "voc", "--out", str(tmp_path / "voc")]) == 0
    audit_tags(finished)


def test_stopping_is_for_who_asks_for_it(broken, tmp_path, capsys):
    root, _ = broken
    assert main(["run", "--data", str(root / "data"), "--work", str(tmp_path / "w"), "--on-error", "stop"]) == 2
    assert "absent.png" in capsys.readouterr().err


def test_the_result_is_that_of_a_folder_without_them(finished, broken, tmp_path):
    root, names = broken
    clean = copied(root / "data", tmp_path / "data")
    (clean / "images" / "torn.png").unlink()
    (clean / "masks" / f"{names[-1]}.png").unlink()
    rows = (clean / "tags.csv").read_text(encoding="utf-8").splitlines()[:-3]
    (clean / "tags.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    listing = (clean / "splits" / "train.txt").read_text(encoding="utf-8").replace("torn.png\n", "")
    (clean / "splits" / "train.txt").write_text(listing, encoding="utf-8")
    run_pipeline(clean, tmp_path / "work", QUICK, workers=1, stages=["check-data", "train-classifier", "make-cams"])
    for kind in ("cams", "classifier.safetensors"):
        here, there = tmp_path / "work" / kind, finished / kind
        if here.is_dir():
            assert {k: v for k, v in snapshot(there).items() if k in snapshot(here)} == snapshot(here)
        else:
            assert here.read_bytes() == there.read_bytes()


def test_a_mended_image_is_noticed(finished, broken, tmp_path):
    root, _ = broken
    data = copied(root / "data", tmp_path / "data")
    work = copied(finished, tmp_path / "work")
    config = read_config(work / "config.yaml", PipelineConfig())
    shutil.copy(next((data / "images").glob("*.jpg")), data / "images" / "torn.jpg")
    (data / "images" / "torn.png").unlink()
    rows = (data / "tags.csv").read_text(encoding="utf-8").replace("torn.png", "torn.jpg")
    (data / "tags.csv").write_text(rows, encoding="utf-8")
    listing = (data / "splits" / "train.txt").read_text(encoding="utf-8").replace("torn.png", "torn.jpg")
    (data / "splits" / "train.txt").write_text(listing, encoding="utf-8")
    with pytest.raises(ValueError, match="images, tags, drawn masks or files of weights have changed"):
        run_pipeline(data, work, config, workers=1)
    run_pipeline(data, work, config, workers=1, force=True)
    assert ("torn", "image") not in left_out(work)
    assert "torn" in WorkFolder(work).masks


def test_predict_goes_on_and_says_so(finished, broken, tmp_path, capsys):
    root, names = broken
    arguments = ["predict", str(root / "data" / "images"), "--model", str(finished), "-o", str(tmp_path / "out")]
    assert main([*arguments, "--on-error", "stop", "--workers", "1"]) == 2
    assert main(arguments) == 3
    assert "skipped: " in capsys.readouterr().err
    assert sorted(p.stem for p in (tmp_path / "out" / "masks").iterdir()) == names
    assert set(left_out(tmp_path / "out")) == {("torn", "image")}


def test_a_list_of_a_killed_run_does_not_stay(tmp_path):
    data = tiny_world(tmp_path / "data")
    run_pipeline(data, tmp_path / "work", QUICK, workers=1, stages=["check-data"])
    (tmp_path / "work" / "left_out.csv").write_text("name,part,reason\ntrain_000,image,torn\n", encoding="utf-8")
    folder = WorkFolder(tmp_path / "work")
    folder.record("check-data", replace(folder.records()["check-data"], finished=False))
    run_pipeline(data, tmp_path / "work", QUICK, workers=1, stages=["check-data"])
    assert not (tmp_path / "work" / "left_out.csv").exists()


def test_half_of_all_is_too_much(tmp_path, capsys):
    data = tiny_world(tmp_path / "data")
    for path in sorted((data / "images").iterdir())[:3]:
        path.write_bytes(b"")
    assert main(["run", "--data", str(data), "--work", str(tmp_path / "w")]) == 2
    assert "3 of 6 images cannot be used" in capsys.readouterr().err


def test_a_torn_list_is_an_error_that_names_it(finished, tmp_path, capsys):
    work = copied(finished, tmp_path / "work")
    (work / "left_out.csv").write_text("some,thing\n1,2\n", encoding="utf-8")
    assert main(["report", "--work", str(work)]) == 2
    assert "left_out.csv" in capsys.readouterr().err
