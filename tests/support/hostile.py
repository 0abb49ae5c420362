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
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from affinitynet.cli import main
from tests.support.bad_files import (
    EPS,
    LAUGHS,
    OBJECT,
    TIFF_LOOP,
    TRUTH,
    TWO_FRAMES,
    add_rows,
    annotation,
    bomb,
    coloured,
    deep_png,
    deep_tiff,
    good_folder,
    image,
    linked,
    mask,
    nested,
    odd_name,
    picture,
    png,
    replaced,
    sheet,
    sparse,
    text,
    tiff_bomb,
    transparent,
    wide,
    workbook,
    write_rows,
)
from tests.support.deep import png_chunk, tiff
from tests.support.worlds import tiny_voc

GOES_ON, STOPS, READ = "skipped, the rest continues", "stops", "read"
CODES = {GOES_ON: 3, STOPS: 2, READ: 0}
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
