"""Dilated depthwise convolutions, computed without dilation.

On processors the gradients of a depthwise 5x5 convolution of dilation 2 take PyTorch thirty times the time of its
values, those of the same convolution without dilation seven times. Every d-th pixel of every d-th row sees only its
like: such a convolution of dilation d is a plain one of each of the d x d phases of the map.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PhasedConv2d(nn.Conv2d):
    """A depthwise convolution that is taken apart into phases where gradients are computed on a processor."""

    def forward(self, x: Tensor) -> Tensor:
        """Return what :class:`torch.nn.Conv2d` returns, but for rounding."""
        learns = torch.is_grad_enabled() and (x.requires_grad or self.weight.requires_grad)
        worth_it = min(x.shape[2:]) >= self.kernel_size[0] * self.dilation[0]  # else most of each phase is border
        if learns and worth_it and x.device.type == "cpu":
            return depthwise_by_phases(x, self.weight, self.bias, self.dilation[0])
        return super().forward(x)


def depthwise_by_phases(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
    """Convolve each channel [B, C, H, W] with its kernel [C, 1, k, k], k odd, so that the size stays.

    Example:
        >>> x, weight = torch.rand(2, 3, 7, 10), torch.rand(3, 1, 3, 3)
        >>> plain = F.conv2d(x, weight, padding=2, dilation=2, groups=3)
        >>> torch.allclose(depthwise_by_phases(x, weight, None, 2), plain, atol=1e-6)
        True
    """
    images, channels, height, width = x.shape
    x = F.pad(x, (0, -width % dilation, 0, -height % dilation))
    rows, columns = x.shape[2] // dilation, x.shape[3] // dilation
    # Channels come last, as in the memory of the networks, so that whole rows of them are moved.
    apart = x.permute(0, 2, 3, 1).reshape(images, rows, dilation, columns, dilation, channels)
    phases = apart.permute(0, 2, 4, 1, 3, 5).reshape(-1, rows, columns, channels).permute(0, 3, 1, 2)
    found = F.conv2d(phases, weight, bias, padding=weight.shape[2] // 2, groups=channels)
    apart = found.permute(0, 2, 3, 1).reshape(images, dilation, dilation, rows, columns, channels)
    whole = apart.permute(0, 3, 1, 4, 2, 5).reshape(images, rows * dilation, columns * dilation, channels)
    return whole.permute(0, 3, 1, 2)[:, :, :height, :width]


def take_apart(network: nn.Module) -> None:
    """Let the dilated depthwise convolutions of a network compute by phases; parameters and their names stay.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=4), nn.Conv2d(4, 4, 3))
        >>> take_apart(network)
        >>> [type(layer).__name__ for layer in network]
        ['PhasedConv2d', 'Conv2d']
    """
    for module in network.modules():
        if type(module) is nn.Conv2d and _is_dilated_and_keeps_the_size(module):
            module.__class__ = PhasedConv2d


def _is_dilated_and_keeps_the_size(convolution: nn.Conv2d) -> bool:
    (kernel, across), (dilation, along) = convolution.kernel_size, convolution.dilation
    return (
        1 < convolution.groups == convolution.in_channels == convolution.out_channels
        and kernel == across
        and kernel % 2 == 1
        and dilation == along > 1
        and convolution.stride == (1, 1)
        and convolution.padding == (dilation * (kernel // 2),) * 2
        and convolution.padding_mode == "zeros"
    )
