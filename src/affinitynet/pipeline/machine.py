"""Settings that the machine decides, by a second of measurement."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from affinitynet.config.adaptation import Decision
from affinitynet.models.backbones.base import Backbone
from affinitynet.runtime.precision import autocast

WORTH = 1.1
"""How much faster bfloat16 has to be to be taken: float32 is the more exact one."""

REPEATS = 3
IMAGES, SIDE = 4, 224

HOPELESS = 4.0
"""How many times as long one convolution may take in bfloat16 for networks to be tried in it: on a processor without
such instructions it takes sixty times as long, and trying whole networks half a minute."""


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
    turns = _by_turns(lambda precision: _convolution(device, precision))
    plain, half = map(min, zip(*turns, strict=True))
    if half > HOPELESS * plain:
        what = "one convolution"
    else:
        x = torch.zeros(IMAGES, 3, SIDE, SIDE).to(device, memory_format=torch.channels_last)
        turns = _by_turns(lambda precision: time_of(backbone, x, precision))
        plain, half = map(min, zip(*turns, strict=True))
    because = f"{what} takes {_milliseconds(plain)} in float32 and {_milliseconds(half)} in bfloat16 here"
    if all(one > WORTH * other for one, other in turns):
        return "bfloat16", because
    return "float32", f"{because}, but bfloat16 was not faster each time" if plain > WORTH * half else because


def _milliseconds(seconds: float) -> str:
    """Return a time in words.

    Example:
        >>> _milliseconds(2.6712), _milliseconds(0.00184)
        ('2,670 ms', '1.84 ms')
    """
    return f"{float(f'{1000 * seconds:.3g}'):,.10g} ms"


def _by_turns(time_of: Callable[[str], float]) -> list[tuple[float, float]]:
    """Return the seconds in float32 and in bfloat16, some times; by turns, so that other work on the machine hits both.

    The first turn, which prepares what later ones find done, is left out.
    """
    return [(time_of("float32"), time_of("bfloat16")) for _ in range(1 + REPEATS)][1:]


@torch.inference_mode()
def _convolution(device: torch.device, precision: str) -> float:
    """Return the seconds of one convolution."""
    x, weight = torch.zeros(1, 64, 32, 32, device=device), torch.zeros(64, 64, 3, 3, device=device)
    start = time.perf_counter()
    with autocast(device, precision):
        F.conv2d(x, weight).float().mean().item()
    return time.perf_counter() - start


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
