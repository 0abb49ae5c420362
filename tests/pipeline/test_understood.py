"""What was understood of a collection is said before hours are spent on it, and again where it decides everything."""

import json

import pytest
import yaml

from affinitynet.cli import main
from affinitynet.config.config_file import to_dict
from affinitynet.data.summary import HEIGHT
from affinitynet.pipeline.run import run_pipeline
from tests.support.worlds import QUICK, plain_folder, tiny_world

TITLE = "What was understood of"


@pytest.fixture
def quick(tmp_path):
    path = tmp_path / "quick.yaml"
    path.write_text(yaml.safe_dump(to_dict(QUICK)), encoding="utf-8")
    return ["--config", str(path), "--workers", "1"]


def test_check_data_always_prints_it(tmp_path, capsys):
    data = tiny_world(tmp_path / "data")
    (data / "notes.pdf").write_text("notes")
    arguments = ["check-data", "--data", str(data), "--work", str(tmp_path / "work"), "--workers", "1"]
    said = []
    for _ in range(2):
        assert main(arguments) == 0
        said.append(capsys.readouterr())
    assert said[0].out == said[1].out
    lines = said[0].out.splitlines()
    assert lines[0].startswith(TITLE)
    assert len(lines) <= HEIGHT
    assert "6 read: 8-bit RGB JPEG; 240 x 320 to 320 x 240 pixels" in said[0].out
    assert "train 4 (trained on and measured, all with masks); val 2 (measured, all with masks)" in said[0].out
    assert "1 file (e.g. notes.pdf)" in " ".join(said[0].out.split())
    assert TITLE not in said[0].err  # not twice
    assert "done before" in said[1].err
    log = (tmp_path / "work" / "log.txt").read_text(encoding="utf-8")
    assert all(line in log for line in lines)
    assert json.loads((tmp_path / "work" / "collection.json").read_text(encoding="utf-8"))["images"] == 6


def test_a_run_prints_it_once_and_serious_matters_again_at_the_end(tmp_path, quick, capsys):
    data = plain_folder(tmp_path / "data", "file,tags\na.png,lesion\nb.png,lesion\n")
    arguments = ["run", "--data", str(data), "--work", str(tmp_path / "work"), *quick]
    assert main(arguments) == 0
    said = capsys.readouterr().err
    assert said.index(TITLE) < said.index("cannot be learnt: every training image has 'lesion'")
    assert said.index("cannot be learnt") < said.index("train-classifier: done")
    assert "affinitynet: warning: cannot be learnt" in said.splitlines()[-1]
    assert main(arguments) == 0
    again = capsys.readouterr().err
    assert TITLE not in again
    assert "affinitynet: warning: cannot be learnt" in again


def test_a_run_on_sound_data_ends_without_a_warning(tmp_path, quick, capsys):
    data = plain_folder(tmp_path / "data", "file,tags\na.png,lesion\nb.png,\n")
    assert main(["run", "--data", str(data), "--work", str(tmp_path / "work"), *quick]) == 0
    assert "warning" not in capsys.readouterr().err.replace("log.txt", "").split("train-classifier")[-1]


def test_it_describes_the_collection_as_it_is_now(tmp_path):
    data, work = plain_folder(tmp_path / "data", count=3), tmp_path / "work"

    def splits():
        run_pipeline(data, work, QUICK, stages=["check-data"], workers=1)
        found = json.loads((work / "collection.json").read_text(encoding="utf-8"))
        return {split["name"]: split["images"] for split in found["splits"]}, [c["count"] for c in found["skipped"]]

    assert splits() == ({"all": 2, "untagged": 1}, [])
    (data / "c.png").unlink()
    with (data / "tags.csv").open("a", encoding="utf-8") as file:
        file.write("x.png,cat\n")
    assert splits() == ({"all": 2}, [1])


def test_a_summary_that_was_deleted_is_not_passed_over(tmp_path, capsys):
    data = plain_folder(tmp_path / "data")
    arguments = ["check-data", "--data", str(data), "--work", str(tmp_path / "work"), "--workers", "1"]
    assert main(arguments) == 0
    (tmp_path / "work" / "collection.json").unlink()
    assert main(arguments) == 0
    assert "no longer there" in capsys.readouterr().out
    (tmp_path / "work" / "collection.json").write_text("[]", encoding="utf-8")
    assert main(arguments) == 2
    assert "collection.json" in capsys.readouterr().err
