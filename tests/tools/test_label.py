"""Shares of the labelling that know nothing of each other make together what one run makes."""

import json
import shutil
from dataclasses import replace

import pytest

from affinitynet.cli import main
from affinitynet.config.settings import RefineConfig
from affinitynet.config.trainings import IRNetConfig
from affinitynet.errors import InputError
from affinitynet.pipeline.run import run_pipeline
from affinitynet.pipeline.table import Stage, stages_of
from affinitynet.tools.label import label_shard
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
        label_shard(work, shard=f"{number}/3")
    assert all(WorkFolder(work).records()[name].finished for name in STAGES[:-1])
    assert made(work) == expected
    run_pipeline(world, work, QUICK)
    assert made(work) == expected
    assert (work / "metrics.json").read_text() == metrics
    assert {table.name: table.read_text() for table in work.glob("*.csv")} == tables


def test_a_share_goes_on_where_it_was_killed_and_says_what_is_missing(work, capsys):
    expected = made(work)
    unlabelled(work)
    label_shard(work, shard="1/3")
    label_shard(work, shard="2/3")
    lost = work / "walks" / "train_000.npz"  # the first image
    lost.unlink()
    before = {path: path.stat().st_mtime_ns for path in (work / "walks").rglob("*.npz")}
    assert main(["label", "--work", str(work), "--shard", "1/3", "--missing"]) == 0
    told = capsys.readouterr().out
    assert "random-walk: 3 of 6 missing, the first train_000; of 1/3, 3/3" in told
    assert "make-seeds: 2 of 6 missing, the first train_002; of 3/3" in told
    label_shard(work, shard="3/3")
    assert not lost.exists()
    label_shard(work, shard="1/3")
    assert all(path.stat().st_mtime_ns == then for path, then in before.items())
    assert (
        label_shard(work, missing=True)
        == label_shard(work)
        == ["nothing is left to label; `affinitynet run` does what is left"]
    )
    assert made(work) == expected


def test_it_goes_as_far_as_the_networks_are_trained(work):
    unlabelled(work, also=("train-affinity", "train-segmenter"))
    (line,) = label_shard(work, shard="1/1")
    assert line == "shard 1/1, 6 images: make-cams, make-seeds"
    assert set(made(work)) == {name for name in made(work) if name.split("/")[0] in ("cams", "seeds")} != set()


def test_what_needs_all_images_is_named_where_nothing_can_be_labelled(work):
    unlabelled(work, also=("train-classifier", "train-affinity", "train-segmenter"))
    with pytest.raises(
        InputError, match=r"nothing to label before train-classifier has run; run `affinitynet train-cl"
    ):
        label_shard(work)


def test_a_task_that_finds_nothing_left_to_do_has_done_its_work(work, capsys):
    unlabelled(work, also=("train-affinity", "train-segmenter"))
    label_shard(work)
    assert main(["label", "--work", str(work), "--shard", "2/3"]) == 0
    assert "nothing is left to label" in capsys.readouterr().out


def test_the_rank_of_a_task_is_not_that_of_a_process(work, monkeypatch):
    expected = made(work)
    unlabelled(work)
    for rank in range(2):
        monkeypatch.setenv("RANK", str(rank))
        assert main(["label", "--work", str(work), "--shard", f"{rank + 1}/2"]) == 0
    assert made(work) == expected


def test_objects_are_told_apart_in_the_masks_that_stay(world, tmp_path):
    quick = IRNetConfig(epochs=1, min_steps=0, batch_size=2, crop_size=64, precision="float32")
    config = replace(QUICK, propagation="irnet", irnet=quick, refine=RefineConfig(masks=True, crf=False))
    run_pipeline(world, tmp_path / "whole", config)
    work = tmp_path / "shares"
    first = [
        stage.name for stage in stages_of(config) if stage.name not in (*STAGES, "make-instances", "train-segmenter")
    ]
    run_pipeline(world, work, config, stages=[*first, "make-cams", "make-seeds"])
    label_shard(work)
    assert not (work / "instances").exists()  # its masks are made anew by a network that is not trained yet
    run_pipeline(world, work, config)
    assert (
        {k: v for k, v in snapshot(work).items() if k.startswith("instances/")}
        == {k: v for k, v in snapshot(tmp_path / "whole").items() if k.startswith("instances/")}
        != {}
    )


def test_a_share_does_not_finish_what_a_run_has_begun_anew(work, monkeypatch):
    unlabelled(work)
    folder = WorkFolder(work)
    run = Stage.run

    def changed(stage, context):
        run(stage, context)
        record = folder.records()[stage.name]
        folder.record(stage.name, replace(record, fingerprint="of another run"))

    monkeypatch.setattr(Stage, "run", changed)
    with pytest.raises(InputError, match="a run has changed make-cams while this shard was labelled"):
        label_shard(work)
    assert not folder.records()["make-cams"].finished


def test_images_that_came_later_are_checked_first(finished_world, tmp_path):
    root = tmp_path / "world"
    shutil.copytree(finished_world, root)
    text = (root / "work" / "config.yaml").read_text()
    (root / "work" / "config.yaml").write_text(text.replace(str(finished_world / "data"), str(root / "data")))
    work = unlabelled(root / "work")
    (root / "data" / "images" / "val_001.jpg").write_bytes((root / "data" / "images" / "val_000.jpg").read_bytes())
    with pytest.raises(InputError, match=r"recompute: check-data.*--force is a flag of `affinitynet run`"):
        label_shard(work)


def test_files_made_under_other_settings_are_not_mixed_with_new_ones(work, world, capsys):
    unlabelled(work)
    label_shard(work, shard="1/2")
    text = (work / "config.yaml").read_text()
    (work / "config.yaml").write_text(text.replace("gaussian_sxy: 3.0", "gaussian_sxy: 2.0"))
    assert text != (work / "config.yaml").read_text()
    assert main(["label", "--work", str(work), "--shard", "2/2"]) == 2
    assert "crf.gaussian_sxy: 3.0 -> 2.0" in capsys.readouterr().err


@pytest.mark.parametrize("shard", ["0/3", "4/3", "3", "1/0", "a/b", "1/3/5", "", "1.0/3", "٣/٤"])
def test_no_such_share(shard, finished, capsys):
    assert main(["label", "--work", str(finished), "--shard", shard]) == 2
    assert "has to be a shard like 3/64" in capsys.readouterr().err


def test_a_run_and_a_share_do_not_begin_at_once(work, monkeypatch):
    monkeypatch.setattr("affinitynet.pipeline.labelling.PATIENCE", 0.1)
    unlabelled(work)
    with WorkFolder(work).locked(), pytest.raises(InputError, match="another run is at work"):
        label_shard(work)


def test_a_folder_without_a_classifier_is_refused(tmp_path, world):
    with pytest.raises(InputError, match="train-classifier"):
        label_shard(tmp_path / "nothing")
