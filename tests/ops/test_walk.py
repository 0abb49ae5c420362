"""The random walk against the dense matrix power, the original's matrix, and its edges."""

import numpy as np
import pytest
import torch

from affinitynet.ops.affinity import pair_affinity
from affinitynet.ops.walk import _power_coefficients, random_walk, transition_matrix
from tests.support import reference
from tests.support.places import SHARED


def world(height=9, width=12, contrast=1.0):
    generator = torch.Generator().manual_seed(0)
    features = contrast * torch.randn(4, height, width, generator=generator, dtype=torch.float64)
    return features, torch.rand(3, height, width, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("border", ["original", "full"])
@pytest.mark.parametrize("steps", [0, 1, 2, 7, 256])
def test_equals_the_dense_power(steps, border, device):
    features, scores = world()
    dense = reference.dense_affinity(features.numpy(), 4, border)
    expected = reference.random_walk(scores.flatten(1).numpy(), dense, 8, steps).reshape(scores.shape)
    affinity, scores = pair_affinity(features[None].to(device), 4, border)[0], scores.to(device)
    exact = random_walk(scores, affinity, 8, steps, 4, border, tolerance=0)
    np.testing.assert_allclose(exact.cpu().numpy(), expected, atol=1e-10)
    walked = random_walk(scores.float(), affinity.float(), 8, steps, 4, border)
    assert walked.dtype == torch.float32
    np.testing.assert_allclose(walked.cpu().numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("tolerance", [1e-2, 1e-4, 1e-6])
def test_error_stays_below_the_bound(tolerance):
    features, scores = world(contrast=0.3)
    affinity = pair_affinity(features[None], 4)[0]
    dense = reference.dense_affinity(features.numpy(), 4, "original") ** 8
    exact = random_walk(scores, affinity, radius=4, tolerance=0)
    error = (random_walk(scores, affinity, radius=4, tolerance=tolerance) - exact).flatten(1).numpy()
    weight = np.sqrt(dense.sum(1))
    norms = [np.linalg.norm(weight * maps, axis=1) for maps in (error, scores.flatten(1).numpy())]
    assert (norms[0] <= 2 * tolerance * norms[1]).all()


@pytest.mark.parametrize("steps", [0, 1, 5, 256, 5_001])
def test_never_more_products_than_steps(steps):
    assert len(_power_coefficients(steps, 0)) <= steps + 1
    coefficients = _power_coefficients(steps, 1e-6)
    assert sum(coefficients) == pytest.approx(1)
    assert len(coefficients) - 1 <= min(steps, 5 * steps**0.5 + 1)


def test_transition_rows_sum_to_one_and_constants_stay(device):
    features, scores = (maps.to(device) for maps in world())
    affinity = pair_affinity(features[None], 5)[0]
    rows = transition_matrix(affinity, (9, 12)).sum(1, keepdim=True).to_dense()
    assert torch.allclose(rows, torch.ones_like(rows))
    constant = torch.full_like(scores, 0.3)
    assert torch.allclose(random_walk(constant, affinity), constant)


def test_edges():
    none = torch.zeros(34, 0, 0)
    scores = torch.rand(2, 1, 1)
    assert torch.allclose(random_walk(scores, none), scores)  # one pixel
    small = torch.rand(2, 4, 30)
    assert torch.allclose(random_walk(small, torch.zeros(34, 0, 22)), small)  # no pair: everyone stays
    full = random_walk(small, pair_affinity(torch.ones(1, 2, 4, 30), border="full")[0], border="full")
    assert full.std() < small.std()
    empty = random_walk(torch.rand(0, 8, 12), torch.rand(34, 4, 4))
    assert empty.shape == (0, 8, 12)


def test_zero_affinities_link_nothing():
    scores = torch.rand(2, 8, 12)
    assert torch.allclose(random_walk(scores, torch.zeros(34, 4, 4)), scores)
    assert torch.allclose(random_walk(scores, torch.zeros(34, 4, 4), beta=0), scores)


def test_refuses_what_does_not_fit():
    scores, affinity = torch.rand(2, 8, 12), torch.rand(34, 4, 4)
    for call, cure in [
        (lambda: random_walk(scores[0], affinity), "scores"),
        (lambda: random_walk(scores, affinity[None]), "pair_affinity"),
        (lambda: random_walk(scores, affinity, border="full"), "pair_affinity"),
        (lambda: random_walk(scores, affinity, steps=-1), "steps"),
        (lambda: random_walk(scores * float("nan"), affinity), "NaN"),
        (lambda: random_walk(scores, affinity * float("nan")), "NaN"),
    ]:
        with pytest.raises(ValueError, match=cure):
            call()


@pytest.mark.parametrize("network", ["vgg16", "resnet38"])
def test_transition_is_the_original_one_transposed(network):
    path = SHARED / "golden" / f"{network}_small.npz"
    if not path.is_file():
        pytest.skip("no ../shared/golden here")
    golden = np.load(path)
    powered = golden["dense_affinity"].astype(float) ** 8
    affinity = torch.from_numpy(golden["affinity"])[0].reshape(34, 9, 9)
    transition = transition_matrix(affinity, (13, 17)).to_dense().numpy()
    np.testing.assert_allclose(transition.T, powered / powered.sum(0), atol=1e-6)
