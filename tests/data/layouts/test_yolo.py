"""YOLO: polygons and boxes, as Ultralytics, Roboflow and Label Studio write them."""

import numpy as np
import pytest
from PIL import Image

from affinitynet.data.collection import open_collection
from affinitynet.errors import InputError
from tests.suites.layout_suite import SIZE, LayoutSuite, UsedFilesSuite, World, save_picture

NAMES = ("cat", "dog", "sofa")
WITHOUT_IGNORED = World(
    {"a": ("cat", "dog"), "b": ("dog",), "c": (), "sofa_1": ("cat", "sofa")},
    {"train": ("a", "b", "c"), "val": ("sofa_1",)},
    {"sofa_1": ("", "sofa", "", "cat"), "a": ("cat", "dog", "", "cat")},
    untagged=("lonely",),
)


def strip(column):
    left, right = column / SIZE[1], (column + 1) / SIZE[1]
    return f"{left} 0 {right} 0 {right} 1 {left} 1"


class TestYolo(LayoutSuite, UsedFilesSuite):
    world = WITHOUT_IGNORED
    masked = ("a", "c")  # an image without a label file is all background

    def write(self, root, world: World):
        splits = {name: f"/{split}" for split, names in world.splits.items() for name in names}
        for number, name in enumerate([*world.tags, *world.untagged]):
            save_picture(root / f"images{splits.get(name, '/other' if world.splits else '')}" / f"{name}.png", number)
        for name, tags in world.tags.items():
            columns = world.masks.get(name, ())
            lines = [f"{NAMES.index(what)} {strip(n)}\n" for n, what in enumerate(columns) if what]
            lines = lines or [f"{NAMES.index(tag)} 0.5 0.5 0.25 0.25\n" for tag in tags]
            if lines:
                path = root / f"labels{splits.get(name, '')}" / f"{name}.txt"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("".join(lines))
        places = {split: f"images/{split}" for split in world.splits} or {"train": "train.txt"}
        if not world.splits:
            (root / "train.txt").write_text("".join(f"./images/{name}.png\n" for name in world.tags))
        rows = [f"{split}: {place}\n" for split, place in places.items()]
        (root / "data.yaml").write_text("".join([*rows, "names: [cat, dog, sofa]\n"]))

    def add_row(self, root, name):
        with (root / "train.txt").open("a") as file:
            file.write(f"{name}.png\n")

    def said_as(self, name):
        return f"{name}.png" if name == "absent" else f"images/{name}.png"

    def break_row(self, root, name):
        (root / "labels" / f"{name}.txt").write_text("1 0.5 0.5\n")


def collection_of(root, config, *images, labels="0 0.1 0.1 0.5 0.1 0.5 0.5\n"):
    for number, name in enumerate(images):
        save_picture(root / name, number)
        path = root / name.replace("images", "labels")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".txt").write_text(labels)
    if config:
        (root / "data.yaml").write_text(config)
    return root


@pytest.mark.parametrize(
    "config",
    [
        "train: images/train\nval: images/val\nnames: [cat]\n",
        "path: /somewhere/else/animals\ntrain: images/train\nval: images/val\nnames:\n  0: cat\n",
        "path: .\ntrain: ../images/train\nval: ../images/val\nnc: 1\nnames: ['cat']\n",
        "train: [images/train]\nval: /content/drive/animals/images/val\nnames: [cat]\n",
    ],
)
def test_places_are_found_wherever_the_folder_is_now(tmp_path, config):
    collection_of(tmp_path, config, "images/train/1.png", "images/val/2.png")
    collection = open_collection(tmp_path)
    assert {s: [r.name for r in rs] for s, rs in collection.splits.items()} == {"train": ["train/1"], "val": ["val/2"]}
    assert collection.evaluation_splits == ("train", "val")


def test_roboflows_folders(tmp_path):
    collection_of(
        tmp_path,
        "train: ../train/images\nval: ../valid/images\nnames: [cat]\n",
        "train/images/1.png",
        "valid/images/2.png",
    )
    splits = open_collection(tmp_path).splits
    assert {split: [r.tags for r in records] for split, records in splits.items()} == {"train": [(0,)], "val": [(0,)]}


@pytest.mark.parametrize("listing", ["classes.txt", "obj.names"])
def test_label_studios_and_darknets_lists_of_classes(tmp_path, listing):
    collection_of(tmp_path, None, "images/1.png", "images/2.png")
    (tmp_path / listing).write_text("cat\ndog\n")
    assert [r.tags for r in open_collection(tmp_path).split("all")] == [(0,), (0,)]


def test_an_image_in_two_splits_is_counted_once(tmp_path):
    config = "train: images\nval: images\nnames: [cat]\n"
    collection_of(tmp_path, config, "images/1.png", labels="0 0.5 0.5 0.2 0.2\n")
    assert "images with boxes, used without ground truth: images/1.png" in [
        r.text for r in open_collection(tmp_path).remarks
    ]


def test_polygons_are_filled_like_drawn_ones(tmp_path):
    from PIL import ImageDraw

    outline = [(2.2, 1.3), (14.1, 3.2), (9.4, 11.2)]
    line = "0 " + " ".join(f"{x / SIZE[1]} {y / SIZE[0]}" for x, y in outline) + "\n"
    collection = open_collection(collection_of(tmp_path, "train: images\nnames: [cat]\n", "images/1.png", labels=line))
    mask = collection.mask(collection.split("train")[0])
    drawn = Image.new("L", (160, 120))
    ImageDraw.Draw(drawn).polygon([(10 * x, 10 * y) for x, y in outline], fill=1)
    share = np.asarray(drawn).reshape(12, 10, 16, 10).mean(axis=(1, 3))
    assert (mask[share > 0.9] == 1).all()
    assert (mask[share < 0.1] == 0).all()


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ("train: images\nnames: {0: cat, 2: dog}\n", "not numbered"),
        ("train: images\nnames: cat\n", "not a list"),
        ("train: images\nnames: [cat, cat]\n", "there twice"),
        ("train: ../../etc\nnames: [cat]\n", "is not in"),
        ("train: images\nnames: [cat\n", "not a readable YAML"),
        ("train: images\n", "has no names"),
        ("a: &a [x, x]\ntrain: images\nnames: [*a, *a]\n", "alias"),
    ],
)
def test_configurations_that_cannot_be_right(tmp_path, config, complaint):
    collection_of(tmp_path, config, "images/1.png")
    with pytest.raises(InputError, match=complaint):
        open_collection(tmp_path)


@pytest.mark.parametrize(
    ("labels", "complaint"),
    [("0 0.5 0.5\n", "neither a box"), ("7 0.1 0.1 0.2 0.2\n", "class 7"), ("cat 0 0 1 1\n", "not a number"),
     ("0 10 10 50 50\n", "fractions"), ("0 nan 0 0 0\n", "neither")],
)  # fmt: skip
def test_lines_that_cannot_be_right(tmp_path, labels, complaint):
    collection_of(tmp_path, "train: images\nnames: [cat]\n", "images/1.png", labels=labels)
    with pytest.raises(InputError, match=complaint):
        open_collection(tmp_path)
