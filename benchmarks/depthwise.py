"""Learning dilated depthwise convolutions: by phases, against PyTorch's own gradients.

Values and both gradients of the last stage's convolutions of ``lite`` on 8 crops of 320, then a training step of the
segmentation network with either.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from rich.table import Table
from torch import Tensor, nn

from affinitynet.config.settings import PipelineConfig
from affinitynet.models.backbones.registry import build_backbone
from affinitynet.models.phases import PhasedConv2d, depthwise_by_phases
from affinitynet.models.segmenter import start_from
from affinitynet.pipeline.stages.train_segmenter import new_segmenter, segmenter_loss
from affinitynet.runtime.memory import keep_freed_memory
from benchmarks.common import Call, paired_seconds, show, table

DILATION = 2
SHAPES = (((8, 1152, 20, 20), 5), ((8, 1152, 20, 20), 3))
TOY_SHAPES = (((1, 4, 10, 10), 5),)
CLASSES = [f"class {number}" for number in range(20)]


def learnt(x: Tensor, weight: Tensor, phases: bool) -> Tensor:
    """Return the gradient of the kernel, after a forward and backward pass."""
    x.grad = weight.grad = None
    if phases:
        found = depthwise_by_phases(x, weight, None, DILATION)
    else:
        padding = weight.shape[2] // 2 * DILATION
        found = F.conv2d(x, weight, padding=padding, dilation=DILATION, groups=len(weight))
    found.backward(torch.ones_like(found))
    assert weight.grad is not None
    return weight.grad


def segmenter_step(crop: int, phases: bool) -> Call:
    """Return a forward and backward pass of the default segmentation network on a batch of random crops."""
    config = PipelineConfig()
    network = new_segmenter(config, CLASSES)
    start_from(network, build_backbone(config.network))  # which freezes what is frozen in training
    network.train().to(memory_format=torch.channels_last)
    for module in network.modules():
        if isinstance(module, PhasedConv2d) and not phases:
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
    rows = table("dilated depthwise convolutions", "", "PyTorch, s", "by phases, s", "ratio", "gradients differ by")
    for shape, kernel in TOY_SHAPES if given.toy else SHAPES:
        x = torch.randn(shape).contiguous(memory_format=torch.channels_last).requires_grad_()
        weight = torch.randn(shape[1], 1, kernel, kernel).requires_grad_()
        plain, ours = (partial(learnt, x, weight, phases) for phases in (False, True))
        seconds = paired_seconds({"plain": plain, "ours": ours}, given.repeats)
        expected = plain().clone()
        difference = ((ours() - expected).abs().max() / expected.abs().max()).item()
        _add(rows, f"{kernel}x{kernel}, {' x '.join(map(str, shape))}", seconds, f"{difference:.0e} of the largest")
    crop = 64 if given.toy else 320
    steps = {name: segmenter_step(crop, name == "ours") for name in ("plain", "ours")}
    _add(rows, f"segmentation network, 8 crops of {crop}", paired_seconds(steps, given.repeats), "")
    show(rows)


def _add(rows: Table, name: str, seconds: dict[str, float], difference: str) -> None:
    plain, ours = seconds["plain"], seconds["ours"]
    rows.add_row(name, f"{plain:.3f}", f"{ours:.3f}", f"{plain / ours:.1f}", difference)


if __name__ == "__main__":
    main()
