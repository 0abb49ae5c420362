"""What is known of a collection: counted by hand, kept in JSON, and read by versions that know other keys."""

import json

import numpy as np
import pytest
from PIL import Image

from affinitynet.data.collection import open_collection
from affinitynet.data.facts import Cases, ClassFacts, Pair, SplitFacts, read_facts, write_facts
from affinitynet.data.image_facts import image_facts, image_kind
from affinitynet.data.images import load_image
from affinitynet.data.survey import survey
from affinitynet.errors import InputError, LeftOut


def surveyed(root, left_out=()):
    """What is known of a folder whose images can all be read."""
    collection = open_collection(root).without(left_out)
    images = {
        record.name: image_facts(
            record.path, load_image(record.path), None if record.truth is None else collection.mask(record)
        )
        for record in collection.targets(collection.default_split)
    }
    return survey(collection, collection.default_split, images, left_out)


@pytest.fixture
def root(tmp_path):
    """Five images of three sizes in two splits, four masks, and files of other kinds."""
    folder, random = tmp_path / "data", np.random.default_rng(0)
    (folder / "masks").mkdir(parents=True)
    (folder / "splits").mkdir()
    sizes = {"a": (40, 80), "b": (70, 80), "c": (70, 80), "d": (90, 100), "e": (70, 80)}
    for name, (height, width) in sizes.items():
        Image.fromarray(random.integers(0, 256, (height, width, 3), np.uint8)).save(folder / f"{name}.png")
    (folder / "tags.csv").write_text("file,tags\na.png,cat;dog\nb.png,cat\nc.png,\nd.png,cat;owl\ne.png,dog\n")
    (folder / "splits" / "train.txt").write_text("a\nb\nc\n")
    (folder / "splits" / "val.txt").write_text("d\ne\n")
    painted = {"a": (1,), "b": (), "d": (1, 3), "e": (2, 1)}  # of cat, dog, owl
    for name, labels in painted.items():
        mask = np.zeros(sizes[name], np.uint8)
        for row, label in enumerate(labels):
            mask[10 * row : 10 * row + 10, :20] = label
        mask[-1, -1] = 255 if name == "a" else 0
        Image.fromarray(mask).save(folder / "masks" / f"{name}.png")
    (folder / "notes.pdf").write_text("notes")
    return folder


def test_upright_and_lying_images_of_one_area_are_not_all_alike(tmp_path):
    random = np.random.default_rng(0)
    for name, size in {"a": (30, 40, 3), "b": (40, 30, 3), "c": (30, 40, 3)}.items():
        Image.fromarray(random.integers(0, 256, size, np.uint8)).save(tmp_path / f"{name}.png")
    (tmp_path / "tags.csv").write_text("file,tags\na.png,cat\nb.png,cat\nc.png,dog\n")
    sizes = surveyed(tmp_path).sizes
    assert (sizes.smallest, sizes.largest) == ((30, 40), (40, 30))


def test_it_is_what_counting_by_hand_gives(root):
    facts = surveyed(root)
    assert facts.splits == (
        SplitFacts("train", 3, 2, trained=True, measured=False, shared=3),
        SplitFacts("val", 2, 2, trained=False, measured=True, shared=0),
    )
    assert (facts.images, facts.training_images, facts.negatives) == (5, 3, 1)
    cat, dog, owl = facts.classes
    assert cat == ClassFacts("cat", images=2, measured=1, masks=3, pixels=600, share=round(200 / 5600, 6))
    assert (dog.images, dog.measured, dog.pixels, owl.images, owl.measured) == (1, 1, 200, 0, 1)
    assert facts.pairs == (Pair("cat", "dog", 1),)
    assert facts.kinds == {"8-bit RGB PNG": 5}
    assert (facts.sizes.smallest, facts.sizes.median, facts.sizes.largest) == ((80, 40), (80, 70), (100, 90))
    assert facts.sizes.small == Cases(1, "a")
    masks = facts.masks
    assert (masks.count, masks.ignored, masks.ignoring) == (4, 1, 1)
    assert masks.background == 40 * 80 + 2 * 70 * 80 + 90 * 100 - 1000 - 1
    assert masks.unpainted == Cases(1, "b")
    assert masks.missing == Cases(1, "a (dog)")
    assert masks.untagged == Cases(1, "e (cat)")
    assert (1, "notes.pdf") in [(cases.count, cases.example) for cases in facts.passed_over]
    assert facts.skipped == ()


def test_what_was_skipped_is_counted_and_not_described(root):
    facts = surveyed(
        root, (LeftOut("b", "image", "torn"), LeftOut("x.png", "row", "no image"), LeftOut("e", "mask", ""))
    )
    assert (facts.images, facts.training_images, facts.masks.count) == (4, 2, 2)
    assert set(facts.skipped) == {Cases(1, "b", "image"), Cases(1, "x.png", "row"), Cases(1, "e", "mask")}


def test_repeated_images_in_another_format_and_split(root):
    Image.open(root / "a.png").save(root / "d.png")
    Image.open(root / "masks" / "a.png").save(root / "masks" / "d.png")
    facts = surveyed(root)
    assert facts.leaked == facts.repeated == facts.contradicted == Cases(1, "d and a")
    Image.open(root / "b.png").save(root / "c.bmp")
    (root / "c.png").unlink()
    rows = (root / "tags.csv").read_text().replace("c.png,", "c.bmp,cat")
    (root / "tags.csv").write_text(rows)
    facts = surveyed(root)
    assert (facts.repeated.count, facts.leaked.count, facts.contradicted.count) == (2, 1, 1)


def test_an_image_of_one_colour_is_flat_and_no_repetition(root):
    for name, colour in (("b", (9, 9, 9)), ("c", (12, 9, 15))):
        Image.new("RGB", (80, 70), colour).save(root / f"{name}.png")
    Image.new("RGB", (80, 70), (9, 9, 9)).save(root / "e.png")
    facts = surveyed(root)
    assert facts.flat == Cases(3, "b")
    assert facts.repeated == Cases()


def test_a_small_thing_on_a_plain_ground_is_not_one_colour(tmp_path):
    plain = np.full((200, 200, 3), 90, np.uint8)
    assert image_facts(tmp_path / "x.png", plain, None).flat
    plain[101:103, 77:79] = 200
    assert not image_facts(tmp_path / "x.png", plain, None).flat


@pytest.mark.parametrize(
    ("dtype", "shape", "name", "kind"),
    [
        (np.uint8, (4, 6, 3), "a.jpg", "8-bit RGB JPEG"),
        (np.uint8, (4, 6), "a.jpg", "8-bit gray JPEG"),
        (np.uint8, (4, 6, 4), "a.png", "8-bit RGB + alpha PNG"),
        (np.uint8, (4, 6), "a.bmp", "8-bit gray BMP"),
        (np.uint16, (4, 6), "a.png", "16-bit gray PNG"),
        (np.uint16, (4, 6), "a.tif", "16-bit gray TIFF"),
        (np.int32, (4, 6), "a.tif", "32-bit gray TIFF"),
        (np.float32, (4, 6), "a.tif", "float gray TIFF"),
    ],
)
def test_kinds_of_images(tmp_path, dtype, shape, name, kind):
    Image.fromarray(np.zeros(shape, dtype)).save(tmp_path / name)
    assert image_kind(tmp_path / name) == kind


def test_the_kind_of_colours_deeper_than_8_bits(tmp_path):
    cv2 = pytest.importorskip("cv2")
    for name, kind in (("a.png", "16-bit RGB PNG"), ("a.tif", "16-bit RGB TIFF")):
        cv2.imwrite(str(tmp_path / name), np.zeros((4, 6, 3), np.uint16))
        assert image_kind(tmp_path / name) in (kind, "TIF file")  # Pillow does not read every such TIFF


def test_a_kind_that_is_not_known_is_its_suffix(tmp_path):
    (tmp_path / "scan.dcm").write_bytes(b"\0" * 128 + b"DICM")
    (tmp_path / "scan").write_bytes(b"")
    assert image_kind(tmp_path / "scan.dcm") == "DCM file"
    assert image_kind(tmp_path / "scan") == "unnamed file"


def test_it_is_read_back_as_it_was_written(root, tmp_path):
    facts = surveyed(root)
    write_facts(tmp_path / "collection.json", facts)
    assert read_facts(tmp_path / "collection.json") == facts
    assert read_facts(tmp_path / "none.json") is None


def test_keys_of_other_versions(root, tmp_path):
    path, facts = tmp_path / "collection.json", surveyed(root)
    content = {**json.loads(json.dumps(facts.to_json())), "later": 1}
    del content["pairs"]
    content["classes"][0] = {"name": "cat", "later": [1]}
    path.write_text(json.dumps(content))
    found = read_facts(path)
    assert found is not None
    assert (found.pairs, found.classes[0], found.classes[1:]) == ((), ClassFacts("cat"), facts.classes[1:])


DAMAGED = ["", "[]", "[1]", '{"images": "many"}', '{"classes": [1]}', '{"classes": [{}]}', '{"kinds": 3}']


@pytest.mark.parametrize("content", [*DAMAGED, '{"sizes": {"smallest": [1]}}', '{"splits": "train"}'])
def test_a_damaged_file_is_named(tmp_path, content):
    (tmp_path / "collection.json").write_text(content)
    with pytest.raises(InputError, match=r"collection\.json"):
        read_facts(tmp_path / "collection.json")
