"""Files as nobody should send them: what is wrong with each, and how a run has to end.

    python -m tests.support.hostile      prints how each ended, as the table of docs/reliability.md

``test_hostile.py`` checks them all.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import struct
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from openpyxl import Workbook
from PIL import Image

from affinitynet.cli import main
from tests.support.deep import png16, png_chunk, tiff, with_tag
from tests.support.worlds import tiny_voc

GOES_ON, STOPS, READ = "skipped, the rest continues", "stops", "read"
CODES = {GOES_ON: 3, STOPS: 2, READ: 0}
TRUTH = "masks/a.png"
GIGABYTE = 10**9


@dataclass(frozen=True)
class Case:
    """One bad input.

    Args:
        name: what is wrong, in words.
        spoil: makes a good data folder bad.
        end: how a run has to end.
        says: what its line has to name.
        voc: whether the folder is a VOC devkit.
    """

    name: str
    spoil: Callable[[Path], object]
    end: str
    says: str = ""
    voc: bool = False


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

CASES = [
    Case("image: empty file", image(b""), GOES_ON, "f.png"),
    Case("image: text", image(b"hello"), GOES_ON, "f.png"),
    Case("image: random bytes", image(lambda: np.random.default_rng(1).bytes(5000)), GOES_ON, "f.png"),
    Case("image: PNG cut off", image(lambda: picture()[:900]), GOES_ON, "f.png"),
    Case(
        "image: PNG with a flipped byte",
        image(lambda: picture()[:800] + b"\xff\xff" + picture()[802:]),
        GOES_ON,
        "f.png",
    ),
    Case("image: JPEG cut off", image(lambda: picture(form="JPEG", size=(200, 150))[:3000], "f.jpg"), GOES_ON, "f.jpg"),
    Case("image: JPEG header alone", image(b"\xff\xd8\xff\xe0\0\x10JFIF\0", "f.jpg"), GOES_ON, "f.jpg"),
    Case("image: WebP cut off", image(lambda: picture(form="WEBP")[:200], "f.webp"), GOES_ON, "f.webp"),
    Case("image: TIFF whose directory is a loop", image(TIFF_LOOP, "f.tif"), GOES_ON, "f.tif"),
    Case("image: GIF without a frame", image(b"GIF89a\x28\0\x20\0\0\0\0;", "f.gif"), GOES_ON, "f.gif"),
    Case(
        "image: BMP of negative width",
        image(b"BM" + struct.pack("<IHHIIiiHH", 99, 0, 0, 54, 40, -4, 4, 1, 24), "f.bmp"),
        GOES_ON,
        "f.bmp",
    ),
    Case("image: 60,000 x 60,000 in the header", image(png(60_000, 60_000, b"")), GOES_ON, "pixels"),
    Case("image: bomb of 196 megapixels", image(lambda: bomb(14_000)), GOES_ON, "pixels"),
    Case(
        "image: bomb in a text chunk",
        image(lambda: png(40, 32, bytes(41 * 32), png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10**8))))),
        GOES_ON,
        "f.png",
    ),
    Case("image: PostScript under the name of a PNG", image(EPS), GOES_ON, "not a readable image"),
    Case("image: SVG under the name of a PNG", image(b'<svg xmlns="http://www.w3.org/2000/svg"/>'), GOES_ON, "f.png"),
    Case(
        "image: a folder of that name",
        replaced(Path.mkdir),
        GOES_ON,
        "f.png",
    ),
    Case("image: link to nothing", linked("absent.png"), GOES_ON, "f.png"),
    Case("image: link to itself", linked("f.png"), GOES_ON, "f.png"),
    Case("image: a named pipe", replaced(os.mkfifo), GOES_ON, "f.png"),
    Case("image: link to a device without end", linked("/dev/zero"), GOES_ON, "f.png"),
    Case("image: JPEG under the name of a PNG", image(lambda: picture(form="JPEG")), READ),
    Case("image: CMYK", image(lambda: picture("CMYK", form="JPEG"), "f.jpg"), READ),
    Case("image: animated GIF", image(lambda: picture(form="GIF", **TWO_FRAMES), "f.gif"), READ),
    Case("image: animated WebP", image(lambda: picture(form="WEBP", **TWO_FRAMES), "f.webp"), READ),
    Case("image: JPEG 2000 cut off", image(lambda: picture(form="JPEG2000")[:300], "f.jp2"), GOES_ON, "f.jp2"),
    Case("image: PGM of more pixels than it holds", image(b"P5\n9000 9000\n255\nabc", "f.pgm"), GOES_ON, "f.pgm"),
    Case("image: PGM of 10 gigapixels in the header", image(b"P5\n99999 99999\n255\n", "f.pgm"), GOES_ON, "pixels"),
    Case("image: HEIC header alone", image(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "f.jpg"), GOES_ON, "f.jpg"),
    Case("image: AVIF header alone", image(b"\0\0\0\x18ftypavif\0\0\0\0mif1avif", "f.jpg"), GOES_ON, "f.jpg"),
    Case("image: DICOM header alone", image(bytes(128) + b"DICM", "f.jpg"), GOES_ON, "f.jpg"),
    Case("image: TIFF of 6 bands cut off", image(lambda: deep_tiff()[:300], "f.tif"), GOES_ON, "f.tif"),
    Case(
        "image: TIFF of 65,535 x 65,535 floats in the header", image(lambda: wide(deep_tiff()), "f.tif"), GOES_ON, "GB"
    ),
    Case("image: TIFF that unpacks to a gigabyte", image(tiff_bomb, "f.tif"), GOES_ON, "unpacks to more"),
    Case("image: TIFF of complex numbers", image(lambda: deep_tiff(complex), "f.tif"), GOES_ON, "no picture has"),
    Case("image: PNG of 16-bit colours cut off", image(lambda: deep_png()[:900]), GOES_ON, "f.png"),
    Case("image: 12 bit, 6 bands", image(lambda: deep_tiff(np.uint16), "f.tif"), READ),
    Case("image: NaN and infinity alone", image(lambda: tiff(np.full((32, 40), np.nan)), "f.tif"), READ),
    Case("image: link to the folder above", lambda root: (root / "up").symlink_to(root.parent), READ),
    Case("image: link of a folder to itself", lambda root: (root / "up").symlink_to(root / "up"), READ),
    Case("image: 16 bit", image(lambda: picture("I;16")), READ),
    Case("image: floats", image(lambda: picture("F", form="TIFF"), "f.tif"), READ),
    Case("image: transparent", image(lambda: picture("RGBA")), READ),
    Case(
        "image: wrong EXIF", image(lambda: picture(form="JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"), "f.jpg"), READ
    ),
    Case("image: name of no UTF-8", odd_name, READ),
    Case("mask: another size", mask(lambda: picture("L", (9, 9))), GOES_ON, "9 x 9"),
    Case("mask: colours", mask(coloured), GOES_ON, "8-bit"),
    Case("mask: 16 bit", mask(deep_png), GOES_ON, "8-bit"),
    Case("mask: JPEG", mask(lambda: picture("L", form="JPEG")), GOES_ON, "a JPEG changes"),
    Case("mask: transparent", mask(transparent), GOES_ON, "transparent"),
    Case("mask: values that are no class", mask(lambda: png(40, 32, bytes([0, *[7] * 40]) * 32)), GOES_ON, "value 7"),
    Case("mask: cut off", mask(lambda: picture("L")[:300]), GOES_ON, TRUTH),
    Case("mask: bomb", mask(lambda: bomb(14_000)), GOES_ON, "pixels"),
    Case("tags: empty file", text("tags.csv", ""), STOPS, "the header"),
    Case("tags: header alone", text("tags.csv", "file,tags\n"), STOPS, "no image has any tag"),
    Case("tags: other columns", text("tags.csv", "thing,meaning\na.png,cat\n"), STOPS, "write file,tags"),
    Case("tags: a column twice", text("tags.csv", "file,cat,cat\na.png,1,0\n"), STOPS, "repeated column"),
    Case("tags: Latin-1", text("tags.csv", "file,tags\na.png,Müll\n".encode("latin-1")), READ),
    Case("tags: UTF-16", text("tags.csv", "file,tags\na.png,cat\n".encode("utf-16")), READ),
    Case("tags: UTF-16 cut off", text("tags.csv", "file,tags\na.png,cat\n".encode("utf-16")[:-1]), STOPS, "UTF-8"),
    Case("tags: quote never closed", lambda root: add_rows(root, 'x.png,"cat'), STOPS, "not a readable table"),
    Case(
        "tags: a cell of a megabyte", lambda root: add_rows(root, f"x.png,{'c' * 10**6}"), STOPS, "not a readable table"
    ),
    Case("tags: NUL bytes", lambda root: add_rows(root, "x\0.png,cat"), GOES_ON, "tags.csv:8"),
    Case("tags: a gigabyte", sparse("tags.csv", GIGABYTE), STOPS, "divide the collection"),
    Case(
        "tags: 300 classes",
        lambda root: write_rows(root, "a.png," + ";".join(map(str, range(300)))),
        STOPS,
        "300 classes",
    ),
    Case("tags: no tag at all", lambda root: write_rows(root, "a.png,"), STOPS, "no image has any tag"),
    Case("tags: a row twice", lambda root: add_rows(root, "a.png,cat"), READ),
    Case("tags: a row with and one without tags", lambda root: add_rows(root, "a.png,"), GOES_ON, "already has a row"),
    Case("tags: absent image", lambda root: add_rows(root, "absent.png,dog"), GOES_ON, "no image"),
    Case("tags: a cell too many", lambda root: add_rows(root, "a.png,dog,7"), GOES_ON, "3 cells"),
    Case("tags: name above the folder", lambda root: add_rows(root, "../secret.png,dog"), GOES_ON, "leads outside"),
    Case("tags: absolute name", lambda root: add_rows(root, "/etc/passwd,dog"), GOES_ON, "leads outside"),
    Case("tags: name on another drive", lambda root: add_rows(root, r"C:\secret.png,dog"), GOES_ON, "leads outside"),
    Case(
        "tags: 0/1 cell of another value",
        lambda root: write_rows(root, "a.png,1,0", "b.png,0,1", "c.png,1,1", "d.png,maybe,0", header="file,cat,dog"),
        GOES_ON,
        "'maybe'",
    ),
    Case(
        "tags: formula cell", lambda root: write_rows(root, "a.png,=cmd|'/c calc'!A1", "b.png,dog", "c.png,dog"), READ
    ),
    Case(
        "tags: byte order mark, CR LF, quotes",
        text("tags.csv", '\ufefffile,tags\r\n"a.png","cat"\r\n"b.png","dog"\r\n'),
        READ,
    ),
    Case("tags.xlsx: an absent image", text("tags.xlsx", workbook(["absent.png", "cat"])), GOES_ON, "tags.xlsx:4"),
    Case("tags.xlsx: cut off", text("tags.xlsx", workbook()[:-900]), STOPS, "not a readable workbook"),
    Case("tags.xlsx: CSV of that name", text("tags.xlsx", "file,tags\na.png,cat\n"), STOPS, "not an .xlsx workbook"),
    Case("tags.xlsx: a bomb", sheet(b"</sheetData>", b"</sheetData>" + b" " * 2**27), STOPS, "unpacks to"),
    Case("tags.xlsx: a row far away", sheet(b'<row r="3"', b'<row r="99999999999"'), STOPS, "has no end"),
    Case(
        "tags.xlsx: a billion laughs",
        sheet(b"<worksheet", f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]><worksheet'.encode()),
        STOPS,
        "not a readable workbook",
    ),
    Case("tags.json: cut off", text("tags.json", '{"a.png": ["cat"'), STOPS, "not readable JSON"),
    Case("tags.json: nested a hundred thousand deep", text("tags.json", "[" * 100_000), STOPS, "not readable JSON"),
    Case("tags.json: another shape", text("tags.json", '["a.png"]'), STOPS, "is not a list of tags"),
    Case(
        "tags.json: one entry of another shape",
        text("tags.json", '{"a.png": ["cat"], "b.png": ["dog"], "c.png": {"x": 7}}'),
        GOES_ON,
        "'c.png'",
    ),
    Case("splits: absent image", text("splits/train.txt", "a.png\nb.png\nzzz\n"), GOES_ON, "'zzz'"),
    Case(
        "splits: name above the folder", text("splits/train.txt", "a.png\nb.png\n../../zzz\n"), GOES_ON, "leads outside"
    ),
    Case("classes.txt: a class twice", text("classes.txt", "cat\ncat\n"), STOPS, "names a class twice"),
    Case("classes.txt: lacks a tag's class", text("classes.txt", "cat\n"), STOPS, "'dog'"),
    Case(
        "VOC: list with a name above the folder",
        text("ImageSets/Segmentation/train_aug.txt", "2007_1\n2007_2\n2007_3\n../../secret\n"),
        GOES_ON,
        "leads outside",
        voc=True,
    ),
    Case(
        "VOC: absent image",
        text("ImageSets/Segmentation/train_aug.txt", "2007_1\n2007_2\n2007_3\n2007_9\n"),
        GOES_ON,
        "2007_9.jpg",
        voc=True,
    ),
    Case("VOC: unused list of absent images", text("ImageSets/Segmentation/val.txt", "2007_9\n"), READ, voc=True),
    Case("VOC: unused list of random bytes", text("ImageSets/Segmentation/val.txt", b"\xff\xfe\0x"), READ, voc=True),
    Case("VOC: annotation cut off", annotation("<annotation><object>"), GOES_ON, "2007_2.xml", voc=True),
    Case(
        "VOC: annotation with an entity",
        annotation('<!DOCTYPE a [<!ENTITY b "c">]>' + OBJECT.format("&b;")),
        GOES_ON,
        "2007_2.xml",
        voc=True,
    ),
    Case(
        "VOC: annotation of a billion laughs",
        annotation(f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]>' + OBJECT.format("&l9;")),
        GOES_ON,
        "2007_2.xml",
        voc=True,
    ),
    Case(
        "VOC: annotation that includes /etc/passwd",
        annotation('<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>' + OBJECT.format("&b;")),
        GOES_ON,
        "2007_2.xml",
        voc=True,
    ),
    Case("VOC: annotation nested 200,000 deep", nested, GOES_ON, "2007_2.xml", voc=True),
    Case("VOC: unknown class", annotation(OBJECT.format("unicorn")), GOES_ON, "value 12", voc=True),
]


@dataclass(frozen=True)
class Ended:
    """How a run on a bad input ended: exit code and the last lines it wrote to stderr."""

    code: int
    lines: str


def check(case: Case, root: Path) -> Ended:
    """Spoil a good folder and let the command look at it."""
    data = tiny_voc(root / "data") if case.voc else good_folder(root / "data")
    case.spoil(data)
    errors = io.StringIO()
    arguments = ["check-data", "--data", str(data), "--work", str(root / "work"), "--workers", "1"]
    with contextlib.redirect_stderr(errors):
        code = main(arguments)
    return Ended(code, errors.getvalue())


def print_table(cases: Sequence[Case]) -> int:
    """Print how each case ended; return how many ended otherwise than they should."""
    print("| input | ends | what is said |\n|---|---|---|")
    failures = 0
    for case in cases:
        with tempfile.TemporaryDirectory() as folder:
            ended = check(case, Path(folder))
            named = [line for line in ended.lines.splitlines() if line.startswith("affinitynet: ")]
            said = named[0].removeprefix("affinitynet: ").replace(f"{folder}/data", "DATA") if named else ""
        failures += ended.code != CODES[case.end]
        print(f"| {case.name} | {case.end} ({ended.code}) | {said.replace('|', '&#124;')} |")
    print(f"\n{len(cases)} kinds, {failures} ended otherwise than they should", file=sys.stderr)
    return failures


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    raise SystemExit(bool(print_table(CASES)))
