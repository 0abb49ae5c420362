"""The backbones by name, and their initial weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from affinitynet.errors import InputError, did_you_mean
from affinitynet.models.backbones.base import Backbone
from affinitynet.models.backbones.lite import Lite
from affinitynet.models.backbones.resnet38 import ResNet38
from affinitynet.models.backbones.resnet50 import ResNet50
from affinitynet.models.backbones.timm_models import TimmBackbone
from affinitynet.models.backbones.vgg16 import VGG16
from affinitynet.models.phases import take_apart

BACKBONES: dict[str, Callable[[], Backbone]] = {
    "lite": Lite,
    "vgg16": VGG16,
    "resnet38": ResNet38,
    "resnet50": ResNet50,
}
"""Network name -> its class. A new backbone is a file and one line here."""

TIMM = "timm:"


def build_backbone(network: str, taps: Sequence[int] | None = None) -> Backbone:
    """Make the backbone of a network name, with random weights.

    Args:
        network: a key of ``BACKBONES``, or ``timm:NAME``.
        taps: of a timm model, the features to use, numbered as in timm; by default chosen by stride.

    Raises:
        InputError: there is no network of that name, or its taps cannot be chosen.

    Example:
        >>> build_backbone("lite").channels
        (24, 40, 112, 1280)
    """
    if network.startswith(TIMM):
        backbone: Backbone = TimmBackbone(network.removeprefix(TIMM), taps)
    elif network in BACKBONES:
        if taps is not None:
            raise InputError(f"--taps: {network} has its own; omit the flag, or choose a timm: network")
        backbone = BACKBONES[network]()
    else:
        raise InputError(
            f"--network {network}: unknown network; known: {', '.join(BACKBONES)}, timm:NAME "
            f"{did_you_mean(network, BACKBONES)}"
        )
    take_apart(backbone)
    backbone.settings = {"network": network} if taps is None else {"network": network, "taps": list(taps)}
    return backbone


def is_backbone(network: str) -> bool:
    """Return whether :func:`build_backbone` accepts a name; a timm model may still not exist.

    Example:
        >>> is_backbone("vgg16"), is_backbone("timm:vit"), is_backbone("resnet34")
        (True, True, False)
    """
    return network in BACKBONES or network.startswith(TIMM)


def pretrained_backbone(network: str, taps: Sequence[int] | None = None, weights: Path | None = None) -> Backbone:
    """Make a backbone with ImageNet weights.

    Args:
        network, taps: as :func:`build_backbone`.
        weights: file of the weights, in any format that :func:`affinitynet.models.weights.names.read_weights`
            reads; by default those that come with the network.

    Raises:
        InputError: as :func:`build_backbone`; or the weights are not available or do not fit.

    Example:
        >>> float(pretrained_backbone("lite").network.conv_stem.weight.std()) > 0.1
        True
    """
    backbone = build_backbone(network, taps)
    if weights is None:
        backbone.load_imagenet()
    else:
        backbone.load_file(weights)
    return backbone
