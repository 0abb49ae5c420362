"""Devkits and XML annotations of one's own, as labelImg, CVAT and Roboflow write them."""

import numpy as np
import pytest
from PIL import Image

from affinitynet.data.collection import open_collection
from affinitynet.data.layouts.voc import CLASSES
from affinitynet.errors import InputError
from tests.suites.layout_suite import SIZE, LayoutSuite, RowSuite, UsedFilesSuite, World, save_picture


def annotation(*tags, filename=""):
    inner = "".join(f"<object><name>{tag}</name><part><name>head</name></part></object>" for tag in tags)
    return f"<annotation><filename>{filename}</filename>{inner}</annotation>"


def annotate(path, *tags, filename=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(annotation(*tags, filename=filename))


def devkit(root, tags, suffix=".jpg", lists=None, task="Segmentation"):
    for number, (name, names) in enumerate(tags.items()):
        save_picture(root / "JPEGImages" / f"{name}{suffix}", number)
        annotate(root / "Annotations" / f"{name}.xml", *names)
    for name, lines in ({"train": list(tags)} if lists is None else lists).items():
        path = root / "ImageSets" / task / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return root


def save_values(path, *columns):
    mask = np.zeros(SIZE, np.uint8)
    mask[:, : len(columns)] = columns
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)


def found(root, split="train", **options):
    collection = open_collection(root, split=split, **options)
    return {r.name: tuple(collection.classes[t] for t in r.tags) for r in collection.split(split)}


OWN = {"1": ("helmet",), "2": ("vest", "helmet"), "3": ()}


class TestOwnDevkit(LayoutSuite, UsedFilesSuite):
    """With other classes, which ``labels.txt`` lists."""

    untagged_split = None

    def write(self, root, world: World):
        for number, name in enumerate([*world.tags, *world.untagged]):
            save_picture(root / "JPEGImages" / f"{name}.png", number)
        for name, tags in world.tags.items():
            annotate(root / "Annotations" / f"{name}.xml", *tags)
        for split, names in (world.splits or {"all": tuple(world.tags)}).items():
            path = root / "ImageSets/Segmentation" / f"{split}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"{name}.png\n" for name in names))
        (root / "labels.txt").write_text("background\ncat\ndog\nsofa\n")
        self.save_masks(root / "SegmentationClass", world)

    def add_row(self, root, name):
        with (root / "ImageSets/Segmentation/all.txt").open("a") as file:
            file.write(f"{name}\n")

    def break_row(self, root, name):
        (root / "Annotations" / f"{name}.xml").write_text("<annotation><object>")


class TestXmlBesideImages(RowSuite, UsedFilesSuite):
    """labelImg, and Roboflow's folders train and val."""

    def write(self, root, world: World):
        splits = {name: f"{split}/" for split, names in world.splits.items() for name in names}
        for number, name in enumerate([*world.tags, *world.untagged]):
            save_picture(root / f"{splits.get(name, '')}{name}.png", number)
        for name, tags in world.tags.items():
            annotate(root / f"{splits.get(name, '')}{name}.xml", *tags)

    def said_as(self, name):
        return f"{name}.xml"

    def add_row(self, root, name):
        annotate(root / "absent.xml", "cat", filename=f"{name}.png")

    def break_row(self, root, name):
        (root / f"{name}.xml").write_text("<annotation><object>")


@pytest.mark.parametrize("suffix", [".jpg", ".JPG", ".jpeg", ".png", ".bmp"])
def test_own_classes_and_any_suffix(tmp_path, suffix):
    devkit(tmp_path, OWN, suffix)
    assert open_collection(tmp_path).classes == ("helmet", "vest")
    assert found(tmp_path) == {"1": ("helmet",), "2": ("helmet", "vest"), "3": ()}


@pytest.mark.parametrize(
    "line",
    [
        "shot 1 of 2",
        "shot 1 of 2.jpg",
        "/JPEGImages/shot 1 of 2.jpg",
        "/JPEGImages/shot 1 of 2.jpg /SegmentationClass/shot 1 of 2.png",
        "JPEGImages/shot 1 of 2.jpg\tSegmentationClass/shot 1 of 2.png",
        "SHOT 1 of 2",
    ],
)
def test_lines_with_blanks_and_suffixes(tmp_path, line):
    devkit(tmp_path, {"shot 1 of 2": ("cat",), "shot": ("dog",)}, lists={"train": [line]})
    save_values(tmp_path / "SegmentationClass/shot 1 of 2.png", 8)
    collection = open_collection(tmp_path)
    assert [r.name for r in collection.split("train")] == ["shot 1 of 2"]
    assert (collection.mask(collection.split("train")[0])[:, 0] == 8).all()


def test_voc_keeps_its_order_and_values(tmp_path):
    devkit(tmp_path, {"1": ("dog",), "2": ("person", "cat")})
    assert open_collection(tmp_path).classes == CLASSES


def test_a_misspelt_class_among_vocs_neither_moves_the_others_nor_goes_unsaid(tmp_path):
    devkit(tmp_path, {**{str(n): ("person",) for n in range(60)}, "odd": ("persno",)})
    collection = open_collection(tmp_path)
    assert collection.classes == (*CLASSES, "persno")
    warnings = [r.text for r in collection.remarks if r.kind == "warning"]
    assert any("'persno' is in 1 image and 'person' in 60" in text for text in warnings)


def test_masks_of_own_classes_need_an_order_and_a_guess_is_said(tmp_path):
    devkit(tmp_path, OWN)
    save_values(tmp_path / "SegmentationClass/1.png", 1)
    assert any("which mask value is which class" in r.text for r in open_collection(tmp_path).remarks)
    (tmp_path / "classes.txt").write_text("vest\nhelmet\n")
    collection = open_collection(tmp_path)
    assert collection.classes == ("vest", "helmet")
    assert not any("which mask value" in r.text for r in collection.remarks)


def test_a_name_that_the_list_of_classes_lacks_is_named(tmp_path):
    devkit(tmp_path, OWN)
    (tmp_path / "classes.txt").write_text("helmet\n")
    with pytest.raises(InputError, match=r"2\.xml: 'vest' is not in .*classes\.txt; add it there"):
        open_collection(tmp_path)


def test_cvats_colours(tmp_path):
    devkit(tmp_path, {"1": ("vest", "helmet")})
    (tmp_path / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\nhelmet:128,0,0::\nvest:0,128,5::\nignored:9,9,9::\n"
    )
    colours = np.zeros((*SIZE, 3), np.uint8)
    colours[:, 0], colours[:, 1], colours[:, 2] = (128, 0, 0), (0, 128, 5), (9, 9, 9)
    (tmp_path / "SegmentationClass").mkdir()
    Image.fromarray(colours).save(tmp_path / "SegmentationClass/1.png")
    collection = open_collection(tmp_path)
    (record,) = collection.split("train")
    assert collection.classes == ("helmet", "vest")
    assert collection.mask(record)[3, :5].tolist() == [1, 2, 255, 0, 0]
    colours[0, 0] = (1, 2, 3)
    Image.fromarray(colours).save(tmp_path / "SegmentationClass/1.png")
    with pytest.raises(InputError, match=r"has the colour \(1, 2, 3\), which labelmap.txt does not list"):
        collection.mask(record)


def test_tags_come_from_masks_where_there_are_no_annotations(tmp_path):
    for number in range(2):
        save_picture(tmp_path / "JPEGImages" / f"{number}.jpg", number)
    save_values(tmp_path / "SegmentationClass/0.png", 2, 255)
    with pytest.raises(InputError, match=r"which mask value is which class; write labels\.txt"):
        open_collection(tmp_path)
    (tmp_path / "labels.txt").write_text("background\nhelmet\nvest\n")
    collection = open_collection(tmp_path, on_error="skip")
    assert [(r.name, r.tags) for r in collection.split("all")] == [("0", (1,))]
    assert "neither an annotation nor a mask" in collection.left_out[0].reason


def test_tags_come_from_lists_of_classes_where_there_are_no_annotations(tmp_path):
    for number in range(2):
        save_picture(tmp_path / "JPEGImages" / f"{number}.jpg", number)
    sets = tmp_path / "ImageSets/Main"
    sets.mkdir(parents=True)
    (sets / "train.txt").write_text("0\n1\n")
    (sets / "traffic light_train.txt").write_text("0  1\n1 -1\n")
    assert found(tmp_path) == {"0": ("traffic light",), "1": ()}


def test_main_is_read_without_segmentation_and_its_class_lists_are_no_splits(tmp_path):
    devkit(tmp_path, OWN, task="Main")
    (tmp_path / "ImageSets/Main/helmet_train.txt").write_text("1  1\n2  1\n3 -1\n")
    assert list(open_collection(tmp_path).splits) == ["train"]


def test_without_lists_all_annotated_images_are_read(tmp_path):
    devkit(tmp_path, OWN, lists={})
    save_picture(tmp_path / "JPEGImages/unseen.jpg")
    assert found(tmp_path, "all") == {"1": ("helmet",), "2": ("helmet", "vest"), "3": ()}


def test_a_line_that_begins_like_an_image_is_not_that_image(tmp_path):
    devkit(tmp_path, OWN, lists={"train": ["1 copy"]})
    with pytest.raises(InputError, match=r"1 copy\.jpg does not exist"):
        open_collection(tmp_path)


def test_a_repeated_line_counts_once_and_that_is_said(tmp_path):
    devkit(tmp_path, OWN, lists={"train": ["1", "2", "1", "/JPEGImages/2.jpg"]})
    assert list(found(tmp_path)) == ["1", "2"]
    remarks = [r.text for r in open_collection(tmp_path).remarks]
    assert "2 repeated lines of lists, used once: train.txt:3: 1" in remarks


def test_two_images_of_one_name_are_refused(tmp_path):
    devkit(tmp_path, OWN, lists={"train": ["1", "1.png"]})
    save_picture(tmp_path / "JPEGImages/1.png")
    with pytest.raises(InputError, match=r"train\.txt:2: .*1\.png and .*1\.jpg have the same name"):
        open_collection(tmp_path)


def test_an_image_in_a_folder_does_not_get_the_annotation_of_its_namesake(tmp_path):
    devkit(tmp_path, OWN, lists={"train": ["1", "/JPEGImages/sub/1.jpg"]})
    save_picture(tmp_path / "JPEGImages/sub/1.jpg")
    with pytest.raises(InputError, match=r"sub/1\.xml: no such annotation"):
        open_collection(tmp_path)
    annotate(tmp_path / "Annotations/sub/1.xml", "vest")
    assert found(tmp_path) == {"1": ("helmet",), "sub/1": ("vest",)}


@pytest.mark.parametrize("on_error", ["stop", "skip"])
@pytest.mark.parametrize("content", [b"absent\n", "Müll\n".encode("latin-1"), b"../1\n", b"1\n1.png\n"])
def test_lists_that_are_not_used_do_no_harm(tmp_path, content, on_error):
    devkit(tmp_path, OWN)
    save_picture(tmp_path / "JPEGImages/1.png")
    devkit(tmp_path, {}, lists={"train": ["1.jpg", "2", "3"]})
    (tmp_path / "ImageSets/Segmentation/holiday.txt").write_bytes(content)
    collection = open_collection(tmp_path, on_error=on_error)
    assert [r.name for r in collection.split("train")] == ["1", "2", "3"]
    assert collection.left_out == ()
    assert any("'holiday' is not used" in r.text for r in collection.remarks if r.kind == "warning")
    with pytest.raises(InputError, match=r"holiday\.txt"):
        collection.split("holiday")


def test_lists_that_are_used_stop_or_skip(tmp_path):
    devkit(tmp_path, OWN, lists={"train": ["1"], "holiday": ["2", "absent"]})
    with pytest.raises(InputError, match="absent"):
        open_collection(tmp_path, split="holiday")
    assert list(found(tmp_path, "holiday", on_error="skip")) == ["2"]
    (tmp_path / "ImageSets/Segmentation/train.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="UTF-8"):
        open_collection(tmp_path, on_error="skip")


@pytest.mark.parametrize(
    ("images", "annotations"),
    [("images", "annotations"), ("train/images", "train/annotations"), ("", "xml"), ("pics", "labels"), ("a/b", "a/b")],
)
def test_xml_in_a_folder_of_its_own(tmp_path, images, annotations):
    for number, name in enumerate(("1 a", "2.b")):
        save_picture(tmp_path / images / f"{name}.jpeg", number)
        annotate(tmp_path / annotations / f"{name}.xml", "mask", filename="whatever.jpg")
    collection = open_collection(tmp_path)
    (records,) = collection.splits.values()
    assert [r.path.name for r in records] == ["1 a.jpeg", "2.b.jpeg"]
    assert collection.classes == ("mask",)


def test_xml_whose_image_has_another_name(tmp_path):
    save_picture(tmp_path / "photo.jpg")
    annotate(tmp_path / "annotation_1.xml", "cat", filename="photo.jpg")
    annotate(tmp_path / "annotation_2.xml", "dog", filename="photo.jpg")
    with pytest.raises(InputError, match=r"photo\.jpg has another annotation"):
        open_collection(tmp_path)
    (tmp_path / "annotation_2.xml").unlink()
    assert [r.name for r in open_collection(tmp_path).split("all")] == ["photo"]
