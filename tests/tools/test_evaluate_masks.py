"""Masks from anywhere against ground truth: counting's word on the numbers, and nothing missing in silence."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from affinitynet.cli import main
from affinitynet.data.collection import open_collection
from affinitynet.errors import InputError
from affinitynet.tools.evaluate_masks import measure_masks


def noisy_masks(world, folder, split="val"):
    """Masks with random labels in a third of the pixels."""
    collection, random = open_collection(world), np.random.default_rng(0)
    folder.mkdir()
    pairs = []
    for record in collection.split(split):
        truth = collection.mask(record)
        noise = random.integers(0, len(collection.classes) + 1, truth.shape)
        mask = np.where(random.random(truth.shape) < 1 / 3, noise, np.where(truth == 255, 0, truth)).astype(np.uint8)
        Image.fromarray(mask).save(folder / f"{record.name}.png")
        pairs.append((mask, truth))
    return collection, pairs


def test_the_numbers_are_those_of_counting(world, tmp_path):
    collection, pairs = noisy_masks(world, tmp_path / "masks")
    found = measure_masks(tmp_path / "masks", world, split="val")["val"]
    mask, truth = (np.concatenate([pair[i].ravel() for pair in pairs]) for i in (0, 1))
    mask, truth = mask[truth != 255], truth[truth != 255]
    assert found.images == len(pairs)
    assert found.pixel_accuracy == pytest.approx((mask == truth).mean())
    for value, name in enumerate(("background", *collection.classes)):
        hit = ((mask == value) & (truth == value)).sum()
        if (truth == value).any():
            assert found.recall[name] == pytest.approx(hit / (truth == value).sum())
            assert found.precision[name] == pytest.approx(hit / (mask == value).sum())
            assert found.iou[name] == pytest.approx(hit / ((mask == value) | (truth == value)).sum())


def test_ground_truth_itself_is_perfect(world, tmp_path):
    collection = open_collection(world)
    (tmp_path / "masks").mkdir()
    for record in collection.split("val"):
        truth = collection.mask(record)
        Image.fromarray(np.where(truth == 255, 0, truth)).save(tmp_path / "masks" / f"{record.name}.png")
    found = measure_masks(tmp_path / "masks", world, split="val")["val"]
    assert (found.miou, found.pixel_accuracy) == (1, 1)


def test_the_command_prints_and_writes(world, tmp_path, capsys):
    noisy_masks(world, tmp_path / "masks")
    arguments = ["--masks", str(tmp_path / "masks"), "--data", str(world), "--split", "val"]
    assert main(["evaluate-masks", *arguments, "--out", str(tmp_path / "out")]) == 0
    assert "precision" in capsys.readouterr().out
    found = json.loads((tmp_path / "out" / "metrics.json").read_text())["val"]["masks"]
    with (tmp_path / "out" / "metrics.csv").open() as file:
        rows = {row["class"]: row for row in csv.DictReader(file)}
    assert float(rows["all"]["iou"]) == pytest.approx(found["miou"], abs=1e-4)
    assert float(rows["background"]["precision"]) == pytest.approx(found["precision"]["background"], abs=1e-4)


def test_a_missing_mask_is_counted_and_named(world, tmp_path):
    noisy_masks(world, tmp_path / "masks")
    first = sorted((tmp_path / "masks").iterdir())[0]
    first.unlink()
    with pytest.raises(InputError, match=rf"lacks 1 of the \d masks of split val \(the first: {first.name}\)"):
        measure_masks(tmp_path / "masks", world, split="val")


def test_what_is_no_mask_of_this_data_is_refused(world, tmp_path):
    noisy_masks(world, tmp_path / "masks")
    first = sorted((tmp_path / "masks").iterdir())[0]
    with Image.open(first) as file:
        size = file.size
    for picture, complaint in (
        (Image.new("L", size, 77), "holds value 77, but there are 4 classes"),
        (Image.new("L", size, 255), "255 is not a label here"),
        (Image.new("L", (3, 3)), "the mask is 3 x 3 pixels"),
        (Image.new("RGB", size, (9, 7, 1)), "contains colours"),
    ):
        picture.save(first)
        with pytest.raises(InputError, match=complaint):
            measure_masks(tmp_path / "masks", world, split="val")
    with pytest.raises(InputError, match="no such folder"):
        measure_masks(tmp_path / "none", world)
    with pytest.raises(InputError, match="no such split"):
        measure_masks(tmp_path / "masks", world, split="vall")


def black_and_white(root, classes):
    """A collection of these classes whose masks hold 0 and 255, and empty masks for it."""
    (root / "data" / "masks").mkdir(parents=True)
    (root / "empty").mkdir()
    rows = ["file,tags"]
    for number in range(4):
        Image.new("RGB", (40, 32), (number, 90, 90)).save(root / "data" / f"{number}.png")
        rows.append(f"{number}.png,{classes[number % len(classes)]}")
        truth = np.zeros((32, 40), np.uint8)
        truth[8:24, 10:30] = 255
        Image.fromarray(truth).save(root / "data" / "masks" / f"{number}.png")
        Image.new("L", (40, 32)).save(root / "empty" / f"{number}.png")
    (root / "data" / "tags.csv").write_text("\n".join(rows))
    return ["--masks", str(root / "empty"), "--data", str(root / "data")]


def test_empty_masks_are_not_perfect_where_the_truth_has_no_class(tmp_path, capsys):
    assert main(["evaluate-masks", *black_and_white(tmp_path, ("cat", "dog"))]) == 0
    said = capsys.readouterr().out
    means = next(line for line in said.splitlines() if "mean; pixel accuracy" in line)
    assert "100" not in means
    assert means.count(" - ") == 2
    assert "all: the ground truth of its 4 images has no pixel of any class" in " ".join(said.split())


def test_black_and_white_truth_of_one_class_is_measured_and_said(tmp_path, capsys):
    assert main(["evaluate-masks", *black_and_white(tmp_path, ("lesion",))]) == 0
    said = capsys.readouterr()
    assert "255 is the class 'lesion'" in said.err
    means = next(line for line in said.out.splitlines() if "mean; pixel accuracy" in line)
    area = 16 * 20 / (32 * 40)
    assert f"{100 * (1 - area) / 2:.1f}" in means  # background has an IoU of 1 - area, the lesion of 0
    assert f"{100 * (1 - area):.1f}" in means


def test_classes_without_ground_truth_are_named(world, tmp_path, capsys):
    noisy_masks(world, tmp_path / "masks")
    truth = open_collection(world)
    painted = {int(value) for record in truth.split("val") for value in np.unique(truth.mask(record))}
    missing = [name for number, name in enumerate(truth.classes, start=1) if number not in painted]
    assert missing, "the drawn world has a class that its measured images do not show"
    assert main(["evaluate-masks", "--masks", str(tmp_path / "masks"), "--data", str(world), "--split", "val"]) == 0
    assert f"val: no ground truth of {', '.join(missing)}" in capsys.readouterr().out
