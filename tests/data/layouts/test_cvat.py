"""CVAT for images: annotations.xml."""

import numpy as np
import pytest

from affinitynet.data.collection import open_collection
from affinitynet.errors import InputError
from tests.data.layouts.test_yolo import WITHOUT_IGNORED
from tests.suites.layout_suite import SIZE, LayoutSuite, UsedFilesSuite, World, save_picture

HEIGHT, WIDTH = SIZE
LABELS = "".join(f"<label><name>{name}</name></label>" for name in ("cat", "dog", "sofa", "unused"))
META = f"<meta><job><labels>{LABELS}</labels></job></meta>"


def polygon(label, left, right, z=0):
    points = f"{left}.0,0.0;{right}.0,0.0;{right}.0,{HEIGHT}.0;{left}.0,{HEIGHT}.0"
    return f'<polygon label="{label}" points="{points}" z_order="{z}"/>'


def runs(label, column):
    return f'<mask label="{label}" rle="0, {HEIGHT}" left="{column}" top="0" width="1" height="{HEIGHT}" z_order="0"/>'


def entry(name, inner, subset=""):
    return f'<image id="0" name="{name}" subset="{subset}" width="{WIDTH}" height="{HEIGHT}">{inner}</image>\n'


def write(root, *entries):
    content = f"<?xml version='1.0' encoding='utf-8'?>\n<annotations><version>1.1</version>{META}{''.join(entries)}"
    (root / "annotations.xml").write_text(content + "</annotations>\n", encoding="utf-8")


class TestCvat(LayoutSuite, UsedFilesSuite):
    world = WITHOUT_IGNORED
    masked = ("a", "c")

    def write(self, root, world: World):
        for number, name in enumerate([*world.tags, *world.untagged]):
            save_picture(root / "images" / f"{name}.png", number)
        splits = {name: split for split, names in world.splits.items() for name in names}
        write(root, *(entry(f"{n}.png", self.inner(world, n), splits.get(n, "")) for n in world.tags))

    def inner(self, world, name):
        columns = [(n, what) for n, what in enumerate(world.masks.get(name, ())) if what]
        drawn = [runs(what, n) if n % 2 else polygon(what, n, n + 1) for n, what in columns]
        return "".join(drawn or [f'<tag label="{tag}"/>' for tag in world.tags[name]])

    def said_as(self, name):
        return f"{name}.png"

    def change(self, root, old, new):
        path = root / "annotations.xml"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    def add_row(self, root, name):
        self.change(root, "</annotations>", entry(f"{name}.png", '<tag label="cat"/>') + "</annotations>")

    def break_row(self, root, name):
        tags = '<tag label="dog"/>'
        self.change(root, entry(f"{name}.png", tags), entry(f"{name}.png", '<polygon label="dog" points="1,2"/>'))


def masks_of(root, inner):
    save_picture(root / "1.png")
    write(root, entry("1.png", inner))
    collection = open_collection(root)
    (record,) = collection.split("all")
    return collection, collection.mask(record)


def test_z_order_says_what_is_on_top(tmp_path):
    _, mask = masks_of(tmp_path, polygon("cat", 0, 4, z=1) + polygon("dog", 0, 8, z=0))
    assert mask[0, :10].tolist() == [1] * 4 + [2] * 4 + [0] * 2


def test_ellipses_and_runs(tmp_path):
    inner = (
        '<ellipse label="cat" cx="8" cy="6" rx="4" ry="3"/>'
        '<mask label="dog" rle="1, 2, 3" left="0" top="1" width="3" height="2"/>'
    )
    _, mask = masks_of(tmp_path, inner)
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    assert ((mask == 1) == (((x - 8) / 4) ** 2 + ((y - 6) / 3) ** 2 < 1)).mean() > 0.98
    assert np.argwhere(mask == 2).tolist() == [[1, 1], [1, 2]]


def test_boxes_and_tags_without_a_shape_are_no_ground_truth(tmp_path):
    save_picture(tmp_path / "1.png")
    save_picture(tmp_path / "2.png", 1)
    box = '<box label="dog" xtl="1" ytl="1" xbr="5" ybr="5"/>'
    write(
        tmp_path,
        entry("1.png", polygon("cat", 0, 4) + box),
        entry("2.png", polygon("cat", 0, 4) + '<tag label="dog"/>'),
    )
    collection = open_collection(tmp_path)
    assert [(r.tags, r.truth) for r in collection.split("all")] == [((0, 1), None), ((0, 1), None)]
    assert any("labels that are not used" in r.text for r in collection.remarks)


def test_a_mask_outside_the_image_is_named(tmp_path):
    with pytest.raises(InputError, match=r"annotations\.xml: a mask of 3 x 2 at 15, 1 is not inside"):
        masks_of(tmp_path, '<mask label="dog" rle="1, 2, 3" left="15" top="1" width="3" height="2"/>')


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("<annotations><track id='0'><box/></track></annotations>", "CVAT for video"),
        ("<annotations><image name='1.png'>", "not readable XML"),
        ("<annotations></annotations>", "labels in use"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><annotations>&b;</annotations>', "not readable XML"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, content, complaint):
    save_picture(tmp_path / "1.png")
    (tmp_path / "annotations.xml").write_text(content)
    with pytest.raises(InputError, match=complaint):
        open_collection(tmp_path)
