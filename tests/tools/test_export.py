"""Exports, read back by the other side's own reader."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image, ImageDraw

from affinitynet.cli import main
from affinitynet.data.drawn_world import CLASSES
from affinitynet.tools.export.yolo import outlines
from tests.support.worlds import copied


@pytest.fixture(scope="module")
def work(world, finished, tmp_path_factory):
    """A finished work folder, whose masks are the exact ones: there is more to see in them."""
    work = copied(finished, tmp_path_factory.mktemp("export") / "work")
    for mask in (world / "masks").iterdir():
        (work / "masks" / mask.name).write_bytes(mask.read_bytes())
    return work


def exported(work: Path, form: str, out: Path) -> Path:
    assert main(["export", "--work", str(work), "--format", form, "--out", str(out)]) == 0
    return out


def expected(work: Path, name: str) -> np.ndarray:
    return np.asarray(Image.open(work / "masks" / f"{name}.png"))


def test_voc_is_read_by_torchvision(work, tmp_path):
    from torchvision.datasets import VOCSegmentation

    out = exported(work, "voc", tmp_path / "VOCdevkit" / "VOC2012")
    for split in ("train", "val"):
        names = (out / "ImageSets" / "Segmentation" / f"{split}.txt").read_text().split()
        dataset = VOCSegmentation(str(tmp_path), "2012", split)
        assert len(dataset) == len(names) > 0
        for (image, mask), name in zip(dataset, names, strict=True):
            assert image.size == mask.size
            assert (np.asarray(mask) == expected(work, name)).all()


def test_coco_is_read_by_pycocotools(work, tmp_path):
    from pycocotools.coco import COCO

    out = exported(work, "coco", tmp_path / "coco")
    coco = COCO(str(out / "annotations" / "train.json"))
    assert [c["name"] for c in coco.loadCats(coco.getCatIds())] == list(CLASSES)
    for image in coco.loadImgs(coco.getImgIds()):
        mask = np.zeros((image["height"], image["width"]), np.uint8)
        for annotation in coco.loadAnns(coco.getAnnIds(image["id"])):
            region = coco.annToMask(annotation)
            assert annotation["area"] == region.sum()
            mask[region > 0] = annotation["category_id"]
        assert (mask == expected(work, Path(image["file_name"]).stem)).all()
        assert Image.open(out / "images" / image["file_name"]).size == mask.shape[::-1]


def test_yolos_polygons_cover_the_regions(work, tmp_path):
    out = exported(work, "yolo", tmp_path / "yolo")
    config = yaml.safe_load((out / "data.yaml").read_text())
    assert config["names"] == dict(enumerate(CLASSES))
    for labels in (out / config["train"].replace("images", "labels")).iterdir():
        truth = expected(work, labels.stem)
        height, width = truth.shape
        picture = Image.new("L", (width, height))
        for line in labels.read_text().splitlines():
            number, *corners = line.split()
            points = np.array(corners, float).reshape(-1, 2) * (width, height) - 0.5
            assert (points >= -0.5).all()
            ImageDraw.Draw(picture).polygon([*map(tuple, points)], fill=int(number) + 1)
        assert (np.asarray(picture) == truth).mean() > 0.99


def test_huggingfaces_folder_names_image_mask_and_tags(work, tmp_path):
    out = exported(work, "huggingface", tmp_path / "hf")
    rows = [json.loads(line) for line in (out / "val" / "metadata.jsonl").read_text().splitlines()]
    assert rows
    for row in rows:
        mask = np.asarray(Image.open(out / "val" / row["mask_file_name"]))
        assert Image.open(out / "val" / row["file_name"]).size == mask.shape[::-1]
        assert {CLASSES[value - 1] for value in np.unique(mask) if value} == set(row["tags"])


def test_outlines_of_holes_and_specks():
    region = np.zeros((40, 40), bool)
    region[5:35, 5:35] = True
    region[15:25, 15:25] = False
    region[38, 38] = True
    (outline,) = outlines(region)
    assert outline.min() == 5
    assert outline.max() == 34


def test_refusals(work, tmp_path, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    for arguments, complaint in (
        (["--work", str(work), "--format", "coco", "--out", str(tmp_path / "full")], "exists"),
        (["--work", str(tmp_path / "none"), "--format", "coco", "--out", str(tmp_path / "o")], "no finished masks"),
        (["--work", str(work), "--format", "cocoa", "--out", str(tmp_path / "o")], "did you mean 'coco'"),
    ):
        assert main(["export", *arguments]) == 2
        assert complaint in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
