"""Text, tables, arrays, masks and weights on disk: each file is written atomically, and nothing is unpickled."""

from __future__ import annotations

import errno
import json
import os
import shutil
import struct
import tempfile
import time
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from affinitynet.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

LARGEST_ARRAYS = 2**32  # bytes in one file; the walk of 254 classes takes a tenth of it
REMAKE = "delete it and run the command of its stage again, which makes what is missing"
"""What helps against a damaged artifact."""

UNFINISHED = ".writing-"  # prefix of files that are being written
LOCK = ".lock"  # of a folder that one run at a time may use
PAUSES = (0.05, 0.2, 0.5)  # seconds to wait for a file that another program holds
_HELD = {errno.EACCES, errno.EBUSY}
_NO_REPLACING = {errno.EEXIST, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a binary file that appears under ``path`` only once it is complete.

    Example:
        >>> folder = Path(tempfile.mkdtemp())
        >>> with atomic_file(folder / "a" / "b.txt") as file:
        ...     _ = file.write(b"whole")
        >>> (folder / "a" / "b.txt").read_bytes(), len(list((folder / "a").iterdir()))
        (b'whole', 1)
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=UNFINISHED)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        umask = os.umask(0)
        os.umask(umask)
        with suppress(OSError):  # Windows shares, exFAT and cloud mounts know no permissions
            Path(temporary).chmod(0o666 & ~umask)
        _put_in_place(Path(temporary), path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):  # the error of a full disk names no file
            error.filename = error.filename or str(path)
        raise


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give a folder to write to, which appears as ``path`` only once the block is left without an error.

    Args:
        path: does not exist yet, or is an empty folder.

    Example:
        >>> folder = Path(tempfile.mkdtemp())
        >>> with atomic_folder(folder / "a") as unfinished:
        ...     _ = (unfinished / "b.txt").write_text("whole")
        >>> [item.name for item in folder.iterdir()], (folder / "a" / "b.txt").read_text()
        (['a'], 'whole')
    """
    exists = path.is_dir()
    unfinished = path / UNFINISHED if exists else path.with_name(f"{UNFINISHED}{path.name}")
    shutil.rmtree(unfinished, ignore_errors=True)  # of a killed run
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        if exists:  # perhaps the root of a drive or somebody's current folder, which has to stay
            for item in list(unfinished.iterdir()):
                _put_in_place(item, path / item.name)
        else:
            _put_in_place(unfinished, path)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _put_in_place(temporary: Path, path: Path) -> None:
    """Give a finished file or folder its name.

    Some network and FUSE drives do not rename over a file that exists: there it is deleted first. On others a virus
    scanner or a cloud's client holds a file for a moment.
    """
    for pause in (*PAUSES, None):
        try:
            temporary.replace(path)
            return
        except OSError as error:
            if error.errno in _NO_REPLACING and path.is_file():
                path.unlink()
                temporary.rename(path)
                return
            if error.errno not in _HELD or pause is None:
                raise
            time.sleep(pause)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically."""
    with atomic_file(path) as file:
        file.write(text.encode(errors="surrogateescape"))  # file names need not be UTF-8


def write_json(path: Path, value: Any, indent: int | None = 2) -> None:
    """Write a JSON file atomically; NaN becomes null."""
    write_text(path, json.dumps(_without_nan(value), indent=indent) + "\n")


def read_json(path: Path, cure: str = "delete it and run again") -> Any:
    """Read a JSON file of a work folder.

    Args:
        cure: how to fix a damaged one.

    Raises:
        InputError: it is not readable.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); {cure}") from None


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and value != value else value


TORN = (
    *(OSError, ValueError, EOFError, KeyError, TypeError, AttributeError, MemoryError, OverflowError),
    *(RuntimeError, SyntaxError, struct.error, zlib.error, tokenize.TokenError, zipfile.BadZipFile),
)
"""What numpy raises on damaged arrays."""


def save_arrays(path: Path, **arrays: np.ndarray) -> None:
    """Write named arrays to a compressed ``.npz`` that ``numpy.load`` reads, atomically.

    Compression level 1: score maps shrink almost as much as at level 6, several times faster.
    """
    with (
        atomic_file(path) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read the arrays of a ``.npz``; never unpickles.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            size = sum(member.file_size for member in archive.zip.infolist())
            if size > LARGEST_ARRAYS:
                raise ValueError(f"it unpacks to {size:,} bytes")
            return {name: archive[name] for name in archive.files}
    except TORN as error:
        raise InputError(f"{path}: cannot be read ({error}); {REMAKE}") from None


def voc_palette() -> list[int]:
    """Return the colours of PASCAL VOC's masks: 256 RGB triples in a row.

    Example:
        >>> voc_palette()[:9]
        [0, 0, 0, 128, 0, 0, 0, 128, 0]
    """
    return [
        sum((value >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(3))
        for value in range(256)
        for channel in range(3)
    ]


def save_mask(path: Path, mask: np.ndarray) -> None:
    """Write a mask uint8 [H, W] as an 8-bit palette PNG, atomically."""
    picture = Image.fromarray(np.ascontiguousarray(mask, np.uint8))
    picture.putpalette(voc_palette())
    with atomic_file(path) as file:
        picture.save(file, "PNG")


def read_label_image(path: Path) -> np.ndarray:
    """Read a mask that :func:`save_mask` wrote, uint8 [H, W].

    Raises:
        InputError: it is missing, damaged or not an 8-bit PNG.
    """
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            if picture.mode not in ("P", "L"):
                raise ValueError(f"its mode is {picture.mode}")
            return np.asarray(picture)
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise InputError(f"{path}: cannot be read ({error}); {REMAKE}") from None


def save_weights(path: Path, state: dict[str, Tensor], settings: dict) -> None:
    """Write a state dict with the settings of its network in the metadata, atomically."""
    from safetensors.torch import save as safetensors_bytes

    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in state.items()}
    with atomic_file(path) as file:
        file.write(safetensors_bytes(tensors, {"affinitynet": json.dumps(settings)}))
