"""Local maps, the plan that follows from them, and the rounds of the segmentation network, on a drawn world."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import yaml
from PIL import Image

from affinitynet.config.settings import MaskConfig
from affinitynet.errors import InputError
from affinitynet.files import read_label_image
from affinitynet.inference.tagged import MaskPredictor
from affinitynet.models.classifier import load_classifier
from affinitynet.models.local_classifier import LocalClassifier
from affinitynet.pipeline.run import run_pipeline
from affinitynet.pipeline.stages import train_segmenter
from affinitynet.tools.report.report import write_report
from affinitynet.training import places
from tests.support.worlds import QUICK, copied, snapshot, tiny_world

LOCAL = replace(QUICK, classifier=replace(QUICK.classifier, maps="local"), masks=MaskConfig())
ROUNDS = replace(QUICK, segmenter=replace(QUICK.segmenter, rounds=2), masks=replace(QUICK.masks, refine=True))
BEFORE_THE_NETWORK = ("check-data", "train-classifier", "make-cams", "make-seeds", "train-affinity", "random-walk")


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


def test_no_tagged_class_is_missing_in_silence(made):
    data, work = made
    names = json.loads((work / "classifier.json").read_text())["classes"]
    numbers = {found["name"]: number for number, found in enumerate(names, start=1)}
    rows = (line.split(",") for line in (data / "tags.csv").read_text().splitlines()[1:])
    listed = (work / "added.csv").read_text() if (work / "added.csv").exists() else ""
    for file, tags in rows:
        name = file.removesuffix(".jpg")
        present = set(np.unique(read_label_image(work / "masks" / f"{name}.png")).tolist())
        for tag in filter(None, tags.split(";")):
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
    row = next(line for line in (data / "tags.csv").read_text().splitlines() if line.startswith("val_000"))
    image = np.asarray(Image.open(data / "images" / "val_000.jpg"))
    found = predictor.predict(image, [tag for tag in row.split(",")[1].split(";") if tag])
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
    assert not (work / "segmenter.round.safetensors").exists()


def test_killed_between_two_rounds_and_continued_equals_never_killed(tmp_path, monkeypatch):
    data = tiny_world(tmp_path / "data")
    run_pipeline(data, tmp_path / "whole", ROUNDS, workers=1)
    relabel, calls = train_segmenter.relabel, []

    def killed(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return relabel(*arguments)

    monkeypatch.setattr(train_segmenter, "relabel", killed)
    with pytest.raises(KeyboardInterrupt):
        run_pipeline(data, tmp_path / "parts", ROUNDS, workers=1)
    assert (tmp_path / "parts" / "segmenter.round.safetensors").exists()
    run_pipeline(data, tmp_path / "parts", ROUNDS, workers=1)
    for file in ("segmenter.safetensors", "metrics.json", "masks/val_000.png"):
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "parts" / file).read_bytes(), file
