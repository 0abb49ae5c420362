"""Background scores and confident seeds."""

import pytest
import torch

from affinitynet.ops.crf import CRFParams, dense_crf
from affinitynet.ops.seeds import background_score, confident_seeds


def test_background_is_what_no_class_claims(device):
    cams = torch.tensor([[[0.5, 0.0, 0.2]], [[0.1, 0.0, 1.0]]])
    assert torch.allclose(background_score(cams.to(device), 2).cpu(), torch.tensor([[0.25, 1.0, 0.0]]))
    assert torch.equal(background_score(torch.zeros(0, 2, 3), 4), torch.ones(2, 3))


def test_seeds_are_one_crf_per_alpha(device):
    image = torch.randint(0, 256, (12, 16, 3), dtype=torch.uint8).to(device)
    cams = 0.5 * torch.rand(2, 12, 16).to(device)
    seeds = confident_seeds(image, cams, (4, 16, 32), CRFParams(iterations=3))
    assert seeds.shape == (3, 3, 12, 16)
    for alpha, found in zip((4, 16, 32), seeds, strict=True):
        problem = torch.cat([background_score(cams, alpha)[None], cams])
        assert torch.allclose(found, dense_crf(image, problem, CRFParams(iterations=3)), atol=1e-6)
    assert seeds[0, 0].mean() > seeds[2, 0].mean()  # a higher alpha leaves less background


def test_an_image_without_tags_is_all_background():
    image = torch.zeros(4, 6, 3, dtype=torch.uint8)
    seeds = confident_seeds(image, torch.zeros(0, 4, 6, dtype=torch.float16))
    assert seeds.dtype == torch.float32
    assert torch.equal(seeds, torch.ones(2, 1, 4, 6))


def test_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="cams"):
        background_score(torch.rand(4, 6), 4)
    with pytest.raises(ValueError, match="NaN"):
        confident_seeds(torch.zeros(4, 6, 3, dtype=torch.uint8), torch.full((1, 4, 6), float("nan")))
