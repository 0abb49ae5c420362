"""Pair affinities, labels and loss: values and gradients against the twin and the original's numbers."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from affinitynet.ops.affinity import (
    affinity_labels,
    affinity_loss,
    pair_affinity,
    pair_labels,
    pair_offsets,
    source_grid,
)
from tests.support import reference
from tests.support.places import SHARED

BORDERS = ("original", "full")
OTHER_PAIRS = (torch.ones(1, 2, 3, 4).bool(),) * 3


def features_and_labels(size=(7, 11), batch=2):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(batch, 5, *size, generator=generator, dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 255])[torch.randint(0, 4, (batch, *size), generator=generator)]
    return features, labels


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("radius", [1, 3, 4])
def test_affinity_equals_the_twin(radius, border, device):
    features, _ = features_and_labels()
    expected = torch.zeros(2, len(pair_offsets(radius)), *source_grid(7, 11, radius, border)).double()
    left = 0 if border == "full" else radius - 1
    for b in range(2):
        for p, (y, x), target in reference.pairs(7, 11, radius, border):
            expected[b, p, y, x - left] = reference.affinity(features[b].numpy(), (y, x), target)
    features = features.to(device)
    assert torch.allclose(pair_affinity(features, radius, border).cpu(), expected, atol=1e-12)
    assert torch.allclose(pair_affinity(features.float(), radius, border).cpu(), expected.float(), atol=1e-6)


@pytest.mark.parametrize("border", BORDERS)
def test_loss_equals_the_twin(border, device):
    features, labels = features_and_labels()
    loss = affinity_loss(pair_affinity(features.to(device), 3, border), *pair_labels(labels.to(device), 3, border))
    expected = reference.affinity_loss(features.numpy(), labels.numpy(), 3, border)
    assert loss.item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("border", BORDERS)
def test_gradients_equal_numeric_ones(border, device):
    features, labels = (maps.to(device) for maps in features_and_labels(size=(3, 5), batch=1))
    features.requires_grad_()
    assert torch.autograd.gradcheck(lambda f: pair_affinity(f, 2, border), features)
    kinds = pair_labels(labels, 2, border)
    assert torch.autograd.gradcheck(lambda f: affinity_loss(pair_affinity(f, 2, border), *kinds), features)


@pytest.mark.parametrize("border", BORDERS)
def test_gradient_is_the_one_of_the_gathered_form(border, device):
    features, labels = (maps.to(device) for maps in features_and_labels())
    one, other = (features.clone().requires_grad_() for _ in range(2))
    affinity_loss(pair_affinity(one, 3, border), *pair_labels(labels, 3, border)).backward()
    pairs = reference.pairs(7, 11, 3, border)
    sources, targets = (torch.tensor([pair[i] for pair in pairs]).T for i in (1, 2))
    difference = other[:, :, sources[0], sources[1]] - other[:, :, targets[0], targets[1]]
    a, b = labels[:, sources[0], sources[1]], labels[:, targets[0], targets[1]]
    known = (a < 255) & (b < 255)
    kinds = [known & (a == b) & (a == 0), known & (a == b) & (a > 0), known & (a != b)]
    affinity_loss(torch.exp(-difference.abs().mean(1)), *kinds).backward()
    assert torch.allclose(one.grad, other.grad, atol=1e-12)


def test_small_maps_have_no_pairs_under_the_original_rule():
    features = torch.rand(1, 3, 4, 20, requires_grad=True)
    affinity = pair_affinity(features)
    labels = pair_labels(torch.zeros(1, 4, 20, dtype=torch.long))
    assert affinity.shape == (1, 34, 0, 12) == labels[0].shape
    loss = affinity_loss(affinity, *labels)
    loss.backward()
    assert loss == 0
    assert features.grad is not None
    assert (features.grad == 0).all()
    assert pair_affinity(torch.rand(1, 3, 1, 1), border="full").sum() == 0


def test_constant_features_are_all_alike_and_finite():
    features = torch.ones(1, 3, 6, 12, requires_grad=True)
    affinity = pair_affinity(features)
    kinds = pair_labels(torch.arange(72).view(1, 6, 12))
    loss = affinity_loss(affinity, *kinds)
    loss.backward()
    assert (affinity == 1).all()
    assert loss.isfinite()
    assert features.grad is not None
    assert features.grad.isfinite().all()


def test_half_precision_features_are_computed_in_float32():
    features = torch.rand(1, 8, 6, 12).bfloat16().requires_grad_()
    affinity = pair_affinity(features)
    assert affinity.dtype == torch.float32
    assert torch.equal(affinity, pair_affinity(features.float()))
    affinity.sum().backward()
    assert features.grad is not None
    assert features.grad.dtype == torch.bfloat16


def test_labels_equal_the_twin():
    low, high = np.random.default_rng(0).random((2, 3, 9, 9))
    low[:, 0] = high[:, 0] = 0
    expected = reference.affinity_labels(low, high)
    assert (affinity_labels(torch.from_numpy(low), torch.from_numpy(high)).numpy() == expected).all()


@pytest.mark.parametrize(
    ("call", "cure"),
    [
        (lambda: pair_offsets(0), "radius"),
        (lambda: pair_affinity(torch.rand(3, 8, 8)), "batch axis"),
        (lambda: pair_affinity(torch.rand(1, 3, 8, 8), border="none"), "border"),  # type: ignore[arg-type]
        (lambda: pair_labels(torch.zeros(8, 8, dtype=torch.long)), "labels"),
        (lambda: affinity_labels(torch.rand(2, 4, 4), torch.rand(3, 4, 4)), "low and high"),
        (lambda: affinity_loss(torch.rand(1, 2, 3, 3), *OTHER_PAIRS), "same radius"),
    ],
)
def test_refuses_what_does_not_fit(call, cure):
    with pytest.raises(ValueError, match=cure):
        call()


@pytest.fixture(scope="module")
def golden():
    path = SHARED / "golden" / "affinity_labels.npz"
    if not path.is_file():
        pytest.skip("no ../shared/golden here")
    return np.load(path)


def test_pair_labels_are_the_original_ones(golden):
    kinds = pair_labels(torch.from_numpy(golden["label"]).long()[None])
    for kind, name in zip(kinds, ("bg", "fg", "neg"), strict=True):
        assert (kind[0].flatten(1).numpy() == golden[name]).all()


def test_labels_are_the_original_ones_up_to_ties_within_float16(golden):
    low, high = (F.avg_pool2d(torch.from_numpy(golden[name]).double(), 8) for name in ("low", "high"))
    differ = affinity_labels(low, high).numpy() != golden["label"]
    margin = [scores.topk(2, dim=0).values for scores in (low, high)]
    tied = torch.minimum(*[top[0] - top[1] for top in margin]).numpy() < 5e-6
    assert not (differ & ~tied).any()
    assert differ.sum() <= 4
