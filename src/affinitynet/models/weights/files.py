"""Weight files of every origin, recognised by their content: bytes in, named tensors out.

safetensors, PyTorch checkpoints, Caffe's NetParameter and MXNet's NDArray list (docs/method.md,
"State-dict keys and weight files"). Nothing is unpickled, and no more is allocated than the size of the
file justifies.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from safetensors import SafetensorError, safe_open
from torch import Tensor

from affinitynet.errors import InputError
from affinitynet.models.weights.checkpoints import (
    SAVE_WEIGHTS,
    MalformedError,
    PickledObjectError,
    check_zip,
    read_checkpoint,
)

CHECKPOINT = "PyTorch checkpoint"
SAFETENSORS = "safetensors"
"""Origins of files in which networks may have any prefix."""

_OTHERS = {
    b"\x89HDF": "an HDF5 file, as Keras writes; pass the network's PyTorch weights",
    b"<!DO": "a web page, saved in place of the file behind its link",
    b"<htm": "a web page, saved in place of the file behind its link",
    b"vers": "a Git LFS pointer; fetch the file with `git lfs pull`",
    b"\x1f\x8b": "packed with gzip; unpack it first",
    b"Rar!": "packed with RAR; unpack it first",
    b"7z\xbc\xaf": "packed with 7-Zip; unpack it first",
}
_MXNET_LIST, _MXNET_V1, _MXNET_V2 = 0x112, 0xF993FAC8, 0xF993FAC9
_MXNET_TYPES = {0: np.float32, 1: np.float64, 2: np.float16, 3: np.uint8, 4: np.int32}
_MOST_DIMENSIONS = 8
_LONGEST_NAME = 4096


@dataclass(frozen=True)
class WeightFile:
    """The content of a file.

    Args:
        origin: the kind of file, in words.
        tensors: name -> tensor, as named in the file.
        settings: of the network, from one of our own files; else empty.
    """

    origin: str
    tensors: dict[str, Tensor]
    settings: dict[str, Any] = field(default_factory=dict)


def read_weight_file(path: Path) -> WeightFile:
    """Read named tensors from a file of any known format.

    Raises:
        InputError: the file does not exist, its format is unknown, or it is damaged.
    """
    try:
        with path.open("rb") as file:
            head = file.read(16)
        read = _reader(path, head)
        found = read(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; pass an existing weight file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: a folder; name the weight file in it") from None
    except PickledObjectError as error:
        raise InputError(
            f"{path}: contains no weights by name but a pickled object ({error}), which would have to be run to be "
            f"read; where it was trained, load it, write {SAVE_WEIGHTS}, and pass that file"
        ) from None
    except (OSError, MalformedError) as error:
        raise InputError(
            f"{path}: cannot be read as weights ({error}); copy or download the file again, or pass another"
        ) from None
    if not found.tensors:
        raise InputError(f"{path}: {found.origin} without any tensor; pass a file that holds a network's weights")
    return found


def _reader(path: Path, head: bytes) -> Any:
    """Recognise the format by the first bytes."""
    size = path.stat().st_size
    if len(head) >= 9 and head[8:9] == b"{" and struct.unpack("<Q", head[:8])[0] < size:
        return _read_safetensors
    if head[:4] == b"PK\x03\x04":
        return _read_torch_zip
    if head[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        return _read_torch
    if len(head) >= 8 and struct.unpack("<Q", head[:8])[0] == _MXNET_LIST:
        return _read_mxnet
    if head[:1] in (b"\n", b"\x12", b"\xa2"):  # NetParameter's name, layers or layer
        return _read_caffe
    others = [what for start, what in _OTHERS.items() if head.startswith(start)]
    raise MalformedError(others[0] if others else "neither safetensors, PyTorch, Caffe nor MXNet")


def _read_safetensors(path: Path) -> WeightFile:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
            note = (file.metadata() or {}).get("affinitynet")
        settings = json.loads(note) if note is not None else {}
    except (SafetensorError, ValueError) as error:
        raise MalformedError(error) from None
    if not isinstance(settings, dict):
        raise MalformedError("its description of the network is not a table")
    return WeightFile(SAFETENSORS, tensors, settings)


def _read_torch_zip(path: Path) -> WeightFile:
    check_zip(path)
    return _read_torch(path)


def _read_torch(path: Path) -> WeightFile:
    return WeightFile(CHECKPOINT, read_checkpoint(path))


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _net_parameter() -> Any:
    """Return the message class of Caffe's NetParameter, with the fields that hold weights.

    ``data`` is declared as bytes, which is also the wire format of a packed array of floats, so that numpy can
    read it at once instead of float by float.
    """
    kinds = descriptor_pb2.FieldDescriptorProto
    layout: dict[str, dict[str, tuple[int, str, Any]]] = {
        "BlobShape": {"dim": (1, "repeated", kinds.TYPE_INT64)},
        "BlobProto": {
            "num": (1, "optional", kinds.TYPE_INT32),
            "channels": (2, "optional", kinds.TYPE_INT32),
            "height": (3, "optional", kinds.TYPE_INT32),
            "width": (4, "optional", kinds.TYPE_INT32),
            "data": (5, "repeated", kinds.TYPE_BYTES),
            "shape": (7, "optional", "BlobShape"),
        },
        "V1LayerParameter": {"name": (4, "optional", kinds.TYPE_BYTES), "blobs": (6, "repeated", "BlobProto")},
        "LayerParameter": {"name": (1, "optional", kinds.TYPE_BYTES), "blobs": (7, "repeated", "BlobProto")},
        "NetParameter": {
            "layers": (2, "repeated", "V1LayerParameter"),
            "layer": (100, "repeated", "LayerParameter"),
        },
    }
    package = "affinitynet.caffe"
    file = descriptor_pb2.FileDescriptorProto(name="affinitynet/caffe.proto", package=package, syntax="proto2")
    for name, fields in layout.items():
        message = file.message_type.add(name=name)
        for field_name, (number, label, kind) in fields.items():
            entry = message.field.add(name=field_name, number=number, label=getattr(kinds, f"LABEL_{label.upper()}"))
            if isinstance(kind, str):
                entry.type, entry.type_name = kinds.TYPE_MESSAGE, f".{package}.{kind}"
            else:
                entry.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.NetParameter"))


def _read_caffe(path: Path) -> WeightFile:
    net = _net_parameter()()
    try:
        net.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise MalformedError(_first_line(error)) from None
    tensors = {}
    for layer in [*net.layers, *net.layer]:
        name = layer.name.decode("utf-8", "replace")
        for suffix, blob in zip(("weight", "bias"), layer.blobs, strict=False):
            tensors[f"{name}.{suffix}"] = _caffe_blob(f"{name}.{suffix}", blob)
    return WeightFile("Caffe model", tensors)


def _caffe_blob(name: str, blob: Any) -> Tensor:
    shape = list(blob.shape.dim) if blob.HasField("shape") else [blob.num, blob.channels, blob.height, blob.width]
    data = b"".join(blob.data)
    if math.prod(shape) * 4 != len(data) or min(shape, default=0) < 0 or max(shape, default=0) * 4 > len(data):
        raise MalformedError(f"{name[:80]!r} has {len(data)} bytes for a shape of {shape[:8]}")
    if name.endswith(".bias"):
        shape = [math.prod(shape)]
    return torch.from_numpy(np.frombuffer(data, "<f4").astype(np.float32)).reshape(shape)


def _read_mxnet(path: Path) -> WeightFile:
    with path.open("rb") as file:
        size = path.stat().st_size
        reader = _Bytes(file, size)
        reader.take("<QQ")
        arrays = [_mxnet_array(reader) for _ in range(reader.count(4))]
        names = []
        for _ in range(reader.count(8)):
            length = reader.count(1)
            if length > _LONGEST_NAME:
                raise MalformedError(f"a name of {length} bytes")
            names.append(reader.read(length).decode("utf-8", "replace"))
    if len(names) != len(arrays) or len(set(names)) != len(names):
        raise MalformedError(f"{len(arrays)} arrays and {len(set(names))} names")
    return WeightFile("MXNet parameters", dict(zip(names, arrays, strict=True)))


class _Bytes:
    """Reads numbers and arrays, never beyond the end of the file."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.size = file, size

    def read(self, length: int) -> bytes:
        if length > self.size - self.file.tell():
            raise MalformedError("it ends too early")
        return self.file.read(length)

    def take(self, layout: str) -> tuple[int, ...]:
        return struct.unpack(layout, self.read(struct.calcsize(layout)))

    def count(self, least: int) -> int:
        """Read the number of following entries, of at least ``least`` bytes each."""
        (number,) = self.take("<Q")
        if number * least > self.size - self.file.tell():
            raise MalformedError(f"it promises {number} entries and ends too early")
        return number


def _mxnet_array(reader: _Bytes) -> Tensor:
    """Read one array in any of its three forms."""
    (first,) = reader.take("<I")
    wide = first in (_MXNET_V1, _MXNET_V2)
    if first == _MXNET_V2 and reader.take("<i") != (0,):
        raise MalformedError("a sparse array")
    dimensions = reader.take("<I")[0] if wide else first
    if not 0 < dimensions <= _MOST_DIMENSIONS:
        raise MalformedError(f"an array of {dimensions} dimensions")
    shape = reader.take(f"<{dimensions}{'q' if wide else 'I'}")
    _, _, kind = reader.take("<iii")
    if kind not in _MXNET_TYPES or min(shape) < 0 or max(shape) > reader.size:
        raise MalformedError(f"an array of type {kind} and shape {list(shape)}")
    dtype = np.dtype(_MXNET_TYPES[kind]).newbyteorder("<")
    data = np.frombuffer(reader.read(math.prod(shape) * dtype.itemsize), dtype)
    return torch.from_numpy(data.astype(dtype.newbyteorder("="))).reshape(shape)
