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
    assert corrections.mask("x/a") is None
    assert corrections.load("x/a") == Correction()
    assert list(corrections.names()) == ["x/a"]


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
    assert not any(record.drawn for record in corrected(collection, corrections).split("all"))
    assert json.loads(corrections.file("zebra").read_text())["verdict"] == "accepted"
