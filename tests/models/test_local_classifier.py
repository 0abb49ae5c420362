"""The classifier of places: its pooling, its features, and its file."""

import itertools

import numpy as np
import pytest
import torch

from affinitynet.errors import InputError
from affinitynet.files import save_weights
from affinitynet.models.backbones.registry import build_backbone
from affinitynet.models.classifier import TagClassifier, load_classifier
from affinitynet.models.local_classifier import LocalClassifier, pooled, seen_size


@pytest.mark.parametrize("sharpness", [0.0, 0.1, 1.0, 2.0])
def test_pooling_equals_its_formula_in_float64(sharpness):
    places = torch.randn(3, 4, 50, generator=torch.Generator().manual_seed(0))
    rows = places.double().numpy()
    weights = np.exp(sharpness * rows)
    expected = (weights * rows).sum(-1) / weights.sum(-1)
    assert np.allclose(pooled(places, sharpness).numpy(), expected, atol=1e-5)


def test_pooling_lies_between_the_average_and_the_maximum():
    places = torch.randn(7, 30, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(pooled(places, 0.0), places.mean(-1), atol=1e-6)
    assert torch.allclose(pooled(places, 1000.0), places.amax(-1), atol=1e-6)
    steps = [pooled(places, sharpness) for sharpness in (0.0, 0.3, 1.0, 3.0)]
    for softer, sharper in itertools.pairwise(steps):
        assert (sharper > softer).all()


def test_what_a_whole_image_looks_like_is_not_among_the_features():
    model = LocalClassifier(build_backbone("lite"), ["a"]).eval()
    with torch.inference_mode():
        features = model.features(torch.rand(2, 3, 96, 128))
    medians = features.flatten(2).median(2).values
    assert features.shape == (2, 40 + 112 + 96, 12, 16)
    assert medians.abs().max() == 0
    assert features.abs().max() > 0


@pytest.mark.parametrize("network", ["lite", "vgg16", "timm:test_vit", "timm:test_byobnet"])
def test_every_network_has_one_and_its_file_is_read_again(tmp_path, network):
    torch.manual_seed(0)
    model = LocalClassifier(build_backbone(network), ["a", "b"], 2.0).eval()
    x = torch.rand(1, 3, 64, 96)
    save_weights(tmp_path / "c.safetensors", model.state_dict(), model.settings)
    found = load_classifier(tmp_path / "c.safetensors")
    assert isinstance(found, LocalClassifier)
    assert (found.classes, found.settings["sharpness"]) == (("a", "b"), 2.0)
    with torch.inference_mode():
        assert torch.equal(found(x), model(x))
        assert found.place_probabilities(found.features(x)).min() >= 0


def test_neither_kind_of_classifier_is_taken_for_the_other(tmp_path):
    local, whole = LocalClassifier(build_backbone("lite"), ["a"]), TagClassifier(build_backbone("lite"), ["a"])
    save_weights(tmp_path / "local.safetensors", local.state_dict(), local.settings)
    save_weights(tmp_path / "whole.safetensors", whole.state_dict(), whole.settings)
    assert isinstance(load_classifier(tmp_path / "whole.safetensors"), TagClassifier)
    with pytest.raises(InputError, match="contains a local classifier"):
        TagClassifier.load(tmp_path / "local.safetensors")
    with pytest.raises(InputError, match="not a local classifier"):
        LocalClassifier.load(tmp_path / "whole.safetensors")


def test_small_images_are_enlarged_and_large_ones_reduced():
    assert [seen_size((side, side // 2)) for side in (100, 512, 800, 1024, 5000)] == [
        (512, 256),
        (512, 256),
        (800, 400),
        (1024, 512),
        (1024, 512),
    ]
