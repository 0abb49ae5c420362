"""Good files of every kind that is read, small ones, for the fuzzer to damage."""

import io
import json
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from openpyxl import Workbook

from affinitynet.data.formats import reads_avif
from affinitynet.files import save_arrays
from affinitynet.records import Instances
from affinitynet.work.artifacts import INSTANCES, Artifacts
from tests.data.test_activation_maps import FORMS
from tests.models.test_weight_files import KINDS, small_file
from tests.support.bad_files import picture
from tests.support.deep import deep_pictures, dicom


def pictures() -> list[bytes]:
    small = (24, 16)
    return [
        *(picture(size=small, form=form) for form in ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")),
        *(picture(mode, small) for mode in ("L", "P", "RGBA", "I;16", "1")),
        picture("CMYK", small, "JPEG"),
        picture(size=small, form="TIFF", compression="tiff_lzw"),
        *(picture(size=small, form=form) for form in ("PPM", "JPEG2000")),
        *((picture(size=small, form="AVIF"),) if reads_avif() else ()),
        *deep_pictures(),
    ]


def masks() -> list[bytes]:
    return [*(picture(mode, (24, 16)) for mode in ("L", "P", "1", "I;16")), picture("RGB", (24, 16), "TIFF")]


def objects() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        kept: Artifacts[Instances] = Artifacts(Path(folder), INSTANCES)
        labels = np.zeros((16, 24), np.int32)
        labels[:4], labels[9:, :3] = 1, 2
        kept.save("a", Instances(labels, (0, 3), (0.25, 1.0)))
        return [kept.path("a").read_bytes()]


def dicoms() -> list[bytes]:
    return [dicom(np.arange(384).reshape(16, 24) * 10, RescaleSlope="2", RescaleIntercept="-1024")]


def arrays() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.npz"
        save_arrays(
            path, classes=np.array([1, 2]), scores=np.random.default_rng(0).random((2, 6, 8)).astype(np.float16)
        )
        return [path.read_bytes()]


def weights() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        return [small_file(Path(folder), kind).read_bytes() for kind in KINDS]


def maps_of_others(suffix: str) -> list[bytes]:
    return [content for ending, content in FORMS.values() if ending == suffix]


def annotations() -> list[bytes]:
    box = "<bndbox><xmin>3</xmin><ymin>1.5</ymin><xmax>20</xmax><ymax>14</ymax></bndbox>"
    inner = f"<object><name>dog</name><difficult>1</difficult>{box}</object><object><name>cat</name></object>"
    return [f"<?xml version='1.0'?>\n<annotation><size><width>9</width></size>{inner}</annotation>\n".encode()]


def tables() -> list[bytes]:
    """Tables in every form: delimiters, class columns, a row a tag, lists in cells, UTF-16."""
    rows = ["a.png,cat", 'b.png,"cat, dog"', "C.PNG,cat|dog", "./d.png,\"['cat', 'dog']\"", "x/e.jpg,dog", "f,"]
    counted = [f"{number},{row}" for number, row in enumerate(rows)]
    columns = ["a.png,1,0", "b.png,0,1", "c.png,1,1", "d.png,0,0"]
    return [
        "\n".join(["file,tags", *rows]).encode(),
        "\r\n".join(["sep=;", ",file,tags", *counted]).replace(",", ";").encode(),
        "\n".join(["file,cat,dog", *columns]).encode(),
        "\n".join(["file,cat,dog", *columns]).replace("1", "x").replace("0", "").encode(),
        "\n".join(["ImageID,LabelName,Confidence,split", "a,cat,1,train", "a,dog,0,train", "b,dog,1,val"]).encode(),
        "\n".join(["image,label", *rows]).encode("utf-16"),
    ]


def json_tables() -> list[bytes]:
    """Label Studio's two forms, records, and JSON lines."""
    result = [{"value": {"choices": ["cat"]}, "type": "choices"}]
    forms = [
        [
            {"image": "/data/upload/1/3f2a91bc-a.png", "choice": {"choices": ["cat", "dog"]}},
            {"image": "b", "choice": "cat"},
        ],
        [{"data": {"image": f"{name}.png"}, "annotations": [{"result": result}]} for name in "abc"],
        [{"file": "a.png", "cat": 1, "dog": 0}, {"file": "b.png", "cat": 0, "dog": True}],
    ]
    lines = "\n".join(json.dumps({"file_name": f"{name}.png", "labels": ["cat"]}) for name in "abc")
    return [*(json.dumps(form).encode() for form in forms), lines.encode()]


def workbook() -> bytes:
    """Return a workbook as Excel writes it, with its texts in a file of their own."""
    book, file = Workbook(), io.BytesIO()
    texts = ["file", "tags", "a.png", "cat", "b.png", "cat;dog", "c.png", ""]
    book.save(file)
    cells = "".join(
        f'<c r="{"AB"[number % 2]}{number // 2 + 1}" t="s"><v>{number}</v></c>{"</row><row>" * (number % 2)}'
        for number in range(len(texts))
    )
    main = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    sheet = f"<worksheet {main}><sheetData><row>{cells}</row></sheetData></worksheet>"
    strings = f"<sst {main}>{''.join(f'<si><t>{text}</t></si>' for text in texts)}</sst>"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
    (types,) = of_workbook(file.getvalue(), "[Content_Types].xml")
    types = types.replace(
        b"</Types>", f'<Override PartName="/xl/sharedStrings.xml" ContentType="{kind}"/></Types>'.encode()
    )
    made = repacked(file.getvalue(), "xl/worksheets/sheet1.xml", sheet.encode())
    packed = io.BytesIO(repacked(made, "[Content_Types].xml", types))
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("xl/sharedStrings.xml", strings)
    return packed.getvalue()


def repacked(book: bytes, name: str, content: bytes) -> bytes:
    """Return a workbook with another content of one of its files."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(book)) as old, zipfile.ZipFile(file, "w") as new:
        for item in old.namelist():
            new.writestr(item, content if item == name else old.read(item))
    return file.getvalue()


def of_workbook(book: bytes, name: str) -> list[bytes]:
    with zipfile.ZipFile(io.BytesIO(book)) as archive:
        return [archive.read(name)]


def reviewed() -> list[bytes]:
    """Return what the review keeps of an image."""
    action = {"kind": "brush", "class": "cat", "points": [[1, 2], [3, 4]], "radius": 2}
    steps = [{"action": action, "tags": ["cat", "dog"], "verdict": "corrected"}]
    history = {"before": ["cat"], "steps": steps, "done": 1, "version": 3}
    return [json.dumps({"verdict": "corrected", "tags": ["cat", "dog"], "history": history}).encode()]


def requests() -> list[bytes]:
    """Return what a browser asks of the review."""
    actions = (
        {"kind": "click", "class": None, "points": [[1, 2], [3, 4]]},
        {"kind": "brush", "class": "cat", "points": [[1, 2]], "radius": 2},
        {"kind": "tags", "tags": ["cat"]},
    )
    return [json.dumps({"name": "a", "version": 0, "action": action}).encode() for action in actions]
