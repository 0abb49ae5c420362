"""Labelled images with everything that other tools stumble over: names, kinds of files, and shapes of regions."""

import hashlib
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from affinitynet.records import TaggedImage
from affinitynet.runtime.progress import Progress
from affinitynet.tools.export.common import LabelledImages
from affinitynet.work.artifacts import MASKS, Artifacts

CLASSES = ("cup", "Größe: klein/groß", "null")
SIZE = (48, 64)  # H, W

STRANGE_NAMES = (
    *("a b", "Übung/ä ö", "cat", "night/cat", "cat.png", "photo.v1", "#1", "100%"),
    *("images/cat", "site 1/images/deep/cat", "train/cat", "test/deep/cat", "val/labels/cat", "night_cat"),
)
"""Blanks, umlauts, sub-folders, equal stems, and folders that mean something to a tool."""


def strange_mask(number: int) -> np.ndarray:
    """Draw one of several masks, uint8 [H, W]: holes, parts, nested classes, specks, lines, edges, nothing."""
    picture = Image.new("L", SIZE[::-1])
    pen = ImageDraw.Draw(picture)
    match number % 6:
        case 0:  # a ring with another class in its hole, which has a hole itself
            pen.ellipse((4, 4, 44, 44), fill=1)
            pen.ellipse((12, 12, 34, 34), fill=0)
            pen.ellipse((16, 16, 30, 30), fill=2)
            pen.rectangle((20, 20, 24, 24), fill=0)
        case 1:  # several parts, several holes, a speck and a line
            pen.rectangle((2, 2, 30, 20), fill=3)
            for x in range(5, 29, 6):
                pen.rectangle((x, 6, x + 2, 14), fill=0)
            pen.ellipse((36, 20, 60, 44), fill=3)
            pen.point((50, 4), fill=3)
            pen.line((4, 30, 20, 30), fill=3)
            pen.line((4, 34, 14, 44), fill=1)
        case 2:  # the whole image but for a hole
            pen.rectangle((0, 0, SIZE[1], SIZE[0]), fill=1)
            pen.polygon([(20, 10), (50, 20), (25, 40)], fill=0)
        case 3:  # noise, which touches itself at corners
            noisy = np.zeros(SIZE, np.uint8)
            noisy[10:26, 20:44] = 2 * (np.random.default_rng(number).random((16, 24)) > 0.4)
            return noisy
        case 4:  # at the edges
            pen.polygon([(0, 0), (30, 0), (0, 30)], fill=2)
            pen.polygon([(63, 47), (40, 47), (63, 20)], fill=1)
    return np.asarray(picture).copy()  # nothing: an image without an object


def sixteen_bit_colour(path: Path) -> None:
    """Write a PNG of 16 bits a channel, which Pillow cannot."""
    rows = np.random.default_rng(0).integers(0, 2**16, (*SIZE, 3)).astype(">u2").reshape(SIZE[0], -1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", SIZE[1], SIZE[0], 16, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(raw)), (b"IEND", b""))
    blocks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(blocks))


def strange_picture(path: Path, number: int) -> Path:
    """Write one of several kinds of image files at ``path`` (without suffix) and return its path."""
    digest = hashlib.sha256(path.name.encode()).digest()
    colours = np.random.default_rng(digest[0] + 256 * number).integers(0, 256, (*SIZE, 3), np.uint8)
    picture = Image.fromarray(colours)
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = (".jpg", ".png", "turned", "clear", "deep", "colour", ".bmp")[number % 7]
    target = path.with_name(
        path.name + {"turned": ".jpg", "clear": ".png", "deep": ".png", "colour": ".png"}.get(kind, kind)
    )
    if kind == "turned":
        exif = Image.Exif()
        exif[274] = 6
        picture.rotate(90, expand=True).save(target, exif=exif)
    elif kind == "clear":
        picture.putalpha(Image.new("L", picture.size, 128))
        picture.save(target)
    elif kind == "deep":
        Image.fromarray(colours[:, :, 0].astype(np.uint16) * 200).save(target)
    elif kind == "colour":
        sixteen_bit_colour(target)
    else:
        picture.save(target)
    return target


def strange_images(root: Path, splits: dict[str, slice] | None = None) -> LabelledImages:
    """Write pictures of strange names below ``root`` and return them with strange masks.

    Args:
        splits: split -> which of the images; by default a collection without splits.
    """
    masks = Artifacts(root / "work", MASKS)
    records = []
    for number, name in enumerate(STRANGE_NAMES):
        mask = strange_mask(number)
        masks.save(name, mask)
        tags = tuple(int(value) - 1 for value in np.unique(mask) if value)
        records.append(TaggedImage(name, strange_picture(root / "data" / name, number), tags))
    chosen = splits or {"all": slice(None)}
    return LabelledImages(CLASSES, {s: tuple(records[part]) for s, part in chosen.items()}, masks, Progress())


SPLITS = {"train": slice(0, 9), "val": slice(9, None)}
