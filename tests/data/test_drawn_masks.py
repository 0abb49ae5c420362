"""Which masks teach, and that those never measure."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from affinitynet.config.settings import DrawnConfig, PipelineConfig
from affinitynet.data.collection import open_collection
from affinitynet.data.drawn_masks import teaching
from affinitynet.errors import InputError
from tests.support.worlds import plain_folder

TAGS = "file,tags,split\n" + "".join(
    f"{letter}.png,{'cat' if number % 2 else 'dog'},{'val' if number > 5 else 'train'}\n"
    for number, letter in enumerate("abcdefgh")
)


def painted(root: Path, folder: str, letters: str, value: int = 1) -> None:
    for letter in letters:
        (root / folder).mkdir(exist_ok=True)
        mask = np.zeros((32, 40), np.uint8)
        mask[8:20, 8:20] = value
        Image.fromarray(mask).save(root / folder / f"{letter}.png")


def taught(root: Path, config: PipelineConfig) -> tuple[str, str]:
    """Return the names of the images that teach and of those that measure."""
    collection = teaching(open_collection(root), "train", config)
    records = [record for records in collection.splits.values() for record in records]
    assert not any(record.truth and record.drawn for record in records)
    measured = {record.name for name in collection.evaluation_splits for record in collection.masked(name)}
    assert measured <= {record.name for record in records if record.truth}
    return "".join(sorted(r.name for r in records if r.drawn)), "".join(sorted(measured))


@pytest.fixture
def root(tmp_path):
    return plain_folder(tmp_path / "data", TAGS, 8)


def test_masks_in_drawn_teach_and_do_not_measure_even_if_ground_truth_says_the_same(root):
    painted(root, "drawn", "ab")
    painted(root, "masks", "bcgh")
    assert taught(root, PipelineConfig()) == ("ab", "gh")
    collection = teaching(open_collection(root), "train", PipelineConfig())
    record = collection.split("train")[0]
    assert np.bincount(collection.drawn(record).ravel()).tolist() == [1280 - 144, 144]
    assert "untagged" not in collection.splits  # the masks are no images


def test_ground_truth_of_the_training_split_teaches_only_if_asked_to(root):
    painted(root, "masks", "abcdefgh")
    assert taught(root, PipelineConfig()) == ("", "abcdefgh")
    assert taught(root, PipelineConfig(learn_from="masks")) == ("abcdef", "gh")


def test_a_part_goes_on_measuring_where_nothing_else_does(root):
    painted(root, "masks", "abcde")
    teach, measure = taught(root, PipelineConfig(learn_from="masks"))
    assert len(teach) == 4
    assert sorted(teach + measure) == list("abcde")
    whole = PipelineConfig(learn_from="masks", drawn=DrawnConfig(hold_out=0))
    assert taught(root, whole) == ("abcde", "")


def test_fewer_masks_are_some_of_those_that_more_are(root):
    painted(root, "drawn", "abcdef")
    few, more = (taught(root, PipelineConfig(drawn=DrawnConfig(most=most)))[0] for most in (2, 4))
    assert (len(few), len(more)) == (2, 4)
    assert set(few) < set(more)
    assert taught(root, PipelineConfig(drawn=DrawnConfig(most=0)))[0] == ""


def test_fewer_masks_show_each_class_and_no_image_without_a_tag(tmp_path):
    shown = {"c": "rust", "e": "miner", "f": "miner"}
    tags = "".join(f"{letter}.png,{shown.get(letter, '')},train\n" for letter in "abcdef")
    root = plain_folder(tmp_path / "data", "file,tags,split\n" + tags, 6)
    painted(root, "drawn", "abcdef")
    few, more, most = (taught(root, PipelineConfig(drawn=DrawnConfig(most=most)))[0] for most in (2, 3, 4))
    assert few in ("ce", "cf")
    assert more == "cef"
    assert set(more) < set(most)


def test_a_mask_of_an_image_that_is_not_trained_on_does_not_teach(root):
    painted(root, "drawn", "ag")
    painted(root, "masks", "gh")
    assert taught(root, PipelineConfig()) == ("a", "gh")


def test_photographs_of_drawings_are_images(tmp_path):
    root = plain_folder(tmp_path / "data", "file,tags\na.png,cat\ndrawn/a.png,dog\n", 1)
    (root / "drawn").mkdir()
    Image.new("RGB", (40, 32), (200, 30, 90)).save(root / "drawn" / "a.png")
    collection = teaching(open_collection(root), "all", PipelineConfig())
    assert [record.name for record in collection.split("all")] == ["a", "drawn/a"]
    assert not any(record.drawn for record in collection.split("all"))


def test_black_and_white_drawn_masks_of_one_class_are_its_masks(tmp_path):
    root = plain_folder(tmp_path / "data", "file,tags\na.png,cat\nb.png,cat\n", 2)
    painted(root, "drawn", "ab", 255)
    collection = teaching(open_collection(root), "all", PipelineConfig())
    assert np.unique(collection.drawn(collection.split("all")[0])).tolist() == [0, 1]


def test_no_mask_is_said_and_wrong_values_are_refused(root):
    painted(root, "drawn", "a", 9)
    collection = teaching(open_collection(root), "train", PipelineConfig())
    first, second = collection.split("train")[:2]
    with pytest.raises(InputError, match=r"drawn/a.png: contains value 9"):
        collection.drawn(first)
    with pytest.raises(InputError, match="nobody drew"):
        collection.drawn(second)


def test_masks_that_are_to_be_learnt_from_and_are_not_there_are_a_line(root):
    painted(root, "masks", "gh")
    with pytest.raises(InputError, match=r"--learn-from masks: no image of split 'train' has a mask"):
        taught(root, PipelineConfig(learn_from="masks"))
