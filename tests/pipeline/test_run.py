"""The whole line: contract of the work folder, skipping, resuming, refusing, re-making masks."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from affinitynet.config.config_file import read_config
from affinitynet.config.settings import MaskConfig, PipelineConfig
from affinitynet.errors import InputError
from affinitynet.inference.tagged import MaskPredictor
from affinitynet.pipeline.labelling import LABELLING
from affinitynet.pipeline.run import run_pipeline
from affinitynet.pipeline.table import STAGES
from affinitynet.work.artifacts import KINDS
from affinitynet.work.folder import WorkFolder
from tests.support.interrupts import interrupted
from tests.support.worlds import QUICK, copied, plain_folder, snapshot, tags_of

pytestmark = pytest.mark.first


def test_the_work_folder_keeps_the_contract(finished):
    config = yaml.safe_load((finished / "config.yaml").read_text())
    assert {"data", "versions", "seed", "classifier", "walk"} <= set(config)
    names = [f"train_{i:03d}" for i in range(4)] + [f"val_{i:03d}" for i in range(2)]
    for name in names:
        cams, seeds, walks = (np.load(finished / kind / f"{name}.npz") for kind in ("cams", "seeds", "walks"))
        k = len(cams["classes"])
        height, width = cams["scores"].shape[1:]
        assert cams["classes"].dtype == np.int64
        assert cams["scores"].dtype == np.float16
        assert 0 <= cams["scores"].min(initial=0) <= cams["scores"].max(initial=0) <= 1
        for key in ("low", "high"):
            assert seeds[key].shape == (k + 1, height, width)
            assert seeds[key].dtype == np.float16
        assert walks["scores"].shape == (k, -(-height // 8), -(-width // 8))
        assert walks["background"].shape == (2, *walks["scores"].shape[1:])
        mask = Image.open(finished / "masks" / f"{name}.png")
        assert mask.mode == "P"
        assert mask.size == (width, height)
        assert set(np.unique(np.asarray(mask))) <= {0, *(cams["classes"] + 1)}
    metrics = json.loads((finished / "metrics.json").read_text())
    assert set(metrics) == {"train", "val"}
    steps_with_tags = ["CAM", "CAM at its best threshold", "CAM + CRF", "random walk", "masks"]
    assert list(metrics["train"]) == steps_with_tags
    assert list(metrics["val"]) == [*steps_with_tags, "segmentation network, no tags"]
    for steps in metrics.values():
        for numbers in steps.values():
            assert {"miou", "iou", "confusion", "images"} <= set(numbers)
    assert Image.open(finished / "contact_sheet.png").width > 500
    assert not list(finished.rglob("*checkpoint*"))
    assert (finished / "losses" / "classifier.csv").read_text().startswith("step,epoch,learning_rate,loss\n0,0,")


def test_a_second_run_changes_nothing(world, finished, tmp_path):
    work = copied(finished, tmp_path / "w")
    (work / "log.txt").unlink(missing_ok=True)
    before = snapshot(work)
    run_pipeline(world, work, QUICK, workers=1)
    after = snapshot(work)
    after.pop("log.txt")
    for files in (before, after):
        files.pop(".contents.json", None)  # digests of files that were too young to be remembered the first time
    assert after == before


def test_an_interrupted_run_continues_to_the_same_result(world, finished, tmp_path, monkeypatch):
    work = tmp_path / "w"
    from affinitynet.pipeline.stages import make_seeds

    real = make_seeds.find_seeds
    monkeypatch.setattr(make_seeds, "find_seeds", interrupted(real, call=3))
    with pytest.raises(KeyboardInterrupt):
        run_pipeline(world, work, QUICK, workers=1)
    assert not list(work.rglob(".writing-*"))
    monkeypatch.setattr(make_seeds, "find_seeds", real)
    run_pipeline(world, work, QUICK, workers=1)
    same = ("cams", "seeds", "walks", "masks", "losses")
    for kind in same:
        assert snapshot(work / kind) == snapshot(finished / kind), kind


def test_another_configuration_is_refused_and_nothing_is_touched(world, finished, tmp_path):
    work = copied(finished, tmp_path / "w")
    before = snapshot(work)
    other = replace(QUICK, classifier=replace(QUICK.classifier, epochs=2))
    with pytest.raises(InputError, match=r"made with another configuration \(classifier\.epochs: 1 -> 2\).*--force"):
        run_pipeline(world, work, other, workers=1)
    assert snapshot(work) == before


def test_a_second_run_at_the_same_time_is_told(world, finished, tmp_path):
    work = copied(finished, tmp_path / "w")
    with WorkFolder(work).locked(), pytest.raises(InputError, match="another run is at work in it"):
        run_pipeline(world, work, QUICK, workers=1)
    run_pipeline(world, work, QUICK, workers=1)


def test_a_damaged_artifact_is_made_again_by_the_command_that_its_cure_names(world, finished, tmp_path):
    work = copied(finished, tmp_path / "w")
    before, damaged = snapshot(work), work / "cams" / "train_000.npz"
    damaged.write_bytes(b"torn")
    with pytest.raises(InputError, match="delete it and run the command of its stage again"):
        WorkFolder(work).cams.load("train_000")
    damaged.unlink()
    (work / "metrics.json").unlink()
    run_pipeline(world, work, QUICK, workers=1)  # maps may be deleted once the masks are made: run leaves that so
    assert not damaged.exists()
    run_pipeline(world, work, QUICK, workers=1, stages=["make-cams", "evaluate"])
    after = snapshot(work)
    assert all(after[name] == before[name] for name in before if name.startswith(("cams", "metrics.json")))


def test_a_file_of_each_kind_is_made_again_by_its_stage_and_nothing_more_is_said_to_be_missing(
    world, finished, tmp_path
):
    work = copied(finished, tmp_path / "w")
    before = {name: content for name, content in snapshot(work).items() if name.split("/")[0] in KINDS}
    first = {name.split("/")[0]: name for name in sorted(before, reverse=True)}
    assert {"walks", "masks", "segmented"} <= set(first)
    for name in first.values():
        (work / name).unlink()
    run_pipeline(world, work, QUICK, workers=1, stages=LABELLING)
    assert snapshot(work).items() >= before.items()
    (work / "log.txt").unlink()
    run_pipeline(world, work, QUICK, workers=1, stages=LABELLING)
    assert "missing" not in (work / "log.txt").read_text()


@pytest.mark.parametrize("content", [None, "[", "[]", '{"make-cams": 1}'])
def test_artifacts_without_their_record_are_neither_trusted_nor_deleted(world, finished, tmp_path, content):
    """Without the records every stage would run again, and keep what other settings made."""
    work = copied(finished, tmp_path / "w")
    (work / "stages.json").unlink() if content is None else (work / "stages.json").write_text(content)
    before = snapshot(work)
    with pytest.raises(InputError, match=r"stages\.json: .*restore it from a copy, or name a new --work"):
        run_pipeline(world, work, QUICK, workers=1)
    assert snapshot(work) == before


def test_changed_tags_are_refused(world, finished, tmp_path):
    data = copied(world, tmp_path / "data")
    table = (data / "tags.csv").read_text().splitlines()
    rows = [row.split(",") for row in table[1:]]
    other = next(row for row in rows if row[1] != rows[0][1])
    rows[0][1], other[1] = other[1], rows[0][1]  # the classes stay
    table[1:] = [",".join(row) for row in rows]
    (data / "tags.csv").write_text("\n".join(table))
    with pytest.raises(InputError, match="images, tags, drawn masks or files of weights have changed"):
        run_pipeline(data, copied(finished, tmp_path / "w"), QUICK, workers=1)


def test_force_makes_the_affected_stages_again(world, finished, tmp_path):
    work = copied(finished, tmp_path / "w")
    cams, seeds = snapshot(work / "cams"), snapshot(work / "seeds")
    other = replace(QUICK, seeds=replace(QUICK.seeds, low_alpha=2.0))
    run_pipeline(world, work, other, workers=1, force=True)
    assert snapshot(work / "cams") == cams
    assert snapshot(work / "seeds") != seeds


def test_another_threshold_re_makes_masks_without_walking_again(world, finished, tmp_path):
    work = copied(finished, tmp_path / "w")
    walks, masks, segmenter = snapshot(work / "walks"), snapshot(work / "masks"), work / "segmenter.safetensors"
    times = {p: p.stat().st_mtime_ns for p in [*(work / "walks").iterdir(), segmenter]}
    for changed in (MaskConfig(alpha=4.0), MaskConfig(alpha=8.0, threshold=0.01)):
        other = replace(QUICK, masks=changed)
        run_pipeline(world, work, other, workers=1, stages=["random-walk", "make-masks"])
        assert snapshot(work / "walks") == walks
        assert snapshot(work / "masks") != masks
        metrics = run_pipeline(world, work, other, workers=1, stages=["evaluate"])
        assert "segmentation network, no tags" not in metrics["val"]  # it was trained on other masks
    assert times == {p: p.stat().st_mtime_ns for p in times}


def test_a_segmentation_network_of_other_masks_is_trained_again_only_if_asked(world, finished, tmp_path):
    work = copied(finished, tmp_path / "w")
    other = replace(QUICK, masks=MaskConfig(alpha=4.0))
    with pytest.raises(InputError, match=r"masks\.alpha: 8\.0 -> 4\.0.*--force to recompute: .*train-segmenter"):
        run_pipeline(world, work, other, workers=1)
    before = segmenter_of(work)
    metrics = run_pipeline(world, work, other, workers=1, force=True)
    assert "segmentation network, no tags" in metrics["val"]
    assert segmenter_of(work) != before


def segmenter_of(work):
    return (work / "segmenter.safetensors").read_bytes()


def test_a_stage_alone_names_what_it_needs(world, tmp_path):
    with pytest.raises(InputError, match="make-seeds needs make-cams"):
        run_pipeline(world, tmp_path / "w", QUICK, stages=["make-seeds"])
    assert not (tmp_path / "w").exists()


def test_stages_one_by_one_give_the_same_as_a_run(world, finished, tmp_path):
    for stage in STAGES:
        run_pipeline(world, tmp_path / "w", QUICK, stages=[stage.name], workers=1)
    for kind in ("cams", "seeds", "walks", "masks"):
        assert snapshot(tmp_path / "w" / kind) == snapshot(finished / kind)


def test_results_do_not_depend_on_the_number_of_workers(world, finished, tmp_path):
    run_pipeline(world, tmp_path / "w", QUICK, workers=3)
    for kind in ("seeds", "walks", "masks"):
        assert snapshot(tmp_path / "w" / kind) == snapshot(finished / kind)


def test_the_predictor_of_a_work_folder_makes_the_same_masks(world, finished):
    predictor = MaskPredictor.from_work(finished)
    image = np.asarray(Image.open(world / "images" / "val_000.jpg"))
    found = predictor.predict(image, tags_of(world)["val_000"])
    stored = np.asarray(Image.open(finished / "masks" / "val_000.png"))
    assert (found.mask == stored).mean() > 0.99  # artifacts are kept in float16
    with pytest.raises(InputError, match="known: "):
        predictor.predict(image, ["unicorn"])


def test_the_stored_config_is_the_config(finished):
    stored = read_config(finished / "config.yaml", PipelineConfig())
    assert replace(stored, classes=None, split=None) == QUICK


def test_without_ground_truth_masks_are_made_all_the_same(tmp_path):
    data = plain_folder(tmp_path / "data", "file,tags\na.png,cat\nb.png,\nc.png,dog;cat\n", count=4)
    assert run_pipeline(data, tmp_path / "w", QUICK, workers=1) == {}
    assert {p.name for p in (tmp_path / "w" / "masks").iterdir()} == {"a.png", "b.png", "c.png"}
    assert not np.asarray(Image.open(tmp_path / "w" / "masks" / "b.png")).any()
    assert Path(tmp_path / "w" / "contact_sheet.png").exists()
