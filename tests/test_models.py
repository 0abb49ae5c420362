"""The networks of ``lite``: shapes, frozen parts, and ImageNet weights that really are ImageNet's."""

import pytest
import torch

from affinitynet.models.affinity_net import AffinityNet
from affinitynet.models.backbones import build_backbone, pretrained_backbone
from affinitynet.models.classifier import TagClassifier, tag_loss
from affinitynet.types import InputError


def test_frozen_parts_stay_frozen_in_training():
    model = TagClassifier(build_backbone("lite"), ["a", "b"]).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    tag_loss(model(torch.randn(2, 3, 64, 64)), torch.eye(2)).backward()
    optimizer.step()
    moved = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert "fc8.weight" in moved
    assert any(key.startswith("backbone.network.blocks.5") for key in moved)
    frozen = (
        "backbone.network.conv_stem",
        "backbone.network.bn1",
        "backbone.network.blocks.0",
        "backbone.network.blocks.1",
    )
    assert not any(key.startswith(frozen) or "running" in key for key in moved)


def test_pretrained_features_tell_more_than_random_ones():
    """The embedded weights load into the layers they belong to: their features keep a unit-like scale."""
    backbone = pretrained_backbone("lite").eval()
    with torch.inference_mode():
        feature = backbone(torch.randn(1, 3, 96, 96))[-1]
    assert 0.1 < feature.std() < 10


@pytest.mark.parametrize("size", [(8, 8), (40, 72), (104, 136)])
def test_affinity_features_lie_on_the_stride_8_grid(size):
    net = AffinityNet(build_backbone("lite")).eval()
    with torch.inference_mode():
        assert net(torch.zeros(1, 3, *size)).shape[2:] == (size[0] // 8, size[1] // 8)


def test_logits_are_the_mean_of_the_signed_maps():
    model = TagClassifier(build_backbone("lite"), ["a", "b", "c"]).eval()
    x = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        features = model.backbone(x)[-1]
        signed = torch.einsum("kc,bchw->bkhw", model.fc8.weight[:, :, 0, 0], features)
        torch.testing.assert_close(model(x), signed.mean((2, 3)))
        torch.testing.assert_close(model.activation_maps(x, [2]), signed[:, 2:].relu())


def test_an_unknown_network_is_refused():
    with pytest.raises(InputError, match="unknown network"):
        build_backbone("resnet")
