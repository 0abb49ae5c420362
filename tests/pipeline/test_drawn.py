"""Drawn masks beside the tags: they teach every network, stay in the masks, and are never measured."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from affinitynet.config.settings import DrawnConfig, PipelineConfig
from affinitynet.data.truth import PngMask
from affinitynet.errors import InputError
from affinitynet.files import read_label_image
from affinitynet.models.backbones.registry import build_backbone
from affinitynet.models.local_classifier import LocalClassifier
from affinitynet.pipeline.drawn import learnt_from
from affinitynet.pipeline.places import _parts
from affinitynet.pipeline.run import run_pipeline
from affinitynet.records import TaggedImage
from affinitynet.training.places import Places, train_places
from affinitynet.work.folder import WorkFolder
from tests.support.worlds import QUICK, copied, tags_of, tiny_world


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run in which the mask of the first training picture is drawn, as nobody would find it."""
    root = tmp_path_factory.mktemp("drawn")
    data = tiny_world(root / "data")
    name = (data / "splits" / "train.txt").read_text().split()[0].removesuffix(".png")
    truth = next((data / "masks").rglob(f"{name}.png"))
    drawn = read_label_image(truth).copy()
    classes = [value for value in np.unique(drawn).tolist() if 0 < value < 255]
    drawn[:] = 0
    drawn[5:25, 5:25] = classes[0]
    drawn[-6:] = 255
    (data / "drawn").mkdir()
    Image.fromarray(drawn).save(data / "drawn" / f"{name}.png")
    run_pipeline(data, root / "work", QUICK, workers=1)
    return data, root / "work", name, drawn


def test_what_was_drawn_is_the_mask(made):
    _, work, name, drawn = made
    for folder in ("first_masks", "masks"):
        mask = read_label_image(work / folder / f"{name}.png")
        assert (mask == drawn)[drawn != 255].all()
        assert (mask != 255).all()
    assert (read_label_image(work / "drawn" / f"{name}.png") == drawn).all()


def test_a_drawn_mask_that_is_missing_is_read_again(made, tmp_path):
    data, work, name, drawn = made
    work = copied(work, tmp_path / "work")
    (work / "drawn" / f"{name}.png").unlink()
    run_pipeline(data, work, QUICK, stages=("check-data",), workers=1)
    assert (read_label_image(work / "drawn" / f"{name}.png") == drawn).all()
    run_pipeline(data, work, QUICK, workers=1)
    assert "check-data: done before" in (work / "log.txt").read_text()


def test_it_is_said_and_not_measured(made):
    _, work, _, _ = made
    assert "1 mask to learn from, never measured" in (work / "log.txt").read_text()
    metrics = json.loads((work / "metrics.json").read_text())
    measured = {split: steps["masks"]["images"] for split, steps in metrics.items()}
    assert measured == {"train": 3, "val": 2}


def test_another_mask_makes_anew_what_learnt_from_it(made, tmp_path):
    data, work, name, drawn = made
    data, work = copied(data, tmp_path / "data"), copied(work, tmp_path / "work")
    Image.fromarray(np.where(drawn == 255, 0, drawn)).save(data / "drawn" / f"{name}.png")
    with pytest.raises(InputError, match="images, tags, drawn masks or files of weights have changed") as refused:
        run_pipeline(data, work, QUICK, workers=1)
    assert "train-affinity" in str(refused.value)
    assert "train-classifier" in str(refused.value).rpartition("what stays")[2]  # the paper's learns from tags alone
    run_pipeline(data, work, QUICK, workers=1, force=True)
    assert (read_label_image(work / "masks" / f"{name}.png")[-6:] == 0).all()
    shutil.rmtree(data / "drawn")
    run_pipeline(data, work, QUICK, workers=1, force=True)
    assert not any(WorkFolder(work).drawn.names())


def test_without_drawn_masks_their_settings_change_nothing(tmp_path):
    data = tiny_world(tmp_path / "data")
    run_pipeline(data, tmp_path / "work", QUICK, workers=1)
    before = (tmp_path / "work" / "stages.json").read_text()
    run_pipeline(data, tmp_path / "work", replace(QUICK, drawn=DrawnConfig(share=0.5)), workers=1)
    assert (tmp_path / "work" / "stages.json").read_text() == before


def test_ground_truth_that_teaches_is_not_measured(tmp_path):
    data = tiny_world(tmp_path / "data")
    run_pipeline(data, tmp_path / "work", replace(QUICK, learn_from="masks"), workers=1)
    metrics = json.loads((tmp_path / "work" / "metrics.json").read_text())
    assert list(metrics) == ["val"]
    folder = WorkFolder(tmp_path / "work")
    assert len(list(folder.drawn.names())) == 4
    assert len(tags_of(data)) == 6


def test_a_drawn_mask_that_cannot_be_used_is_skipped_and_said(tmp_path):
    data = tiny_world(tmp_path / "data")
    name = (data / "splits" / "train.txt").read_text().split()[0].removesuffix(".png")
    (data / "drawn").mkdir()
    Image.fromarray(np.zeros((3, 4), np.uint8)).save(data / "drawn" / f"{name}.png")
    run_pipeline(data, tmp_path / "work", QUICK, workers=1, stages=("check-data",))
    assert "the mask is 4 x 3 pixels" in (tmp_path / "work" / "left_out.csv").read_text()
    assert not any(WorkFolder(tmp_path / "work").drawn.names())


def test_a_classifier_of_places_learns_where_the_class_is():
    """Two things come and go together in every image; only drawn masks say which of them is the class."""
    generator = torch.Generator().manual_seed(0)
    model = LocalClassifier(build_backbone("timm:test_vit"), ["cat"])
    features, tags = [], torch.zeros(60, 1)
    for number in range(60):
        image = 0.1 * torch.randn(len(model.mean), 6, 6, generator=generator)
        if number % 2:
            image[0, 1:3, 1:3] += 3
            image[1, 3:5, 3:5] += 3
            tags[number] = 1
        features.append(image.half())
    shares = torch.zeros(1, 6, 6)
    shares[0, 3:5, 3:5] = 1
    found = {}
    for drawn in ({}, dict.fromkeys((1, 3, 5, 7), shares)):
        places = Places(features, tags, drawn)
        train_places(model, [(places, places)], seed=0)
        seen = model.place_probabilities(torch.stack([image.float() for image in features[9::2]])).detach()
        found[bool(drawn)] = float(seen[:, 0, 3:5, 3:5].mean()), float(seen[:, 0, 1:3, 1:3].mean())
    assert found[False][1] > 0.5  # nothing says that this is not the class
    assert found[True][0] > 0.5
    assert found[True][1] < 0.2


def test_drawn_masks_are_not_held_out():
    pixel = torch.zeros(1, 1, 1)
    records = [
        TaggedImage(f"{n}", Path(f"{n}.png"), (n % 2,), drawn=PngMask(Path("m.png")) if n < 12 else None)
        for n in range(20)
    ]
    places = Places([pixel] * 20, torch.zeros(20, 2), {n: torch.zeros(2, 1, 1) for n in range(12)})
    for training, held_out in _parts(places, records, 0.3, seed=0):
        assert len(training.drawn) == 12
        assert held_out.features
    for _, held_out in _parts(places, [replace(r, drawn=PngMask(Path("m.png"))) for r in records], 0.3, seed=0):
        assert held_out.features


def test_few_drawn_images_are_repeated_but_do_not_rule():
    plain = [TaggedImage(f"{n}", Path(f"{n}.png")) for n in range(400)]
    drawn = [TaggedImage(f"d{n}", Path(f"d{n}.png"), drawn=PngMask(Path("m.png"))) for n in range(90)]
    rejected = TaggedImage("r", Path("r.png"), rejected=True)
    for count, times in ((1, 4), (30, 4), (60, 2), (90, 1)):
        names = [record.name for record in learnt_from([*drawn[:count], *plain, rejected], 0.25)]
        assert names.count("d0") == times
        assert names.count("0") == 1
        assert "r" not in names


def test_settings_are_checked():
    with pytest.raises(InputError, match="share = 1"):
        DrawnConfig(share=1)
    with pytest.raises(InputError, match="most = -1"):
        PipelineConfig(drawn=DrawnConfig(most=-1))
