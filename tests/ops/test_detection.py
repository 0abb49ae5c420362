"""AP50 against the original's numbers, and by hand."""

from pathlib import Path

import numpy as np
import pytest

from affinitynet.ops.detection import Comparison, box_overlaps, mask_overlaps, mean_average_precision

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "irn_small.npz")


def overlaps(found, true):
    both = (found[:, None] & true[None]).sum((2, 3))
    return both / np.maximum((found[:, None] | true[None]).sum((2, 3)), 1)


def test_is_the_originals():
    images = []
    for image in range(3):
        found, true = (GOLDEN[name][:, 0] == image for name in ("ap_found", "ap_truth"))
        pairs = overlaps(GOLDEN["ap_found_masks"][found], GOLDEN["ap_truth_masks"][true])
        rows = GOLDEN["ap_found"][found]
        images.append(Comparison(rows[:, 1].astype(int), rows[:, 2], GOLDEN["ap_truth"][true, 1], pairs))
    mean, areas = mean_average_precision(images, 5)
    assert mean == pytest.approx(float(GOLDEN["ap_mean"]))
    np.testing.assert_allclose(areas, GOLDEN["ap_per_class"])


def test_what_is_found_twice_counts_once_and_other_classes_do_not_match():
    both = np.array([[0.9], [0.8], [0.9]])
    image = Comparison(np.array([0, 0, 1]), np.array([0.5, 0.9, 1.0]), np.array([0]), both)
    mean, areas = mean_average_precision([image], 2)
    assert areas[0] == mean == 1  # the surer of the two is the hit
    assert np.isnan(areas[1])
    assert np.isnan(mean_average_precision([], 2)[0])
    missed = Comparison(np.zeros(0, int), np.zeros(0), np.array([1]), np.zeros((0, 1)))
    assert mean_average_precision([missed], 2)[0] == 0


def test_difficult_objects_are_neither_missed_nor_found():
    image = Comparison(
        np.array([0, 0]),
        np.array([0.9, 0.5]),
        np.array([0, 0]),
        np.array([[0.9, 0], [0, 0.9]]),
        np.array([True, False]),
    )
    assert mean_average_precision([image], 1)[0] == 1
    none_asked = Comparison(np.array([0]), np.array([0.9]), np.array([0]), np.array([[0.9]]), np.array([True]))
    assert np.isnan(mean_average_precision([none_asked], 1)[0])


def test_mask_overlaps_are_those_of_the_single_masks():
    generator = np.random.default_rng(0)
    found, true = generator.integers(0, 4, (2, 9, 11))
    expected = overlaps(*(np.stack([labels == number for number in (1, 2, 3)]) for labels in (found, true)))
    np.testing.assert_allclose(mask_overlaps(found, true), expected)
    assert mask_overlaps(found, np.zeros_like(true)).shape == (3, 0)


def test_box_overlaps_are_those_of_drawn_boxes():
    boxes = np.array([[0, 0, 4, 4], [2, 1, 6, 5], [4, 4, 5, 5], [3, 3, 3, 3]])

    def drawn(box):
        grid = np.zeros((8, 8), bool)
        grid[box[1] : box[3], box[0] : box[2]] = True
        return grid

    masks = np.stack([drawn(box) for box in boxes])
    np.testing.assert_allclose(box_overlaps(boxes, boxes), overlaps(masks, masks))
