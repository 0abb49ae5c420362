"""What every layout must do, whatever its files are: inherited by a class per layout in tests/data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from affinitynet.data.collection import Collection, open_collection
from affinitynet.data.images import load_image
from affinitynet.errors import InputError

SIZE = (12, 16)
TAGS: dict[str, tuple[str, ...]] = {"a": ("cat", "dog"), "b": ("dog",), "c": (), "sofa_1": ("sofa",)}
OUTSIDE = ("../x", "../../x", "sub/../../x", "/etc/passwd", "C:\\x")


@dataclass(frozen=True)
class World:
    """What a layout is asked to write.

    Args:
        tags: image name -> class names.
        splits: name -> image names.
        masks: image name -> the class names of its columns from the left, "" for background, "?" for 255.
        untagged: names of images that no row mentions.
    """

    tags: Mapping[str, Sequence[str]]
    splits: Mapping[str, Sequence[str]]
    masks: Mapping[str, Sequence[str]]
    untagged: Sequence[str] = ()


WORLD = World(
    TAGS,
    {"train": ("a", "b", "c"), "val": ("sofa_1",)},
    {"sofa_1": ("", "sofa", "?", "cat"), "a": ("cat", "dog", "", "?")},
    untagged=("lonely",),
)


def save_picture(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), np.uint8)).save(path)


class LayoutSuite:
    """Checks of one layout.

    Attributes:
        classes: of a collection of ``WORLD``, in the order of the mask values.
        untagged_split: where images without a row are, if the layout knows of them.
    """

    classes: ClassVar[tuple[str, ...]] = ("cat", "dog", "sofa")
    untagged_split: ClassVar[str | None] = "untagged"

    def write(self, root: Path, world: World) -> None:
        """Write a collection."""
        raise NotImplementedError

    def add_row(self, root: Path, name: str) -> None:
        """Name an image, tagged "cat", where the layout names its images."""
        raise NotImplementedError

    def break_row(self, root: Path, name: str) -> None:
        """Make what is said of an image unreadable; the image must be named once."""
        raise NotImplementedError

    def said_as(self, name: str) -> str:
        """Return an image's name as its row writes it."""
        return name

    def save_masks(self, folder: Path, world: World) -> None:
        """Write the masks with the values of this layout's classes."""
        folder.mkdir()
        values = {"": 0, "?": 255} | {name: number + 1 for number, name in enumerate(self.classes)}
        for name, columns in world.masks.items():
            mask = np.zeros(SIZE, np.uint8)
            mask[:, : len(columns)] = [values[column] for column in columns]
            Image.fromarray(mask).save(folder / f"{name}.png")

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        """A folder with ``WORLD`` in it."""
        (tmp_path / "data").mkdir()
        self.write(tmp_path / "data", WORLD)
        return tmp_path / "data"

    @pytest.fixture
    def plain(self, tmp_path: Path) -> Path:
        """A folder in which every image is named once."""
        (tmp_path / "plain").mkdir()
        self.write(tmp_path / "plain", World(TAGS, {}, {}))
        return tmp_path / "plain"

    def tags(self, collection: Collection, split: str) -> dict[str, tuple[str, ...]]:
        return {r.name: tuple(collection.classes[tag] for tag in r.tags) for r in collection.split(split)}

    def test_tags_and_splits_are_read(self, root):
        collection = open_collection(root)
        assert collection.classes == self.classes
        assert collection.left_out == ()
        assert collection.default_split == "train"
        assert self.tags(collection, "train") == {name: TAGS[name] for name in ("a", "b", "c")}
        assert self.tags(collection, "val") == {"sofa_1": ("sofa",)}
        with pytest.raises(InputError, match="has no such split"):
            collection.split("vall")

    def test_without_splits_all_images_are_in_one(self, plain):
        collection = open_collection(plain)
        assert self.tags(collection, collection.default_split) == TAGS
        assert collection.evaluation_splits == ()

    def test_names_are_unique_and_stay_inside(self, root):
        collection = open_collection(root)
        paths: dict[str, set[Path]] = {}
        for records in collection.splits.values():
            for record in records:
                paths.setdefault(record.name, set()).add(record.path)
                assert record.path.resolve().is_relative_to(root.resolve())
                assert load_image(record.path).shape == (*SIZE, 3)
        assert all(len(found) == 1 for found in paths.values())
        assert len(set().union(*paths.values())) == len(paths)

    def test_images_without_a_row_are_not_trained_on(self, root):
        splits = {name: {r.name for r in records} for name, records in open_collection(root).splits.items()}
        named = {"train": {"a", "b", "c"}, "val": {"sofa_1"}}
        assert splits == named | ({self.untagged_split: {"lonely"}} if self.untagged_split else {})

    def test_masks_have_the_values_of_the_classes(self, root):
        collection = open_collection(root)
        assert collection.evaluation_splits == ("val",)
        assert [r.name for r in collection.split("train") if r.truth is not None] == ["a"]
        (record,) = collection.split("val")
        cat, sofa = (collection.classes.index(name) + 1 for name in ("cat", "sofa"))
        mask = collection.mask(record)
        assert (mask.shape, mask.dtype) == (SIZE, np.uint8)
        assert mask[0, :5].tolist() == [0, sofa, 255, cat, 0]
        with pytest.raises(InputError, match="no ground-truth mask"):
            collection.mask(collection.split("train")[1])

    def test_chosen_classes_are_numbered_in_their_order(self, root):
        collection = open_collection(root, ["sofa", "cat"])
        assert collection.classes == ("sofa", "cat")
        assert self.tags(collection, "train") == {"a": ("cat",), "b": (), "c": ()}
        assert collection.split("val")[0].tags == (0,)
        assert collection.mask(collection.split("val")[0])[0, :5].tolist() == [0, 1, 255, 2, 0]
        assert collection.mask(collection.split("train")[0])[0, :5].tolist() == [2, 0, 0, 255, 0]
        with pytest.raises(InputError, match="did you mean 'sofa'"):
            open_collection(root, ["sofe"])

    def check_left_out(self, root: Path, written: str, rest: set[str], complaint: str) -> None:
        """Check that a row stops the reading in one line, or is skipped and named once."""
        with pytest.raises(InputError, match=complaint) as stopped:
            open_collection(root, on_error="stop")
        assert "\n" not in str(stopped.value)
        collection = open_collection(root, on_error="skip")
        assert [(left.name, left.part, left.reason) for left in collection.left_out] == [
            (written, "row", str(stopped.value))
        ]
        assert {r.name for r in collection.split(collection.default_split)} == rest

    def test_a_missing_image_is_left_out(self, plain):
        self.add_row(plain, "absent")
        self.check_left_out(plain, self.said_as("absent"), set(TAGS), "absent")

    def test_an_unreadable_row_is_left_out(self, plain):
        self.break_row(plain, "b")
        self.check_left_out(plain, self.said_as("b"), set(TAGS) - {"b"}, r"tags\.csv:3|'b\.png'|b\.xml")

    @pytest.mark.parametrize("name", OUTSIDE)
    def test_names_outside_the_folder_are_refused(self, plain, name):
        save_picture(plain.parent / "x.jpg")
        save_picture(plain.parent / "x.png")
        self.add_row(plain, name)
        with pytest.raises(InputError, match=r"leads outside|does not exist"):
            open_collection(plain)
        collection = open_collection(plain, on_error="skip")
        assert len(collection.left_out) == 1
        assert {r.name for records in collection.splits.values() for r in records} == set(TAGS)
