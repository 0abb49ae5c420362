"""What a classifier has learnt: measured, said and kept."""

import math

import numpy as np
import pytest

from affinitynet.errors import InputError
from affinitynet.ops.metrics import average_precision
from affinitynet.work.learnt import ClassLearnt, Learnt, classes_learnt, read_learnt, write_learnt


def by_definition(scores, tags):
    """Average over the tagged images of the precision at their rank, counted one by one."""
    order = sorted(range(len(scores)), key=lambda n: (-scores[n], n))
    found, hits = [], 0
    for rank, number in enumerate(order, start=1):
        if tags[number]:
            hits += 1
            found.append(hits / rank)
    return sum(found) / len(found)


def test_average_precision_equals_its_definition():
    draw = np.random.default_rng(0)
    scores, tags = draw.integers(0, 9, (50, 4)) / 9, draw.random((50, 4)) < [0.1, 0.3, 0.6, 0.0]
    found = average_precision(scores, tags)
    for number in range(3):
        assert found[number] == pytest.approx(by_definition(scores[:, number], tags[:, number]))
    assert math.isnan(found[3])


def test_what_was_learnt_is_read_as_it_was_written(tmp_path):
    learnt = Learnt(classes_learnt(["a", "b"], [9, 1], [3, 0], 12, [0.5, math.nan]), "local")
    write_learnt(tmp_path / "c.json", learnt)
    assert read_learnt(tmp_path / "c.json") == learnt
    assert read_learnt(tmp_path / "none.json") is None
    (tmp_path / "c.json").write_text('{"classes": 3}')
    with pytest.raises(InputError, match=r"c\.json"):
        read_learnt(tmp_path / "c.json")


@pytest.mark.parametrize(
    ("precision", "said"), [(0.95, "a: learnt"), (0.75, "partly learnt"), (0.4, "look at its masks"), (None, "too few")]
)
def test_a_poor_class_is_said_to_be_poor(precision, said):
    assert said in ClassLearnt("a", 50, 20, precision, 0.3).remark


def test_a_class_of_every_held_out_image_needs_images_without_it():
    said = ClassLearnt("a", 50, 20, 1.0, chance=1.0).remark
    assert "add images of the same places without it" in said
    assert "tag more" not in said
    assert "not learnt" not in said


def test_classes_nobody_tagged_are_not_mentioned_and_many_fit_a_screen():
    few = Learnt((ClassLearnt("a", 50, 20, 0.9, 0.3), ClassLearnt("unused", 0, 0, None, 0.0)), "local")
    assert len(few.lines()) == 1
    many = Learnt(tuple(ClassLearnt(f"c{n}", 50, 20, 0.9 if n % 2 else 0.1, 0.05) for n in range(60)), "local")
    assert len(many.lines()) == 13
    assert "30 of 60 classes are learnt" in many.lines()[-1]
