"""A Hugging Face imagefolder that names masks."""

import json

import pytest

from affinitynet.data.collection import open_collection
from affinitynet.errors import InputError
from tests.suites.layout_suite import LayoutSuite, UsedFilesSuite, World, save_picture


class TestHuggingFace(LayoutSuite, UsedFilesSuite):
    untagged_split = None

    def write(self, root, world: World):
        for split, names in (world.splits or {"": tuple(world.tags)}).items():
            folder = root / split
            for number, name in enumerate(names):
                save_picture(folder / "images" / f"{name}.png", number)
            part = World(world.tags, {}, {name: mask for name, mask in world.masks.items() if name in names})
            self.save_masks(folder / "masks", part)
            rows = [self.row(world, name) for name in names]
            (folder / "metadata.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        (root / "labels.txt").write_text("background\ncat\ndog\nsofa\n")

    def row(self, world, name):
        mask = f"masks/{name}.png" if name in world.masks else None
        return {"file_name": f"images/{name}.png", "mask_file_name": mask, "tags": list(world.tags[name])}

    def said_as(self, name):
        return f"{name}.png" if name == "absent" else "line 2"

    def add_row(self, root, name):
        with (root / "metadata.jsonl").open("a") as file:
            file.write(json.dumps({"file_name": f"{name}.png", "mask_file_name": None, "tags": ["cat"]}) + "\n")

    def break_row(self, root, name):
        lines = (root / "metadata.jsonl").read_text().splitlines(keepends=True)
        assert name in lines[1]
        (root / "metadata.jsonl").write_text("".join([lines[0], "{\n", *lines[2:]]))


def write_row(root, **row):
    save_picture(root / "1.png")
    (root / "metadata.jsonl").write_text(json.dumps({"file_name": "1.png", "mask_file_name": None, **row}) + "\n")


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"mask_file_name": "../m.png", "tags": ["cat"]}, "leads outside"),
        ({"mask_file_name": "m.png", "tags": ["cat"]}, "does not exist"),
        ({"tags": "cat"}, "not a list of names"),
    ],
)
def test_rows_that_cannot_be_right(tmp_path, row, complaint):
    write_row(tmp_path, **row)
    with pytest.raises(InputError, match=complaint):
        open_collection(tmp_path)


def test_that_it_is_a_table_too_is_not_worth_a_word(tmp_path):
    write_row(tmp_path, tags=["cat"])
    assert not any("could also be" in r.text for r in open_collection(tmp_path).remarks)
    (tmp_path / "tags.csv").write_text("file,tags\n1.png,dog\n")
    collection = open_collection(tmp_path)
    assert collection.classes == ("dog",)
    assert any("could also be" in r.text for r in collection.remarks)


def test_without_a_list_of_classes_the_masks_are_a_guess_and_that_is_said(tmp_path):
    write_row(tmp_path, mask_file_name="1.png", tags=["cat"])
    assert any("which mask value is which class" in r.text for r in open_collection(tmp_path).remarks)
