"""The state of an unfinished training, and the table of its losses."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from affinitynet.errors import InputError
from affinitynet.files import save_weights, write_text


@dataclass(frozen=True)
class TrainingFiles:
    """Where a training keeps what it has so far.

    Args:
        label: of the training, in bars and messages.
        checkpoint: the unfinished state.
        losses: CSV with a row (step, epoch, learning_rate, loss) a step, written with each checkpoint.
    """

    label: str
    checkpoint: Path
    losses: Path


def save_checkpoint(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, rows: list) -> None:
    """Write model, the optimiser's state and loss table as one safetensors file."""
    state = {f"model.{key}": value for key, value in model.state_dict().items()}
    for number, found in optimizer.state_dict()["state"].items():
        state |= {f"optimizer.{number}.{key}": value for key, value in found.items() if value is not None}
    save_weights(path, state, {"rows": rows})


def restore_checkpoint(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> list:
    """Undo :func:`save_checkpoint`; return the loss table.

    Raises:
        InputError: the file is not of this version, or broken.
    """
    try:
        with safe_open(path, framework="pt") as file:
            stored = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
            rows = json.loads(file.metadata()["affinitynet"])["rows"]
        weights, states = _parts(stored)
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); delete it to start this training again") from None
    model.load_state_dict(weights)
    optimizer.load_state_dict({**optimizer.state_dict(), "state": states})
    return [tuple(row) for row in rows]


def _parts(stored: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[int, dict[str, Tensor]]]:
    """Return the model's weights, and the state of the optimiser for each of its parameters."""
    weights: dict[str, Tensor] = {}
    states: dict[int, dict[str, Tensor]] = {}
    for name, value in stored.items():
        if name.startswith("model."):
            weights[name.removeprefix("model.")] = value
        elif name.startswith("optimizer."):
            _, number, key = name.split(".")
            states.setdefault(int(number), {})[key] = value
        else:
            raise ValueError(f"{name}: of an earlier version")
    return weights, states


def write_losses(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    """Write the table of losses."""
    lines = [",".join(map(str, row)) for row in rows]
    write_text(path, "\n".join(["step,epoch,learning_rate,loss", *lines]) + "\n")
