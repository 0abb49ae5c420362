"""The state of an unfinished training, and the table of its losses."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

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
    """Write model, momenta and loss table as one safetensors file."""
    state = {f"model.{key}": value for key, value in model.state_dict().items()}
    momenta = optimizer.state_dict()["state"]
    state |= {f"momentum.{i}": s["momentum_buffer"] for i, s in momenta.items() if s.get("momentum_buffer") is not None}
    save_weights(path, state, {"rows": rows})


def restore_checkpoint(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> list:
    """Undo :func:`save_checkpoint`; return the loss table."""
    try:
        with safe_open(path, framework="pt") as file:
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
            rows = json.loads(file.metadata()["affinitynet"])["rows"]
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); delete it to start this training again") from None
    model.load_state_dict({key[6:]: t for key, t in state.items() if key.startswith("model.")})
    momenta = {int(key[9:]): {"momentum_buffer": t} for key, t in state.items() if key.startswith("momentum.")}
    optimizer.load_state_dict({**optimizer.state_dict(), "state": momenta})
    return [tuple(row) for row in rows]


def write_losses(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    """Write the table of losses."""
    lines = [",".join(map(str, row)) for row in rows]
    write_text(path, "\n".join(["step,epoch,learning_rate,loss", *lines]) + "\n")
