"""Data sets as people have them: formats, layouts, names, class choices; and the drawn world."""

import json

import numpy as np
import pytest
from PIL import Image

from affinitynet.data.collection import open_collection
from affinitynet.data.drawn_world import CLASSES, draw_world
from affinitynet.data.images import image_size, load_image
from affinitynet.data.transforms import random_crop, random_flip, resize
from affinitynet.errors import InputError
from affinitynet.records import TaggedImage
from tests.support.worlds import plain_folder, snapshot, tiny_voc

GRADIENT = np.linspace(0, 255, 24 * 30).reshape(24, 30).astype(np.uint8)
RGB = np.stack([GRADIENT, GRADIENT[::-1], GRADIENT[:, ::-1]], axis=-1)


def save(path, picture, **options):
    picture.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp", "jpg", "gif"])
def test_every_format_is_read(tmp_path, suffix):
    options = {"lossless": True} if suffix == "webp" else {"quality": 100} if suffix == "jpg" else {}
    path = save(tmp_path / f"a.{suffix}", Image.fromarray(RGB), **options)
    image = load_image(path)
    assert (image.shape, image.dtype) == ((24, 30, 3), np.uint8)
    tolerance = {"jpg": 40, "gif": 40}.get(suffix, 0)
    assert np.abs(image.astype(int) - RGB).max() <= tolerance


def test_every_mode_is_read(tmp_path):
    gray = np.stack([GRADIENT] * 3, axis=-1)
    modes = {
        "L": (Image.fromarray(GRADIENT), gray, 0),
        "P": (Image.fromarray(GRADIENT).convert("P"), gray, 0),
        "1": (Image.fromarray(GRADIENT > 128), np.stack([(GRADIENT > 128) * 255] * 3, axis=-1), 0),
        "16 bit": (Image.fromarray(GRADIENT.astype(np.uint16) * 257), gray, 0),
    }
    for name, (picture, expected, tolerance) in modes.items():
        image = load_image(save(tmp_path / "a.png", picture))
        assert np.abs(image.astype(int) - expected).max() <= tolerance, name


def test_transparency_is_laid_on_white(tmp_path):
    alpha = np.zeros((24, 30), np.uint8)
    alpha[:, :10] = 255
    path = save(tmp_path / "a.png", Image.fromarray(np.dstack([RGB, alpha])))
    image = load_image(path)
    np.testing.assert_array_equal(image[:, :10], RGB[:, :10])
    assert (image[:, 10:] == 255).all()


def test_float_and_32_bit_pictures_are_scaled(tmp_path):
    path = save(tmp_path / "a.tif", Image.fromarray(GRADIENT.astype(np.float32) / 255 - 3))
    assert np.abs(load_image(path)[..., 0].astype(int) - GRADIENT).max() <= 1


def test_exif_rotation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[274] = 6  # the camera was turned: show it rotated by 90 degrees clockwise
    path = save(tmp_path / "a.png", Image.fromarray(RGB), exif=exif)
    np.testing.assert_array_equal(load_image(path), np.rot90(RGB, -1))
    assert image_size(path) == (30, 24)


@pytest.mark.parametrize(
    "table",
    [
        "file,tags\na.png,cat;dog\nsub/b.JPG,\n",
        "\ufefffile,tags\r\na,dog ; cat\r\nsub/b,\r\n",
        "file,cat,dog\na.png,1,1\nsub/b.JPG,0,0\n",
        "file;cat;dog\na.png;1;1\nsub/b.JPG;0;0\n",
        "file\tcat\tdog\na.png\t1\t1\nsub\\b.JPG\t0\t0\n",
        json.dumps({"a.png": ["dog", "cat"], "sub/b.JPG": []}),
    ],
)
def test_every_form_of_the_tag_file_says_the_same(tmp_path, table):
    plain_folder(tmp_path, count=1)
    (tmp_path / "tags.csv").unlink()
    (tmp_path / "sub").mkdir()
    save(tmp_path / "sub" / "b.JPG", Image.fromarray(RGB), format="JPEG")
    (tmp_path / ("tags.json" if table.startswith("{") else "tags.csv")).write_text(table, encoding="utf-8")
    collection = open_collection(tmp_path)
    assert collection.classes == ("cat", "dog")
    assert [(r.name, r.tags) for r in collection.split("all")] == [("a", (0, 1)), ("sub/b", ())]


def test_names_stay_apart_where_only_extensions_differ(tmp_path):
    plain_folder(tmp_path, "file,tags\na.png,cat\na.bmp,dog\n", count=1)
    save(tmp_path / "a.bmp", Image.fromarray(RGB))
    assert [r.name for r in open_collection(tmp_path).split("all")] == ["a.bmp", "a.png"]
    (tmp_path / "tags.csv").write_text("file,tags\na,cat\n")
    with pytest.raises(InputError, match=r"may be a\.bmp or a\.png"):
        open_collection(tmp_path)


def test_splits_masks_and_untagged_images_of_a_folder(tmp_path):
    plain_folder(tmp_path, "file,tags\na.png,cat\nb.png,dog\nc.png,\n", count=4)
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits" / "train.txt").write_text("a.png\nc\n")
    (tmp_path / "splits" / "val.txt").write_text("b.png\n")
    (tmp_path / "masks").mkdir()
    save(tmp_path / "masks" / "b.png", Image.fromarray(np.full((32, 40), 2, np.uint8)))
    collection = open_collection(tmp_path)
    names = {name: [r.name for r in records] for name, records in collection.splits.items()}
    assert names == {"train": ["a", "c"], "val": ["b"], "untagged": ["d"]}
    assert collection.default_split == "train"
    assert collection.evaluation_splits == ("val",)
    assert (collection.mask(collection.split("val")[0]) == 2).all()


def test_chosen_classes_renumber_tags_and_masks(tmp_path):
    plain_folder(tmp_path, "file,cat,cow,dog\na.png,1,1,0\nb.png,0,0,1\n")
    (tmp_path / "masks").mkdir()
    stored = np.zeros((32, 40), np.uint8)
    stored[:, :4] = [1, 2, 3, 255]
    save(tmp_path / "masks" / "a.png", Image.fromarray(stored))
    collection = open_collection(tmp_path, ["dog", "cat"])
    a, b = collection.split("all")
    assert (a.tags, b.tags) == ((1,), (0,))
    assert collection.mask(a)[0, :5].tolist() == [2, 0, 1, 255, 0]


def test_both_forms_of_voc_lists(tmp_path):
    collection = open_collection(tiny_voc(tmp_path / "VOCdevkit" / "VOC2012"))
    assert open_collection(tmp_path / "VOCdevkit").splits == collection.splits
    assert collection.default_split == "train_aug"
    assert [(r.name, r.tags, r.truth is not None) for r in collection.split("train_aug")] == [
        ("2007_1", (11, 14), True),
        ("2007_2", (7,), False),
        ("2007_3", (), False),
    ]
    assert collection.split("train") == collection.split("train_aug")[:2]
    assert (collection.mask(collection.split("train")[0]) == 12).all()


def test_the_real_photographs(voc_animals):
    collection = open_collection(voc_animals)
    assert {name: len(records) for name, records in collection.splits.items()} == {
        "train": 370,
        "train_aug": 1491,
        "val": 199,
    }
    assert collection.evaluation_splits == ("train", "val")
    record = collection.split("val")[2]
    assert (record.name, record.tags) == ("2007_000783", (12, 14))
    assert collection.mask(record).shape == load_image(record.path).shape[:2]


@pytest.mark.parametrize("name", ["", "../a", "a/../b", "/a", "a//b", "a\\b", "."])
def test_no_record_leads_outside_its_folder(name, tmp_path):
    with pytest.raises(InputError, match="leads outside"):
        TaggedImage(name, tmp_path)


def test_the_drawn_world_is_the_same_for_a_seed_and_fits_its_tags(tmp_path):
    draw_world(tmp_path / "a", train=6, val=2, seed=4)
    draw_world(tmp_path / "b", train=6, val=2, seed=4)
    assert snapshot(tmp_path / "a") == snapshot(tmp_path / "b")
    collection = open_collection(tmp_path / "a")
    assert collection.classes == CLASSES
    for record in collection.split("train"):
        labels = set(np.unique(collection.mask(record)).tolist()) - {0}
        assert labels == {tag + 1 for tag in record.tags}


def test_crops_and_flips_move_all_maps_alike():
    import torch

    torch.manual_seed(0)
    full = torch.arange(9 * 13.0).view(1, 9, 13) + 1
    for size in (4, 11, 20):
        a, b = random_flip(*random_crop(size, full, full.clone()))
        assert a.shape == (1, size, size)
        assert torch.equal(a, b)
        inside = a[a > 0]
        assert len(inside) == min(size, 9) * min(size, 13)


def test_resize_is_pils_bicubic():
    expected = np.asarray(Image.fromarray(RGB).resize((15, 12), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(resize(RGB, (12, 15)), expected)


def test_a_network_is_measured_on_what_it_has_not_learnt_from(tmp_path):
    def names(learns_from):
        return [record.name for record in open_collection(tmp_path).unseen(learns_from)]

    draw_world(tmp_path, train=3, val=2, seed=0)
    assert names("train") == ["val_000", "val_001"]
    assert names("val") == ["train_000", "train_001", "train_002"]
    (tmp_path / "splits" / "val.txt").write_text("val_000\ntrain_001\n")
    assert names("train") == ["val_000"]
    (tmp_path / "splits" / "all.txt").write_text("val_000\ntrain_001\ntrain_000\n")
    assert names("all") == ["train_002"]
    (tmp_path / "splits" / "all.txt").unlink()
    (tmp_path / "splits" / "val.txt").unlink()
    assert names("train") == ["train_000", "train_001", "train_002"]
    (tmp_path / "masks" / "train_001.png").unlink()
    assert names("train") == ["train_000", "train_002"]
