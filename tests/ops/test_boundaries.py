"""Boundary affinities and the displacement loss: values and gradients against the twin and the original's numbers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from affinitynet.ops.affinity import affinity_loss, pair_labels, pair_offsets, source_grid
from affinitynet.ops.boundaries import boundary_affinity, displacement_loss, path_offsets
from affinitynet.ops.walk import random_walk
from tests.support import reference

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "irn_small.npz")
BORDERS = ("original", "full")


def maps(size=(7, 11), batch=2, device="cpu"):
    """Boundaries, displacements and labels."""
    generator = torch.Generator().manual_seed(0)
    boundaries = torch.rand(batch, *size, generator=generator, dtype=torch.float64)
    displacement = 3 * torch.randn(batch, 2, *size, generator=generator, dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 255])[torch.randint(0, 4, (batch, *size), generator=generator)]
    return boundaries.to(device), displacement.to(device), labels.to(device)


@pytest.mark.parametrize("radius", [5, 10])
def test_paths_are_the_originals(radius):
    targets = [tuple(target) for target in GOLDEN[f"path_target_r{radius}"].tolist()]
    points = np.split(GOLDEN[f"path_pixels_r{radius}"], np.cumsum(GOLDEN[f"path_length_r{radius}"])[:-1])
    ours = dict(zip(pair_offsets(radius), path_offsets(radius), strict=True))
    assert ours == {target: tuple(map(tuple, path.tolist())) for target, path in zip(targets, points, strict=True)}


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("radius", [1, 3, 5])
def test_affinity_equals_the_twin(radius, border, device):
    boundaries, _, _ = maps(device=device)
    expected = torch.zeros(2, len(pair_offsets(radius)), *source_grid(7, 11, radius, border)).double()
    left = 0 if border == "full" else radius - 1
    for b in range(2):
        for p, (y, x), target in reference.pairs(7, 11, radius, border):
            expected[b, p, y, x - left] = reference.boundary_affinity(boundaries[b].cpu().numpy(), (y, x), target)
    assert torch.allclose(boundary_affinity(boundaries, radius, border).cpu(), expected, atol=1e-12)
    assert torch.allclose(boundary_affinity(boundaries.float(), radius, border).cpu(), expected.float(), atol=1e-6)


@pytest.mark.parametrize("border", BORDERS)
def test_displacement_loss_equals_the_twin(border, device):
    _, displacement, labels = maps(device=device)
    background, foreground, _ = pair_labels(labels, 3, border)
    loss = displacement_loss(displacement, background, foreground, 3, border)
    expected = reference.displacement_loss(displacement.cpu().numpy(), labels.cpu().numpy(), 3, border)
    assert loss.item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("border", BORDERS)
def test_gradients_equal_numeric_ones(border, device):
    boundaries, displacement, labels = maps((5, 7), 1, device)
    kinds = pair_labels(labels, 3, border)
    assert torch.autograd.gradcheck(lambda b: boundary_affinity(b, 3, border), boundaries.requires_grad_())
    assert torch.autograd.gradcheck(
        lambda d: displacement_loss(d, *kinds[:2], 3, border), displacement.requires_grad_()
    )


def gathered(boundaries: Tensor, radius: int) -> Tensor:
    """The affinities as the released code computes them: every path gathered, then the maximum."""
    _, height, width = boundaries.shape
    rows, columns = source_grid(height, width, radius, "original")
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(radius - 1, radius - 1 + columns), indexing="ij")
    paths = [
        torch.stack([boundaries[:, y + dy, x + dx] for dy, dx in path], dim=1).flatten(2)
        for path in path_offsets(radius)
    ]
    highest = [torch.nn.functional.max_pool2d(path[:, None], (path.shape[1], 1))[:, 0, 0] for path in paths]
    return 1 - torch.stack(highest, dim=1).view(len(boundaries), -1, rows, columns)


def test_of_equal_boundaries_the_first_gets_the_gradient_as_in_the_original(device):
    boundaries, _, _ = maps((9, 13), device=device)
    rounded = (4 * boundaries).round() / 4
    one, other = (rounded.clone().requires_grad_() for _ in range(2))
    weight = torch.rand(2, 34, *source_grid(9, 13, 5, "original"), dtype=torch.float64, device=device)
    (boundary_affinity(one, 5) * weight).sum().backward()
    (gathered(other, 5) * weight).sum().backward()
    assert torch.allclose(one.grad, other.grad, atol=1e-12)


def test_training_losses_are_the_originals(device):
    edge = torch.from_numpy(GOLDEN["train_edge_logit"]).to(device)
    displacement = torch.from_numpy(GOLDEN["train_displacement"]).to(device)
    labels = torch.from_numpy(GOLDEN["train_reduced_labels"]).long().to(device)
    kinds = pair_labels(labels, 10)
    positive, negative, apart, moved = GOLDEN["train_losses"][0]
    affinity = boundary_affinity(edge.sigmoid()[:, 0], 10)
    assert affinity_loss(affinity, *kinds).item() == pytest.approx((positive + negative) / 2, rel=1e-5)
    loss = displacement_loss(displacement, kinds[0], kinds[1], 10)
    assert loss.item() == pytest.approx((apart + moved) / 2, rel=1e-5)


def test_affinities_and_walk_of_a_piece_are_the_originals(device):
    boundaries = torch.from_numpy(GOLDEN["piece_edge"]).to(device)
    affinity = boundary_affinity(boundaries, 5, "full")[0]
    order = [pair_offsets(5).index(tuple(target)) for target in GOLDEN["path_target_r5"].tolist()]
    # The original pads the map by 5 on the left, and its sources begin 4 pixels from the padding's edge.
    theirs = torch.from_numpy(GOLDEN["piece_path_affinity"]).view(34, 11, 14)[:, :10, 1:13]
    assert torch.allclose(affinity[order].cpu(), theirs, atol=1e-6)
    assert affinity[pair_offsets(5).index((1, 1)), 3, 4].item() == pytest.approx(0.9811733, abs=1e-6)
    scores = torch.from_numpy(GOLDEN["piece_cam"]).to(device) * (1 - boundaries)
    walked = random_walk(scores, affinity, beta=10, steps=256, radius=5, border="full")
    assert np.abs(walked.cpu().numpy() - GOLDEN["piece_walk"]).max() <= 1e-4 * GOLDEN["piece_walk"].max()


def test_small_maps_have_no_pairs_under_the_original_rule():
    boundaries = torch.rand(1, 4, 20, requires_grad=True)
    affinity = boundary_affinity(boundaries)
    assert affinity.shape == (1, 34, 0, 12)
    affinity.sum().backward()
    assert boundaries.grad is not None
    assert (boundaries.grad == 0).all()
    none = torch.zeros(1, 34, 0, 12, dtype=torch.bool)
    assert displacement_loss(torch.rand(1, 2, 4, 20), none, none) == 0


@pytest.mark.parametrize(
    ("call", "cure"),
    [
        (lambda: boundary_affinity(torch.rand(4, 5)), "batch axis"),
        (lambda: boundary_affinity(torch.ones(1, 4, 5).int()), "floating"),
        (lambda: displacement_loss(torch.rand(1, 2, 4, 5), *(torch.ones(1, 2, 4, 5).bool(),) * 2), "same radius"),
        (lambda: displacement_loss(torch.rand(2, 4, 5), *(torch.ones(1, 34, 4, 5).bool(),) * 2), "B, 2, H, W"),
        (lambda: path_offsets(0), "radius"),
    ],
)
def test_refuses_what_does_not_fit(call, cure):
    with pytest.raises(ValueError, match=cure):
        call()
