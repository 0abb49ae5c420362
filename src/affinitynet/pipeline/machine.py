"""Settings that the machine decides, by a second of measurement."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from affinitynet.config.adaptation import Decision
from affinitynet.models.backbones.base import Backbone
from affinitynet.runtime.precision import autocast

WORTH = 1.1
"""How much faster bfloat16 has to be to be taken: float32 is the more exact one."""

REPEATS = 3
IMAGES, SIDE = 4, 224

FIRST_SIDE = 64
"""Side of the one image that is tried first: without such instructions bfloat16 takes twenty times as long."""

HOPELESS = 4.0
"""How many times as long bfloat16 may take there and still be tried at full size, where it gains more."""

TRAINED = ("classifier", "affinity", "irnet", "segmenter")
LABELLED = ("cams", "walk", "predict")
"""Sections of the settings whose networks train, and label, in a ``precision`` of their own."""


def chosen_precision(backbone: Backbone, device: torch.device, sections: Sequence[str], stage: str) -> list[Decision]:
    """Return the arithmetic in which a network is faster on this machine, for some sections of the settings.

    Processors with bfloat16 instructions differ: it is twice as fast on one, half as fast on another.
    """
    backbone = backbone.to(device).to(memory_format=torch.channels_last)
    found: list[Decision] = []
    for kind, time_of, what in (
        (TRAINED, _training_step, "a training step"),
        (LABELLED, _forward_pass, "a forward pass"),
    ):
        wanted = [section for section in sections if section in kind]
        if wanted:
            chosen, because = _faster(backbone, device, time_of, what)
            found += [Decision(f"{section}.precision", chosen, because, stage) for section in wanted]
    return found


def _faster(
    backbone: Backbone, device: torch.device, time_of: Callable[[Backbone, Tensor, str], float], what: str
) -> tuple[str, str]:
    """Return the faster arithmetic and the reason."""

    def times(images: int, side: int, repeats: int) -> tuple[float, float]:
        x = torch.zeros(images, 3, side, side).to(device, memory_format=torch.channels_last)
        # By turns, so that what else the machine does meanwhile hits both alike.
        pairs = [(time_of(backbone, x, "float32"), time_of(backbone, x, "bfloat16")) for _ in range(repeats)]
        plain, half = zip(*pairs, strict=True)
        return min(plain), min(half)

    plain, half = times(1, FIRST_SIDE, 1)
    if half > HOPELESS * plain:
        what = f"{what} of one small image"
    else:
        plain, half = times(IMAGES, SIDE, REPEATS)
    chosen = "bfloat16" if plain > WORTH * half else "float32"
    return chosen, f"{what} takes {1000 * plain:.0f} ms in float32 and {1000 * half:.0f} ms in bfloat16 here"


def _training_step(backbone: Backbone, x: Tensor, precision: str) -> float:
    """Return the seconds of a forward and a backward pass."""
    backbone.train()
    start = time.perf_counter()
    with autocast(x.device, precision):
        value = backbone(x)[-1].float().mean()
    value.backward()
    value.item()
    backbone.zero_grad()
    return time.perf_counter() - start


@torch.inference_mode()
def _forward_pass(backbone: Backbone, x: Tensor, precision: str) -> float:
    """Return the seconds of a forward pass."""
    backbone.eval()
    start = time.perf_counter()
    with autocast(x.device, precision):
        backbone(x)[-1].float().mean().item()
    return time.perf_counter() - start
