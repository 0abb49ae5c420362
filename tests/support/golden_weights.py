"""The deterministic weights of the golden numbers: a tensor's values follow from its key and its shape."""

import zlib

import numpy as np
import torch
from torch import Tensor, nn

LAYERS = {"reduce.": "f8_", "norm.": "gn8_"}  # ours -> the released code's, counted from 3


def released_key(key: str) -> str:
    """Return what the released code calls one of our state-dict keys."""
    for ours, theirs in LAYERS.items():
        if key.startswith(ours):
            number, kind = key.removeprefix(ours).split(".")
            return f"{theirs}{int(number) + 3}.{kind}"
    return key.removeprefix("backbone.")


def values(key: str, shape: tuple[int, ...]) -> np.ndarray:
    random = np.random.RandomState(zlib.crc32(key.encode()))
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    if key.endswith("running_mean"):
        return (0.05 * random.randn(*shape)).astype(np.float32)
    if key.endswith("running_var"):
        return (1 + 0.2 * random.rand(*shape)).astype(np.float32)
    noise = random.randn(*shape)
    if len(shape) == 1:
        is_scale = key.endswith("weight")
        return (is_scale + 0.05 * noise).astype(np.float32)
    gain = 1 if "branch2b" in key or key.startswith(("f8_", "f9", "fc8")) else 2
    return (noise * np.sqrt(gain / np.prod(shape[1:]))).astype(np.float32)


def released_state(model: nn.Module) -> dict[str, Tensor]:
    """Return a state dict as the released code would save it for this network."""
    keys = {released_key(key): tuple(value.shape) for key, value in model.state_dict().items()}
    return {key: torch.from_numpy(values(key, shape)) for key, shape in keys.items()}
