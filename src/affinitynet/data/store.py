"""The work folder: artifacts that are whole or absent, and a record of which settings made them."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import struct
import tempfile
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from filelock import FileLock, Timeout
from PIL import Image
from safetensors.torch import save as safetensors_bytes
from torch import Tensor

from affinitynet.data.layout import LeftOut
from affinitynet.types import InputError

LARGEST_ARRAYS = 2**32  # bytes in one file; the walk of 254 classes takes a tenth of it
UNFINISHED = ".writing-"  # how names of files begin that are being written


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
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):  # a full disk does not say where
            error.filename = error.filename or str(path)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically."""
    with atomic_file(path) as file:
        file.write(text.encode(errors="surrogateescape"))  # names of files need not be UTF-8


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically; NaN becomes null."""
    write_text(path, json.dumps(_without_nan(value), indent=2) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file of a work folder.

    Raises:
        InputError: it is not readable.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); delete it and run again") from None


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and value != value else value


def save_left_out(path: Path, left_out: Iterable[LeftOut]) -> None:
    """Write what was left out as a table: name, part, reason."""
    text = io.StringIO()
    rows = ((left.name, left.part, left.reason) for left in left_out)
    csv.writer(text).writerows([("name", "part", "reason"), *rows])
    write_text(path, text.getvalue())


TORN = (
    *(OSError, ValueError, EOFError, KeyError, TypeError, AttributeError, MemoryError, OverflowError),
    *(RuntimeError, SyntaxError, struct.error, zlib.error, tokenize.TokenError, zipfile.BadZipFile),
)
"""What numpy raises on arrays that were damaged."""


def save_arrays(path: Path, **arrays: np.ndarray) -> None:
    """Write named arrays to a compressed ``.npz`` that ``numpy.load`` reads, atomically.

    Compression level 1: score maps shrink almost as far as at level 6, several times faster.
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
        InputError: the file is missing or torn.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            size = sum(member.file_size for member in archive.zip.infolist())
            if size > LARGEST_ARRAYS:
                raise ValueError(f"it unpacks to {size:,} bytes")
            return {name: archive[name] for name in archive.files}
    except TORN as error:
        raise InputError(f"{path}: cannot be read ({error}); delete it and run its stage again") from None


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


def save_weights(path: Path, state: dict[str, Tensor], settings: dict) -> None:
    """Write a state dict with the settings of its network in the metadata, atomically."""
    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in state.items()}
    with atomic_file(path) as file:
        file.write(safetensors_bytes(tensors, {"affinitynet": json.dumps(settings)}))


class WorkFolder:
    """Where the artifacts of one configuration lie, and the record of its stages.

    Args:
        root: the folder; made on the first write.

    Example:
        >>> WorkFolder(Path("work")).artifact("cams", "beach/dog")
        PosixPath('work/cams/beach/dog.npz')
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def config_file(self) -> Path:
        return self.root / "config.yaml"

    @property
    def metrics_file(self) -> Path:
        return self.root / "metrics.json"

    @property
    def left_out_file(self) -> Path:
        return self.root / "left_out.csv"

    def artifact(self, kind: str, name: str) -> Path:
        """Return the path of an image's ``cams``, ``seeds``, ``walks``, ``masks`` or ``segmented``."""
        return self.root / kind / f"{name}{'.png' if kind in ('masks', 'segmented') else '.npz'}"

    def weights(self, network: str) -> Path:
        """Return the path of the ``classifier``, ``affinity`` or ``segmenter`` weights."""
        return self.root / f"{network}.safetensors"

    def checkpoint(self, network: str) -> Path:
        """Return the path of an unfinished training's state."""
        return self.root / f"{network}.checkpoint.safetensors"

    def losses(self, network: str) -> Path:
        """Return the path of a training's loss table."""
        return self.root / "losses" / f"{network}.csv"

    def records(self) -> dict[str, dict]:
        """Return what is known of each started stage: fingerprint, finished, seconds, images ..."""
        path = self.root / "stages.json"
        return read_json(path) if path.exists() else {}

    def left_out(self) -> tuple[LeftOut, ...]:
        """Return what ``check-data`` left out, from ``left_out.csv``.

        Raises:
            InputError: the file was torn or changed to something else.
        """
        if not self.left_out_file.exists():
            return ()
        try:
            rows = list(csv.DictReader(self.left_out_file.read_text("utf-8", "surrogateescape").splitlines()))
            return tuple(LeftOut(row["name"], row["part"], row["reason"]) for row in rows)  # type: ignore[arg-type]
        except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
            raise InputError(f"{self.left_out_file}: cannot be read ({error}); delete it and run again") from None

    def record(self, stage: str, **facts: Any) -> None:
        """Add facts to a stage's record."""
        records = self.records()
        records[stage] = {**records.get(stage, {}), **facts}
        write_json(self.root / "stages.json", records)

    def forget(self, stage: str, outputs: tuple[str, ...]) -> None:
        """Delete a stage's record and its outputs (paths below the folder)."""
        records = self.records()
        if records.pop(stage, None) is not None:
            write_json(self.root / "stages.json", records)
        for output in outputs:
            path = self.root / output
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def sweep(self, outputs: tuple[str, ...]) -> None:
        """Delete what a killed run left half written in the folder itself and in ``outputs`` (paths below it)."""
        for output in outputs:
            for left in (self.root / output).rglob(f"{UNFINISHED}*"):
                left.unlink(missing_ok=True)
        for left in self.root.glob(f"{UNFINISHED}*"):
            left.unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs out of the folder meanwhile; a killed run leaves it open.

        Storage that knows no locks is taken as it is.

        Raises:
            InputError: another run is at work in it.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.root / ".lock", timeout=0)
        with suppress(NotImplementedError):
            try:
                lock.acquire()
            except Timeout:
                raise InputError(
                    f"--work {self.root}: another run is at work in it; wait for that one, or name another --work"
                ) from None
        try:
            yield
        finally:
            lock.release()

    def check_is_ours(self) -> None:
        """Refuse a folder that holds something else.

        Raises:
            InputError: it is a file, or a folder with other people's files in it.
        """
        if self.root.exists() and not self.root.is_dir():
            raise InputError(f"--work {self.root}: is a file; name a folder")
        if self.root.is_dir() and any(self.root.iterdir()) and not self.config_file.exists():
            raise InputError(
                f"--work {self.root}: holds files but no config.yaml, so it is not a work folder; name a new one"
            )
