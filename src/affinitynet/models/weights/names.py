"""Mapping the tensor names of any weight file to the keys of our networks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import timm
import torch
from torch import Tensor, nn

from affinitynet.errors import InputError
from affinitynet.models.weights.files import CHECKPOINT, SAFETENSORS, WeightFile, read_weight_file
from affinitynet.models.weights.matching import Found, find_network, listed, not_finite, required
from affinitynet.models.weights.others import SEAM, describe, is_seam
from affinitynet.models.weights.resnet import find_resnet50, resnet50_state

Part = Literal["backbone", "classifier", "affinity", "irnet"]
_PARTS: dict[str, str] = {
    "backbone": "ImageNet weights",
    "classifier": "a classifier",
    "affinity": "an AffinityNet",
    "irnet": "an IRNet",
}

# Names of AffinityNet's head in the released code.
_HEAD = {f"{layer}{i + 3}": f"{ours}.{i}" for layer, ours in (("f8_", "reduce"), ("gn8_", "norm")) for i in range(3)}
_OWN_HEAD = ("fc8.", "f9.", "reduce.", "norm.")
_MXNET_LAYER = re.compile(r"(?:res|bn)(\d)([a-z])(\d*)_(branch\w+?)_(weight|gamma|beta|moving_mean|moving_var)")
_MXNET_NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_var": "running_var"}
_IMAGENET_HEADS = ("linear1000", "fc1000", "fc8", "fc.", "classifier.", "head.fc.", "prob")

VGG16_CONVOLUTIONS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Output channels of VGG-16's convolutions, stage by stage: in this order every file has them."""

CAFFE_MEAN = (122.675 / 255, 116.669 / 255, 104.008 / 255)
"""Mean that Caffe's networks subtract, RGB in [0, 1]."""

FC6_ROWS = (0, 3, 6)  # of fc6's 7x7 kernel
FC_STEP = 4  # every fourth of fc6's and fc7's 4096 channels


TIMM_LITE = "tf_efficientnet_lite0"
"""Name that timm has for the default backbone."""

# The tensor by whose name a network is found in a file, and the network; torchvision's VGG-16 is converted.
_FIRST_TENSORS = {
    "conv1_1.weight": "vgg16",
    "conv1a.weight": "resnet38",
    "features.0.weight": "vgg16",
    "conv_stem.weight": "lite",
}


DIVERGED = "holds NaN or infinity: the training that wrote it diverged; pass an earlier checkpoint"


@dataclass(frozen=True)
class Weights:
    """A network's weights under our keys.

    Args:
        origin: the kind of file they come from.
        network: name of the backbone.
        part: "backbone" for ImageNet weights alone, else the network of the method that they belong to.
        state: our key -> tensor.
        left: names in the file that no network of the method uses: the ImageNet classifier.
        settings: of the network, from one of our own files.
        contains: in words, what the file holds.
        note: what there is to say of the choice between several networks in the file.
    """

    origin: str
    network: str
    part: Part
    state: dict[str, Tensor]
    left: tuple[str, ...]
    settings: dict[str, Any]
    contains: str
    note: str = ""


def read_weights(path: Path) -> Weights:
    """Read a weight file and recognise its origin: ours, the released code, Caffe, MXNet, timm or torchvision.

    Raises:
        InputError: the file is missing, damaged, or of an unknown network.
    """
    file = read_weight_file(path)
    if file.settings:
        network, part = str(file.settings.get("network")), _part(file.tensors)
        return Weights("affinitynet", network, part, file.tensors, (), file.settings, f"{_PARTS[part]} of {network}")
    network, found = _recognise(path, file)
    origin, foreign = file.origin, is_seam(found.tensors)
    if network == "resnet50":
        state = resnet50_state(file.tensors, found)
    elif network == "lite":
        state = {_lite_key(name): tensor for name, tensor in found.tensors.items()}
    elif "features.0.weight" in found.tensors:
        origin = f"torchvision's VGG-16 ({file.origin})"
        try:
            state = from_torchvision_vgg16(found.tensors)
        except (KeyError, RuntimeError) as error:
            raise InputError(
                f"{path}: starts like torchvision's VGG-16 but {error} is missing or misshapen; pass another file"
            ) from None
    else:
        state = {_our_key(name): tensor for name, tensor in found.tensors.items()}
    kept = {key: tensor for key, tensor in state.items() if not _is_imagenet_head(key, tensor, file)}
    left = tuple(sorted(set(state) - set(kept)))
    part = "backbone" if foreign else _part(kept)
    contains = SEAM if foreign else f"{_PARTS[part]} of {network}"
    return Weights(origin, network, part, kept, left, {}, contains, found.note)


def _recognise(path: Path, file: WeightFile) -> tuple[str, Found]:
    """Find the network in a file that is not ours, under any prefix.

    Raises:
        InputError: there is none that is known.
    """
    tensors = file.tensors
    if file.origin not in (CHECKPOINT, SAFETENSORS):  # Caffe's and MXNet's names have no prefixes
        tensors = {_our_key(name): tensor for name, tensor in tensors.items()}
    for first, network in _FIRST_TENSORS.items():
        if any(name == first or name.endswith(f".{first}") for name in tensors):
            found = find_network(tensors, _lite_shapes() if network == "lite" else {first: None})
            if network == "lite" and not _fits_lite(found):
                continue
            if found.prefix.endswith("backbone."):  # the heads lie beside it
                found = find_network(tensors, {f"backbone.{first}": None})
            return network, found
    if resnet := find_resnet50(tensors):
        return "resnet50", resnet
    what, cure = describe(tensors)
    names = ", ".join(sorted(file.tensors)[:3])
    raise InputError(f"{path}: a {file.origin} of {what} ({names}, ...); {cure}")


@cache
def _lite_shapes() -> dict[str, torch.Size | None]:
    with torch.device("meta"):
        network = timm.create_model(TIMM_LITE, num_classes=0)
    needed = required(network)
    return {name: value.shape for name, value in network.state_dict().items() if name in needed}


def _fits_lite(found: Found) -> bool:
    return all(name in found.tensors and found.tensors[name].shape == shape for name, shape in _lite_shapes().items())


def _lite_key(name: str) -> str:
    return f"backbone.{name}" if name.startswith("classifier.") else f"backbone.network.{name}"


def _our_key(name: str) -> str:
    """Translate a name of the released code, of Caffe (whose layers have the same names) or of MXNet."""
    name = re.sub(r"^(arg|aux):", "", name)
    if found := _MXNET_LAYER.fullmatch(name):
        block, letter, number, branch, kind = found.groups()
        suffix = f"_{number}" if letter == "b" and number else ""
        layer = "bn" if name.startswith("bn") else "conv"
        return f"backbone.b{block}{suffix}.{layer}_{branch}.{_MXNET_NORM.get(kind, kind)}"
    if found := re.fullmatch(r"(conv1a|bn7)_(\w+)", name):
        return f"backbone.{found[1]}.{_MXNET_NORM.get(found[2], found[2])}"
    layer, dot, kind = name.rpartition(".")
    key = f"{_HEAD.get(layer, layer)}{dot}{kind}"
    return key if key.startswith((*_OWN_HEAD, "backbone.")) else f"backbone.{key}"


def _is_imagenet_head(key: str, tensor: Tensor, file: WeightFile) -> bool:
    """Distinguish the ImageNet classifier, which is not used, from the fc8 of the method, which has no bias."""
    if key.startswith("fc8.") and file.origin in (CHECKPOINT, SAFETENSORS):
        return False
    return key.removeprefix("backbone.").startswith(_IMAGENET_HEADS)


def _part(state: Mapping[str, Tensor]) -> Part:
    if "edge.weight" in state:
        return "irnet"
    if "f9.weight" in state:
        return "affinity"
    return "classifier" if "fc8.weight" in state or "places.weight" in state else "backbone"


def from_torchvision_vgg16(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert torchvision's or timm's VGG-16 to the DeepLab-LargeFOV layout, under our keys.

    The first convolution is rewritten for Caffe's input: standardised RGB / 255 becomes BGR in 0..255
    minus Caffe's mean, exactly except at the padding. fc6 and fc7 are decimated, after Chen et al.
    ("Semantic Image Segmentation with Deep Convolutional Nets and Fully Connected CRFs", ICLR 2015,
    section 3.1), to the released model's 3x3 of the 7x7 kernel and 1024 of the 4096 channels: rows
    and columns 0, 3 and 6, every fourth channel.

    Raises:
        KeyError: a tensor is missing.
        RuntimeError: a tensor has a different shape.
    """
    state = _vgg16_convolutions(tensors)
    timms = "pre_logits.fc1.weight" in tensors
    fc6, fc7 = ("pre_logits.fc1", "pre_logits.fc2") if timms else ("classifier.0", "classifier.3")
    kernel = tensors[f"{fc6}.weight"].reshape(4096, 512, 7, 7)[::FC_STEP]
    state["backbone.fc6.weight"] = kernel[:, :, FC6_ROWS][..., FC6_ROWS]
    state["backbone.fc6.bias"] = tensors[f"{fc6}.bias"][::FC_STEP]
    state["backbone.fc7.weight"] = tensors[f"{fc7}.weight"].reshape(4096, 4096, 1, 1)[::FC_STEP, ::FC_STEP]
    state["backbone.fc7.bias"] = tensors[f"{fc7}.bias"][::FC_STEP]
    used = ("features.", fc6, fc7)
    return state | {name: tensor for name, tensor in tensors.items() if not name.startswith(used)}


def _vgg16_convolutions(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    state = {}
    index = 0  # of torchvision's layers: convolution, ReLU, ..., pool
    for stage, widths in enumerate(VGG16_CONVOLUTIONS, start=1):
        for number in range(1, len(widths) + 1):
            for kind in ("weight", "bias"):
                state[f"backbone.conv{stage}_{number}.{kind}"] = tensors[f"features.{index}.{kind}"]
            index += 2
        index += 1
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    first = state["backbone.conv1_1.weight"]
    offset = (torch.tensor(CAFFE_MEAN).view(3, 1, 1) - mean) / std
    state["backbone.conv1_1.bias"] = state["backbone.conv1_1.bias"] + (first * offset).sum((1, 2, 3))
    state["backbone.conv1_1.weight"] = (first / (255 * std)).flip(1)
    return state


def fill(module: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Load ``state`` into ``module``; every key and every shape must match.

    The batch counters of BatchNorm, which are never read here, may be absent.

    Raises:
        InputError: a key is missing, unexpected, or of a different shape, or a tensor holds NaN or infinity; the
            message names it.
    """
    fitting, surplus = _fitting(module, state, source)
    if surplus:
        raise InputError(f"{source}: has {surplus[0]!r}, which the network does not; pass weights of that network")
    module.load_state_dict(fitting)


def _fitting(module: nn.Module, state: Mapping[str, Tensor], source: str) -> tuple[dict[str, Tensor], list[str]]:
    """Return the whole state of ``module`` with what ``state`` holds of it, and the names it has no use for."""
    expected, needed = module.state_dict(), required(module)
    matched = sum(key in state for key in needed)
    for key, value in expected.items():
        if key not in state:
            if key in needed:
                raise InputError(
                    f"{source}: has no {key!r} ({matched} of the {len(needed)} arrays that the network needs are in "
                    "it); pass the weights of the requested network"
                )
        elif state[key].shape != value.shape:
            raise InputError(
                f"{source}: {key} is {list(state[key].shape)}, expected {list(value.shape)}; "
                "pass weights of the requested network with the same number of classes"
            )
    known = {key: value for key, value in state.items() if key in expected}
    if broken := not_finite(known):
        raise InputError(f"{source}: {broken} {DIVERGED}")
    return expected | known, sorted(set(state) - set(expected))


def fill_backbone(backbone: nn.Module, weights: Weights, source: str) -> str:
    """Load the backbone's share of any network's weights.

    Returns:
        What was loaded and what was not used, in one line.

    Raises:
        InputError: as :func:`fill`; but what belongs to other parts of a network is not used.
    """
    prefix = "backbone."
    state = {k.removeprefix(prefix): v for k, v in weights.state.items() if k.startswith(prefix)}
    fitting, unused = _fitting(backbone, state, source)
    backbone.load_state_dict(fitting)
    heads = [key for key in weights.state if not key.startswith(prefix)]
    left = [key.removeprefix(prefix) for key in weights.left]
    return loaded(source, len(required(backbone)), [*unused, *heads, *left], weights.note)


def loaded(source: str, count: int, unused: list[str], note: str = "") -> str:
    """Say in a line what was loaded.

    Example:
        >>> loaded("w.pth", 120, ["fc.weight", "fc.bias"])
        'w.pth: all 120 arrays of the network found; not used: fc.weight, fc.bias'
    """
    said = f"{source}: all {count} arrays of the network found"
    if note:
        said += f", {note}"
    return f"{said}; not used: {listed(unused)}" if unused else said
