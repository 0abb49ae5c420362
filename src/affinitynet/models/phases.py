"""Dilated depthwise convolutions, computed without dilation.

On processors the gradients of a depthwise 5x5 convolution of dilation 2 take PyTorch thirty times the time of its
values, those of the same convolution without dilation seven times. Every d-th pixel of every d-th row sees only its
like: such a convolution of dilation d is a plain one of each of the d x d phases of the map. Where the dilation is so
large that a phase has hardly a pixel, few of the kernel's taps hit the map at all: then it is the sum over these.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class PhasedConv2d(nn.Conv2d):
    """A depthwise convolution that is taken apart when it learns on a processor."""

    def forward(self, x: Tensor) -> Tensor:
        """Return what :class:`torch.nn.Conv2d` returns, but for rounding."""
        learns = self.training and torch.is_grad_enabled() and (x.requires_grad or self.weight.requires_grad)
        if not learns or x.device.type != "cpu":  # an exporter, too, finds the one that it knows
            return super().forward(x)
        mostly_border = min(x.shape[2:]) < self.kernel_size[0] * self.dilation[0]
        convolve = depthwise_by_taps if mostly_border else depthwise_by_phases
        return convolve(x, self.weight, self.bias, self.dilation[0])


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


def depthwise_by_taps(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
    """Convolve [B, C, H, W] with kernels [C, 1, k, k] as :func:`depthwise_by_phases` does, tap by tap.

    Each tap that hits the map is a pass over it: for dilations so large that few do.

    Example:
        >>> x, weight = torch.rand(2, 3, 7, 10), torch.rand(3, 1, 3, 3)
        >>> plain = F.conv2d(x, weight, padding=8, dilation=8, groups=3)
        >>> torch.allclose(depthwise_by_taps(x, weight, None, 8), plain, atol=1e-6)
        True
    """
    found: Tensor = _ByTaps.apply(x, weight.to(x.dtype), dilation)
    return found if bias is None else found + bias.to(x.dtype)[:, None, None]


class _ByTaps(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, dilation: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.dilation = dilation
        found = torch.zeros_like(x)
        for tap, target, source in _taps(x, weight, dilation):
            found[target].addcmul_(x[source], weight[tap])
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        x, weight = ctx.saved_tensors
        of_x, of_weight = torch.zeros_like(x), torch.zeros_like(weight)
        for tap, target, source in _taps(x, weight, ctx.dilation):
            of_x[source].addcmul_(gradient[target], weight[tap])
            products = (x[source] * gradient[target]).permute(0, 2, 3, 1)
            of_weight[tap] = products.reshape(-1, len(weight)).sum(0)[:, None, None]
        return of_x, of_weight, None


def _taps(x: Tensor, weight: Tensor, dilation: int) -> Iterator[tuple[tuple, tuple, tuple]]:
    """Yield where the taps that hit the map are in the kernel, as [C, 1, 1], which pixels they add to and see."""
    reach = weight.shape[2] // 2
    for row in range(-reach, reach + 1):
        for column in range(-reach, reach + 1):
            shifts = row * dilation, column * dilation
            if all(abs(shift) < side for shift, side in zip(shifts, x.shape[2:], strict=True)):
                windows = [
                    (slice(max(0, -shift), side - max(0, shift)), slice(max(0, shift), side - max(0, -shift)))
                    for shift, side in zip(shifts, x.shape[2:], strict=True)
                ]
                target, source = zip(*windows, strict=True)
                yield (slice(None), 0, row + reach, column + reach, None, None), (..., *target), (..., *source)


def take_apart(network: nn.Module) -> None:
    """Let the dilated depthwise convolutions of a network learn by phases or taps; parameters and their names stay.

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
