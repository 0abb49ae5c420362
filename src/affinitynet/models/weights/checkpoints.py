"""PyTorch checkpoints of any training script: nothing in them is run, and only their tensors are used.

They are read by ``torch.load(weights_only=True)``, which calls nothing but torch's own constructors. Training scripts
store objects beside the weights (arguments, configurations, paths, statistics): each of their classes is replaced by
an inert stand-in, so neither their code nor their modules are touched.
"""

from __future__ import annotations

import pickle
import pickletools
import re
import struct
import warnings
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from affinitynet.errors import one_line

SAVE_WEIGHTS = "torch.save(model.state_dict(), 'weights.pth')"
_DEEPEST = 8  # levels of dictionaries; Lightning's callbacks have four
_LEGACY_PICKLES = 4  # magic number, protocol, system, then the content
_TABLES = re.compile(r"(?i)dict|config|cfgnode|munch|box")
_NO_WEIGHTS = re.compile(r"(?i).*optim.*|opt|.*sched.*|.*scaler.*|rng.*|.*hyper_?param.*|meta|args|config|loops")
_TORCHS = re.compile(
    r"torch\.((_utils|_tensor|storage|serialization|nn\.parameter)\.\w+|\w+)|_codecs\.\w+"
    r"|collections\.(OrderedDict|Counter)|builtins\.(set|bytearray|complex)"
)
"""What torch constructs by itself."""
_FAILURES = (
    *(RuntimeError, pickle.UnpicklingError, ValueError, KeyError, TypeError, EOFError, IndexError),
    *(AttributeError, MemoryError, OverflowError, struct.error, AssertionError),
)
"""What torch raises on damaged files."""


class MalformedError(Exception):
    """The file violates its format; the message says how."""


class PickledObjectError(Exception):
    """The file holds Python objects in which no weights can be found; the message names their class."""


class _StandIn:
    """Takes the place of an object of a class that is not loaded."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Table(OrderedDict):
    """Takes the place of an object of a class that, by its name, is a kind of dictionary."""

    def __new__(cls, *_: Any, **__: Any) -> Any:
        # The exact type: only that may be filled while torch reads.
        return OrderedDict()


def _stand_in(name: str) -> type:
    """Return a class that torch takes for the one of that name; a new one, so that no file can change it for another.

    Example:
        >>> _stand_in("argparse.Namespace")
        <class 'argparse.Namespace'>
        >>> import argparse
        >>> _stand_in("argparse.Namespace") is argparse.Namespace
        False
    """
    module, _, own = name.rpartition(".")
    base = _Table if _TABLES.search(own) else _StandIn
    return type(own, (base,), {"__module__": module, "__qualname__": own})


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Return all tensors of a checkpoint, named by their place in it: ``state_dict.module.conv1.weight``.

    Tensors of optimisers and the like are not among them.

    Raises:
        MalformedError: the file is damaged, or claims more than it holds.
        PickledObjectError: it holds objects instead of weights, such as a whole model.
    """
    classes = _unknown_classes(path)
    try:
        stand_ins: list[Any] = [_stand_in(name) for name in classes]
    except ValueError:  # a null character, or half of a surrogate pair
        raise MalformedError("damaged, or not written by torch.save") from None
    try:
        # Given a path, torch would trust its suffix; its warnings would precede our one line.
        with path.open("rb") as file, warnings.catch_warnings(), torch.serialization.safe_globals(stand_ins):
            warnings.simplefilter("ignore")
            content = torch.load(file, map_location="cpu", weights_only=True)
    except _FAILURES as error:
        if classes and isinstance(error, (pickle.UnpicklingError, TypeError, AttributeError)):
            raise PickledObjectError(_likely_model(classes)) from None
        raise MalformedError(_reason(error)) from None
    tensors = dict(_tensors(content))
    if not tensors and classes:
        raise PickledObjectError(_likely_model(classes))
    size = path.stat().st_size
    for key, value in tensors.items():
        # A view may claim more elements than are stored, and copying it would allocate them all.
        if value.layout != torch.strided or value.is_meta or value.numel() * value.element_size() > size:
            raise MalformedError(f"{key[:80]!r} claims more than the file contains")
        if value.is_quantized:
            raise MalformedError(f"{key[:80]!r} is quantised; only floating-point weights can be trained on")
    return tensors


def _tensors(content: Any) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors in nested dictionaries with the names that lead to them."""
    waiting = [("", content, 0)]
    while waiting:
        prefix, table, depth = waiting.pop()
        if not isinstance(table, dict):
            continue
        for key, value in table.items():
            if isinstance(value, Tensor) and isinstance(key, str):
                yield prefix + key, value
            elif isinstance(value, dict) and depth < _DEEPEST and not _NO_WEIGHTS.fullmatch(str(key)):
                waiting.append((f"{prefix}{key}.", value, depth + 1))


def _unknown_classes(path: Path) -> list[str]:
    """List the classes and functions that a checkpoint names and torch does not know, in their order, unread."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                (record,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
                with archive.open(record) as file:
                    named = list(_named(file))
        else:
            with path.open("rb") as file:
                named = [name for _ in range(_LEGACY_PICKLES) for name in _named(file)]
    except (*_FAILURES, OSError, zipfile.BadZipFile, NotImplementedError):
        return []
    return [name for name in dict.fromkeys(named) if not _TORCHS.fullmatch(name)]


def _named(file: IO[bytes]) -> Iterator[str]:
    for operation, argument, _ in pickletools.genops(file):
        if operation.name == "GLOBAL":
            module, _, name = str(argument).partition(" ")
            # torch.save writes builtins under their names in Python 2, as protocol 2 of pickle demands.
            module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
            yield f"{module}.{name}"


def _likely_model(classes: list[str]) -> str:
    """Return the class that is most likely the model's: objects are written from the outside in."""
    plain = ("argparse.", "builtins.", "numpy.", "pathlib.", "collections.", "functools.")
    own = [name for name in classes if not name.startswith(plain)]
    return (own or classes)[0][:80]


def _reason(error: BaseException) -> str:
    """Return torch's reason, unless it is advice to trust the file."""
    if isinstance(error, pickle.UnpicklingError):
        return "damaged, or not written by torch.save"
    return one_line(re.sub(r"\x1b\[[0-9;]*m", "", str(error)).split("\n")[0])[:200] or type(error).__name__


def check_zip(path: Path) -> None:
    """Raise if a zip file is no plain archive of torch's.

    Raises:
        MalformedError: it is damaged, or a record could unpack to any size.
        PickledObjectError: it holds a program of TorchScript.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if any(name.endswith("/constants.pkl") for name in archive.namelist()):
                raise PickledObjectError("a TorchScript program")
            # PyTorch stores its records uncompressed; a compressed one could unpack to any size.
            if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
                raise MalformedError("a compressed record, which PyTorch never writes")
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError, struct.error) as error:
        raise MalformedError(_reason(error)) from None
