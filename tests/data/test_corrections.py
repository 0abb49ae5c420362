"""What people say of single images lies over the collection, whose own files stay as they are."""

import json

import numpy as np
import pytest
from PIL import Image

from affinitynet.config.settings import PipelineConfig
from affinitynet.data.collection import open_collection
from affinitynet.data.corrections import Correction, Corrections, corrected
from affinitynet.data.drawn_masks import teaching
from affinitynet.errors import InputError
from tests.support.worlds import plain_folder, snapshot


@pytest.fixture
def collection(tmp_path):
    root = plain_folder(tmp_path / "data", "file,tags\na.png,cat\nb.png,dog\nc.png,owl\n", 3)
    (root / "masks").mkdir()
    for letter in "abc":
        Image.fromarray(np.zeros((32, 40), np.uint8)).save(root / "masks" / f"{letter}.png")
    return open_collection(root)


@pytest.fixture
def corrections(tmp_path):
    return Corrections(tmp_path / "work" / "corrections")


def test_tags_and_masks_change_and_files_do_not(collection, corrections):
    before = snapshot(collection.root)
    mask = np.zeros((32, 40), np.uint8)
    mask[3:9, 3:9] = 2
    corrections.save("a", Correction("corrected", ("dog", "cat")), mask)
    corrections.save("b", Correction(tags=()))
    corrections.save("c", Correction("rejected"))
    a, b, c = teaching(corrected(collection, corrections), "all", PipelineConfig()).split("all")
    assert a.tags == (0, 1)
    assert (collection.drawn(a) == mask).all()
    assert a.truth is None
    assert b.tags == ()
    assert b.drawn is None
    assert b.truth is not None
    assert c.rejected
    assert c.drawn is None
    assert snapshot(collection.root) == before


def test_masks_fit_chosen_classes_in_another_order(collection, corrections):
    chosen = open_collection(collection.root, ("owl", "cat"))
    mask = np.zeros((32, 40), np.uint8)
    mask[3:9, 3:9], mask[20:, 20:], mask[0, 0] = 2, 1, 255
    corrections.save("a", Correction("accepted"), mask)
    record = corrected(chosen, corrections).split("all")[0]
    assert (chosen.drawn(record) == mask).all()


def test_a_correction_that_is_taken_back_leaves_no_mask(corrections):
    corrections.save("x/a", Correction("corrected"), np.ones((2, 2), np.uint8))
    corrections.save("x/a", Correction())
    assert corrections.mask("x/a", ()) is None
    assert corrections.load("x/a") == Correction()
    assert list(corrections.names()) == ["x/a"]


def test_a_mask_that_is_left_beside_a_withdrawn_verdict_counts_for_nothing(corrections):
    corrections.save("a", Correction("corrected"), np.ones((2, 2), np.uint8))
    left = corrections.mask_file("a").read_bytes()
    for verdict in (None, "rejected"):
        corrections.save("a", Correction(verdict))
        corrections.mask_file("a").write_bytes(left)
        assert corrections.mask("a", ("cat",)) is None


def test_history_is_kept(corrections):
    history = {"done": 1, "actions": [{"kind": "click", "points": [[1, 2]], "class": None}]}
    corrections.save("a", Correction("corrected", ("cat",), history), np.zeros((2, 2), np.uint8))
    assert corrections.load("a") == Correction("corrected", ("cat",), history)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[]", "is not a correction"),
        ("{", "cannot be read"),
        ('{"verdict": "maybe", "tags": null, "history": null}', "verdict 'maybe'"),
        ('{"verdict": null, "tags": [3], "history": null}', "tags"),
        ('{"verdict": null, "tags": null, "history": 3}', "history"),
        ('{"verdict": null, "tags": ["cot"], "history": null}', "did you mean 'cat'"),
    ],
)
def test_damaged_ones_are_a_line(collection, corrections, content, says):
    corrections.root.mkdir(parents=True)
    corrections.file("a").write_text(content)
    with pytest.raises(InputError, match=says) as refused:
        corrected(collection, corrections)
    assert "corrections/a.json" in str(refused.value)


def test_corrections_of_images_that_are_gone_do_no_harm(collection, corrections):
    corrections.save("zebra", Correction("accepted"), np.zeros((2, 2), np.uint8))
    corrections.save("undone", Correction())
    found = corrected(collection, corrections)
    assert not any(record.drawn for record in found.split("all"))
    assert "1 corrections in" in found.remarks[-1].text
    assert "the first of zebra" in found.remarks[-1].text
    assert json.loads(corrections.file("zebra").read_text())["verdict"] == "accepted"


def test_a_class_that_is_added_leaves_corrections_what_they_were(collection, corrections):
    mask = np.zeros((32, 40), np.uint8)
    mask[3:9, 3:9], mask[20:, 20:], mask[0, 0] = 1, 3, 255
    corrections.save("a", Correction("corrected", ("cat", "owl"), classes=collection.classes), mask)
    with (collection.root / "tags.csv").open("a") as file:
        file.write("d.png,bird\n")
    Image.new("RGB", (40, 32)).save(collection.root / "d.png")
    grown = open_collection(collection.root)
    assert grown.classes == ("bird", "cat", "dog", "owl")
    record = corrected(grown, corrections).split("all")[0]
    assert record.tags == (1, 3)
    expected = np.zeros((32, 40), np.uint8)
    expected[3:9, 3:9], expected[20:, 20:], expected[0, 0] = 2, 4, 255
    assert (grown.drawn(record) == expected).all()
    found = corrections.mask("a", grown.classes)
    assert found is not None
    assert (found == expected).all()


def test_a_class_that_is_gone_is_a_line(collection, corrections):
    corrections.save("a", Correction("accepted", classes=collection.classes), np.full((32, 40), 2, np.uint8))
    fewer = open_collection(collection.root, ("cat", "owl"))
    record = corrected(fewer, corrections).split("all")[0]
    with pytest.raises(InputError, match=r"a\.png: shows dog, which is not a class any more"):
        fewer.drawn(record)


def test_nothing_is_said_of_255_where_masks_are_black_and_white(tmp_path, corrections):
    root = plain_folder(tmp_path / "white", "file,tags\na.png,cat\nb.png,cat\n", 2)
    (root / "masks").mkdir()
    Image.fromarray(np.eye(32, 40, dtype=np.uint8) * 255).save(root / "masks" / "b.png")
    collection = open_collection(root)
    assert collection.mask(collection.split("all")[1]).max() == 1
    mask = np.zeros((32, 40), np.uint8)
    mask[0], mask[1] = 1, 255
    corrections.save("a", Correction("corrected", classes=collection.classes), mask)
    assert (collection.drawn(corrected(collection, corrections).split("all")[0]) == mask).all()


def test_masks_of_images_that_are_not_trained_on_are_remarked(collection, corrections):
    (collection.root / "splits").mkdir()
    (collection.root / "splits" / "train.txt").write_text("a.png\n")
    (collection.root / "splits" / "val.txt").write_text("b.png\nc.png\n")
    collection = open_collection(collection.root)
    for name in "ab":
        corrections.save(name, Correction("accepted"), np.zeros((32, 40), np.uint8))
    found = teaching(corrected(collection, corrections), "train", PipelineConfig())
    assert [record.drawn is None for record in (*found.split("train"), *found.split("val"))] == [False, True, True]
    assert "1 drawn or corrected masks teach nothing: their images, e.g. b, are not trained on" in [
        remark.text for remark in found.remarks
    ]
