"""Settings that the machine decides, by a second of measurement."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from torch import Tensor

from affinitynet.config.adaptation import Decision
from affinitynet.models.backbones.base import Backbone
from affinitynet.runtime.precision import autocast

WORTH = 1.1
"""How much faster bfloat16 has to be to be taken: float32 is the more exact one."""

REPEATS = 3
IMAGES, SIDE = 4, 224


def training_precision(
    backbone: Backbone, device: torch.device, trainings: Sequence[str], stage: str
) -> list[Decision]:
    """Return the arithmetic in which a network trains faster on this machine, for each of some trainings.

    Processors with bfloat16 instructions differ: it is twice as fast on one, half as fast on another.
    """
    backbone = backbone.to(device).to(memory_format=torch.channels_last).train()
    x = torch.zeros(IMAGES, 3, SIDE, SIDE).to(device, memory_format=torch.channels_last)
    plain, half = (min(_step(backbone, x, precision) for _ in range(REPEATS)) for precision in ("float32", "bfloat16"))
    chosen = "bfloat16" if plain > WORTH * half else "float32"
    because = f"a training step takes {1000 * plain:.0f} ms in float32 and {1000 * half:.0f} ms in bfloat16 here"
    return [Decision(f"{training}.precision", chosen, because, stage) for training in trainings]


def _step(backbone: Backbone, x: Tensor, precision: str) -> float:
    """Return the seconds of a forward and a backward pass."""
    start = time.perf_counter()
    with autocast(x.device, precision):
        value = backbone(x)[-1].float().mean()
    value.backward()
    value.item()
    backbone.zero_grad()
    return time.perf_counter() - start
