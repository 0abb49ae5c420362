"""Backbones: image in, feature maps of several strides out.

A backbone is an ``nn.Module`` with the attributes of :class:`Backbone`. The two networks of the
method, the classifier and AffinityNet, are heads on whichever backbone is chosen.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

import timm
from torch import Tensor, nn

from affinitynet.models.weights import efficientnet_lite0_weights
from affinitynet.types import InputError


class Backbone(nn.Module):
    """What the heads ask of a backbone.

    Attributes:
        mean, std: RGB normalisation, for images in [0, 1].
        channels: channels of each feature map, finest first.
        strides: input pixels per feature pixel of each map.
        frozen: modules that keep their pretrained values.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    channels: tuple[int, ...]
    strides: tuple[int, ...]
    frozen: list[nn.Module]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Map normalised images [B, 3, H, W] to feature maps, finest first."""
        raise NotImplementedError

    def freeze(self) -> None:
        """Stop gradients into ``frozen`` and into every BatchNorm's running statistics."""
        for module in self.frozen:
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> Backbone:
        """Switch dropout and the like; BatchNorm keeps its ImageNet statistics.

        Batches of a laptop are too small to estimate statistics from, and the paper's networks
        keep theirs too.
        """
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self


class LiteBackbone(Backbone):
    """EfficientNet-Lite0 at stride 16: the default, small enough to train on two CPU cores.

    Features are the outputs of stages 1, 2 and 4 and of the last convolution (24, 40, 112 and 1280
    channels at strides 4, 8, 16 and 16; the last stages are dilated). The stem and the first two
    stages are frozen, as the paper freezes the first blocks of its networks: at the finest
    resolutions they would cost more than all the others together.

    Args:
        pretrained: load the ImageNet weights that come with the package's dependencies.

    Example:
        >>> import torch
        >>> backbone = LiteBackbone(pretrained=False)
        >>> [tuple(f.shape[1:]) for f in backbone(torch.zeros(1, 3, 64, 96))]
        [(24, 16, 24), (40, 8, 12), (112, 4, 6), (1280, 4, 6)]
    """

    mean = (0.485, 0.456, 0.406)
    std = (0.229, 0.224, 0.225)
    channels = (24, 40, 112, 1280)
    strides = (4, 8, 16, 16)
    tapped_stages = (1, 2, 4)

    def __init__(self, pretrained: bool = True) -> None:
        super().__init__()
        network: Any = timm.create_model("tf_efficientnet_lite0", num_classes=0, output_stride=16)
        if pretrained:
            network.load_state_dict(efficientnet_lite0_weights(set(network.state_dict())))
        self.network = network
        self.frozen = [network.conv_stem, network.bn1, *network.blocks[:2]]
        self.freeze()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        taps = []
        x = self.network.bn1(self.network.conv_stem(x))  # timm's bn layers hold the activation too
        for number, stage in enumerate(self.network.blocks):
            x = stage(x)
            if number in self.tapped_stages:
                taps.append(x)
        return (*taps, self.network.bn2(self.network.conv_head(x)))


BACKBONES: dict[str, Callable[[bool], Backbone]] = {"lite": LiteBackbone}
"""Network name -> function of ``pretrained``. A new backbone is a class and one line here."""


def build_backbone(network: str, pretrained: bool = True) -> Backbone:
    """Make the backbone of a network name.

    Raises:
        InputError: there is no network of that name.

    Example:
        >>> build_backbone("lite", pretrained=False).channels
        (24, 40, 112, 1280)
    """
    if network not in BACKBONES:
        nearest = difflib.get_close_matches(network, BACKBONES, n=1, cutoff=0.0)
        raise InputError(
            f"--network {network}: unknown network; known: {', '.join(BACKBONES)} (did you mean {nearest[0]!r}?)"
        )
    return BACKBONES[network](pretrained)


def parameter_groups(model: nn.Module, new: nn.Module | list[nn.Module]) -> list[dict]:
    """Split trainable parameters into the four groups of the original's optimiser.

    Pretrained weights learn at ``lr``, pretrained biases at ``2 lr`` without decay, new layers'
    weights at ``10 lr`` and new biases at ``20 lr`` without decay (spec, stage 1). The optimiser's
    ``lr`` is multiplied by each group's ``factor``, decay applies where ``decays``.

    Args:
        model: the whole network.
        new: its parts that start from random values.

    Returns:
        Groups ``{"params", "factor", "decays"}``, empty ones left out.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
        >>> [(len(g["params"]), g["factor"], g["decays"]) for g in parameter_groups(model, model[1])]
        [(1, 1, True), (1, 2, False), (1, 10, True), (1, 20, False)]
    """
    modules = new if isinstance(new, list) else [new]
    fresh = {id(p) for module in modules for p in module.parameters()}
    groups: list[dict] = [
        {"params": [], "factor": factor, "decays": decays}
        for factor, decays in ((1, True), (2, False), (10, True), (20, False))
    ]
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups[2 * (id(parameter) in fresh) + name.endswith("bias")]["params"].append(parameter)
    return [group for group in groups if group["params"]]
