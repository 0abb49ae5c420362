"""Outlines and run lengths against a slow twin and pycocotools."""

import numpy as np
import pytest

from affinitynet.data.regions import coco_region, corners, polygon_region, run_lengths, runs_region
from affinitynet.errors import InputError


def inside(outline, x, y):
    """The even-odd rule, an edge at a time."""
    odd = False
    for (x0, y0), (x1, y1) in zip(outline, [*outline[1:], outline[0]], strict=True):
        if (y0 <= y) != (y1 <= y) and x0 + (y - y0) * (x1 - x0) / (y1 - y0) <= x:
            odd = not odd
    return odd


@pytest.mark.parametrize("seed", range(6))
def test_polygons_agree_with_the_twin(seed):
    """Also self-crossing ones, and those that reach out of the image."""
    rng = np.random.default_rng(seed)
    height, width = 13, 17
    outline = rng.uniform(-6, 22, (int(rng.integers(3, 9)), 2)).round(2)
    expected = [[inside(outline.tolist(), x + 0.5, y + 0.5) for x in range(width)] for y in range(height)]
    assert (polygon_region(outline, (height, width)) == np.array(expected)).all()


def test_polygons_outside_and_far_away_are_empty():
    for outline in (
        [[-9, -9], [-2, -9], [-2, -1]],
        [[50, 50], [60, 50], [60, 60]],
        [[1e7, -1e7], [1e7, 1e7], [9e6, 0]],
    ):
        assert not polygon_region(np.array(outline, float), (10, 10)).any()


def test_run_lengths_agree_with_pycocotools():
    codec = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(0)
    for share in (0.0, 0.01, 0.5, 0.99, 1.0):
        mask = rng.random((37, 41)) < share
        code = codec.encode(np.asfortranarray(mask, dtype=np.uint8))
        text = code["counts"].decode()
        assert (coco_region({"size": [37, 41], "counts": text}, (37, 41)) == mask).all()
        assert (coco_region({"size": [37, 41], "counts": run_lengths(text).tolist()}, (37, 41)) == mask).all()


@pytest.mark.parametrize("bad", [[1, 2, 3, 4], [1, 2, 3, 4, 5], "abc", None, [[1, 2]] * 3, [1e300] * 6, [None] * 6])
def test_what_is_no_outline_is_refused(bad):
    with pytest.raises(InputError):
        corners(bad)


@pytest.mark.parametrize("bad", [[5], [-1, 7], [7], [2.5, 3.5], "xy", None, [[6]], [10**30], [2**62, 2**62]])
def test_what_are_no_runs_is_refused(bad):
    with pytest.raises(InputError):
        runs_region(bad, (2, 3), by_columns=True)


@pytest.mark.parametrize("bad", [" ", "o" * 30, "1o", "é", "~"])
def test_what_is_no_code_is_refused(bad):
    with pytest.raises(InputError):
        run_lengths(bad)
