"""Which images are held out."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from affinitynet.records import TaggedImage
from affinitynet.training.holdout import LEAST, MOST, hold_out, some_of_each_class


def images(count, folders=1, classes=3):
    return [
        TaggedImage(
            f"{number % folders:03d}/{number}", Path(f"{number}.png"), (number % classes,) if number % 4 else ()
        )
        for number in range(count)
    ]


@pytest.mark.parametrize("count", [20, 100, 333])
def test_about_the_share_of_each_set_of_tags_is_held_out(count):
    records = images(count)
    held = hold_out(records, 0.2, seed=0)
    assert abs(held.mean() - 0.2) < 0.06
    for tags in {record.tags for record in records}:
        alike = np.array([record.tags == tags for record in records])
        assert 0 < held[alike].mean() < 0.5, tags


def test_where_there_are_many_folders_none_is_divided():
    records = images(300, folders=25)
    held = hold_out(records, 0.2, seed=1)
    folders = {record.name.split("/")[0] for record, out in zip(records, held, strict=True) if out}
    kept = {record.name.split("/")[0] for record, out in zip(records, held, strict=True) if not out}
    assert folders
    assert kept
    assert not folders & kept
    assert 0.1 < held.mean() < 0.35


def folder_per_class(classes=10, images=30):
    return [TaggedImage(f"{c}/{n}", Path(f"{n}.png"), (c,)) for c in range(classes) for n in range(images)]


@pytest.mark.parametrize("classes", [10, 60])
def test_where_folders_are_the_classes_no_class_is_held_out(classes):
    records = folder_per_class(classes)
    held = hold_out(records, 0.15, seed=0)
    assert 0.1 < held.mean() < 0.25
    for number in range(classes):
        assert 0 < held[[record.tags == (number,) for record in records]].mean() <= 0.5


def test_one_folder_with_most_images_is_divided():
    records = [TaggedImage(f"{0 if n < 900 else n % 9 + 1}/{n}", Path(f"{n}.png"), (n % 2,)) for n in range(1000)]
    for seed in range(5):
        assert 75 <= hold_out(records, 0.15, seed).sum() <= 225


def test_of_many_classes_each_is_looked_at():
    records = [TaggedImage(f"{n}", Path(f"{n}.png"), (n % 200,)) for n in range(4000)]
    counts = Counter(tag for record in some_of_each_class(records, 10, 60, seed=0) for tag in record.tags)
    assert set(counts.values()) == {LEAST}
    assert len(counts) == 200
    few = Counter(tag for record in some_of_each_class(images(300), 10, 60, seed=0) for tag in record.tags)
    assert set(few.values()) == {10}


def test_a_large_collection_holds_out_no_more_than_measures_well():
    assert hold_out(images(5000), 0.15, seed=0).sum() <= MOST + 8


def test_nothing_and_a_single_image_of_a_kind_are_never_held_out():
    assert not hold_out(images(10), 0.0, seed=0).any()
    records = [TaggedImage("a", Path("a.png"), (0,)), *images(19)]
    lonely = [number for number, record in enumerate(records) if [r.tags for r in records].count(record.tags) == 1]
    assert not hold_out(records, 0.3, seed=0)[lonely].any()


def test_the_seed_decides():
    records = images(60)
    assert (hold_out(records, 0.2, 0) == hold_out(records, 0.2, 0)).all()
    assert (hold_out(records, 0.2, 0) != hold_out(records, 0.2, 1)).any()
