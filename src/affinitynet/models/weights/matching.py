"""Where in a file a network's tensors are: training scripts put them below prefixes and wrappers of their own."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import takewhile

import torch
from torch import Tensor, nn

_INSERTED = re.compile(r"\b(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
_AVERAGED = re.compile(r"(?i)ema|teacher|averag|swa")
_SECOND = re.compile(r"(?i)encoder_k|momentum|target")
_EXAMPLES = 3
_UNREAD = "num_batches_tracked"


@dataclass(frozen=True)
class Found:
    """The part of a file that holds a network.

    Args:
        prefix: of the names of its tensors in the file.
        tensors: what is below the prefix, under its name there.
        elsewhere: other prefixes below which the same network is found.
        outside: how many tensors of the file are not below the prefix.
    """

    prefix: str
    tensors: dict[str, Tensor]
    elsewhere: tuple[str, ...] = ()
    outside: int = 0

    @property
    def note(self) -> str:
        """What to say of the choice; empty where there was none."""
        if not self.elsewhere:
            return ""
        others = ", ".join(repr(prefix.rstrip(".") or "the top level") for prefix in self.elsewhere)
        return f"read from {self.prefix.rstrip('.') or 'the top level'!r} (the file holds it in {others} as well)"


def find_network(tensors: Mapping[str, Tensor], wanted: Mapping[str, torch.Size | None]) -> Found:
    """Find the prefix below which most of a network's tensors are.

    Where several hold as many, averaged weights (EMA, a teacher) come first and momentum encoders last, as in the
    scripts that write them.

    Args:
        tensors: of a file.
        wanted: names of the network's tensors, with their shapes where those help to find it.

    Example:
        >>> stored = {"state_dict.module.fc.weight": torch.zeros(2), "optimizer.0": torch.zeros(1)}
        >>> found = find_network(stored, {"fc.weight": None})
        >>> found.prefix, list(found.tensors), found.outside
        ('state_dict.module.', ['fc.weight'], 1)
    """
    plain = {_INSERTED.sub("", key): tensor for key, tensor in tensors.items()}
    votes: Counter[str] = Counter()
    for key, tensor in plain.items():
        for start in (0, *(match.end() for match in re.finditer(r"\.", key))):
            if key[start:] in wanted:
                votes[key[:start]] += 2 if wanted[key[start:]] in (None, tensor.shape) else 1
    votes[_shared_prefix(plain)] += 0  # taken where no name is known
    best = max(votes, key=lambda prefix: (votes[prefix], _rank(prefix), -len(prefix)))
    below = {key.removeprefix(best): tensor for key, tensor in plain.items() if key.startswith(best)}
    others = tuple(sorted(prefix for prefix in votes if prefix != best and votes[prefix] == votes[best]))
    return Found(best, below, others, len(plain) - len(below))


def _shared_prefix(names: Iterable[str]) -> str:
    """Return what all names begin with, up to a dot.

    Example:
        >>> _shared_prefix(["model.head.weight", "model.head.bias"]), _shared_prefix(["ab.c", "ad.c"])
        ('model.head.', '')
    """
    columns = zip(*(name.split(".")[:-1] for name in names), strict=False)
    return "".join(f"{column[0]}." for column in takewhile(lambda column: len(set(column)) == 1, columns))


def _rank(prefix: str) -> int:
    return bool(_AVERAGED.search(prefix)) - bool(_SECOND.search(prefix))


def required(module: nn.Module) -> set[str]:
    """Return the names of a network's tensors that must come from a file: its parameters and statistics.

    Counters of batches, which are never read here, and tables that are computed from the image's size may be absent.

    Example:
        >>> sorted(required(nn.Sequential(nn.BatchNorm2d(1, affine=False))))
        ['0.running_mean', '0.running_var']
    """
    statistics = {name for name, _ in module.named_buffers() if name.endswith(("running_mean", "running_var"))}
    return {name for name, _ in module.named_parameters()} | statistics


def not_finite(state: Mapping[str, Tensor]) -> str | None:
    """Return the name of the first tensor that holds NaN or infinity, if any."""
    return next((key for key, value in state.items() if value.is_floating_point() and not value.isfinite().all()), None)


def listed(names: list[str]) -> str:
    """Name the first few.

    Example:
        >>> listed(["a", "b", "c", "d", "e"])
        'a, b, c and 2 more'
    """
    more = len(names) - _EXAMPLES
    return ", ".join(names[:_EXAMPLES]) + (f" and {more} more" if more > 0 else "")
