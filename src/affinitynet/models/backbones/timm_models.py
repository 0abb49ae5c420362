"""Any timm model whose features form a grid, as a backbone: ``timm:NAME``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor

from affinitynet.errors import InputError, nearest
from affinitynet.models.backbones.base import Backbone
from affinitynet.models.weights.files import read_weight_file

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
        self._load(None)

    def load_file(self, path: Path) -> None:
        """Load a file with timm's keys, which timm adapts to the model."""
        state = read_weight_file(path).tensors
        _check_fits(self.name, state)
        self._load({"state_dict": state})

    def _load(self, overlay: dict[str, Any] | None) -> None:
        try:
            loaded = timm.create_model(
                self.name,
                pretrained=True,
                pretrained_cfg_overlay=overlay,
                features_only=True,
                out_indices=self.taps,
                **self.request,
            )
        except Exception as error:  # a hub and its transport may raise anything
            raise InputError(
                f"--network timm:{self.name}: no pretrained weights ({_first_line(error)}); "
                "go online once, or pass a weight file with --weights"
            ) from None
        self.network.load_state_dict(loaded.state_dict())

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


def _check_fits(name: str, state: dict[str, Tensor]) -> None:
    with torch.device("meta"):
        expected = timm.create_model(name, num_classes=0).state_dict()
    for key, value in expected.items():
        if key not in state:
            raise InputError(f"--weights: has no {key!r}, which timm:{name} needs; pass the weights of that model")
        if "pos_embed" not in key and state[key].shape != value.shape:
            raise InputError(
                f"--weights: {key} is {list(state[key].shape)}, timm:{name} needs {list(value.shape)}; "
                "pass the weights of that model"
            )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
