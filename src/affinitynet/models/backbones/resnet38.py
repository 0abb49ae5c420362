"""ResNet-38, the second network of the paper (docs/method.md, "ResNet-38").

Model A1 of Wu, Shen & van den Hengel ("Wider or Deeper", 2016).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from affinitynet.models.backbones.base import Backbone


def _conv(source: int, target: int, kernel: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(source, target, kernel, stride, dilation * (kernel // 2), dilation, bias=False)


class ResBlock(nn.Module):
    """Two 3x3 convolutions, each after BatchNorm and ReLU, beside a shortcut.

    Args:
        source, middle, target: channels.
        stride: of the first convolution.
        first_dilation, dilation: of the first and of the second convolution.
    """

    def __init__(
        self, source: int, middle: int, target: int, stride: int = 1, first_dilation: int = 1, dilation: int = 1
    ) -> None:
        super().__init__()
        self.bn_branch2a = nn.BatchNorm2d(source)
        self.conv_branch2a = _conv(source, middle, 3, stride, first_dilation)
        self.bn_branch2b1 = nn.BatchNorm2d(middle)
        self.conv_branch2b1 = _conv(middle, target, 3, dilation=dilation)
        self.conv_branch1 = None if source == target and stride == 1 else _conv(source, target, 1, stride)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the block's output and its first activation, which is tapped."""
        first = F.relu(self.bn_branch2a(x))
        shortcut = x if self.conv_branch1 is None else self.conv_branch1(first)
        x = F.relu(self.bn_branch2b1(self.conv_branch2a(first)))
        return shortcut + self.conv_branch2b1(x), first


class Bottleneck(nn.Module):
    """1x1, dilated 3x3 and 1x1 convolution, each after BatchNorm and ReLU, beside a 1x1 shortcut."""

    def __init__(self, source: int, target: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.bn_branch2a = nn.BatchNorm2d(source)
        self.conv_branch2a = _conv(source, target // 4, 1)
        self.bn_branch2b1 = nn.BatchNorm2d(target // 4)
        self.dropout_2b1 = nn.Dropout2d(dropout)
        self.conv_branch2b1 = _conv(target // 4, target // 2, 3, dilation=dilation)
        self.bn_branch2b2 = nn.BatchNorm2d(target // 2)
        self.dropout_2b2 = nn.Dropout2d(dropout)
        self.conv_branch2b2 = _conv(target // 2, target, 1)
        self.conv_branch1 = _conv(source, target, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the block's output and its first activation, which is tapped."""
        first = F.relu(self.bn_branch2a(x))
        x = self.dropout_2b1(F.relu(self.bn_branch2b1(self.conv_branch2a(first))))
        x = self.dropout_2b2(F.relu(self.bn_branch2b2(self.conv_branch2b1(x))))
        return self.conv_branch1(first) + self.conv_branch2b2(x), first


class ResNet38(Backbone):
    """ResNet-38 at stride 8.

    Features are the first activations inside b5 and b6 and relu(bn7): 512, 1024 and 4096 channels.
    conv1a, b2, b2_1, b2_2 and every BatchNorm, including its scale and shift, are frozen. State-dict
    keys are those of the released checkpoints.

    Example:
        >>> import torch
        >>> with torch.device("meta"):
        ...     backbone = ResNet38()
        ...     features = backbone(torch.zeros(1, 3, 64, 96))
        >>> [tuple(f.shape[1:]) for f in features]
        [(512, 8, 12), (1024, 8, 12), (4096, 8, 12)]
    """

    mean = (0.485, 0.456, 0.406)
    std = (0.229, 0.224, 0.225)
    channels = (512, 1024, 4096)
    strides = (8, 8, 8)
    reduced = (64, 128, 256)
    groups = None
    cpu_layout = torch.contiguous_format  # channels last takes 5 % longer on its wide convolutions (benchmarks/cam.py)

    def __init__(self) -> None:
        super().__init__()
        self.conv1a = _conv(3, 64, 3)
        blocks: dict[str, nn.Module] = {
            "b2": ResBlock(64, 128, 128, stride=2),
            "b2_1": ResBlock(128, 128, 128),
            "b2_2": ResBlock(128, 128, 128),
            "b3": ResBlock(128, 256, 256, stride=2),
            "b3_1": ResBlock(256, 256, 256),
            "b3_2": ResBlock(256, 256, 256),
            "b4": ResBlock(256, 512, 512, stride=2),
            **{f"b4_{i}": ResBlock(512, 512, 512) for i in range(1, 6)},
            "b5": ResBlock(512, 512, 1024, first_dilation=1, dilation=2),
            "b5_1": ResBlock(1024, 512, 1024, first_dilation=2, dilation=2),
            "b5_2": ResBlock(1024, 512, 1024, first_dilation=2, dilation=2),
            "b6": Bottleneck(1024, 2048, dilation=4, dropout=0.3),
            "b7": Bottleneck(2048, 4096, dilation=4, dropout=0.5),
        }
        for name, block in blocks.items():
            self.add_module(name, block)
        self.block_names = tuple(blocks)
        self.bn7 = nn.BatchNorm2d(4096)
        norms = [module for module in self.modules() if isinstance(module, nn.BatchNorm2d)]
        self.frozen = [self.conv1a, *(blocks[name] for name in ("b2", "b2_1", "b2_2")), *norms]
        self.freeze()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        taps = {}
        x = self.conv1a(x)
        for name in self.block_names:
            x, taps[name] = self.get_submodule(name)(x)
        return taps["b5"], taps["b6"], F.relu(self.bn7(x))
