"""Weights of any origin -> one safetensors file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from affinitynet.errors import InputError
from affinitynet.files import save_weights
from affinitynet.models.affinity_net import AffinityNet
from affinitynet.models.backbones.registry import build_backbone
from affinitynet.models.classifier import TagClassifier
from affinitynet.models.weights.names import fill_backbone, read_weights


def convert_weights(source: Path, target: Path, classes: Sequence[str] | None = None) -> list[str]:
    """Write the weights of ``source`` as ``target``, a safetensors file that says what it holds.

    Args:
        source: ours, the released code's, Caffe's, MXNet's or torchvision's (docs/reproduce.md).
        target: a new file, ``.safetensors``.
        classes: names of a classifier's classes, where the source does not tell them.

    Returns:
        What was recognised, matched, left and missing, line by line.

    Raises:
        InputError: the source is damaged or unknown, a tensor does not fit (the message names it), or
            the target exists.
    """
    if target.suffix != ".safetensors":
        raise InputError(f"{target}: is written as safetensors; name it {target.with_suffix('.safetensors').name}")
    if target.exists():
        raise InputError(f"{target}: exists; delete it or name another")
    found = read_weights(source)
    if found.part == "classifier":
        model = TagClassifier.load(source, classes)
        state, settings = model.state_dict(), model.settings
    elif found.part == "affinity":
        net = AffinityNet.load(source)
        state, settings = net.state_dict(), net.settings
    else:
        backbone = build_backbone(found.network, found.settings.get("taps"))
        fill_backbone(backbone, found, str(source))
        state, settings = {f"backbone.{key}": value for key, value in backbone.state_dict().items()}, backbone.settings
    save_weights(target, state, settings)
    counters = [key for key in state if key not in found.state]
    what = {"backbone": "ImageNet weights", "classifier": "classifier", "affinity": "AffinityNet"}[found.part]
    return [
        f"{source}: {found.origin}, {what} of {found.network}",
        f"matched: {len(state) - len(counters)} tensors",
        f"left:    {', '.join(key.removeprefix('backbone.') for key in found.left) or 'none'}",
        f"missing: {f'{len(counters)} counters that nothing reads' if counters else 'none'}",
        f"written: {target}",
    ]
