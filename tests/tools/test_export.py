"""Exports, by the rules of the tools that read them; test_export_tools.py asks those tools themselves."""

import json
import sys
from pathlib import Path, PurePosixPath
from unittest.mock import Mock

import cv2
import numpy as np
import pytest
import yaml
from PIL import Image, ImageDraw

from affinitynet.cli import main
from affinitynet.data.drawn_world import CLASSES
from affinitynet.errors import InputError
from affinitynet.files import voc_palette
from affinitynet.tools.export.coco import write_coco
from affinitynet.tools.export.common import LabelledImages
from affinitynet.tools.export.huggingface import write_huggingface
from affinitynet.tools.export.polygons import polygons
from affinitynet.tools.export.registry import FORMATS
from affinitynet.tools.export.roles import in_roles
from affinitynet.tools.export.voc import write_voc
from affinitynet.tools.export.yolo import write_yolo
from tests.support.exports import CLASSES as STRANGE_CLASSES
from tests.support.exports import SPLITS, STRANGE_NAMES, strange_images, strange_mask
from tests.support.worlds import copied

REGIONS = [
    *((f"drawn {number}, class {value}", strange_mask(number) == value) for number in range(5) for value in (1, 2, 3)),
    *((f"noise {share}", np.random.default_rng(1).random((23, 31)) < share) for share in (0.1, 0.3, 0.5, 0.7, 0.9)),
    ("everything", np.ones((7, 9), bool)),
    ("nothing", np.zeros((7, 9), bool)),
]


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


def inside(polygon: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Tell which pixels have their centre inside, by counting the edges to the right of it."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    crossings = np.zeros(shape, int)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if y0 != y1:
            crossings += ((y0 > y) != (y1 > y)) & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return crossings % 2 == 1


@pytest.mark.parametrize(("name", "region"), REGIONS, ids=[name for name, _ in REGIONS])
def test_polygons_give_the_region_back(name, region):
    found = polygons(region)
    parts, _ = cv2.connectedComponents(region.astype(np.uint8), connectivity=8)
    assert len(found) == parts - 1
    assert all(len(polygon) >= 3 for polygon in found)
    centres, filled = np.zeros(region.shape, int), np.zeros(region.shape, int)
    for polygon in found:
        centres += inside(polygon, region.shape)
        filled += cv2.fillPoly(np.zeros(region.shape, np.uint8), [polygon.astype(np.int32)], 1)
    assert (centres == region).all()
    assert (filled == region).all()


def test_polygons_have_few_corners():
    y, x = np.mgrid[:400, :400]
    (disc,) = polygons((x - 200) ** 2 + (y - 200) ** 2 < 150**2)
    assert len(disc) < 700  # of the 2,000 half pixels at its edge
    (square,) = polygons(np.ones((400, 400), bool))
    assert len(square) == 4


def yolo_labels(image: Path) -> Path:
    """Return where ultralytics looks for an image's labels (img2label_paths)."""
    return Path("/labels/".join(image.as_posix().rsplit("/images/", 1)).rsplit(".", 1)[0] + ".txt")


def yolo_mask(labels: Path, shape: tuple[int, int]) -> np.ndarray:
    """Fill polygons as ultralytics does (polygon2mask): corners rounded down, the outline included."""
    mask = np.zeros(shape, np.uint8)
    for line in labels.read_text("utf-8").splitlines():
        number, *corners = line.split()
        points = np.array(corners, np.float32).reshape(-1, 2)
        assert points.min() >= 0
        assert points.max() <= 1
        cv2.fillPoly(mask, [(points * (shape[1], shape[0])).astype(np.int32)], int(number) + 1)
    return mask


@pytest.mark.parametrize("splits", [None, SPLITS], ids=["no splits", "splits"])
def test_yolo_finds_images_and_labels(tmp_path, splits):
    labelled = strange_images(tmp_path, splits)
    write_yolo(labelled, tmp_path / "yolo")
    config = yaml.safe_load((tmp_path / "yolo" / "data.yaml").read_text("utf-8"))
    assert config == {"train": "images/train", "val": "images/val", "names": dict(enumerate(STRANGE_CLASSES))}
    images = {role: sorted(p for p in (tmp_path / "yolo" / config[role]).rglob("*.*")) for role in ("train", "val")}
    expected = {role: len(range(14)[part]) for role, part in (splits or {"train": slice(13), "val": slice(1)}).items()}
    assert {role: len(found) for role, found in images.items()} == expected
    wanted = sorted(labelled.masks.load(name).tobytes() for name in STRANGE_NAMES)
    found = sorted(yolo_mask(yolo_labels(image), (48, 64)).tobytes() for image in images["train"] + images["val"])
    assert found == wanted  # the masks themselves: no pixel differs


def test_yolo_holds_out_the_same_images_each_time_and_says_so(tmp_path):
    chosen = []
    for turn in ("one", "two"):
        labelled = strange_images(tmp_path / turn)
        write_yolo(labelled, tmp_path / turn / "yolo")
        assert any("1 of 14 images are val" in remark.text for remark in labelled.problems.remarks)
        chosen.append([p.name for p in (tmp_path / turn / "yolo" / "images" / "val").rglob("*.*")])
    assert chosen[0] == chosen[1]
    single = strange_images(tmp_path / "single", {"all": slice(0, 1)})
    write_yolo(single, tmp_path / "single" / "yolo")
    assert "val is the same image as train" in single.problems.remarks[-1].text
    assert all((tmp_path / "single" / "yolo" / "images" / role / "a b.jpg").exists() for role in ("train", "val"))


@pytest.mark.parametrize(
    ("splits", "expected"),
    [
        ({"all": (0, 9)}, {"train": (0, 9)}),
        ({"train": (0, 6), "val": (6, 9)}, {"train": (0, 6), "val": (6, 9)}),
        ({"Day": (0, 6), "Validation": (6, 8), "test": (8, 9)}, {"train": (0, 6), "val": (6, 8), "test": (8, 9)}),
        ({"trainval": (0, 9), "train": (0, 6), "val": (6, 9)}, {"train": (0, 6), "val": (6, 9)}),
        ({"train_aug": (0, 6), "train": (0, 3), "night": (6, 9)}, {"train": (0, 6), "val": (6, 9)}),
        ({"train": (0, 9), "val": (0, 9)}, {"train": (0, 9)}),
    ],
    ids=str,
)
def test_each_image_has_one_role(tmp_path, splits, expected):
    labelled = strange_images(tmp_path, {name: slice(*bounds) for name, bounds in splits.items()})
    found = {role: [r.name for r in records] for role, records in in_roles(labelled).splits.items()}
    assert found == {role: list(STRANGE_NAMES[slice(*bounds)]) for role, bounds in expected.items()}


def test_coco_is_read_by_pycocotools_and_torchvision(tmp_path):
    from pycocotools.coco import COCO
    from torchvision.datasets import CocoDetection

    labelled = strange_images(tmp_path, SPLITS)
    write_coco(labelled, tmp_path / "coco")
    for split, records in labelled.splits.items():
        table = tmp_path / "coco" / "annotations" / f"{split}.json"
        assert table.read_bytes() == table.with_name(f"instances_{split}.json").read_bytes()
        coco = COCO(str(table))
        assert [c["name"] for c in coco.loadCats(coco.getCatIds())] == list(STRANGE_CLASSES)
        dataset = CocoDetection(str(tmp_path / "coco" / "images"), str(table))
        assert len(dataset) == len(records)
        for record, image, (picture, annotations) in zip(
            records, coco.loadImgs(coco.getImgIds()), dataset, strict=True
        ):
            assert picture.size == (image["width"], image["height"])
            assert image["file_name"].split("/")[0] not in SPLITS  # datumaro would look below it for all images
            mask = np.zeros((image["height"], image["width"]), np.uint8)
            for annotation in annotations:
                assert annotation["iscrowd"] == 0
                assert [type(form) for form in annotation["segmentation"]] == [list]
                region = coco.annToMask(annotation)
                rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
                box = [columns[0], rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1]
                assert annotation["area"] == region.sum()
                assert annotation["bbox"] == box
                mask[region > 0] = annotation["category_id"]
            assert (mask == labelled.masks.load(record.name)).all()


def test_voc_is_read_by_torchvision(tmp_path):
    from torchvision.datasets import VOCSegmentation

    for splits, lists in ((SPLITS, {"train": "train", "val": "val"}), (None, {"all": "trainval"})):
        root = tmp_path / lists.popitem()[1]
        labelled = strange_images(root, splits)
        write_voc(labelled, root / "VOCdevkit" / "VOC2012")
        for split, records in labelled.splits.items():
            dataset = VOCSegmentation(str(root), "2012", "trainval" if splits is None else split)
            assert len(dataset) == len(records)
            for (image, mask), record in zip(dataset, records, strict=True):
                assert image.size == mask.size
                assert (np.asarray(mask) == labelled.masks.load(record.name)).all()


def test_voc_says_classes_colours_and_tags(tmp_path):
    labelled = strange_images(tmp_path, {"train_aug": slice(0, 9), "val": slice(9, None)})
    write_voc(labelled, tmp_path / "voc")
    lines = (tmp_path / "voc" / "labelmap.txt").read_text("utf-8").splitlines()
    rows = [line.split(":") for line in lines if not line.startswith("#")]
    assert [row[0] for row in rows] == ["background", "cup", "Größe_ klein_groß", "null"]
    assert [[*map(int, row[1].split(","))] for row in rows] == [voc_palette()[3 * v : 3 * v + 3] for v in range(4)]
    assert (tmp_path / "voc" / "labels.txt").read_text("utf-8").splitlines() == ["background", *STRANGE_CLASSES]
    lists = tmp_path / "voc" / "ImageSets"
    assert {p.name for p in (lists / "Segmentation").iterdir()} == {"train-aug.txt", "val.txt"}
    for number, (name, *_) in enumerate(rows[1:]):
        for split, stem in (("train_aug", "train-aug"), ("val", "val")):
            tagged = (lists / "Main" / f"{name}_{stem}.txt").read_text("utf-8").splitlines()
            names = (lists / "Segmentation" / f"{stem}.txt").read_text("utf-8").splitlines()
            assert [line.rsplit(maxsplit=1)[0] for line in tagged] == names
            present = [line.rsplit(maxsplit=1)[1] == "1" for line in tagged]
            assert present == [number in record.tags for record in labelled.splits[split]]
    remarks = " ".join(remark.text for remark in labelled.problems.remarks)
    assert "train_aug is train-aug" in remarks
    assert "Größe: klein/groß is Größe_ klein_groß" in remarks
    assert "#1 is _1" in remarks


@pytest.mark.parametrize(("splits", "roles"), [(None, {"train"}), (SPLITS, {"train", "val"})])
def test_huggingfaces_folder_names_image_mask_and_tags(tmp_path, splits, roles):
    labelled = strange_images(tmp_path, splits)
    out = tmp_path / "hf"
    write_huggingface(labelled, out)
    folders = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_dir()}
    assert folders == {*roles, *(f"{role}/{part}" for role in roles for part in ("images", "masks"))}
    records = [record for records in labelled.splits.values() for record in records]
    rows = [
        (role, json.loads(line))
        for role in sorted(roles)
        for line in (out / role / "metadata.jsonl").read_text("utf-8").splitlines()
    ]
    assert len({(role, row["file_name"]) for role, row in rows}) == len(records) == len(rows)
    for (role, row), record in zip(rows, records, strict=True):
        mask = np.asarray(Image.open(out / role / row["mask_file_name"]))
        assert (mask == labelled.masks.load(record.name)).all()
        assert Image.open(out / role / row["file_name"]).size == mask.shape[::-1]
        assert row["tags"] == [STRANGE_CLASSES[tag] for tag in record.tags]


def test_a_split_of_negatives_is_reported_for_datasets(tmp_path):
    labelled = strange_images(tmp_path, {"train": slice(0, 5), "val": slice(5, 6)})  # the sixth mask is empty
    write_huggingface(labelled, tmp_path / "hf")
    assert any("val has no image with a tag" in remark.text for remark in labelled.problems.remarks)


@pytest.mark.parametrize("form", FORMATS)
def test_images_are_displayed_as_their_masks_see_them(tmp_path, form):
    """Upright, 8 bit and opaque, whatever they were; a plain JPEG or PNG is copied."""
    labelled = strange_images(tmp_path, SPLITS)
    FORMATS[form](labelled, tmp_path / "out")
    written = [p for p in (tmp_path / "out").rglob("*.*") if p.suffix in (".jpg", ".png")]
    written = [p for p in written if not {"SegmentationClass", "masks"} & set(PurePosixPath(p.as_posix()).parts)]
    assert len(written) == len(STRANGE_NAMES)
    for path in written:
        with Image.open(path) as picture:
            assert picture.mode in ("RGB", "L")
            assert picture.size == (64, 48)
            assert picture.getexif().get(274, 1) == 1
        assert path.suffix == ".jpg" or path.read_bytes()[24] == 8
    sources = {p.read_bytes() for p in (tmp_path / "data").rglob("*.*")}
    copies = sum(path.read_bytes() in sources for path in written)
    assert copies == (2 if form == "voc" else 4)  # of seven kinds of files, one JPEG and one PNG are plain


@pytest.mark.parametrize("form", FORMATS)
def test_a_finished_run_is_exported(work, tmp_path, form, capsys):
    out = exported(work, form, tmp_path / form)
    assert capsys.readouterr().out.splitlines()[-1] == f"6 images: {out}"
    assert len({p.stem for p in out.rglob("*.jpg")} | {p.stem for p in out.rglob("*.png")}) >= 6


def test_yolos_polygons_are_the_masks_of_the_run(work, tmp_path):
    out = exported(work, "yolo", tmp_path / "yolo")
    assert yaml.safe_load((out / "data.yaml").read_text())["names"] == dict(enumerate(CLASSES))
    labels = sorted((out / "labels").rglob("*.txt"))
    assert len(labels) == 6
    for file in labels:
        truth = np.asarray(Image.open(work / "masks" / f"{file.stem}.png"))
        picture = Image.new("L", truth.shape[::-1])
        for line in file.read_text().splitlines():
            number, *corners = line.split()
            points = np.array(corners, float).reshape(-1, 2) * picture.size
            ImageDraw.Draw(picture).polygon([*map(tuple, points)], fill=int(number) + 1)
        assert (np.asarray(picture) == truth).mean() > 0.999


@pytest.mark.parametrize(("form", "module"), [("yolo", "cv2"), ("coco", "cv2"), ("coco", "pycocotools.mask")])
def test_the_same_command_works_once_the_missing_package_is_there(work, tmp_path, form, module, capsys, monkeypatch):
    command = ["export", "--work", str(work), "--format", form, "--out", str(tmp_path / form)]
    with monkeypatch.context() as without:
        without.setitem(sys.modules, module, None)
        without.setattr(LabelledImages, "__iter__", lambda self: pytest.fail("an image is read first"))
        assert main(command) == 2
    assert "pip install 'affinitynet[export]'" in capsys.readouterr().err
    assert [*tmp_path.iterdir()] == []
    assert main(command) == 0


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize(("error", "code"), [(InputError(), 2), (OSError(), 1), (KeyboardInterrupt(), 1)])
def test_an_export_that_fails_leaves_nothing(work, tmp_path, error, code, exists, monkeypatch):
    there = tmp_path / "there"
    (there / "voc").mkdir(parents=True) if exists else there.mkdir()
    before = [*there.rglob("*")]
    command = ["export", "--work", str(work), "--format", "voc", "--out", str(there / "voc")]
    with monkeypatch.context() as failing:
        failing.setattr("affinitynet.tools.export.voc.save_mask", Mock(side_effect=error))
        assert main(command) == code
    assert [*there.rglob("*")] == before
    assert main(command) == 0


@pytest.mark.parametrize("exists", [False, True])
def test_what_a_killed_export_left_does_not_stay(work, tmp_path, exists):
    out = tmp_path / "voc"
    unfinished = out / ".writing-" if exists else tmp_path / ".writing-voc"
    (unfinished / "JPEGImages").mkdir(parents=True)
    (unfinished / "JPEGImages" / "stale.jpg").touch()
    exported(work, "voc", out)
    assert not unfinished.exists()
    assert len([*(out / "JPEGImages").iterdir()]) == 6
    assert not (out / "JPEGImages" / "stale.jpg").exists()


def test_an_empty_folder_is_filled_and_stays_the_same(work, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    exported(work, "voc", Path())
    found = sorted(path.name for path in (tmp_path / "here").iterdir())
    assert found == ["ImageSets", "JPEGImages", "SegmentationClass", "labelmap.txt", "labels.txt"]
    assert (tmp_path / "here").samefile(Path())


def test_what_is_changed_is_printed(work, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(FORMATS, "voc", lambda labelled, target: labelled.problems.taken("names changed", "a is b"))
    out = exported(work, "voc", tmp_path / "voc")
    assert capsys.readouterr().out.splitlines() == ["names changed: a is b", f"6 images: {out}"]


def test_help_lists_every_format(capsys):
    with pytest.raises(SystemExit):
        main(["export", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for form, writer in FORMATS.items():
        first = " ".join((writer.__doc__ or "").split("\n")[0].rstrip(".").split())
        assert f"{form}: {first[:1].lower()}{first[1:]}" in text


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
