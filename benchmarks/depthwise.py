"""Learning dilated depthwise convolutions: taken apart, against PyTorch's own gradients.

Values and both gradients of the convolutions of ``lite``'s last stage and of DeepLabV3+'s pyramid on 8 crops of 320,
then a training step of the segmentation network with either.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Sequence
from functools import partial

import torch
from rich.table import Table
from torch import Tensor, nn

from affinitynet.config.settings import PipelineConfig
from affinitynet.models.backbones.registry import build_backbone
from affinitynet.models.phases import PhasedConv2d, take_apart
from affinitynet.models.segmenter import start_from
from affinitynet.pipeline.stages.train_segmenter import new_segmenter, segmenter_loss
from affinitynet.runtime.memory import keep_freed_memory
from benchmarks.common import Call, paired_seconds, show, table

CONVOLUTIONS = ((1152, 5, 2), (1152, 3, 2), (320, 3, 12), (320, 3, 24), (320, 3, 36))
"""Channels, width of the kernel and dilation."""
TOYS = ((4, 5, 2), (4, 3, 12))
CLASSES = [f"class {number}" for number in range(20)]


def learnt(x: Tensor, layer: nn.Conv2d) -> Tensor:
    """Return the gradient of the kernel [C, 1, k, k], after a forward and backward pass of maps [B, C, H, W]."""
    x.grad = layer.weight.grad = None
    found = layer(x)
    found.backward(torch.ones_like(found))
    assert layer.weight.grad is not None
    return layer.weight.grad


def segmenter_step(crop: int, apart: bool) -> Call:
    """Return a forward and backward pass of the default segmentation network on a batch of random crops."""
    config = PipelineConfig()
    network = new_segmenter(config, CLASSES)
    start_from(network, build_backbone(config.network))  # which freezes what is frozen in training
    network.train().to(memory_format=torch.channels_last)
    for module in network.modules():
        if isinstance(module, PhasedConv2d) and not apart:
            module.__class__ = nn.Conv2d  # type: ignore[assignment]
    images = torch.rand(8, 3, crop, crop).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, len(CLASSES) + 1, (8, crop, crop))
    batch = images, labels, torch.zeros(8, len(CLASSES))
    return lambda: segmenter_loss(config.segmenter, network, batch, lambda count: count).backward()


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--toy", action="store_true", help="toy sizes: shows that it runs, measures nothing")
    given = parser.parse_args(argv)
    keep_freed_memory()
    rows = table("dilated depthwise convolutions", "", "PyTorch, s", "apart, s", "ratio", "gradients differ by")
    images, side = (1, 10) if given.toy else (8, 20)
    for channels, kernel, dilation in TOYS if given.toy else CONVOLUTIONS:
        x = torch.randn(images, channels, side, side).contiguous(memory_format=torch.channels_last).requires_grad_()
        padding = dilation * (kernel // 2)
        plain = nn.Conv2d(channels, channels, kernel, 1, padding, dilation, channels, bias=False)
        ours = copy.deepcopy(plain)
        take_apart(nn.Sequential(ours))
        calls: dict[str, Call] = {"plain": partial(learnt, x, plain), "ours": partial(learnt, x, ours)}
        seconds = paired_seconds(calls, given.repeats)
        expected = learnt(x, plain).clone()
        difference = ((learnt(x, ours) - expected).abs().max() / expected.abs().max()).item()
        name = f"{kernel}x{kernel}, dilation {dilation}, {images} x {channels} x {side} x {side}"
        _add(rows, name, seconds, f"{difference:.0e} of the largest")
    crop = 64 if given.toy else 320
    steps = {name: segmenter_step(crop, name == "ours") for name in ("plain", "ours")}
    _add(rows, f"segmentation network, 8 crops of {crop}", paired_seconds(steps, given.repeats), "")
    show(rows)


def _add(rows: Table, name: str, seconds: dict[str, float], difference: str) -> None:
    plain, ours = seconds["plain"], seconds["ours"]
    rows.add_row(name, f"{plain:.3f}", f"{ours:.3f}", f"{plain / ours:.1f}", difference)


if __name__ == "__main__":
    main()
