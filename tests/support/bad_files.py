"""What makes a good data folder bad: damaged pictures, bombs, tables and lists that are not what they should be."""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from openpyxl import Workbook
from PIL import Image

from tests.support.deep import png16, png_chunk, tiff, with_tag

TRUTH = "masks/a.png"


def good_folder(root: Path) -> Path:
    """Write five good pictures, tags, a mask and a place for a bad picture ``f.png``."""
    (root / "masks").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in "abcdef":
        Image.fromarray(rng.integers(0, 256, (32, 40, 3), np.uint8)).save(root / f"{name}.png")
        Image.new("L", (40, 32), 1).save(root / "masks" / f"{name}.png")
    write_rows(root, *(f"{name}.png,{tag}" for name, tag in zip("abcdef", ["cat", "dog"] * 3, strict=True)))
    return root


def write_rows(root: Path, *rows: str, header: str = "file,tags") -> None:
    (root / "tags.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


def add_rows(root: Path, *rows: str) -> None:
    with (root / "tags.csv").open("a", encoding="utf-8") as file:
        file.write("\n".join(rows) + "\n")


def picture(mode: str = "RGB", size: tuple[int, int] = (40, 32), form: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    noise = Image.effect_noise(size, 80)
    (noise if mode == "L" else noise.convert(mode)).save(file, form, **options)
    return file.getvalue()


def coloured() -> bytes:
    return picture_of(np.random.default_rng(0).integers(0, 256, (32, 40, 3), np.uint8))


def transparent() -> bytes:
    return picture_of(np.full((32, 40, 4), 7, np.uint8))


def picture_of(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return file.getvalue()


def deep_png() -> bytes:
    return png16(np.random.default_rng(0).integers(0, 60_000, (32, 40, 3)).astype(np.uint16))


def deep_tiff(kind: type = float) -> bytes:
    return tiff((np.arange(32 * 40 * 6).reshape(32, 40, 6) % 4096).astype(kind))


def wide(content: bytes) -> bytes:
    return with_tag(with_tag(content, 256, 65_535), 257, 65_535)


def tiff_bomb() -> bytes:
    """Return a TIFF of 40 x 1 pixels whose only strip unpacks to a gigabyte."""
    packed = zlib.compressobj(9)
    start, block = (packed.compress(bytes(2**20)) + packed.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    strip = start + 1000 * block
    content = tiff(np.zeros((1, 40, 6), np.uint16), compression="zlib")
    return with_tag(with_tag(content, 273, len(content)), 279, len(strip)) + strip


def png(width: int, height: int, rows: bytes, *chunks: bytes) -> bytes:
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    body = png_chunk(b"IDAT", zlib.compress(rows, 9))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + body + png_chunk(b"IEND", b"")


def bomb(side: int) -> bytes:
    """Return a PNG of a few hundred kB that unpacks to ``side`` x ``side`` pixels."""
    return png(side, side, bytes((side + 1) * side))


def image(content: bytes | Callable[[], bytes], name: str = "f.png") -> Callable[[Path], object]:
    """Put content in the place of the sixth picture, under another name if need be."""

    def spoil(root: Path) -> None:
        (root / "f.png").unlink()
        (root / name).write_bytes(content() if callable(content) else content)
        rows = (root / "tags.csv").read_text(encoding="utf-8").replace("f.png", name)
        (root / "tags.csv").write_text(rows, encoding="utf-8")

    return spoil


def mask(content: Callable[[], bytes]) -> Callable[[Path], object]:
    return lambda root: (root / TRUTH).write_bytes(content())


def text(name: str, content: str | bytes) -> Callable[[Path], object]:
    """Write a file, ``tags.json`` in the place of the table."""

    def spoil(root: Path) -> None:
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        if name in ("tags.json", "tags.xlsx"):
            (root / "tags.csv").unlink()

    return spoil


def workbook(*rows: list[str]) -> bytes:
    book, file = Workbook(), io.BytesIO()
    for row in (["file", "tags"], ["a.png", "cat"], ["b.png", "dog"], *rows):
        book.worksheets[0].append(row)
    book.save(file)
    return file.getvalue()


def sheet(old: bytes, new: bytes) -> Callable[[Path], object]:
    """Put a workbook in the place of the table, with something in its worksheet replaced."""

    def spoil(root: Path) -> None:
        made = io.BytesIO()
        before = zipfile.ZipFile(io.BytesIO(workbook()))
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as after:
            for name in before.namelist():
                content = before.read(name)
                after.writestr(name, content.replace(old, new) if "worksheets" in name else content)
        text("tags.xlsx", made.getvalue())(root)

    return spoil


def annotation(content: str) -> Callable[[Path], object]:
    return lambda root: (root / "Annotations" / "2007_2.xml").write_text(content, encoding="utf-8")


def sparse(name: str, size: int) -> Callable[[Path], object]:
    """Make a file that is large, but only to look at."""

    def spoil(root: Path) -> None:
        with (root / name).open("r+b") as file:
            file.truncate(size)

    return spoil


def replaced(make: Callable[[Path], None]) -> Callable[[Path], None]:
    """Put something else that is no file in an image's place."""

    def spoil(root: Path) -> None:
        (root / "f.png").unlink()
        make(root / "f.png")

    return spoil


def linked(target: str) -> Callable[[Path], object]:
    def spoil(root: Path) -> None:
        (root / "f.png").unlink()
        (root / "f.png").symlink_to(target)

    return spoil


def nested(root: Path) -> None:
    deep = "<a>" * 200_000
    (root / "Annotations" / "2007_2.xml").write_text(deep, encoding="utf-8")


def odd_name(root: Path) -> None:
    (root / "f.png").rename(root / os.fsdecode(b"\xff\xfe.png"))
    rows = (root / "tags.csv").read_text(encoding="utf-8").replace("f.png,dog\n", "")
    (root / "tags.csv").write_text(rows, encoding="utf-8")


LAUGHS = "".join(f'<!ENTITY l{i + 1} "{f"&l{i};" * 10}">' for i in range(9))
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 32\n%%EndComments\n(/etc/passwd) (r) file\nshowpage\n"
OBJECT = "<annotation><object><name>{}</name></object></annotation>"
TIFF_LOOP = b"II*\0\x08\0\0\0\x01\0\0\x01\x03\0\x01\0\0\0\x01\0\0\0\x08\0\0\0"  # its directory names itself as the next
TWO_FRAMES: dict[str, Any] = {"save_all": True, "append_images": [Image.new("RGB", (40, 32), "red")]}
