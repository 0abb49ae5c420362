"""A sub-folder per class."""

import numpy as np
import pytest
from PIL import Image

from affinitynet.data.collection import open_collection
from affinitynet.errors import InputError
from tests.suites.layout_suite import UsedFilesSuite, World, save_picture

SINGLE = World(
    {"a": ("cat",), "b": ("dog",), "c": (), "sofa_1": ("sofa",)}, {"train": ("a", "b", "c"), "val": ("sofa_1",)}, {}
)


class TestClassFolders(UsedFilesSuite):
    world = SINGLE
    untagged_split = None

    def write(self, root, world):
        splits = {name: f"{split}/" for split, names in world.splits.items() for name in names}
        for number, (name, tags) in enumerate(world.tags.items()):
            save_picture(root / f"{splits.get(name, '')}{(*tags, 'negative')[0]}" / f"{name}.png", number)


def pictures(root, *names):
    for number, name in enumerate(names):
        save_picture(root / name, number)
    return root


def read(root):
    collection = open_collection(root)
    return {
        split: {r.name: "".join(collection.classes[t] for t in r.tags) for r in records}
        for split, records in collection.splits.items()
    }


def test_nested_folders_belong_to_their_class_and_the_same_name_may_be_in_two(tmp_path):
    pictures(tmp_path, "cat/1.jpg", "cat/tabby/1.jpg", "dog/1.jpg")
    assert read(tmp_path) == {"all": {"cat/1": "cat", "cat/tabby/1": "cat", "dog/1": "dog"}}


@pytest.mark.parametrize(("train", "val"), [("train", "val"), ("Training", "Validation"), ("train", "valid")])
def test_folders_above_are_splits(tmp_path, train, val):
    pictures(tmp_path, f"{train}/cat/1.jpg", f"{train}/dog/1.jpg", f"{val}/cat/2.jpg", "test/9.jpg")
    found = read(tmp_path)
    assert found == {
        "train": {f"{train}/cat/1": "cat", f"{train}/dog/1": "dog"},
        "val": {f"{val}/cat/2": "cat"},
        "untagged": {"test/9": ""},
    }
    assert open_collection(tmp_path).default_split == "train"


@pytest.mark.parametrize("name", ["negative", "Negatives", "none", "background", "no_cat", "no-tumor", "nocat"])
def test_folders_named_like_negatives_are_negatives_and_that_is_said(tmp_path, name):
    pictures(tmp_path, "cat/1.jpg", f"{name}/2.jpg")
    collection = open_collection(tmp_path)
    assert collection.classes == ("cat",)
    assert [r.tags for r in collection.split("all") if r.path.parent.name == name] == [()]
    assert any(f"{name}/" in remark.text and "negatives" in remark.text for remark in collection.remarks)


@pytest.mark.parametrize("name", ["healthy", "Normal", "good", "other"])
def test_doubtful_folders_are_classes_with_a_warning_that_says_how_to_make_them_negatives(tmp_path, name):
    pictures(tmp_path, "rust/1.jpg", f"{name}/2.jpg")
    collection = open_collection(tmp_path)
    assert set(collection.classes) == {"rust", name}
    assert any(r.kind == "warning" and "rename it to 'negative'" in r.text for r in collection.remarks)
    (tmp_path / name).rename(tmp_path / "negative")
    assert open_collection(tmp_path).classes == ("rust",)


def test_what_was_understood_is_said(tmp_path):
    pictures(tmp_path, "cat/1.jpg", "notebook/1.jpg")
    collection = open_collection(tmp_path)
    assert collection.classes == ("cat", "notebook")
    assert collection.remarks[0].text == "2 sub-folders read as classes: cat/ is the class 'cat'"


def test_a_folder_around_it_does_not_matter(tmp_path):
    pictures(tmp_path, "archive/animals/cat/1.jpg", "archive/animals/dog/1.jpg")
    assert read(tmp_path) == {"all": {"cat/1": "cat", "dog/1": "dog"}}


@pytest.mark.parametrize(
    "names",
    [
        ("1.jpg", "2.jpg"),
        ("photos/1.jpg", "photos/2.jpg"),
        ("images/1.jpg", "masks/1.png"),
        ("train/1.jpg", "val/2.jpg"),
        ("cat/1.jpg", "dog/1.jpg", "3.jpg"),
    ],
)
def test_other_folders_are_refused_with_the_way_to_tag_them(tmp_path, names):
    pictures(tmp_path, *names)
    with pytest.raises(InputError, match=rf"there are {len(names)} images.*write tags.csv.*sub-folder") as stopped:
        open_collection(tmp_path)
    assert "\n" not in str(stopped.value)


def test_a_table_beside_the_folders_decides(tmp_path):
    pictures(tmp_path, "one/a.jpg", "two/b.jpg")
    (tmp_path / "tags.csv").write_text("file,tags\none/a.jpg,cat\ntwo/b.jpg,dog\n")
    assert open_collection(tmp_path).classes == ("cat", "dog")


def test_only_negatives_is_an_error(tmp_path):
    pictures(tmp_path, "none/a.jpg", "background/b.jpg")
    with pytest.raises(InputError, match="named like images without any class"):
        open_collection(tmp_path)


def masked_pictures(root, folder):
    pictures(root, "cat/1.jpg", "cat/2.jpg", "dog/1.jpg")
    for name, value in (("cat/1", 1), ("dog/1", 2)):
        (root / folder / name).parent.mkdir(parents=True)
        with Image.open(root / f"{name}.jpg") as image:
            Image.new("L", image.size, value).save(root / folder / f"{name}.png")
    return root


def test_masks_beside_the_classes_are_their_ground_truth(tmp_path):
    collection = open_collection(masked_pictures(tmp_path, "masks"))
    assert collection.classes == ("cat", "dog")
    assert collection.evaluation_splits == ("all",)
    found = {record.name: np.unique(collection.mask(record)).tolist() for record in collection.masked("all")}
    assert found == {"cat/1": [1], "dog/1": [2]}
    assert len(collection.split("all")) == 3


def test_drawn_masks_beside_the_classes_teach(tmp_path):
    collection = open_collection(masked_pictures(tmp_path, "drawn"))
    assert collection.classes == ("cat", "dog")
    assert not collection.evaluation_splits
    records = [record for record in collection.split("all") if record.drawn]
    assert {record.name: np.unique(collection.drawn(record)).tolist() for record in records} == {
        "cat/1": [1],
        "dog/1": [2],
    }


def test_masks_beside_splits(tmp_path):
    pictures(tmp_path, "train/cat/1.jpg", "train/dog/2.jpg", "val/cat/3.jpg", "val/dog/4.jpg")
    for name in ("val/cat/3", "val/dog/4"):
        (tmp_path / "masks" / name).parent.mkdir(parents=True)
        with Image.open(tmp_path / f"{name}.jpg") as image:
            Image.new("L", image.size, 1).save(tmp_path / "masks" / f"{name}.png")
    collection = open_collection(tmp_path)
    assert (collection.classes, collection.evaluation_splits) == (("cat", "dog"), ("val",))


@pytest.mark.parametrize("folder", ["masks", "drawn"])
def test_a_folder_of_photographs_called_like_masks_is_no_folder_of_masks(tmp_path, folder):
    pictures(tmp_path, f"{folder}/1.jpg", "no_mask/2.jpg", "other/3.jpg")  # what people wear
    if folder == "drawn":
        assert "drawn" in open_collection(tmp_path).classes
    else:
        with pytest.raises(InputError, match="nothing that says what is in them"):
            open_collection(tmp_path)
