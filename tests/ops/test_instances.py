"""Centroids, clusters and objects against the original's numbers and by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from affinitynet.ops.boundaries import boundary_affinity
from affinitynet.ops.instances import centroids, clusters, components, detections, instance_seeds, split_region
from affinitynet.ops.walk import random_walk

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "irn_small.npz")
SIZE = GOLDEN["toy_ins_label"].shape


def toy(name):
    return torch.from_numpy(GOLDEN[f"toy_{name}"])


@pytest.mark.parametrize(("moves", "name"), [(1, "_1"), (3, "_3"), (30, "_30"), (300, "")])
def test_centroids_are_the_originals(moves, name, device):
    ends = centroids(toy("displacement").to(device), moves)
    assert (ends.cpu().numpy() == GOLDEN[f"toy_centroids{name}"]).all()


def test_clusters_are_the_originals(device):
    displacement = toy("displacement").to(device)
    assert (clusters(displacement, centroids(displacement)).cpu().numpy() == GOLDEN["toy_clusters"]).all()


def walked(scores):
    edge = toy("edge")
    return random_walk(scores * (1 - edge), boundary_affinity(edge, 5, "full")[0], 10, 256, 5, "full")


def enlarged(scores):
    large = F.interpolate(scores[None], scale_factor=4, mode="bilinear", align_corners=False)[0]
    large = large[:, : SIZE[0], : SIZE[1]]
    return large / large.max()


def test_semantic_masks_of_the_toy_scene_are_the_originals():
    scores = walked(toy("cam"))
    assert (scores - toy("sem_walk")).abs().max() <= 1e-4 * toy("sem_walk").max()
    best, winner = enlarged(scores).max(0)
    label = torch.where(best > 0.25, toy("classes")[winner] + 1, 0)
    assert (label.numpy() == GOLDEN["toy_sem_label"]).all()


def test_objects_of_the_toy_scene_are_the_originals():
    seeds = instance_seeds(toy("cam"), toy("clusters").long())
    scores = enlarged(walked(seeds.flatten(0, 1))).view(2, -1, *SIZE)
    found = detections(scores, toy("classes").tolist(), 0.25)
    assert (found.labels == GOLDEN["toy_ins_label"]).all()
    assert list(found.classes) == GOLDEN["toy_ins_class"].tolist()
    np.testing.assert_allclose(found.scores, GOLDEN["toy_ins_score"], atol=1e-4)


def test_two_objects_beside_each_other_are_two():
    field = torch.zeros(2, 6, 20)
    field[1, :, :10] = 5 - torch.arange(10.0)
    field[1, :, 10:] = 15 - torch.arange(10.0, 20)
    numbers = clusters(field, centroids(field))
    assert numbers.max() == 1
    assert (numbers[:, :10] == numbers[0, 0]).all()
    assert (numbers[:, 10:] == numbers[0, 19]).all()
    found = detections(instance_seeds(torch.ones(1, 6, 20), numbers), [7], 0.5)
    assert found.classes == (7, 7)
    assert found.mask(0)[:, :10].all()
    assert not found.mask(0)[:, 10:].any()


def test_components_are_numbered_by_their_first_pixel():
    region = np.random.default_rng(0).random((40, 60)) < 0.5
    numbers = components(region)
    assert (numbers > 0).tolist() == region.tolist()
    first = [np.flatnonzero(numbers.ravel() == number)[0] for number in range(1, numbers.max() + 1)]
    assert first == sorted(first)
    seen = np.zeros_like(region)
    for number in range(1, numbers.max() + 1):  # flood fill from the first pixel reaches all of a piece and no more
        waiting, piece = [divmod(int(first[number - 1]), 60)], set()
        while waiting:
            y, x = waiting.pop()
            if (y, x) in piece or not (0 <= y < 40 and 0 <= x < 60) or not region[y, x]:
                continue
            piece.add((y, x))
            waiting += [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
        assert {tuple(p) for p in np.argwhere(numbers == number).tolist()} == piece
        seen |= numbers == number
    assert (seen == region).all()
    assert (components(np.zeros((3, 4), bool)) == 0).all()


def test_a_region_is_split_where_clusters_meet_and_splinters_go_to_what_they_touch():
    region = np.zeros((12, 24), bool)
    region[2:10, 1:12] = region[2:10, 12:23] = True
    numbers = np.where(np.arange(24) < 12, 4, 9)[None].repeat(12, 0)
    numbers[5, 13] = 4  # inside the right one
    numbers[2, 11] = 9  # touches the right one only
    found = split_region(region, numbers)
    assert found.max() == 2
    assert (found[region & (np.arange(24) < 11)] == 1).all()
    assert (found[region & (np.arange(24) >= 12)] == 2).all()
    assert ((found > 0) == region).all()
    assert split_region(np.zeros((3, 4), bool), np.zeros((3, 4), int)).max() == 0


def test_specks_belong_to_the_nearest_object_but_small_objects_stay():
    region = np.zeros((20, 60), bool)
    region[5:15, 2:22] = region[5:15, 30:50] = True
    region[2, 40] = region[10, 24] = True  # one pixel each, near the right and the left one
    region[17:19, 55:57] = True  # 4 of 200 pixels
    found = split_region(region, np.zeros(region.shape, int))
    assert found.max() == 3
    assert found[2, 40] == found[6, 40]
    assert found[10, 24] == found[6, 10]
    assert len({found[6, 40], found[6, 10], found[17, 55]}) == 3
    assert ((found > 0) == region).all()


def test_small_pieces_have_no_score_and_images_without_a_class_no_object():
    scores = torch.zeros(1, 1, 20, 20)
    scores[0, 0, :2, :1] = 0.9
    scores[0, 0, 10:, :] = 0.8
    assert detections(scores, [2], 0.5).scores == (0.0, pytest.approx(0.8))
    empty = detections(torch.zeros(0, 1, 5, 5), [], 0.5)
    assert empty.classes == ()
    assert (empty.labels == 0).all()


def test_refuses_what_is_not_a_displacement():
    for wrong in (torch.zeros(3, 4, 5), torch.full((2, 4, 5), float("nan"))):
        with pytest.raises(ValueError, match="displacement"):
            centroids(wrong)
