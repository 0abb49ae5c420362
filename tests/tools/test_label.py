"""Shares of the labelling that know nothing of each other make together what one run makes."""

import json
import shutil

import pytest

from affinitynet.cli import main
from affinitynet.errors import InputError
from affinitynet.pipeline.run import run_pipeline
from affinitynet.tools.label import label_share
from affinitynet.work.folder import WorkFolder
from tests.support.worlds import QUICK, snapshot

LABELLED = ("cams", "seeds", "walks", "first_masks", "masks", "refined", "segmented")
STAGES = ("make-cams", "make-seeds", "random-walk", "make-masks", "refine-masks", "segment", "evaluate")


def unlabelled(work, stages=STAGES, also=()):
    """Take from a finished work folder what was labelled, as if only the networks had been trained."""
    records = json.loads((work / "stages.json").read_text())
    (work / "stages.json").write_text(json.dumps({k: v for k, v in records.items() if k not in (*stages, *also)}))
    for folder in LABELLED:
        shutil.rmtree(work / folder, ignore_errors=True)
    for table in work.glob("*.csv"):
        table.unlink()
    return work


def made(work):
    return {name: content for name, content in snapshot(work).items() if name.split("/")[0] in LABELLED}


def test_the_union_of_the_shares_is_what_a_run_makes(work, world):
    expected, metrics = made(work), (work / "metrics.json").read_text()
    tables = {table.name: table.read_text() for table in work.glob("*.csv")}
    unlabelled(work)
    for number in (3, 1, 2):  # in any order
        assert not any(record.finished for name, record in WorkFolder(work).records().items() if name in STAGES)
        label_share(work, shard=f"{number}/3")
    assert all(WorkFolder(work).records()[name].finished for name in STAGES[:-1])
    assert made(work) == expected
    run_pipeline(world, work, QUICK)
    assert made(work) == expected
    assert (work / "metrics.json").read_text() == metrics
    assert {table.name: table.read_text() for table in work.glob("*.csv")} == tables


def test_a_share_goes_on_where_it_was_killed_and_says_what_is_missing(work, capsys):
    expected = made(work)
    unlabelled(work)
    label_share(work, shard="1/3")
    label_share(work, shard="2/3")
    lost = work / "walks" / "train_000.npz"  # the first image
    lost.unlink()
    before = {path: path.stat().st_mtime_ns for path in (work / "walks").rglob("*.npz")}
    assert main(["label", "--work", str(work), "--shard", "1/3", "--missing"]) == 0
    told = capsys.readouterr().out
    assert "random-walk: 3 of 6 missing, the first train_000; of 1/3, 3/3" in told
    assert "make-seeds: 2 of 6 missing, the first train_002; of 3/3" in told
    label_share(work, shard="3/3")
    assert not lost.exists()
    label_share(work, shard="1/3")
    assert all(path.stat().st_mtime_ns == then for path, then in before.items())
    assert label_share(work, missing=True) == ["nothing is missing; `affinitynet run` does what is left"]
    assert made(work) == expected


def test_it_goes_as_far_as_the_networks_are_trained(work):
    unlabelled(work, also=("train-affinity", "train-segmenter"))
    (line,) = label_share(work, shard="1/1")
    assert line == "share 1 of 1, 6 images: make-cams, make-seeds"
    assert set(made(work)) == {name for name in made(work) if name.split("/")[0] in ("cams", "seeds")} != set()


def test_what_needs_all_images_is_named_where_nothing_can_be_labelled(work, world):
    unlabelled(work, also=("train-affinity", "train-segmenter"))
    label_share(work)
    with pytest.raises(
        InputError, match=r"nothing to label before train-affinity has run.*`affinitynet train-affinity`"
    ):
        label_share(work)


def test_files_made_under_other_settings_are_not_mixed_with_new_ones(work, world, capsys):
    unlabelled(work)
    label_share(work, shard="1/2")
    text = (work / "config.yaml").read_text()
    (work / "config.yaml").write_text(text.replace("gaussian_sxy: 3.0", "gaussian_sxy: 2.0"))
    assert text != (work / "config.yaml").read_text()
    assert main(["label", "--work", str(work), "--shard", "2/2"]) == 2
    assert "crf.gaussian_sxy: 3.0 -> 2.0" in capsys.readouterr().err


@pytest.mark.parametrize("shard", ["0/3", "4/3", "3", "1/0", "a/b", "1/3/5", "", "1.0/3", "٣/٤"])
def test_no_such_share(shard, finished, capsys):
    assert main(["label", "--work", str(finished), "--shard", shard]) == 2
    assert "has to be a share like 3/64" in capsys.readouterr().err


def test_a_run_and_a_share_do_not_begin_at_once(work, monkeypatch):
    monkeypatch.setattr("affinitynet.pipeline.labelling.PATIENCE", 0.1)
    unlabelled(work)
    with WorkFolder(work).locked(), pytest.raises(InputError, match="another run is at work"):
        label_share(work)


def test_a_folder_without_a_classifier_is_refused(tmp_path, world):
    with pytest.raises(InputError, match="train-classifier"):
        label_share(tmp_path / "nothing")
