"""Any timm model whose features form a grid, as a backbone: ``timm:NAME``."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor

from affinitynet.errors import InputError, nearest
from affinitynet.models.backbones.base import Backbone
from affinitynet.models.weights.files import read_weight_file
from affinitynet.models.weights.matching import find_network, listed, not_finite, required
from affinitynet.models.weights.names import DIVERGED, loaded
from affinitynet.models.weights.others import describe

STRIDE = 16  # requested from networks that can be dilated
TAPS = 4  # largest number of features used, the deepest ones
FINEST = 4  # features finer than this stride cost more than they contribute
REDUCED = (32, 64, 128, 256)  # AffinityNet's channels per tap, the deepest the widest
GROUP = 8  # channels per group of its GroupNorm

# Ways to request features of images of any size from a timm model; the first that it supports is used.
_REQUESTS: tuple[dict[str, Any], ...] = (
    {"output_stride": STRIDE},
    {"dynamic_img_size": True, "dynamic_img_pad": True},
    {"strict_img_size": False},
    {},
)


class TimmBackbone(Backbone):
    """A timm model without its head.

    Taps are the model's features of stride 4 and above, at most the four deepest; a convolutional
    network is dilated to stride 16 if possible. Only the statistics of BatchNorm are frozen.

    Args:
        name: timm's name of the model.
        taps: which of the model's features to use, numbered as in timm; by default chosen as above.

    Raises:
        InputError: timm has no such model, or its features are not a grid.

    Example:
        >>> backbone = TimmBackbone("test_vit")
        >>> backbone.strides, len(backbone(torch.zeros(1, 3, 64, 96)))
        ((16, 16, 16), 3)
    """

    def __init__(self, name: str, taps: Sequence[int] | None = None) -> None:
        super().__init__()
        self.name = name
        network, request = _features(name, taps)
        if taps is None:
            strides = network.feature_info.reduction()
            chosen = [
                i for i, stride in zip(network.feature_info.out_indices, strides, strict=True) if stride >= FINEST
            ]
            network, request = _features(name, chosen[-TAPS:])
        self.network, self.request = network, request
        self.taps = tuple(network.feature_info.out_indices)
        settings: Any = timm.models.get_pretrained_cfg(name) or timm.models.PretrainedCfg()
        self.mean, self.std = tuple(settings.mean), tuple(settings.std)
        self.channels = tuple(network.feature_info.channels())
        self.strides = tuple(network.feature_info.reduction())
        self.reduced = REDUCED[-len(self.channels) :]
        self.groups = tuple(width // GROUP for width in self.reduced)
        self.frozen = []

    def load_imagenet(self) -> None:
        """Load the weights of timm's hub."""
        try:
            pretrained = timm.create_model(
                self.name, pretrained=True, features_only=True, out_indices=self.taps, **self.request
            )
        except Exception as error:  # a hub and its transport may raise anything
            raise InputError(
                f"--network timm:{self.name}: no pretrained weights ({_first_line(error)}); "
                "go online once, or pass a weight file with --weights"
            ) from None
        self.network.load_state_dict(pretrained.state_dict())

    def load_file(self, path: Path) -> None:
        """Load a file with timm's names, under any prefix; timm adapts it to the model if it does not fit as it is.

        Raises:
            InputError: it does not hold all of this model.
        """
        source, file = f"--weights {path}", read_weight_file(path)
        with torch.device("meta"):
            sized = {key: value for key, value in self.request.items() if key != "output_stride"}  # changes no shape
            full: Any = timm.create_model(self.name, num_classes=0, **sized)
        shapes = {key: value.shape for key, value in full.state_dict().items()}
        own, needed = self.network.state_dict(), required(self.network)
        names = {key: _full_name(key, shapes) for key in own}
        spelt = {key: value.shape for key, value in own.items()} | shapes
        found = find_network(file.tensors, spelt)
        flat = {key: name for key, name in names.items() if key not in shapes}
        state = _adapted({flat.get(key, key): value for key, value in found.tensors.items()}, full)
        if missing := sorted(names[key] for key in needed if names[key] not in state):
            what, cure = describe(file.tensors)
            raise InputError(
                f"{source}: has no {missing[0]!r} ({len(needed) - len(missing)} of the {len(needed)} arrays that "
                f"timm:{self.name} needs are in it; it is a {file.origin} of {what}); {cure}"
            )
        used = {key: state[names[key]] for key in sorted(needed)}
        for key, value in used.items():
            if value.shape != own[key].shape:
                raise InputError(
                    f"{source}: {names[key]} is {list(value.shape)}, timm:{self.name} needs {list(own[key].shape)}; "
                    "pass the weights of that model, trained at the same image size"
                )
        if broken := not_finite(used):
            raise InputError(f"{source}: {broken} {DIVERGED}")
        self.network.load_state_dict(own | used)
        unused = [key for key in found.tensors if flat.get(key, key) not in set(names.values())]
        as_stored = {flat.get(key, key): value.shape for key, value in found.tensors.items()}
        resampled = [names[key] for key, value in used.items() if as_stored.get(names[key], value.shape) != value.shape]
        notes = [found.note, f"{listed(resampled)} resampled to another image size" if resampled else ""]
        self.loaded = loaded(source, len(needed), unused, ", ".join(filter(None, notes)))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.network(x))


def _features(name: str, taps: Sequence[int] | None) -> tuple[Any, dict[str, Any]]:
    """Return the model that computes the features, and the request that it supports."""
    if not timm.is_model(name):
        raise InputError(
            f"--network timm:{name}: timm has no such model; did you mean timm:{nearest(name, timm.list_models())}?"
        )
    reason = ""
    for request in _REQUESTS:
        chosen: dict[str, Any] = {} if taps is None else {"out_indices": tuple(taps)}
        try:
            network: Any = timm.create_model(name, features_only=True, **chosen, **request)
            with torch.inference_mode():
                if all(feature.ndim == 4 for feature in network.eval()(torch.zeros(1, 3, 64, 96))):
                    return network, request
            reason = "its features are not a grid"
        except Exception as error:  # a model's constructor may raise anything
            reason = reason or _first_line(error)
    raise InputError(f"--network timm:{name}: has no grid of features ({reason}); choose e.g. timm:resnet50")


def _full_name(key: str, full: Collection[str]) -> str:
    """Return the whole model's name of a tensor of its features, whose wrappers rename the outer modules.

    Example:
        >>> _full_name("stages_0.blocks.0.gamma", ["stages.0.blocks.0.gamma"]), _full_name("model.norm", ["norm"])
        ('stages.0.blocks.0.gamma', 'norm')
    """
    outer, dot, inner = key.partition(".")
    parts = outer.split("_")
    split = ["_".join(parts[:i]) + "." + "_".join(parts[i:]) + dot + inner for i in range(1, len(parts))]
    return next((name for name in (key, key.removeprefix("model."), *split) if name in full), key)


def _adapted(state: dict[str, Tensor], full: Any) -> dict[str, Tensor]:
    """Let timm translate other names of its model and resample what depends on the image's size, where it must."""
    shapes = {key: value.shape for key, value in full.state_dict().items() if key in required(full)}
    if all(key in state and state[key].shape == shape for key, shape in shapes.items()):
        return state
    adapt = getattr(sys.modules[type(full).__module__], "checkpoint_filter_fn", None)
    if adapt is None:
        return state
    try:
        return dict(adapt(dict(state), full))
    except Exception:  # timm's translators expect complete files; what is missing is reported by its own name
        return state


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
