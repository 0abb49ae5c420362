"""The interface between backbones and heads: image in, feature maps of several strides out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from affinitynet.errors import InputError
from affinitynet.models.weights.names import fill_backbone, read_weights

ATROUS = 12
"""Dilation of the large field of view that DeepLab-LargeFOV classifies with."""

ATROUS_CHANNELS = 512


class Backbone(nn.Module):
    """A network without its head. The networks of the method are heads that work on any backbone.

    Attributes:
        mean, std: RGB normalisation, for images in [0, 1].
        channels: channels of each feature map, finest first.
        strides: input pixels per feature pixel of each map.
        reduced: channels AffinityNet reduces each map to.
        groups: groups of the GroupNorm after each reduction; ``None`` for no norm.
        frozen: modules that keep their pretrained values.
        dropout: share of the last features that the classifier drops in training.
        alike: biases learn as weights do (:func:`affinitynet.models.parameter_groups.parameter_groups`).
        settings: what is needed to rebuild it.
        loaded: what was read from a weight file, in one line; empty if nothing was.
        cpu_layout: fastest memory layout for inference on a CPU.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    channels: tuple[int, ...]
    strides: tuple[int, ...]
    reduced: tuple[int, ...]
    groups: tuple[int, ...] | None
    frozen: list[nn.Module]
    dropout: float = 0.5
    alike: bool = False
    settings: dict[str, Any]
    loaded: str = ""
    cpu_layout: torch.memory_format = torch.channels_last

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Map normalised images [B, 3, H, W] to feature maps, finest first."""
        raise NotImplementedError

    def rectify(self, maps: Tensor) -> Tensor:
        """Turn the classifier's signed maps into activation maps."""
        return F.relu(maps)

    def initialise(self, classifier: nn.Conv2d) -> None:
        """Set the random values that a classifier of the last features starts from."""
        nn.init.xavier_uniform_(classifier.weight)

    def layout(self, device: torch.device) -> torch.memory_format:
        """Return the memory layout for inference on ``device``."""
        return self.cpu_layout if device.type == "cpu" else torch.channels_last

    def enlarge_field(self) -> None:
        """Prepare for AffinityNet, which may need a larger field of view than the classifier."""

    def large_field_head(self, labels: int) -> nn.Module:
        """Return the classifier of the last features for DeepLab-LargeFOV, with the backbone prepared for it.

        Two 3x3 convolutions dilated by 12, like ResNet-38 in Wu et al. (2016).
        """
        return nn.Sequential(
            nn.Conv2d(self.channels[-1], ATROUS_CHANNELS, 3, padding=ATROUS, dilation=ATROUS),
            nn.ReLU(),
            nn.Conv2d(ATROUS_CHANNELS, labels, 3, padding=ATROUS, dilation=ATROUS),
        )

    def load_imagenet(self) -> None:
        """Load the ImageNet weights that come with the network.

        Raises:
            InputError: it comes with none, or they are not available.
        """
        raise InputError(
            f"--network {self.settings['network']}: has no weights that can be downloaded; pass a weight file with "
            "--weights (for resnet38: ilsvrc-cls_rna-a1_cls1000_ep-0001.params, or a checkpoint of the released code)"
        )

    def load_file(self, path: Path) -> None:
        """Load a weight file of any format in which this network's weights exist.

        Raises:
            InputError: it cannot be read, or holds the weights of another network.
        """
        found = read_weights(path)
        network = self.settings["network"]
        if found.network != network:
            raise InputError(
                f"--weights {path}: contains {found.network}, not --network {network}; pass weights of that network"
            )
        self.loaded = fill_backbone(self, found, f"--weights {path}")

    def freeze(self) -> None:
        """Stop gradients into ``frozen``."""
        for module in self.frozen:
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> Backbone:
        """Set the mode of all layers except BatchNorm, which keeps its ImageNet statistics.

        Batches that fit a laptop are too small to estimate statistics, and the networks of the paper
        keep theirs as well.
        """
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self
