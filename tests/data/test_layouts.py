"""Every layout reads the same world."""

import json

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

    def test_a_second_row_is_left_out(self, plain):
        self.add_row(plain, "b")
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
        self.put(root, name, 7)
