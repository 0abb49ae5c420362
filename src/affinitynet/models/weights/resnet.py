"""ResNet-50 in a weight file: torchvision's, of any training script, and inside the released code of IRNet."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

import torch
from torch import Tensor
from torchvision.models import resnet50

from affinitynet.models.weights.matching import Found, find_network, required

LAST = "layer4.2.conv3.weight"
"""The tensor by which a ResNet-50 is looked for; ResNet-101 and 152 have it too, and more."""

INSIDE = "resnet50."
"""Prefix of the backbone in the released code of IRNet, which has each tensor again under further names."""

_HEADS = (
    (r"classifier\.weight", "fc8.weight"),
    (r"fc_edge6\.(\w+)", r"edge.\1"),
    (r"fc_edge([1-5])\.([01]\.\w+)", r"edges.\1.\2"),
    (r"fc_dp([1-5])\.([01]\.\w+)", r"displacements.\1.\2"),
    (r"fc_dp6\.([01]\.\w+)", r"join_coarse.\1"),
    (r"fc_dp7\.([01]\.\w+)", r"join.\1"),
    (r"fc_dp7\.3\.(\w+)", r"displacement.\1"),
    (r"mean_shift\.running_mean", "mean_displacement"),
)
"""Names of the released code's heads, and ours; its layers count from 1."""


@cache
def _shapes() -> dict[str, torch.Size | None]:
    with torch.device("meta"):
        network = resnet50()
    del network.fc
    needed = required(network)
    return {name: value.shape for name, value in network.state_dict().items() if name in needed}


def find_resnet50(tensors: Mapping[str, Tensor]) -> Found | None:
    """Find a whole ResNet-50 in a file, and no deeper one.

    Example:
        >>> find_resnet50({LAST: torch.zeros(1)}) is None
        True
    """
    if not any(name == LAST or name.endswith(f".{LAST}") for name in tensors):
        return None
    found, shapes = find_network(tensors, _shapes()), _shapes()
    fits = all(name in found.tensors and found.tensors[name].shape == shape for name, shape in shapes.items())
    return found if fits and "layer3.6.conv1.weight" not in found.tensors else None


def resnet50_state(tensors: Mapping[str, Tensor], found: Found) -> dict[str, Tensor]:
    """Return a ResNet-50 and what the released code of IRNet has on top of it, under our keys.

    Example:
        >>> tensors = {"resnet50.conv1.weight": torch.zeros(1), "fc_edge2.0.weight": torch.zeros(2)}
        >>> list(resnet50_state(tensors, Found("resnet50.", {"conv1.weight": torch.zeros(1)})))
        ['backbone.network.conv1.weight', 'edges.1.0.weight']
    """
    state = {
        f"backbone.{name}" if name.startswith("fc.") else f"backbone.network.{name}": tensor
        for name, tensor in found.tensors.items()
    }
    if not found.prefix.endswith(INSIDE):
        return state
    outer = found.prefix.removesuffix(INSIDE)
    names = {name.removeprefix(outer): tensor for name, tensor in tensors.items() if name.startswith(outer)}
    heads = {_our_head(name): tensor for name, tensor in names.items()}
    return state | {name: tensor for name, tensor in heads.items() if name is not None}


def _our_head(name: str) -> str | None:
    """Return our name of a tensor of the released code's heads.

    Example:
        >>> _our_head("fc_edge1.0.weight"), _our_head("fc_dp7.3.weight"), _our_head("edge_layers.0.0.weight")
        ('edges.0.0.weight', 'displacement.weight', None)
    """
    for theirs, ours in _HEADS:
        if re.fullmatch(theirs, name):
            renamed = re.sub(theirs, ours, name)
            return re.sub(r"^(edges|displacements)\.(\d)", lambda found: f"{found[1]}.{int(found[2]) - 1}", renamed)
    return None
