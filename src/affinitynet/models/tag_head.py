"""The part of the segmentation network that finds what a whole image shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import timm
from torch import Tensor, nn

from affinitynet.models.weights.names import TIMM_LITE

LAST = ("conv_head", "bn2")
"""Names in timm of an EfficientNet's last convolution, which segmentation-models-pytorch leaves out."""


class TagHead(nn.Module):
    """Encoder's last features -> their mean over the image -> one logit for each class.

    Args:
        channels: E of the features.
        classes: C, how many.
        of_lite: whether the encoder is ``lite`` without its last convolution, whose 1280 features tell classes apart
            much better than the 320 before it; it is added here, unless more than that is left out.

    Example:
        >>> import torch
        >>> tuple(TagHead(320, 5, of_lite=True).eval()(torch.zeros(2, 320, 8, 12)).shape)
        (2, 5)
    """

    def __init__(self, channels: int, classes: int, of_lite: bool = False) -> None:
        super().__init__()
        self.last = nn.Sequential()
        network: Any = timm.create_model(TIMM_LITE, num_classes=0) if of_lite else None
        if network is not None and network.conv_head.in_channels == channels:
            self.last = nn.Sequential(*(network.get_submodule(name) for name in LAST))
            channels = network.num_features
        self.classify = nn.Linear(channels, classes)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits [B, C] of features [B, E, h, w]."""
        return self.classify(self.last(features).mean((2, 3)))

    def start_from(self, state: Mapping[str, Tensor]) -> None:
        """Take the last convolution's weights from the state of a ``lite`` backbone."""
        if len(self.last):
            own = self.last.state_dict()
            self.last.load_state_dict({key: state[f"network.{LAST[int(key[0])]}{key[1:]}"] for key in own})
