"""What every backbone must do, whatever network it is: inherited by a class per backbone in tests/models."""

from functools import lru_cache
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from affinitynet.files import save_weights
from affinitynet.models.affinity_net import AffinityNet
from affinitynet.models.backbones.base import Backbone
from affinitynet.models.backbones.registry import build_backbone, is_backbone
from affinitynet.models.classifier import TagClassifier, tag_loss
from affinitynet.models.segmenter import Segmenter


@lru_cache(maxsize=1)
def random_backbone(network: str) -> Backbone:
    """Make a backbone once for all tests of it, which run one after the other."""
    torch.manual_seed(0)
    return build_backbone(network)


def start_all_branches(model: nn.Module) -> None:
    """Let branches that timm starts at zero, through which no gradient passes at first, take part."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and not module.weight.any():
            nn.init.ones_(module.weight)


def picture(backbone: Backbone, *size: int, batch: int = 1) -> Tensor:
    """Return normalised noise."""
    noise = torch.rand(batch, 3, *size, generator=torch.Generator().manual_seed(0))
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (backbone.mean, backbone.std))
    return (noise - mean) / std


def checksums(model: nn.Module) -> dict[str, float]:
    return {key: float(value.double().sum()) for key, value in model.state_dict().items()}


class BackboneSuite:
    """Checks of one backbone.

    Attributes:
        network: its name.
        frozen: prefixes of the parameters that keep their pretrained values.
        channels, strides: of its features.
        bfloat16_error: largest relative distance of its features in bfloat16 from those in float32.
    """

    network: ClassVar[str]
    frozen: ClassVar[tuple[str, ...]] = ()
    channels: ClassVar[tuple[int, ...]]
    strides: ClassVar[tuple[int, ...]]
    bfloat16_error: ClassVar[float] = 0.03

    def is_frozen(self, name: str) -> bool:
        return name.startswith(self.frozen) if self.frozen else False

    @pytest.fixture
    def backbone(self) -> Backbone:
        """The network with random weights; to be left as it is."""
        return random_backbone(self.network).eval()

    def test_its_name_is_known(self):
        assert is_backbone(self.network)

    def test_features_are_as_declared(self, backbone):
        assert (backbone.channels, backbone.strides) == (self.channels, self.strides)
        assert len(backbone.channels) == len(backbone.strides) == len(backbone.reduced)
        if backbone.groups is not None:
            divided = zip(backbone.reduced, backbone.groups, strict=True)
            assert all(width % groups == 0 for width, groups in divided)
        with torch.inference_mode():
            features = backbone(picture(backbone, 64, 96))
        assert [f.shape[1] for f in features] == list(backbone.channels)
        assert [tuple(f.shape[2:]) for f in features] == [(64 // s, 96 // s) for s in backbone.strides]

    def test_a_forward_and_a_backward_pass_on_the_device(self, backbone, device):
        """On the CPU this compares the layout used for inference with PyTorch's own; on a GPU, that with the CPU."""
        x = picture(backbone, 64, 64)
        with torch.inference_mode():
            expected = backbone(x)
        there = build_backbone(self.network)
        there.load_state_dict(backbone.state_dict())
        there = there.eval().to(device).to(memory_format=backbone.layout(device))
        found = there(x.to(device, memory_format=backbone.layout(device)))
        for one, other in zip(found, expected, strict=True):
            assert float((one.detach().cpu() - other).norm()) <= 1e-3 * float(other.norm())
        found[-1].square().mean().backward()
        gradients = [parameter.grad for parameter in there.parameters() if parameter.grad is not None]
        assert gradients
        assert all(gradient.isfinite().all() for gradient in gradients)

    def test_odd_sizes_and_single_images(self, backbone):
        x = picture(backbone, 37, 53, batch=2)
        with torch.inference_mode():
            pair, single = backbone(x), backbone(x[:1])
        for both, one, stride in zip(pair, single, backbone.strides, strict=True):
            assert all(-1 < found - side / stride < 1 for side, found in zip((37, 53), one.shape[2:], strict=True))
            assert float((both[:1] - one).norm()) <= 1e-4 * float(one.norm())
            assert one.isfinite().all()

    def test_only_what_is_not_frozen_learns(self, backbone):
        """Statistics of BatchNorm stay those of ImageNet as well; a batch of one is enough."""
        torch.manual_seed(1)
        net = AffinityNet(build_backbone(self.network)).train()
        start_all_branches(net)
        before = {name: value.clone() for name, value in net.named_buffers()}
        net(picture(backbone, 64, 64)).square().mean().backward()
        for name, parameter in net.backbone.named_parameters():
            assert parameter.requires_grad != self.is_frozen(name), name
            learns = parameter.grad is not None and bool(parameter.grad.any())
            assert learns != self.is_frozen(name), name
        assert all(torch.equal(value, before[name]) for name, value in net.named_buffers())
        assert all(parameter.grad is not None for parameter in net.f9.parameters())

    def test_a_classifier_on_it_learns(self, backbone):
        model = TagClassifier(backbone, ["a", "b"])
        grouped = [p for group in model.parameter_groups() for p in group["params"]]
        assert {id(p) for p in grouped} == {id(p) for p in model.parameters() if p.requires_grad}
        tag_loss(model(picture(backbone, 64, 64)), torch.eye(2)[:1]).backward()
        assert model.fc8.weight.grad is not None
        assert model.fc8.weight.grad.any()
        model.zero_grad(set_to_none=True)

    def test_settings_rebuild_it(self, backbone):
        again = build_backbone(backbone.settings["network"], backbone.settings.get("taps"))
        shapes = {key: value.shape for key, value in backbone.state_dict().items()}
        assert {key: value.shape for key, value in again.state_dict().items()} == shapes
        assert again.settings == backbone.settings
        chosen = (again.channels, again.strides, again.reduced, again.groups, again.mean, again.std)
        assert chosen == (
            backbone.channels,
            backbone.strides,
            backbone.reduced,
            backbone.groups,
            backbone.mean,
            backbone.std,
        )

    def test_a_saved_classifier_is_the_same_one(self, backbone, tmp_path):
        model = TagClassifier(backbone, ["a", "b", "c"]).eval()
        save_weights(tmp_path / "w.safetensors", model.state_dict(), model.settings)
        again = TagClassifier.load(tmp_path / "w.safetensors")
        assert again.classes == model.classes
        x = picture(backbone, 40, 48)
        with torch.inference_mode():
            assert torch.equal(model(x), again(x))
            assert torch.equal(model.activation_maps(x, [2, 0]), again.activation_maps(x, [2, 0]))

    def test_a_saved_affinity_net_is_the_same_one(self, tmp_path):
        net = AffinityNet(build_backbone(self.network)).eval()
        save_weights(tmp_path / "w.safetensors", net.state_dict(), net.settings)
        again = AffinityNet.load(tmp_path / "w.safetensors")
        x = picture(net.backbone, 40, 48)
        with torch.inference_mode():
            found = net(x)
            assert torch.equal(found, again(x))
        assert found.shape[2:] == (5, 6)
        assert found.isfinite().all()

    def test_largefov_labels_every_pixel(self, backbone):
        model = Segmenter("LargeFOV", self.network, ["a", "b"]).eval()
        with torch.inference_mode():
            assert tuple(model(picture(backbone, 37, 53)).shape) == (1, 3, 37, 53)

    def test_bfloat16_is_close_to_float32(self, backbone):
        x = picture(backbone, 64, 64)
        with torch.inference_mode():
            exact = backbone(x)
            with torch.autocast("cpu", torch.bfloat16):
                rounded = backbone(x)
        for one, other in zip(exact, rounded, strict=True):
            assert other.isfinite().all()
            assert float((one - other.float()).norm() / one.norm()) < self.bfloat16_error

    def test_the_seed_alone_decides_random_weights(self, backbone):
        def drawn(seed):
            torch.manual_seed(seed)
            return checksums(build_backbone(self.network))

        assert drawn(0) == checksums(backbone)
        assert drawn(1) != checksums(backbone)
