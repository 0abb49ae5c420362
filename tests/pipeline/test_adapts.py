"""Local maps, the plan that follows from them, and the rounds of the segmentation network, on a drawn world."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import yaml
from PIL import Image

from affinitynet.config.settings import MaskConfig, RefineConfig
from affinitynet.data.drawn_world import draw_world
from affinitynet.errors import InputError
from affinitynet.files import read_label_image
from affinitynet.inference.tagged import MaskPredictor
from affinitynet.models.classifier import load_classifier
from affinitynet.models.local_classifier import LocalClassifier
from affinitynet.pipeline import places as pipeline_places
from affinitynet.pipeline.run import run_pipeline
from affinitynet.pipeline.stages import train_segmenter
from affinitynet.tools.report.report import write_report
from affinitynet.training import places
from tests.support.interrupts import interrupted
from tests.support.worlds import QUICK, copied, snapshot, tags_of, tiny_world

LOCAL = replace(QUICK, classifier=replace(QUICK.classifier, maps="local"), masks=MaskConfig())
ROUNDS = replace(QUICK, segmenter=replace(QUICK.segmenter, rounds=2), refine=RefineConfig(masks=True))
BEFORE_THE_MAPS = ("check-data", "train-classifier")


@pytest.fixture(scope="module")
def few_starts():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(places, "STARTS", 2)
        patch.setattr(places, "STEPS", 4)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory, few_starts):
    root = tmp_path_factory.mktemp("local")
    data = tiny_world(root / "data")
    run_pipeline(data, root / "work", LOCAL, workers=1)
    return data, root / "work"


def test_the_plan_and_what_was_learnt_are_kept(made):
    _, work = made
    plan = {line["setting"]: line for line in yaml.safe_load((work / "config.yaml").read_text())["plan"]}
    assert {"seeds.low_alpha", "seeds.crf_scale", "masks.source"} <= set(plan)
    assert all(line["because"] for line in plan.values())
    learnt = json.loads((work / "classifier.json").read_text())
    assert learnt["maps"] == "local"
    assert {found["name"] for found in learnt["classes"]} >= {"checker", "dots", "rings"}
    assert isinstance(load_classifier(work / "classifier.safetensors"), LocalClassifier)
    assert "plan: " in (work / "log.txt").read_text()


def test_where_nothing_is_held_out_nothing_is_said_to_be_measured(made, tmp_path):
    config = replace(LOCAL, classifier=replace(LOCAL.classifier, hold_out=0.0))
    run_pipeline(made[0], tmp_path / "work", config, stages=BEFORE_THE_MAPS, workers=1)
    learnt = json.loads((tmp_path / "work" / "classifier.json").read_text())["classes"]
    assert any(found["images"] for found in learnt)
    assert {(found["held_out"], found["precision"], found["chance"]) for found in learnt} == {(0, None, 0.0)}
    log = (tmp_path / "work" / "log.txt").read_text()
    assert "average precision" not in log
    assert "too few of its images were held out" in log


def test_no_tagged_class_is_missing_in_silence(made):
    data, work = made
    names = json.loads((work / "classifier.json").read_text())["classes"]
    numbers = {found["name"]: number for number, found in enumerate(names, start=1)}
    listed = (work / "added.csv").read_text() if (work / "added.csv").exists() else ""
    for name, tags in tags_of(data).items():
        present = set(np.unique(read_label_image(work / "masks" / f"{name}.png")).tolist())
        for tag in tags:
            assert numbers[tag] in present or f"{name},{tag},missing" in listed


def test_a_second_run_changes_nothing(made):
    data, work = made
    before = snapshot(work)
    run_pipeline(data, work, LOCAL, workers=1)
    after = snapshot(work)
    changed = {name for name in before | after if before.get(name) != after.get(name)}
    assert changed <= {"log.txt", ".lock", ".contents.json"}


def test_the_predictor_makes_the_same_masks(made):
    data, work = made
    predictor = MaskPredictor.from_work(work)
    image = np.asarray(Image.open(data / "images" / "val_000.jpg"))
    found = predictor.predict(image, tags_of(data)["val_000"])
    assert (found.mask == read_label_image(work / "masks" / "val_000.png")).mean() > 0.99


def test_the_report_does_without_a_walk(made, tmp_path):
    copied(made[1], tmp_path / "work")
    shutil.rmtree(tmp_path / "work" / "walks", ignore_errors=True)
    page = write_report(tmp_path / "work", made[0]).read_text(encoding="utf-8")
    assert "val_000" in page


def test_a_flag_overrides_a_line_of_the_plan(made):
    data, work = made
    with pytest.raises(InputError, match=r"seeds\.low_alpha: None -> 0\.5"):
        run_pipeline(data, work, replace(LOCAL, seeds=replace(LOCAL.seeds, low_alpha=0.5)), workers=1)
    found = yaml.safe_load((work / "config.yaml").read_text())
    assert found["seeds"]["low_alpha"] is None


def test_the_network_makes_the_masks_anew_and_the_first_ones_stay(tmp_path):
    data = tiny_world(tmp_path / "data")
    run_pipeline(data, tmp_path / "work", ROUNDS, workers=1)
    work = tmp_path / "work"
    names = [path.name for path in (work / "masks").iterdir()]
    assert len(names) == 6
    for name in names:
        assert (work / "masks" / name).read_bytes() == (work / "refined" / name).read_bytes()
        assert (work / "first_masks" / name).exists()
    assert len(list((work / "relabelled").iterdir())) == 4
    assert "without the tags the network finds" in (work / "log.txt").read_text()  # one step teaches it nothing
    assert not (work / "segmenter.round.safetensors").exists()
    before = snapshot(work / "refined")
    (work / "refined" / names[0]).unlink()
    shutil.rmtree(work / "relabelled")  # of use between two rounds only
    run_pipeline(data, work, ROUNDS, stages=("train-segmenter", "refine-masks"), workers=1)
    assert "train-segmenter: done before" in (work / "log.txt").read_text()
    assert snapshot(work / "refined") == before


def test_a_network_that_does_not_find_a_class_does_not_make_its_masks(tmp_path, monkeypatch):
    data, work = tiny_world(tmp_path / "data"), tmp_path / "work"
    monkeypatch.setattr(train_segmenter, "not_found", lambda context, model: ["dots"])
    run_pipeline(data, work, ROUNDS, workers=1)
    images = {path.stem: path for path in (data / "images").iterdir()}
    predictor, changed = MaskPredictor.from_work(work), 0
    for name, tags in tags_of(data).items():
        first, mask = (read_label_image(work / kind / f"{name}.png") for kind in ("first_masks", "masks"))
        assert "dots" not in tags or (first == mask).all()
        changed += (first != mask).any()
        assert (predictor.predict(predictor.read(images[name]), tags).mask == mask).mean() > 0.999
    assert changed
    assert "keep the masks that the network learnt from, since it does not find dots" in (work / "log.txt").read_text()


def test_stages_that_are_left_out_lack_nothing(tmp_path):
    data, work = tiny_world(tmp_path / "data"), tmp_path / "work"
    config = replace(QUICK, masks=replace(QUICK.masks, source="crf"), refine=RefineConfig(masks=False))
    run_pipeline(data, work, config, workers=1)
    assert not (work / "affinity.safetensors").exists()
    assert not any((work / "walks").glob("*"))
    run_pipeline(data, work, config, stages=("random-walk", "make-masks", "refine-masks"), workers=1)
    log = (work / "log.txt").read_text()
    for stage, reason in (
        ("train-affinity", "source is crf"),
        ("random-walk", "source is crf"),
    ):
        assert re.search(f"{stage}.*: left out, since masks.*{reason}", log)
    assert "the masks are those that the network learnt from, since refine.masks is false" in log
    assert "missing" not in log


def test_the_first_masks_come_back_at_once_and_go_again(tmp_path):
    data, work = tiny_world(tmp_path / "data"), tmp_path / "work"
    run_pipeline(data, work, ROUNDS, workers=1)
    refined = {path.name: path.read_bytes() for path in (work / "masks").iterdir()}
    trained = (work / "segmenter.safetensors").stat().st_mtime_ns
    run_pipeline(data, work, replace(ROUNDS, refine=RefineConfig(masks=False)), workers=1)
    for path in (work / "masks").iterdir():
        assert path.read_bytes() == (work / "first_masks" / path.name).read_bytes()
    assert not (work / "refined").exists()
    run_pipeline(data, work, ROUNDS, workers=1)
    assert {path.name: path.read_bytes() for path in (work / "masks").iterdir()} == refined
    assert (work / "segmenter.safetensors").stat().st_mtime_ns == trained


def test_masks_that_are_decided_anew_are_not_those_of_a_network_that_learnt_from_others(tmp_path):
    data, work = tiny_world(tmp_path / "data"), tmp_path / "work"
    run_pipeline(data, work, ROUNDS, workers=1)
    other = replace(ROUNDS, masks=replace(ROUNDS.masks, alpha=4.0))
    run_pipeline(data, work, other, stages=("make-masks", "evaluate"), workers=1)
    assert not (work / "refined").exists()
    assert "refine-masks, segment: dropped" in (work / "log.txt").read_text()
    for path in (work / "masks").iterdir():
        assert path.read_bytes() == (work / "first_masks" / path.name).read_bytes()


def test_a_collection_too_large_for_the_memory_is_drawn_from_evenly_and_that_is_said(tmp_path, few_starts, monkeypatch):
    draw_world(tmp_path / "data", train=24, val=2, seed=3)
    monkeypatch.setattr(pipeline_places, "MEMORY", 8 * 2 * 248 * 24 * 32)  # features of eight pictures of 384 x 512
    run_pipeline(tmp_path / "data", tmp_path / "work", LOCAL, stages=BEFORE_THE_MAPS, workers=1)
    assert "learns from 8 of 24 images" in (tmp_path / "work" / "log.txt").read_text()
    learnt = json.loads((tmp_path / "work" / "classifier.json").read_text())
    assert all(found["images"] + found["held_out"] >= 1 for found in learnt["classes"])


def test_killed_between_two_rounds_and_continued_equals_never_killed(tmp_path, monkeypatch):
    data = tiny_world(tmp_path / "data")
    run_pipeline(data, tmp_path / "whole", ROUNDS, workers=1)
    monkeypatch.setattr(train_segmenter, "relabel", interrupted(train_segmenter.relabel, call=3))
    with pytest.raises(KeyboardInterrupt):
        run_pipeline(data, tmp_path / "parts", ROUNDS, workers=1)
    assert (tmp_path / "parts" / "segmenter.round.safetensors").exists()
    run_pipeline(data, tmp_path / "parts", ROUNDS, workers=1)
    for file in ("segmenter.safetensors", "metrics.json", "masks/val_000.png"):
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "parts" / file).read_bytes(), file
