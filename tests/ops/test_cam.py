"""Multi-scale class activation maps against the twin, and their edges."""

import numpy as np
import pytest
import torch

from affinitynet.ops.cam import class_activation_maps
from tests.support import reference


def test_fuses_scales_and_mirrors_like_the_twin(device):
    generator = torch.Generator().manual_seed(0)
    maps = [torch.rand(2, 3, h, w, generator=generator) for h, w in ((4, 6), (2, 3), (9, 13))]
    fused = class_activation_maps([m.to(device) for m in maps], (17, 23))
    expected = reference.class_activation_maps([m.numpy() for m in maps], (17, 23))
    np.testing.assert_allclose(fused.cpu().numpy(), expected, atol=2e-6)


def test_a_mirror_image_that_agrees_changes_nothing():
    half = torch.rand(3, 4, 6)
    fused = class_activation_maps([torch.stack([half, half.flip(-1)])], (8, 12))
    assert fused.dtype == torch.float32
    assert torch.allclose(fused, class_activation_maps([torch.stack([half, half.flip(-1)]) * 3], (8, 12)), atol=2e-5)


def test_edges():
    assert class_activation_maps([torch.zeros(2, 0, 4, 6)], (8, 12)).shape == (0, 8, 12)
    assert torch.equal(class_activation_maps([torch.zeros(2, 1, 4, 6)], (8, 12)), torch.zeros(1, 8, 12))
    assert class_activation_maps([torch.ones(2, 1, 1, 1, dtype=torch.bfloat16)], (1, 1)).item() < 1


@pytest.mark.parametrize("maps", [[], [torch.rand(3, 4, 6)], [torch.rand(2, 3, 4, 6), torch.rand(2, 2, 4, 6)]])
def test_refuses_wrong_shapes(maps):
    with pytest.raises(ValueError, match=r"\[2, K, h, w\]"):
        class_activation_maps(maps, (8, 12))
