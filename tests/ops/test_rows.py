"""Rows enlarged a few at a time are those of the whole map enlarged at once."""

import pytest
import torch
import torch.nn.functional as F

from affinitynet.ops.decision import labels_at, labels_of
from affinitynet.ops.rows import enlarge_rows, lines_between


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("size", [(48, 64), (31, 77), (12, 16), (5, 9), (1, 1)])
def test_any_rows_are_those_of_the_whole(size, align_corners, device):
    maps = torch.randn(2, 3, 12, 16, device=device)
    whole = F.interpolate(maps, size, mode="bilinear", align_corners=align_corners)
    lines = lines_between(12, size[0], align_corners)
    for start, stop in ((0, size[0]), (size[0] // 2, size[0]), (size[0] // 3, size[0] // 3 + 1)):
        wanted = lines.between(start, stop)
        first, last = int(wanted.low[0]), int(wanted.high[-1]) + 1
        rows = enlarge_rows(maps[:, :, first:last], first, wanted, size[1], align_corners)
        torch.testing.assert_close(rows, whole[:, :, start:stop], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [(90, 61), (20, 30), (20, 61), (7, 9)])
@pytest.mark.parametrize("cuts", [(1, 2, 3), (10,), (19,), tuple(range(1, 20))])
def test_strips_decide_as_the_whole_does(size, cuts):
    scores = torch.rand(4, 20, 30)
    strips = scores.tensor_split(cuts, 1)
    assert (labels_of(strips, 20, size) == labels_at(scores, size)).all()
