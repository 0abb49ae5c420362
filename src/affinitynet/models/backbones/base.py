"""The interface between backbones and heads: image in, feature maps of several strides out."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Backbone(nn.Module):
    """A network without its head. The networks of the method are heads that work on any backbone.

    Attributes:
        mean, std: RGB normalisation, for images in [0, 1].
        channels: channels of each feature map, finest first.
        strides: input pixels per feature pixel of each map.
        reduced: channels AffinityNet reduces each map to.
        groups: groups of the GroupNorm after each reduction; ``None`` for no norm.
        frozen: modules that keep their pretrained values.
        settings: what is needed to rebuild it.
        cpu_layout: fastest memory layout for inference on a CPU.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    channels: tuple[int, ...]
    strides: tuple[int, ...]
    reduced: tuple[int, ...]
    groups: tuple[int, ...] | None
    frozen: list[nn.Module]
    settings: dict[str, Any]
    cpu_layout: torch.memory_format = torch.channels_last

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Map normalised images [B, 3, H, W] to feature maps, finest first."""
        raise NotImplementedError

    def rectify(self, maps: Tensor) -> Tensor:
        """Turn the classifier's signed maps into activation maps."""
        return F.relu(maps)

    def layout(self, device: torch.device) -> torch.memory_format:
        """Return the memory layout for inference on ``device``."""
        return self.cpu_layout if device.type == "cpu" else torch.channels_last

    def enlarge_field(self) -> None:
        """Prepare for AffinityNet, which may need a larger field of view than the classifier."""

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
