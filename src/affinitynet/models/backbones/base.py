"""What the heads ask of a backbone: image in, feature maps of several strides out."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Backbone(nn.Module):
    """A network without its head. The two networks of the method are heads on whichever is chosen.

    Attributes:
        mean, std: RGB normalisation, for images in [0, 1].
        channels: channels of each feature map, finest first.
        strides: input pixels per feature pixel of each map.
        reduced: channels AffinityNet reduces each map to.
        groups: groups of the GroupNorm after each reduction; ``None`` for no norm.
        frozen: modules that keep their pretrained values.
        settings: what it takes to build it again.
        cpu_layout: memory layout in which a CPU infers fastest.
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
        """Prepare for AffinityNet, which may want a larger field of view than the classifier."""

    def freeze(self) -> None:
        """Stop gradients into ``frozen``."""
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
