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
TAGS: dict[str, tuple[str, ...]] = {"a": ("cat", "dog"), "b": ("dog",), "c": (), "sofa_1": ("cat", "sofa")}
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


def short(name: str) -> str:
    """Return an artifact name without its folders, as the worlds name their images."""
    return name.rpartition("/")[2]


class CollectionSuite:
    """Checks of every layout.

    Attributes:
        world: what is written; images without splits are in one folder or list.
        classes: of a collection of ``world``, in the order of the mask values.
        untagged_split: where images without a row are, if the layout knows of them.
    """

    world: ClassVar[World] = WORLD
    classes: ClassVar[tuple[str, ...]] = ("cat", "dog", "sofa")
    untagged_split: ClassVar[str | None] = "untagged"

    def write(self, root: Path, world: World) -> None:
        """Write a collection."""
        raise NotImplementedError

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        """A folder with the world in it."""
        (tmp_path / "data").mkdir()
        self.write(tmp_path / "data", self.world)
        return tmp_path / "data"

    @pytest.fixture
    def plain(self, tmp_path: Path) -> Path:
        """A folder in which every image is named once."""
        (tmp_path / "plain").mkdir()
        self.write(tmp_path / "plain", World(self.world.tags, {}, {}))
        return tmp_path / "plain"

    def tags(self, collection: Collection, split: str) -> dict[str, tuple[str, ...]]:
        return {short(r.name): tuple(collection.classes[tag] for tag in r.tags) for r in collection.split(split)}

    def test_tags_and_splits_are_read(self, root):
        collection = open_collection(root)
        assert collection.classes == self.classes
        assert collection.left_out == ()
        assert collection.default_split == "train"
        for split, names in self.world.splits.items():
            assert self.tags(collection, split) == {name: self.world.tags[name] for name in names}
        with pytest.raises(InputError, match="has no such split"):
            collection.split("vall")

    def test_without_splits_all_images_are_in_one(self, plain):
        collection = open_collection(plain)
        assert self.tags(collection, collection.default_split) == dict(self.world.tags)
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
        splits = {name: {short(r.name) for r in records} for name, records in open_collection(root).splits.items()}
        named = {name: set(names) for name, names in self.world.splits.items()}
        assert splits == named | ({self.untagged_split: {"lonely"}} if self.untagged_split else {})

    def test_chosen_tags_are_numbered_in_their_order(self, root):
        collection = open_collection(root, ["sofa", "cat"])
        assert collection.classes == ("sofa", "cat")
        for split, names in self.world.splits.items():
            expected = {name: {t for t in self.world.tags[name] if t in ("cat", "sofa")} for name in names}
            assert {name: set(tags) for name, tags in self.tags(collection, split).items()} == expected
        with pytest.raises(InputError, match="did you mean 'sofa'"):
            open_collection(root, ["sofe"])

    def test_it_is_read_the_same_from_a_relative_path(self, root, monkeypatch):
        expected = {name: [(r.name, r.tags) for r in records] for name, records in open_collection(root).splits.items()}
        monkeypatch.chdir(root.parent)
        found = open_collection(root.name).splits
        assert {name: [(r.name, r.tags) for r in records] for name, records in found.items()} == expected


class UsedFilesSuite(CollectionSuite):
    """Checks of layouts that know which files beside the images they read."""

    def test_files_that_the_layout_reads_are_not_passed_over(self, root):
        (root / "notes.docx").write_bytes(b"mine")
        passed_over = open_collection(root).passed_over
        assert {other.path.name for other in passed_over} - {"notes.docx"} == set()


class MaskSuite(CollectionSuite):
    """Checks of layouts that have ground truth.

    Attributes:
        masked: names of the training images that have it.
    """

    masked: ClassVar[tuple[str, ...]] = ("a",)

    def save_masks(self, folder: Path, world: World) -> None:
        """Write the masks with the values of this layout's classes."""
        folder.mkdir()
        for name, mask in self.drawn(world).items():
            Image.fromarray(mask).save(folder / f"{name}.png")

    def drawn(self, world: World) -> dict[str, np.ndarray]:
        """Return the masks with the values of this layout's classes."""
        values = {"": 0, "?": 255} | {name: number + 1 for number, name in enumerate(self.classes)}
        masks = {name: np.zeros(SIZE, np.uint8) for name in world.masks}
        for name, columns in world.masks.items():
            masks[name][:, : len(columns)] = [values[column] for column in columns]
        return masks

    def test_masks_have_the_values_of_the_classes(self, root):
        collection = open_collection(root)
        assert collection.evaluation_splits == ("val",)
        assert tuple(short(r.name) for r in collection.split("train") if r.truth is not None) == self.masked
        expected = self.drawn(self.world)
        masked = [r for split in ("train", "val") for r in collection.masked(split) if short(r.name) in expected]
        assert len(masked) == len(expected) > 0
        for record in masked:
            mask = collection.mask(record)
            assert (mask.shape, mask.dtype) == (SIZE, np.uint8)
            assert mask.tolist() == expected[short(record.name)].tolist()
        with pytest.raises(InputError, match="no ground-truth mask"):
            collection.mask(next(r for r in collection.split("train") if short(r.name) == "b"))

    def test_chosen_classes_are_numbered_in_the_masks(self, root):
        collection = open_collection(root, ["sofa", "cat"])
        new = np.zeros(256, np.uint8)
        new[255], new[self.classes.index("sofa") + 1], new[self.classes.index("cat") + 1] = 255, 1, 2
        expected = self.drawn(self.world)
        for record in (*collection.masked("train"), *collection.masked("val")):
            if short(record.name) in expected:
                assert collection.mask(record).tolist() == new[expected[short(record.name)]].tolist()

    def test_ground_truth_is_decided_by_a_file(self, root):
        for records in open_collection(root).splits.values():
            for record in records:
                assert record.truth is None or record.truth.file.is_relative_to(root)


class RowSuite(CollectionSuite):
    """Checks of layouts that name their images."""

    def add_row(self, root: Path, name: str) -> None:
        """Name an image, tagged "cat", where the layout names its images."""
        raise NotImplementedError

    def break_row(self, root: Path, name: str) -> None:
        """Make what is said of an image unreadable; the image must be named once."""
        raise NotImplementedError

    def said_as(self, name: str) -> str:
        """Return an image's name as its row writes it."""
        return name

    def check_left_out(self, root: Path, written: str, rest: set[str], complaint: str) -> None:
        """Check that a row stops the reading in one line, or is skipped and named once."""
        with pytest.raises(InputError, match=complaint) as stopped:
            open_collection(root, on_error="stop")
        assert "\n" not in str(stopped.value)
        collection = open_collection(root, on_error="skip")
        assert [(left.name, left.part, left.reason) for left in collection.left_out] == [
            (written, "row", str(stopped.value))
        ]
        assert {short(r.name) for r in collection.split(collection.default_split)} == rest

    def test_a_missing_image_is_left_out(self, plain):
        self.add_row(plain, "absent")
        self.check_left_out(plain, self.said_as("absent"), set(self.world.tags), "absent")

    def test_an_unreadable_row_is_left_out(self, plain):
        self.break_row(plain, "b")
        complaint = r"tags\.csv:3|'b\.png'|b\.xml|b\.txt:1|jsonl:2"
        self.check_left_out(plain, self.said_as("b"), set(self.world.tags) - {"b"}, complaint)

    @pytest.mark.parametrize("name", OUTSIDE)
    def test_names_outside_the_folder_are_refused(self, plain, name):
        save_picture(plain.parent / "x.jpg")
        save_picture(plain.parent / "x.png")
        self.add_row(plain, name)
        with pytest.raises(InputError, match=r"leads outside|does not exist"):
            open_collection(plain)
        collection = open_collection(plain, on_error="skip")
        assert len(collection.left_out) == 1
        assert {short(r.name) for records in collection.splits.values() for r in records} == set(self.world.tags)


class LayoutSuite(MaskSuite, RowSuite):
    """Checks of layouts that name their images and have ground truth."""
