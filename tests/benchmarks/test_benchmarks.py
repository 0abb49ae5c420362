"""Every benchmark runs, at a size that measures nothing."""

import re
import shutil
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

from affinitynet.config.trainings import IRNetConfig
from affinitynet.inference.clicks import Click
from benchmarks import (
    affinity,
    animals,
    boundaries,
    cam,
    clicks,
    common,
    crf,
    depthwise,
    growth,
    instances,
    learning_curve,
    review,
    segmenter,
    training,
    walk,
)
from benchmarks import all as everything
from tests.support.places import ROOT
from tests.support.processes import server
from tests.support.worlds import QUICK, copied


@pytest.fixture
def printed(monkeypatch, capsys):
    """Run a benchmark in this process, and return what it prints."""
    server()
    monkeypatch.setattr(common, "START_METHOD", "forkserver")
    threads = torch.get_num_threads()

    def run(benchmark, *arguments):
        benchmark.main([str(argument) for argument in arguments])
        return capsys.readouterr().out

    yield run
    torch.set_num_threads(threads)


def test_each_is_run_here():
    run_here = {value.__name__ for value in globals().values() if isinstance(value, ModuleType)}
    assert {f"benchmarks.{path.stem}" for path in (ROOT / "benchmarks").glob("[!_]*.py")} <= run_here


def test_gradients_of_dilated_convolutions(printed):
    out = printed(depthwise, "--toy", "--repeats", 1)
    differences = re.findall(r"([\d.e+-]+) of the largest", out)
    assert len(differences) == len(depthwise.TOYS)
    assert max(map(float, differences)) < 1e-4
    assert "segmentation network" in out


@pytest.mark.parametrize("benchmark", [affinity, boundaries])
def test_losses_of_pairs(printed, benchmark):
    out = printed(benchmark, "--toy", "--repeats", 1)
    (difference,) = re.findall(r"gradients differ by ([\d.e+-]+)", re.sub(r"\s+", " ", out))
    assert float(difference) < 1e-4
    assert "peak memory of one step" in out


@pytest.mark.parametrize("name", ["lite", "irn"])
def test_all(printed, name):
    out = printed(everything, "--toy", "--presets", name, "--device", "cpu")
    for what in ("classifier: step", "segmenter: step", "maps", "CRF, twice", "walk", "predict"):
        (seconds,) = re.findall(rf"{name} +│ +{what} +│ +([\d.]+)", out)
        assert float(seconds) > 0


def test_instances(printed, monkeypatch):
    irnet = IRNetConfig(epochs=1, min_steps=0, batch_size=2, crop_size=64, precision="float32")
    monkeypatch.setattr(instances, "DEMO", replace(QUICK, irnet=irnet))
    out = printed(instances, "--train", 4, "--val", 1)
    assert len(re.findall(r"(?:apart|touching), (?:IRNet|connected pieces) +│ +[\d.]+ │ +[\d.]+", out)) == 4


def test_cam(printed):
    out = printed(cam, "--toy", "--repeats", 1, "--networks", "lite")
    assert "class activation maps of 64x48 on cpu" in out
    assert re.search(r"lite +│ +[\d.]+", out)


def test_crf(printed):
    out = printed(crf, "--toy", "--repeats", 1)
    assert "32x24" in out
    assert "bytes/pixel" in out
    assert ("% equal" in out) == crf.PEER


def test_walk(printed):
    out = printed(walk, "--toy", "--repeats", 1)
    assert "16x12" in out
    assert "peak memory" in out


def test_segmenter(printed, finished):
    out = printed(segmenter, "--work", finished, "--most", 3)
    assert "same network on 3 drawn masks of train" in out
    (ratio,) = re.findall(r"ratio of tags to drawn masks +│ +([\d.]+)", out)
    assert 0 < float(ratio) < 1000


def test_learning_curve(printed, world, tmp_path, monkeypatch):
    monkeypatch.setattr(learning_curve, "preset", lambda name: QUICK)
    out = printed(learning_curve, "--data", world, "--work", tmp_path / "curve", "--counts", 0, 2)
    rows = re.findall(r"│ (\d) +│ +[\d.]+ / [\d.]+ │ +[\d.]+ / [\d.]+ │ +([\d.]*)", out)
    assert [(count, bool(alone)) for count, alone in rows] == [("0", False), ("2", True)]
    assert "learn_from: masks" in (tmp_path / "curve" / "drawn-2" / "config.yaml").read_text()


def test_clicks(printed, finished):
    out = printed(clicks, "--work", finished, "--split", "train", "--objects", 2)
    assert "ours, after the tags" in out
    assert "GrabCut, from nothing" in out
    assert ("random walker" in out) == (clicks.PEER)


def test_the_simulated_user_clicks_into_the_middle_of_the_largest_wrong_region():
    truth = np.zeros((60, 80), bool)
    truth[10:31, 10:41] = True
    wanted = clicks.Wanted(np.zeros((60, 80, 3), np.uint8), 2, 3 * truth.astype(np.uint8), truth)
    first = wanted.next_click(np.zeros_like(truth))
    assert first.label == 2
    assert first.y == 20
    assert 20 <= first.x <= 30
    too_much = truth.copy()
    too_much[40:51, 50:61] = True
    assert wanted.next_click(too_much) == Click(55, 45, None)


def test_training(printed, finished):
    out = printed(training, "--work", finished, "--steps", 1, "--workers", 1)
    for name in ("AffinityNet", "segmenter"):
        (cells,) = re.findall(rf"│ {name} +│(.+)│", out)
        seconds = [float(cell) for cell in cells.split("│")]
        assert len(seconds) == 8
        assert seconds[5] == pytest.approx(sum(seconds[2:5]), abs=2e-3)


def test_growth(printed):
    out = printed(growth, "--counts", 40, 60)
    for stage in (
        "check-data",
        "train-classifier",
        "random-walk",
        "refine-masks",
        "evaluate",
        "the same command again",
    ):
        (cells,) = re.findall(rf"│ {stage} +│ +([\d.]+), ([\d,]+) │ +([\d.]+), ([\d,]+) │", out)
        assert all(float(cell.replace(",", "")) > 0 for cell in cells)


def test_the_animals_are_drawn_from_photographs_that_show_one(tmp_path, printed):
    voc = tmp_path / "voc"
    shown = {"1": ("dog", "person", "cat", "dog"), "2": ("person", "chair"), "3": ("sheep",), "4": ("cow",)}
    lists = {"train_aug": "1\n2\n3\n", "val": "4\n"}
    for part in ("JPEGImages", "Annotations", "SegmentationClass", "ImageSets/Segmentation"):
        (voc / part).mkdir(parents=True)
    for name, objects in shown.items():
        Image.new("RGB", (4, 2)).save(voc / "JPEGImages" / f"{name}.jpg")
        inner = "".join(f"<object><name>{tag}</name></object>" for tag in objects)
        (voc / "Annotations" / f"{name}.xml").write_text(f"<annotation>{inner}</annotation>")
    for split, names in lists.items():
        (voc / "ImageSets" / "Segmentation" / f"{split}.txt").write_text(names)
    mask = np.array([[0, 8, 10, 12], [13, 17, 15, 255]], np.uint8)  # VOC's numbers; 15 is person
    Image.fromarray(mask).save(voc / "SegmentationClass" / "4.png")
    printed(animals, "--voc", voc, "--to", tmp_path / "pets", "--count", 2)
    rows = (tmp_path / "pets" / "tags.csv").read_text().split()
    assert rows == ["file,tags,split", "1.jpg,cat;dog,train", "3.jpg,sheep,train", "4.jpg,cow,val"]
    assert sorted(path.name for path in (tmp_path / "pets" / "images").iterdir()) == ["1.jpg", "3.jpg", "4.jpg"]
    (written,) = (tmp_path / "pets" / "masks").iterdir()
    assert np.asarray(Image.open(written)).tolist() == [[0, 1, 2, 3], [4, 5, 0, 255]]


def test_clicks_are_counted_until_the_mask_is_as_good_as_wanted():
    truth = np.zeros((10, 10), bool)
    truth[:, 5:] = True
    wanted = clicks.Wanted(np.zeros((10, 10, 3), np.uint8), 0, truth.astype(np.uint8), truth)
    almost = truth.copy()
    almost[:6, 5] = False  # IoU 0.88
    answers = [np.zeros_like(truth), almost, truth]
    assert clicks.clicks_needed(wanted, lambda said: answers[len(said) - 1], np.zeros_like(truth)) == [2, 3]
    assert clicks.clicks_needed(wanted, lambda said: ~truth, truth) == [0, 0]
    assert clicks.clicks_needed(wanted, lambda said: ~truth, ~truth) == [clicks.MOST, clicks.MOST]


def test_review(printed, finished, tmp_path):
    pytest.importorskip("playwright.sync_api")
    if shutil.which("chromium") is None and shutil.which("google-chrome") is None:
        pytest.skip("no Chromium here")
    work = copied(finished, tmp_path / "work")
    out = printed(review, "--work", work, "--images", 2, "--clicks", 1)
    images, clicks = re.findall(r"│ +(\d+) +│ +(\d+) +│ +\d+ +│ +[\d.]+ +│ +[\d.]+ +│", out)[0]
    assert int(images) == 2
    assert len(list((work / "corrections").rglob("*.json"))) >= int(clicks) > 0
