"""Tables of tags as people have them: every spelling says the same, and what was taken tolerantly is said."""

import io
import json
import zipfile

import pytest
from openpyxl import Workbook

from affinitynet.data.collection import open_collection
from affinitynet.data.layouts.text import decode
from affinitynet.errors import InputError, Problems

WANTED = {"a": ("cat",), "b": ("cat", "dog"), "c": ()}
NAMES = ("a.png", "b.png", "c.png")
LONG = "file,tags\na.png,cat\nb.png,cat;dog\nc.png,\n"


def folder(root, table, name="tags.csv", images=NAMES):
    for image in images:
        (root / image).parent.mkdir(parents=True, exist_ok=True)
        (root / image).touch()
    content = table if isinstance(table, bytes) else table.encode()
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(content)
    return root


def understood(root, **options):
    """Return name -> class names, and what was said."""
    found = open_collection(root, **options)
    assert found.left_out == ()
    tags = {r.name: tuple(found.classes[t] for t in r.tags) for rs in found.splits.values() for r in rs}
    return tags, " / ".join(remark.text for remark in found.remarks)


def workbook(*rows, after=()):
    """Return a workbook whose first sheet is empty, as often after a paste."""
    book, file = Workbook(), io.BytesIO()
    for title, content in (("tags", rows), *after):
        sheet = book.create_sheet(title)
        for row in content:
            sheet.append(row)
    book.save(file)
    return file.getvalue()


def quiet(row, delimiter):
    return row.replace(",", delimiter).replace("cat;dog", '"cat;dog"')


@pytest.mark.parametrize(
    "table",
    [
        *(quiet(LONG, delimiter) for delimiter in ",;\t|"),
        "sep=;\r\n" + quiet(LONG, ";"),
        '"sep=\t"\n' + quiet(LONG, "\t"),
        "\ufeff" + LONG.replace("\n", "\r\n"),
        LONG.replace("\n", "\r"),
        LONG.encode("utf-16"),
        LONG.encode("utf-16-le"),
        LONG.encode("utf-16-be"),
        "\n\n" + LONG,
        "File , TAGS\na.png , cat\nb.png, dog ;; cat ;\nc.png,\n\n",
        "file,tags,,\na.png,cat,,\nb.png,cat;dog,,\nc.png,,,\n,,,\n",
        'file,tags\na.png, "cat"\nb.png, "cat;dog" \nc.png,""\n',
    ],
)
def test_tables_that_need_no_word(tmp_path, table):
    assert understood(folder(tmp_path, table)) == (WANTED, "")


@pytest.mark.parametrize(
    "header", ["image,label", "filename,labels", "Image Name,Tag", "file_name,class", "img;choices"]
)
def test_headers(tmp_path, header):
    table = f"{header}\n" + LONG.split("\n", 1)[1].replace(",", header[len(header.split(",")[0].split(";")[0])])
    assert understood(folder(tmp_path, table.replace("cat;dog", '"cat;dog"'))) == (WANTED, "")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (",file,tags\n0,a.png,cat\n1,b.png,cat;dog\n2,c.png,\n", "columns that are ignored"),
        ("Unnamed: 0,file,tags\n0,a.png,cat\n1,b.png,cat;dog\n2,c.png,\n", "ignored: Unnamed: 0"),
        ("file,width,tags,who\na.png,7,cat,me\nb.png,9,cat;dog,you\nc.png,1,,me\n", "ignored: width, who"),
        ("a.png,cat\nb.png,cat;dog\nc.png,\n", "without a header"),
        (LONG.replace("tags", "animal"), "hold the tags, for there is no other: animal"),
        (LONG.replace("a.png", "a.png\0"), "NUL bytes"),
        ('file,tags\na.png,cat\nb.png,"dog, cat"\nc.png,\nd.png,dog\n', "divided at commas"),
        ("file,tags\na.png,cat\nb.png,dog|cat\nc.png,\n", "separated by bars"),
        ('file,tags\na.png,cat\nb.png,"dog\ncat"\nc.png,\n', "separated by line breaks"),
        ("file,tags\na.png,cat\nb.png,dog/cat\nc.png,\nd.png,dog\n", "divided at /"),
        ("file,label\na.png,cat\nb.png,cat\nb.png,dog\nc.png,\n", "further rows of an image"),
        (LONG + "a.png,cat\n", "rows that repeat one before"),
        ("file,tag1,tag2\na.png,cat,\nb.png,dog,cat\nc.png,,\n", ""),
        ("file,cat,dog,who\na.png,x,,me\nb.png,x,x,you\nc.png,,,me\n", "ignored: who"),
        ("file,background,cat,dog\na.png,1,1,0\nb.png,1,1,1\nc.png,1,0,0\n", "columns for the background"),
        ("file,tags\na.png,nan\nb.png,cat;dog\nc.png,cat\n", "read as a blank cell"),
        ("file,tags\na.png,cat\nb.png,cat;dog\nc.png,background\n", "every mask has it as value 0"),
        ("ImageID,Source,LabelName,Confidence\na,v,cat,1\nb,v,cat,1\nb,v,dog,1\nc,v,dog,0\n", "ignored: Source"),
    ],
)
def test_tables_that_are_taken_with_a_word(tmp_path, table, said):
    images = NAMES if "d.png" not in table else (*NAMES, "d.png")
    tags, remarks = understood(folder(tmp_path, table, images=images))
    tags.pop("d", None)
    blank = next((name for name in "abc" if not tags[name]), None)
    assert sorted(tags.values()) == sorted(WANTED.values())
    assert tags["b"] == ("cat", "dog")
    assert blank is not None
    assert said in remarks


def test_a_file_that_is_not_utf_8_is_read_and_shown(tmp_path):
    root = folder(tmp_path, "file,tags\na.png,M\u00fcll\n".encode("cp1252"), images=("a.png",))
    tags, remarks = understood(root)
    assert tags == {"a": ("M\u00fcll",)}
    assert "Windows-1252: tags.csv: 'a.png,M\u00fcll'" in remarks


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_encodings(tmp_path, encoding):
    text = "file,tags\nKüche.png,Löffel\n"
    assert decode(text.encode(encoding), tmp_path, Problems()) == text


@pytest.mark.parametrize(
    ("yes", "no"),
    [
        ("1", "0"),
        ("TRUE", "FALSE"),
        ("True", "False"),
        ("yes", "no"),
        ("Y", "N"),
        ("1.0", "0.0"),
        ("x", ""),
        ("X", ""),
        ("1", ""),
        ("1", "-1"),
        ("WAHR", "FALSCH"),
        ("1", "0.0"),
    ],
)
def test_what_class_columns_hold(tmp_path, yes, no):
    rows = f"a.png,{yes},{no}\nb.png,{yes},{yes}\nc.png,{no},{no}\n"
    assert understood(folder(tmp_path, f"file,cat,dog\n{rows}"))[0] == WANTED


@pytest.mark.parametrize(
    ("cell", "why"), [("maybe", "'maybe'"), ("", "neither yes nor no"), ("-1", "neither yes"), ("0.7", "0.7")]
)
def test_what_class_columns_may_not_hold(tmp_path, cell, why):
    with pytest.raises(InputError, match=why):
        open_collection(folder(tmp_path, f"file,cat,dog\na.png,1,0\nb.png,1,1\nc.png,0,{cell}\n"))


def test_roboflows_classes_with_a_folder_for_each_split(tmp_path):
    for name, row in {"train": "a.png, 1, 0", "valid": "a.png, 1, 1"}.items():
        folder(tmp_path / name, f"filename, cat, dog\n{row}\n", "_classes.csv", ("a.png",))
    found = open_collection(tmp_path)
    assert {name: [(r.name, r.tags) for r in rs] for name, rs in found.splits.items()} == {
        "train": [("train/a", (0,))],
        "val": [("valid/a", (0, 1))],
    }


def test_a_column_names_the_splits(tmp_path):
    found = open_collection(folder(tmp_path, "file,tags,split\na.png,cat,Training\nb.png,dog,val\nc.png,,\n"))
    assert {name: [r.name for r in rs] for name, rs in found.splits.items()} == {"train": ["a"], "val": ["b"]}
    assert "1 images with tags are in no split" in found.remarks[-1].text


STUDIO = {"image": "/data/upload/1/3f2a91bc-b.png"}
STUDIO_TASKS = [
    {"data": {"image": "a.png"}, "annotations": [{"result": [{"value": {"choices": ["cat"]}}]}]},
    {
        "data": STUDIO,
        "annotations": [{"result": [{"value": {"rectanglelabels": ["dog"]}}, {"value": {"choices": ["cat"]}}]}],
    },
    {"data": {"image": "c.png"}, "annotations": [{"result": []}]},
]
RECORDS = {
    "tags of a file": {"a.png": "cat", "b.png": ["cat", "dog"], "c.png": []},
    "objects": {"a.png": {"tags": ["cat"]}, "b.png": {"tags": ["cat", "dog"]}, "c.png": {"tags": []}},
    "records": [{"image": "a.png", "label": "cat"}, {"image": "b", "label": ["cat", "dog"]}, {"image": "c.png"}],
    "columns": [
        {"file": "a.png", "cat": True, "dog": False},
        {"file": "b.png", "cat": True, "dog": True},
        {"file": "c.png", "cat": False, "dog": False},
    ],
    "JSON-MIN": [
        {"image": "a.png", "id": 1, "choice": "cat", "annotator": 1},
        {**STUDIO, "id": 2, "choice": {"choices": ["cat", "dog"]}},
        {"image": "c.png", "id": 3},
    ],
    "Label Studio": STUDIO_TASKS,
}


@pytest.mark.parametrize("kind", RECORDS)
def test_json(tmp_path, kind):
    assert understood(folder(tmp_path, json.dumps(RECORDS[kind]), "tags.json"))[0] == WANTED


def test_tasks_without_annotations_are_not_negatives(tmp_path):
    tasks = [*STUDIO_TASKS[:2], {"data": {"image": "c.png"}, "annotations": []}]
    found = open_collection(folder(tmp_path, json.dumps(tasks), "tags.json"))
    assert [r.name for r in found.split("untagged")] == ["c"]
    found = open_collection(folder(tmp_path, "file,tags\na.png,cat\nb.png,cat\nc.png,?\n", images=NAMES))
    assert [r.name for r in found.split("untagged")] == ["c"]


@pytest.mark.parametrize(
    "cell",
    [
        "['cat', 'dog']",
        '["cat", "dog"]',
        "['cat' 'dog']",
        "[cat, dog]",
        "{'cat', 'dog'}",
        '{"choices": ["cat", "dog"]}',
    ],
)
def test_lists_in_cells(tmp_path, cell):
    quoted = '"' + cell.replace('"', '""') + '"'
    assert understood(folder(tmp_path, f"file,tags\na.png,cat\nb.png,{quoted}\nc.png,[]\n"))[0] == WANTED


def test_a_comma_in_a_name_is_kept_with_a_warning(tmp_path):
    tags, remarks = understood(folder(tmp_path, 'file,tags\na.png,"bed, double"\nb.png,cat\nc.png,\n'))
    assert tags["a"] == ("bed, double",)
    assert "'bed, double' holds a comma" in remarks
    (tmp_path / "classes.txt").write_text("bed, double\ncat\n")
    assert understood(tmp_path)[1] == ""


def test_look_alike_tags_are_one_class_in_the_commonest_spelling(tmp_path):
    spellings = ["Küche", "Küche", "küche", "Ku\u0308che", "Küche\u200b", "\u00a0Küche"]
    images = [f"{n}.png" for n in range(len(spellings))]
    rows = "".join(f"{image},{tag}\n" for image, tag in zip(images, spellings, strict=True))
    tags, remarks = understood(folder(tmp_path, f"file,tags\n{rows}", images=images))
    assert set(tags.values()) == {("Küche",)}
    assert "upper and lower case" in remarks
    assert "invisible" in remarks


def test_names_that_are_probably_no_classes_are_warned_of(tmp_path):
    remarks = understood(folder(tmp_path, "file,tags\na.png,No finding\nb.png,cat\nc.png,hot dog\n"))[1]
    assert "'No finding' sounds like" in remarks
    remarks = understood(folder(tmp_path, "file,label\na.png,0\nb.png,1\nc.png,1\n"))[1]
    assert "called 0, 1" in remarks
    remarks = understood(folder(tmp_path, "file,tags\na.png,clear primary\nb.png,clear\nc.png,primary\n"))[1]
    assert "each of its words is a tag too" in remarks


def test_blanks_separate_classes_that_are_listed(tmp_path):
    """Without the list nobody can tell "cat dog" from "polar bear"."""
    root = folder(tmp_path, "file,tags\na.png,Cat dog\nb.png,polar bear\nc.png,\n")
    (tmp_path / "classes.txt").write_text("cat\ndog\npolar bear\nbear\n")
    tags, remarks = understood(root)
    assert tags == {"a": ("cat", "dog"), "b": ("polar bear",), "c": ()}
    assert "tags divided at blanks" in remarks
    (tmp_path / "tags.csv").write_text("file,tags\na.png,cat\nb.png,cta\nc.png,\n")
    with pytest.raises(InputError, match=r"'cta' is not in .*classes.txt; add it .*\(did you mean 'cat'\?\)"):
        open_collection(tmp_path)


def test_a_list_of_classes_may_begin_with_the_background(tmp_path):
    folder(tmp_path, LONG)
    (tmp_path / "classes.txt").write_text("background\ndog\ncat\n")
    assert open_collection(tmp_path).classes == ("dog", "cat")
    (tmp_path / "classes.txt").write_text("dog\nbackground\ncat\n")
    with pytest.raises(InputError, match="value 0"):
        open_collection(tmp_path)


def test_workbooks(tmp_path):
    checked = (["file", "cat", "dog"], ["a.png", True, False], ["b.png", True, True], [None], ["c.png", False, False])
    root = folder(tmp_path, workbook(*checked, after=[("notes", [["hello"]])]), "Labels.XLSX")
    tags, remarks = understood(root)
    assert tags == WANTED
    assert "sheet 'notes' is not read" in remarks
    named = (["file", "tags"], ["a.png", "cat"], ["b.png", "cat;dog"], ["c.png"])
    assert understood(folder(root, workbook(*named), "tags.csv"))[0] == WANTED  # by its content


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (workbook(["file", "tags"], ["a.png", "=A1"]), "formula '=A1'"),
        (workbook(["file", "tags"])[:-30], "not a readable workbook"),
        (b"PK\x03\x04", "not a readable workbook"),
        (b"\xd0\xcf\x11\xe0", "Excel 97"),
        (LONG.encode(), "not an .xlsx workbook"),
    ],
)
def test_workbooks_that_cannot_be_read(tmp_path, content, why):
    with pytest.raises(InputError, match=why):
        open_collection(folder(tmp_path, content, "tags.xlsx"))


@pytest.mark.parametrize("part", ["xl/worksheets/sheet9.xml", "xl/sharedStrings.xml"])
def test_a_workbook_that_unpacks_to_too_much_is_refused(tmp_path, part):
    file = io.BytesIO(workbook(["file", "tags"], ["a.png", "cat"]))
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(part, b" " * (101 * 2**20))
    with pytest.raises(InputError, match="unpacks to"):
        open_collection(folder(tmp_path, file.getvalue(), "tags.xlsx"))


def test_rows_without_end_are_refused(tmp_path):
    source = io.BytesIO(workbook(["file", "tags"], ["a.png", "cat"]))
    target = io.BytesIO()
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for item in old.infolist():
            new.writestr(item, old.read(item).replace(b'<row r="2"', b'<row r="999999999999"'))
    with pytest.raises(InputError, match="has no end"):
        open_collection(folder(tmp_path, target.getvalue(), "tags.xlsx"))


def test_of_several_tables_the_first_is_read_and_that_is_said(tmp_path):
    folder(tmp_path, "file,tags\na.png,wrong\n", "labels.csv")
    tags, remarks = understood(folder(tmp_path, LONG, "Tags.CSV"))
    assert tags == WANTED
    assert "labels.csv is not read, because Tags.CSV is" in remarks


def test_a_table_anywhere(tmp_path):
    root = folder(tmp_path / "data", LONG, "kaggle.csv")
    with pytest.raises(InputError, match=r"--tags .*kaggle\.csv"):
        open_collection(root)
    table = (root / "kaggle.csv").rename(tmp_path / "elsewhere.txt")
    assert understood(root, tags=table) == (WANTED, "")
    for name, why in {"absent.csv": "no such file", "tags.pdf": "not a table that can be read"}.items():
        (tmp_path / "tags.pdf").touch()
        with pytest.raises(InputError, match=why):
            open_collection(root, tags=tmp_path / name)


def truth(root, **options):
    return {
        r.name: str(r.truth.file.relative_to(root))
        for rs in open_collection(root, **options).splits.values()
        for r in rs
        if r.truth
    }


@pytest.mark.parametrize("mask", ["a.png", "a_mask.png", "a-seg.PNG", "A.png", "a.jpg.png", "images/a.tif", "a_gt.png"])
def test_masks_belong_to_images(tmp_path, mask):
    folder(tmp_path, "file,tags\na.jpg,cat\nb.jpg,dog\n", images=("images/a.jpg", "images/b.jpg", f"masks/{mask}"))
    assert truth(tmp_path) == {"a": f"masks/{mask}"}


def test_masks_are_not_guessed_and_those_of_no_image_are_said(tmp_path):
    images = ("a.jpg", "b.jpg", "masks/a_mask.png", "masks/a_gt.png", "masks/b.png", "masks/zebra.png")
    found = open_collection(folder(tmp_path, "file,tags\na.jpg,cat\nb.jpg,dog\n", images=images))
    assert truth(tmp_path) == {"b": "masks/b.png"}
    said = " / ".join(remark.text for remark in found.remarks)
    assert "so none is used" in said
    assert "3 masks belong to no image" in said
    assert {p.path.name for p in found.passed_over} == {"a_mask.png", "a_gt.png", "zebra.png"}


def test_a_folder_called_masks_may_hold_images(tmp_path):
    images = ("masks/1.jpg", "none/1.jpg")
    tags, remarks = understood(folder(tmp_path, "file,tags\nmasks/1.jpg,mask\nnone/1.jpg,\n", images=images))
    assert tags == {"masks/1": ("mask",), "none/1": ()}
    assert "folders called masks that hold images" in remarks
    assert truth(tmp_path) == {}


def test_lists_of_splits_are_read_tolerantly(tmp_path):
    folder(tmp_path, "a.png\n./B.png\r\na.png\n", "splits/train.txt")
    found = open_collection(folder(tmp_path, LONG))
    assert [r.name for r in found.split("train")] == ["a", "b"]
    said = " / ".join(remark.text for remark in found.remarks)
    assert "upper and lower case" in said
    assert "lines that repeat one before" in said
