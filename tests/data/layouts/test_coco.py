"""COCO JSON: what tools write, read as pycocotools reads it."""

import json

import numpy as np
import pytest
from PIL import Image

from affinitynet.data.collection import open_collection
from affinitynet.errors import InputError
from tests.suites.layout_suite import SIZE, LayoutSuite, UsedFilesSuite, World, save_picture

IDS = {"cat": 3, "dog": 7, "sofa": 90}


def columns_polygon(left, right):
    return [[left, 0, right, 0, right, SIZE[0], left, SIZE[0]]]


def column_runs(columns):
    """Uncompressed run lengths of whole columns."""
    drawn = np.zeros((SIZE[1], SIZE[0]), int)
    drawn[list(columns)] = 1
    flat = drawn.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *edges, flat.size]).tolist()
    return {"size": list(SIZE), "counts": [0, *runs] if flat[0] else runs}


def coco(images, annotations, classes=IDS):
    return {
        "info": {"description": "of a test"},
        "images": images,
        "annotations": [{"id": n, "iscrowd": 0, "area": 1, **a} for n, a in enumerate(annotations, start=1)],
        "categories": [{"id": number, "name": name, "supercategory": "thing"} for name, number in classes.items()],
    }


def written(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def image(number, name, size=SIZE):
    return {"id": number, "file_name": name, "height": size[0], "width": size[1]}


class TestCoco(LayoutSuite, UsedFilesSuite):
    masked = ("a", "c")  # an image without annotations is all background

    def write(self, root, world: World):
        for number, name in enumerate([*world.tags, *world.untagged]):
            save_picture(root / "images" / f"{name}.png", number)
        for split, names in (world.splits or {"all": tuple(world.tags)}).items():
            numbers = {name: 10 * number + 5 for number, name in enumerate(names)}
            annotations = [a for name in names for a in self.annotations(world, name, numbers[name])]
            table = coco([image(numbers[name], f"{name}.png") for name in names], annotations)
            written(root / "annotations" / f"{split}.json", table)

    def annotations(self, world, name, number):
        if name not in world.masks:
            return [{"image_id": number, "category_id": IDS[t], "segmentation": []} for t in world.tags[name]]
        made = []
        for column, what in enumerate(world.masks[name]):
            if what == "?":
                made.append({"category_id": IDS["cat"], "iscrowd": 1, "segmentation": column_runs([column])})
            elif what:
                made.append({"category_id": IDS[what], "segmentation": columns_polygon(column, column + 1)})
        return [{"image_id": number, **annotation} for annotation in made]

    def said_as(self, name):
        return f"{name}.png"

    def change(self, root, change):
        path = root / "annotations/all.json"
        table = json.loads(path.read_text())
        change(table)
        path.write_text(json.dumps(table))

    def add_row(self, root, name):
        def change(table):
            table["images"].append(image(99, f"{name}.png"))
            table["annotations"].append({"id": 99, "image_id": 99, "category_id": 3, "segmentation": []})

        self.change(root, change)

    def break_row(self, root, name):
        def change(table):
            number = next(entry["id"] for entry in table["images"] if entry["file_name"] == f"{name}.png")
            next(a for a in table["annotations"] if a["image_id"] == number)["category_id"] = 55

        self.change(root, change)


def two_images(root, annotations, classes=IDS, place="annotations.json", folder=""):
    for number, name in enumerate("ab"):
        save_picture(root / folder / f"{name}.png", number)
    written(root / place, coco([image(1, "a.png"), image(2, "b.png")], annotations, classes))
    return root


def test_masks_are_pycocotools_masks(tmp_path):
    """Polygons agree up to their edges, run lengths exactly; the smaller object is on top, crowds below all."""
    codec = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(0)
    blob = (np.add.outer(np.arange(60), np.arange(80)) // 7 % 3 == 0).astype(np.uint8)
    code = codec.encode(np.asfortranarray(blob))
    small = [[20.5, 10.25, 50.75, 12.5, 40, 30], [5, 5, 15, 5, 15, 15, 5, 15]]
    crowd = {"size": [60, 80], "counts": [0, 60 * 40, 60 * 40]}
    annotations = [
        {"image_id": 1, "category_id": 3, "segmentation": {"size": [60, 80], "counts": code["counts"].decode()}},
        {"image_id": 1, "category_id": 7, "segmentation": small},
        {"image_id": 1, "category_id": 90, "iscrowd": 1, "segmentation": crowd},
    ]
    Image.fromarray(rng.integers(0, 255, (60, 80, 3), np.uint8)).save(tmp_path / "a.png")
    written(tmp_path / "a.json", coco([image(1, "a.png", (60, 80))], annotations))
    collection = open_collection(tmp_path)
    (record,) = collection.split("a")
    mask = collection.mask(record)
    polygons = codec.decode(codec.merge(codec.frPyObjects(small, 60, 80))).astype(bool)
    expected = np.zeros((60, 80), np.uint8)
    expected[:, :40] = 255
    expected[blob > 0] = 1
    expected[polygons] = 2
    assert (mask != expected).sum() <= 0.05 * polygons.sum()
    assert (mask == expected)[~polygons].mean() > 0.99
    away = np.ones((60, 80), bool)
    away[4:32, 4:52] = False
    assert (mask == expected)[away].all()
    assert record.tags == (0, 1, 2)


@pytest.mark.parametrize(
    ("place", "folder", "split"),
    [
        ("annotations.json", "", "all"),
        ("result.json", "images", "all"),
        ("annotations/instances_train2017.json", "train2017", "train2017"),
        ("annotations/instances_train2017.json", "images/train2017", "train2017"),
        ("annotations/instances_default.json", "images/default", "default"),
        ("train/_annotations.coco.json", "train", "train"),
        ("annotations/train.json", "images", "train"),
        ("coco_val.json", "photos/deep", "coco_val"),
    ],
)
def test_files_and_images_are_found_where_tools_put_them(tmp_path, place, folder, split):
    annotations = [{"image_id": 1, "category_id": 3, "segmentation": columns_polygon(0, 4)}]
    collection = open_collection(two_images(tmp_path, annotations, place=place, folder=folder))
    assert list(collection.splits) == [split] == [collection.default_split]
    assert [r.tags for r in collection.split(split)] == [(0,), ()]
    assert collection.mask(collection.split(split)[0])[3].tolist() == [1] * 4 + [0] * 12
    assert any("2017" in r.text or "negatives" in r.text for r in collection.remarks)


def test_file_names_with_folders_of_another_machine(tmp_path):
    for number, name in enumerate(("one/a.png", "two/a.png")):
        save_picture(tmp_path / "images" / name, number)
    images = [image(1, "C:\\data\\one\\a.png"), image(2, "/home/me/two/a.png")]
    written(tmp_path / "labels.json", coco(images, [{"image_id": 2, "category_id": 3}]))
    collection = open_collection(tmp_path)
    assert [(r.name, r.tags) for r in collection.split("all")] == [("one/a", ()), ("two/a", (0,))]
    assert any("2 names that are written differently" in remark.text for remark in collection.remarks)
    (tmp_path / "images/one").rename(tmp_path / "images/three")
    assert (
        "may be images/three/a.png or images/two/a.png" in open_collection(tmp_path, on_error="skip").left_out[0].reason
    )


def test_captions_and_keypoints_beside_instances_are_not_read(tmp_path):
    annotations = [{"image_id": 1, "category_id": 3, "segmentation": columns_polygon(0, 4)}]
    two_images(tmp_path, annotations, place="annotations/instances_val2017.json", folder="val2017")
    written(tmp_path / "annotations/captions_val2017.json", {"images": [image(1, "a.png")], "annotations": []})
    collection = open_collection(tmp_path)
    assert list(collection.splits) == ["val2017"]
    assert [other.path.name for other in collection.passed_over] == ["captions_val2017.json"]


def test_categories_without_annotations_are_not_classes_and_that_is_said(tmp_path):
    annotations = [{"image_id": 1, "category_id": 7, "segmentation": columns_polygon(0, 4)}]
    collection = open_collection(two_images(tmp_path, annotations))
    assert collection.classes == ("dog",)
    assert "2 categories without annotations, which are not classes: cat" in [r.text for r in collection.remarks]
    assert (collection.mask(collection.split("all")[0])[0, :4] == 1).all()


def test_boxes_are_no_ground_truth_and_outlines_that_are_boxes_are_warned_of(tmp_path):
    boxes = [{"image_id": 1, "category_id": 3, "bbox": [0, 0, 4, 4]}]
    assert open_collection(two_images(tmp_path / "a", boxes)).evaluation_splits == ()
    outlines = [{"image_id": 1, "category_id": 3, "segmentation": [[1, 1, 9, 1, 9, 9, 1, 9]]}]
    collection = open_collection(two_images(tmp_path / "b", outlines))
    assert any(r.kind == "warning" and "upright rectangles" in r.text for r in collection.remarks)


@pytest.mark.parametrize(
    ("annotation", "complaint"),
    [
        ({"segmentation": [[1, 2, 3]]}, "three corners"),
        ({"segmentation": [[1, 2, 3, 4, 5, float("nan")]]}, "not a number"),
        ({"segmentation": [["x"] * 6]}, "list of numbers"),
        ({"segmentation": {"size": [9, 9], "counts": "00"}}, "size"),
        ({"segmentation": {"size": list(SIZE), "counts": [5, 5]}}, "pixels"),
        ({"segmentation": {"size": list(SIZE), "counts": "\x7f"}}, "characters"),
        ({"segmentation": {"size": list(SIZE), "counts": [-5, 197]}}, "lengths"),
    ],
)
def test_outlines_that_are_none_are_one_line(tmp_path, annotation, complaint):
    collection = open_collection(two_images(tmp_path, [{"image_id": 1, "category_id": 3, **annotation}]))
    with pytest.raises(InputError, match=complaint) as stopped:
        collection.mask(collection.split("all")[0])
    assert "annotations.json" in str(stopped.value)


def test_an_image_of_another_size_than_annotated_is_refused(tmp_path):
    two_images(tmp_path, [{"image_id": 1, "category_id": 3, "segmentation": columns_polygon(0, 4)}])
    Image.new("RGB", (8, 6)).save(tmp_path / "a.png")
    collection = open_collection(tmp_path)
    with pytest.raises(InputError, match="drawn on 16 x 12 pixels, its image is 8 x 6"):
        collection.mask(collection.split("all")[0])


def test_outlines_on_a_photograph_as_it_is_stored_are_turned_with_it(tmp_path):
    annotations = [{"image_id": 1, "category_id": 3, "segmentation": columns_polygon(0, 4)}]
    two_images(tmp_path, annotations)
    exif = Image.Exif()
    exif[274] = 6  # shown a quarter turn clockwise
    Image.new("RGB", (SIZE[1], SIZE[0])).save(tmp_path / "a.png", exif=exif)
    collection = open_collection(tmp_path)
    mask = collection.mask(collection.split("all")[0])
    stored = np.zeros(SIZE, np.uint8)
    stored[:, :4] = 1
    assert (mask == np.rot90(stored, -1)).all()


def test_pictures_among_the_annotations_are_not_images(tmp_path):
    annotations = [{"image_id": 1, "category_id": 3, "segmentation": columns_polygon(0, 4)}]
    two_images(tmp_path, annotations, place="annotations/instances_val2017.json", folder="val2017")
    save_picture(tmp_path / "annotations/panoptic_val2017/a.png")
    collection = open_collection(tmp_path)
    assert list(collection.splits) == ["val2017"]
    assert [other.path.parent.name for other in collection.passed_over] == ["panoptic_val2017"]


def test_annotations_of_unknown_images_are_named(tmp_path):
    annotations = [{"image_id": 77, "category_id": 3}, {"image_id": 1, "category_id": 3}]
    two_images(tmp_path, annotations)
    with pytest.raises(InputError, match="1 annotations are of image 77"):
        open_collection(tmp_path)
    collection = open_collection(tmp_path, on_error="skip")
    assert [left.name for left in collection.left_out] == ["image 77"]
    assert [r.tags for r in collection.split("all")] == [(0,), ()]


@pytest.mark.parametrize("key", ["image_id", "category_id"])
@pytest.mark.parametrize("wrong", [None, [1], {"a": 1}, 1.5])
def test_ids_that_are_none_are_named(tmp_path, key, wrong):
    two_images(tmp_path, [{"image_id": 1, "category_id": 3}, {"image_id": 1, "category_id": 3, key: wrong}])
    with pytest.raises(InputError, match="has no image_id or category_id"):
        open_collection(tmp_path)


def test_pieces_are_found_wherever_braces_and_escapes_are(tmp_path):
    """Fields are the same whether an annotation is looked through quickly or parsed."""
    annotations = [
        {"image_id": 1, "category_id": 3, "note": "}, {"},
        {"note": 'a "quoted" \\ brace }', "image_id": 2, "category_id": 7},
        {"attributes": {"image_id": 2}, "image_id": 1, "category_id": 7},
    ]
    collection = open_collection(two_images(tmp_path, annotations))
    assert [r.tags for r in collection.split("all")] == [(0, 1), (1,)]
