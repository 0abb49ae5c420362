"""The backbones: what all of them must do, and what is special of ``lite`` and of timm's."""

from dataclasses import replace

import numpy as np
import pytest
import timm
import torch

from affinitynet.errors import InputError
from affinitynet.inference.tagged import MaskPredictor
from affinitynet.models.affinity_net import AffinityNet
from affinitynet.models.backbones.registry import build_backbone, pretrained_backbone
from affinitynet.models.classifier import TagClassifier, tag_loss
from affinitynet.pipeline.run import run_pipeline
from tests.suites.backbone_suite import BackboneSuite
from tests.support.worlds import QUICK


class TestLite(BackboneSuite):
    network = "lite"
    frozen = ("network.conv_stem", "network.bn1", "network.blocks.0.", "network.blocks.1.")
    channels = (24, 40, 112, 1280)
    strides = (4, 8, 16, 16)


class TestVGG16(BackboneSuite):
    network = "vgg16"
    frozen = ("conv1_1.", "conv1_2.", "conv2_1.", "conv2_2.")
    channels = (512, 512, 1024)
    strides = (8, 8, 8)


class TestResNet38(BackboneSuite):
    network = "resnet38"
    frozen = ("conv1a.", "b2.", "b2_1.", "b2_2.")
    channels = (512, 1024, 4096)
    strides = (8, 8, 8)

    def is_frozen(self, name):
        return super().is_frozen(name) or "bn" in name.split(".")[-2]


class TestResNet50(BackboneSuite):
    network = "resnet50"
    frozen = ("network.conv1.", "network.bn1.", "network.layer1.", "network.layer2.")
    channels = (64, 256, 512, 1024, 2048)
    strides = (4, 4, 8, 16, 16)


class TestTimmConvnet(BackboneSuite):
    network = "timm:test_byobnet"
    channels = (32, 64, 128, 256)
    strides = (4, 8, 16, 16)


class TestTimmTransformer(BackboneSuite):
    network = "timm:test_vit"
    channels = (64, 64, 64)
    strides = (16, 16, 16)


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


@pytest.mark.parametrize("name", ["test_byobnet", "test_vit"])
def test_a_timm_network_runs_the_whole_line(world, tmp_path, name):
    """A convolutional network and a transformer, from random weights."""
    config = replace(QUICK, network=f"timm:{name}", weights="random")
    metrics = run_pipeline(world, tmp_path / "work", config, workers=1)
    assert list(metrics) == ["train", "val"]
    predictor = MaskPredictor.from_work(tmp_path / "work")
    assert predictor.classifier is not None
    assert predictor.classifier.backbone.name == name
    assert predictor.predict(np.zeros((50, 70, 3), np.uint8), ["dots"]).mask.shape == (50, 70)


def test_a_timm_network_takes_a_local_file(tmp_path):
    torch.save(timm.create_model("test_vit").state_dict(), tmp_path / "w.pth")
    first, second = (pretrained_backbone("timm:test_vit", weights=tmp_path / "w.pth").eval() for _ in range(2))
    x = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        assert torch.equal(first(x)[-1], second(x)[-1])
    with pytest.raises(InputError, match="0 of the 86 arrays that timm:test_byobnet needs are in it"):
        pretrained_backbone("timm:test_byobnet", weights=tmp_path / "w.pth")


def test_taps_of_a_timm_network_can_be_chosen():
    assert build_backbone("timm:test_byobnet").strides == (4, 8, 16, 16)
    assert build_backbone("timm:test_byobnet", taps=[2, 4]).strides == (8, 16)
    with pytest.raises(InputError, match="has its own"):
        build_backbone("lite", taps=[1])


@pytest.mark.parametrize(("name", "complaint"), [("resnet5", "did you mean timm:resnet50"), ("mixer_b16_224", "grid")])
def test_a_timm_network_that_cannot_serve_is_refused(name, complaint):
    with pytest.raises(InputError, match=complaint):
        build_backbone(f"timm:{name}")
