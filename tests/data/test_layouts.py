"""Every layout reads the same world."""

import json

from openpyxl import Workbook, load_workbook

from affinitynet.data.layouts.voc import CLASSES
from tests.suites.layout_suite import TAGS, LayoutSuite, World, save_picture


class TestVOC(LayoutSuite):
    classes = CLASSES
    untagged_split = None

    def write(self, root, world: World):
        for part in ("Annotations", "ImageSets/Segmentation"):
            (root / part).mkdir(parents=True)
        for number, name in enumerate([*world.tags, *world.untagged]):
            save_picture(root / "JPEGImages" / f"{name}.jpg", number)
        for name, tags in world.tags.items():
            self.annotate(root, name, tags)
        for split, names in (world.splits or {"all": tuple(world.tags)}).items():
            (root / "ImageSets/Segmentation" / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))
        self.save_masks(root / "SegmentationClass", world)

    def annotate(self, root, name, tags):
        inner = "".join(f"<object><name>{tag}</name></object>" for tag in tags)
        (root / "Annotations" / f"{name}.xml").write_text(f"<annotation>{inner}</annotation>")

    def add_row(self, root, name):
        with (root / "ImageSets/Segmentation/all.txt").open("a") as file:
            file.write(f"{name}\n")

    def break_row(self, root, name):
        (root / "Annotations" / f"{name}.xml").write_text("<annotation><object>")


class FolderSuite(LayoutSuite):
    """What the forms of the tag file have in common."""

    def write(self, root, world: World):
        for number, name in enumerate([*world.tags, *world.untagged]):
            save_picture(root / f"{name}.png", number)
        for split, names in world.splits.items():
            (root / "splits").mkdir(exist_ok=True)
            (root / "splits" / f"{split}.txt").write_text("".join(f"{name}.png\n" for name in names))
        self.save_masks(root / "masks", world)

    def said_as(self, name):
        return f"{name}.png"

    def append(self, root, line):
        with (root / "tags.csv").open("a") as file:
            file.write(f"{line}\n")

    def change(self, root, old, new):
        table = (root / "tags.csv").read_text()
        assert table.count(old) == 1
        (root / "tags.csv").write_text(table.replace(old, new))


class TestTagsCsv(FolderSuite):
    def write(self, root, world):
        super().write(root, world)
        rows = [f"{name}.png,{';'.join(tags)}\n" for name, tags in world.tags.items()]
        (root / "tags.csv").write_text("".join(["file,tags\n", *rows]))

    def add_row(self, root, name):
        self.append(root, f"{name}.png,cat")

    def break_row(self, root, name):
        self.change(root, f"\n{name}.png,", f"\n{name}.png,cat,7,")

    def test_a_second_row_that_contradicts_the_first_is_left_out(self, plain):
        self.append(plain, "b.png,")
        self.check_left_out(plain, "b.png", set(TAGS), "already has a row")


class TestOneHotCsv(FolderSuite):
    def write(self, root, world):
        super().write(root, world)
        rows = [
            ",".join([f"{name}.png", *("1" if c in tags else "0" for c in self.classes)])
            for name, tags in world.tags.items()
        ]
        (root / "tags.csv").write_text("\n".join([",".join(["file", *self.classes]), *rows]) + "\n")

    def add_row(self, root, name):
        self.append(root, f"{name}.png,1,0,0")

    def break_row(self, root, name):
        self.change(root, f"\n{name}.png,0", f"\n{name}.png,maybe")

    def test_a_second_row_that_contradicts_the_first_is_left_out(self, plain):
        self.append(plain, "b.png,1,1,0")
        self.check_left_out(plain, "b.png", set(TAGS), "already has a row")


class TestLongCsv(FolderSuite):
    """A row for each tag."""

    def write(self, root, world):
        super().write(root, world)
        rows = [f"{name}.png,{tag}\n" for name, tags in world.tags.items() for tag in tags or ("",)]
        (root / "labels.csv").write_text("".join(["image,label\n", *rows]))

    def add_row(self, root, name):
        with (root / "labels.csv").open("a") as file:
            file.write(f"{name}.png,cat\n")

    def break_row(self, root, name):
        table = (root / "labels.csv").read_text()
        (root / "labels.csv").write_text(table.replace(f"\n{name}.png,", f"\n{name}.png,cat,7,"))

    def test_an_unreadable_row_is_left_out(self, plain):
        self.break_row(plain, "b")
        self.check_left_out(plain, "b.png", set(TAGS) - {"b"}, r"labels\.csv:4: 4 cells under 2 columns")


class TestWorkbook(FolderSuite):
    def write(self, root, world):
        super().write(root, world)
        book = Workbook()
        sheet = book.worksheets[0]
        sheet.append(["File", "Tags"])
        for name, tags in world.tags.items():
            sheet.append([f"{name}.png", ";".join(tags)])
        book.save(root / "tags.xlsx")

    def rewrite(self, root, change):
        book = load_workbook(root / "tags.xlsx")
        change(book.worksheets[0])
        book.save(root / "tags.xlsx")

    def add_row(self, root, name):
        self.rewrite(root, lambda sheet: sheet.append([f"{name}.png", "cat"]))

    def break_row(self, root, name):
        self.rewrite(root, lambda sheet: sheet.cell(3, 3, "seven"))

    def test_an_unreadable_row_is_left_out(self, plain):
        self.break_row(plain, "b")
        self.check_left_out(plain, "b.png", set(TAGS) - {"b"}, r"tags\.xlsx:3: 3 cells under 2 columns")


class TestJsonLines(FolderSuite):
    """Hugging Face's imagefolder."""

    def write(self, root, world):
        super().write(root, world)
        lines = [json.dumps({"file_name": f"{name}.png", "labels": list(tags)}) for name, tags in world.tags.items()]
        (root / "metadata.jsonl").write_text("\n".join(lines) + "\n")

    def add_row(self, root, name):
        with (root / "metadata.jsonl").open("a") as file:
            file.write(json.dumps({"file_name": f"{name}.png", "labels": ["cat"]}) + "\n")

    def break_row(self, root, name):
        table = (root / "metadata.jsonl").read_text()
        (root / "metadata.jsonl").write_text(
            table.replace(
                f'"file_name": "{name}.png", "labels": ["dog"]', f'"file_name": "{name}.png", "labels": [[7]]'
            )
        )


class TestTagsJson(FolderSuite):
    def write(self, root, world):
        super().write(root, world)
        (root / "tags.json").write_text(json.dumps({f"{name}.png": list(tags) for name, tags in world.tags.items()}))

    def put(self, root, name, value):
        content = json.loads((root / "tags.json").read_text())
        (root / "tags.json").write_text(json.dumps({**content, f"{name}.png": value}))

    def add_row(self, root, name):
        self.put(root, name, ["cat"])

    def break_row(self, root, name):
        self.put(root, name, {"x": 7})
