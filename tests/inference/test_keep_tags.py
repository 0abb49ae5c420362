"""A tagged class is never missing in a mask in silence, and helping one never costs another."""

import numpy as np
import pytest
import torch

from affinitynet.inference.refine import keep_tags
from affinitynet.records import ScoreMaps


def maps(*scores):
    return ScoreMaps(tuple(range(len(scores))), torch.tensor(scores, dtype=torch.float32))


def test_a_mask_with_all_its_tags_stays_as_it_is():
    mask = np.array([[1, 2, 0]], np.uint8)
    found, added, missing = keep_tags(mask, maps([[0.9, 0.1, 0]], [[0.1, 0.9, 0]]))
    assert np.array_equal(found, mask)
    assert (added, missing) == ([], [])


def test_a_missing_class_gets_its_strongest_place_enlarged_to_the_mask():
    found, added, missing = keep_tags(np.zeros((4, 4), np.uint8), maps([[0.1, 0.4], [0.0, 0.3]]))
    assert np.array_equal(found, np.array([[0, 0, 1, 1]] * 4))
    assert (added, missing) == ([0], [])


def test_a_map_that_is_nearly_even_does_not_flood_the_image():
    found, added, _ = keep_tags(np.zeros((2, 2), np.uint8), maps([[0.2, 0.3], [0.2, 0.2]]))
    assert np.array_equal(found, [[0, 1], [0, 0]])
    assert added == [0]


def test_a_class_of_which_nothing_was_seen_is_named():
    found, added, missing = keep_tags(np.zeros((1, 2), np.uint8), maps([[0.0, 0.0]]))
    assert (found.any(), added, missing) == (False, [], [0])


def test_a_place_that_is_all_another_class_has_is_not_taken():
    mask = np.array([[1, 1, 0, 0]], np.uint8)
    found, added, missing = keep_tags(mask, maps([[0.9, 0.9, 0, 0]], [[0.5, 0.5, 0, 0]]))
    assert np.array_equal(found, mask)
    assert (added, missing) == ([], [1])


def test_a_part_of_another_class_is_taken_where_nothing_is_free():
    found, added, missing = keep_tags(
        np.array([[1, 1, 1, 0]], np.uint8), maps([[0.9, 0.9, 0.9, 0]], [[0.5, 0.1, 0, 0]])
    )
    assert np.array_equal(found, [[2, 1, 1, 0]])
    assert (added, missing) == ([1], [])


@pytest.mark.parametrize("seed", range(30))
def test_no_class_that_was_there_is_ever_lost(seed):
    draw = np.random.default_rng(seed)
    mask = draw.integers(0, 4, (5, 6)).astype(np.uint8) * (draw.random((5, 6)) < 0.3)
    scores = torch.from_numpy(draw.random((4, 5, 6)).astype(np.float32)) * (torch.rand(4, 1, 1) > 0.2)
    found, added, missing = keep_tags(mask.astype(np.uint8), ScoreMaps((0, 1, 2, 3), scores))
    present = set(np.unique(found)) - {0}
    assert set(np.unique(mask)) - {0} <= present
    assert present | {number + 1 for number in missing} == {1, 2, 3, 4}
    assert {number + 1 for number in added} <= present
