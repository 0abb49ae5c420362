"""The dense CRF against the twins, pydensecrf's numbers, the original's numbers, and its edges."""

import numpy as np
import pytest
import torch
from PIL import Image

from affinitynet.ops.crf import CRFParams, dense_crf
from affinitynet.ops.lattice import PermutohedralLattice
from tests.support import reference
from tests.support.places import GOLDEN, SHARED

PYDENSECRF = GOLDEN / "pydensecrf_small.npy"


def drawn(height=14, width=20):
    """A noisy image of two halves, and scores of three labels that half know them."""
    rng = np.random.default_rng(0)
    left = np.arange(width) < width // 2
    image = np.where(left[None, :, None], (200, 120, 60), (40, 90, 160)) + rng.normal(0, 20, (height, width, 3))
    scores = 0.6 * rng.random((3, height, width))
    scores[1] += 0.3 * left
    return np.clip(image, 0, 255).astype(np.uint8), scores.astype(np.float32)


def run(image, scores, params=None, device="cpu"):
    return dense_crf(torch.from_numpy(image).to(device), torch.from_numpy(scores).to(device), params).cpu().numpy()


def twin(image, scores, kernel):
    smoothness, appearance = reference.crf_features(image)
    kernels = [(3, kernel(smoothness)), (10, kernel(appearance))]
    return reference.mean_field(scores.reshape(len(scores), -1), kernels, 10).reshape(scores.shape)


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_lattice_equals_the_twin(dimension, device):
    features = np.random.default_rng(0).normal(0, 1.5, (60, dimension)).astype(np.float32)
    kernel = reference.lattice_kernel(features)
    norm = 1 / np.sqrt(kernel.sum(1) + 1e-20)
    lattice = PermutohedralLattice(torch.from_numpy(features.T.copy()).to(device))
    found = lattice(torch.eye(60, device=device)).cpu().numpy()
    np.testing.assert_allclose(found, norm[:, None] * kernel * norm, atol=1e-5)


def test_equals_the_twin_on_the_lattice(device):
    image, scores = drawn()
    np.testing.assert_allclose(
        run(image, scores, device=device), twin(image, scores, reference.lattice_kernel), atol=2e-5
    )


def test_is_as_near_to_the_exact_model_as_pydensecrf(device):
    image, scores = drawn()
    exact = twin(image, scores, reference.gaussian_kernel)
    theirs, ours = np.load(PYDENSECRF), run(image, scores, device=device)
    np.testing.assert_allclose(ours, theirs, atol=2e-5)
    assert np.abs(ours - exact).mean() <= np.abs(theirs - exact).mean() + 1e-6


@pytest.mark.parametrize("name", ["2007_000783", "2007_002597"])
def test_equals_the_original_on_photographs(name, voc_animals):
    golden = np.load(SHARED / "golden" / f"vgg16_{name}.npz")
    image = np.array(Image.open(voc_animals / "JPEGImages" / f"{name}.jpg").convert("RGB"))
    cams = golden["cam"].astype(np.float32)
    alphas = (4, 24, 32)
    scores = np.stack([np.concatenate([(1 - cams.max(0, keepdims=True)) ** alpha, cams]) for alpha in alphas])
    for found, alpha in zip(run(image, scores), alphas, strict=True):
        stored = golden[f"crf_alpha{alpha}"]
        # Golden scores are stored in float16; rounding alone may differ by one unit in the last place.
        assert np.abs(found.astype(np.float16).astype(np.float32) - stored).mean() < 1e-5
        assert (found.argmax(0) == stored.argmax(0)).mean() > 0.9999


def test_problems_of_a_batch_do_not_meet():
    image, scores = drawn()
    batch = np.stack([scores, scores[::-1], scores**2])
    for one, together in zip(batch, run(image, batch), strict=True):
        np.testing.assert_allclose(run(image, one.copy()), together, atol=1e-6)


def test_two_labels_are_a_special_case_of_many():
    image, scores = drawn()
    padded = np.concatenate([scores[:2], np.zeros_like(scores[:1])])
    kernels = [(w, reference.lattice_kernel(f)) for w, f in zip((3, 10), reference.crf_features(image), strict=True)]
    for case in (scores[:2], padded):
        expected = reference.mean_field(case.reshape(len(case), -1), kernels, 10).reshape(case.shape)
        np.testing.assert_allclose(run(image, case), expected, atol=2e-5)


def test_probabilities_sum_to_one_and_extreme_scores_are_fine():
    image, scores = drawn()
    found = run(image, (scores > 0.5).astype(np.float32))
    assert found.min() >= 0
    np.testing.assert_allclose(found.sum(0), 1, atol=1e-6)


def test_edges():
    image, scores = drawn()
    assert (run(image, scores[:1]) == 1).all()  # one label
    pixel = run(image[:1, :1], scores[:, :1, :1])
    assert pixel.argmax() == scores[:, 0, 0].argmax()
    constant = np.full((6, 9, 3), 77, np.uint8)
    even = run(constant, np.full((4, 6, 9), 0.25, np.float32))
    np.testing.assert_allclose(even, 0.25, atol=1e-6)


def test_no_iterations_is_the_normalised_input():
    image, scores = drawn()
    found = run(image, scores, CRFParams(iterations=0))
    clipped = np.clip(scores, 1e-5, 1)
    np.testing.assert_allclose(found, clipped / clipped.sum(0), atol=1e-6)


def test_number_of_threads_decides_nothing():
    image, scores = drawn(60, 80)
    alone = run(image, scores)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert (run(image, scores) == alone).all()
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("image", "scores", "cure"),
    [
        (np.zeros((4, 6, 3), np.uint8), torch.rand(2, 4, 6), "from_numpy"),
        (torch.rand(4, 6, 3), torch.rand(2, 4, 6), "uint8"),
        (torch.zeros(3, 4, 6, dtype=torch.uint8), torch.rand(2, 4, 6), r"\[H, W, 3\]"),
        (torch.zeros(4, 6, 3, dtype=torch.uint8), torch.rand(2, 6, 4), "the image's H, W"),
        (torch.zeros(4, 6, 3, dtype=torch.uint8), torch.rand(0, 4, 6), "L > 0"),
        (torch.zeros(4, 6, 3, dtype=torch.uint8), torch.full((2, 4, 6), float("nan")), "NaN"),
    ],
)
def test_refuses_what_does_not_fit(image, scores, cure):
    with pytest.raises(ValueError, match=cure):
        dense_crf(image, scores)
