"""Ground-truth masks in the files that people have them in, and beside photographs that EXIF turns."""

import io

import numpy as np
import pytest
from PIL import Image

from affinitynet.data.collection import open_collection
from affinitynet.data.masks import load_mask
from affinitynet.errors import InputError, Problems
from affinitynet.files import voc_palette
from tests.support.deep import png16, tiff
from tests.support.worlds import plain_folder

MASK = np.array([[0, 1, 2], [3, 255, 0]], np.uint8)
SIZE = MASK.shape
PALETTE = np.array(voc_palette(), np.uint8).reshape(256, 3)


def read(tmp_path, content):
    (tmp_path / "mask").write_bytes(content)
    return load_mask(tmp_path / "mask", SIZE)


def saved(picture, form="PNG", **options):
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def indexed():
    picture = Image.fromarray(MASK)
    picture.putpalette(voc_palette())
    return picture


FORMS = {
    "gray PNG": lambda: saved(Image.fromarray(MASK)),
    "palette PNG": lambda: saved(indexed()),
    "16-bit PNG": lambda: saved(Image.fromarray(MASK.astype(np.uint16))),
    "16-bit colours": lambda: png16(np.dstack([MASK.astype(np.uint16)] * 3)),
    "gray as colours": lambda: saved(Image.fromarray(np.dstack([MASK] * 3))),
    "gray as colours, opaque": lambda: saved(Image.fromarray(np.dstack([*[MASK] * 3, np.full_like(MASK, 255)]))),
    "VOC's colours": lambda: saved(Image.fromarray(PALETTE[MASK])),
    "TIFF": lambda: saved(Image.fromarray(MASK), "TIFF"),
    "BMP": lambda: saved(Image.fromarray(MASK), "BMP"),
    "32-bit TIFF": lambda: tiff(MASK.astype(np.int32)),
    "float TIFF": lambda: tiff(MASK.astype(np.float32)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_unambiguous_form_is_read(tmp_path, form):
    np.testing.assert_array_equal(read(tmp_path, FORMS[form]()), MASK)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: saved(Image.new("RGB", (3, 2), (255, 0, 0))), r"contains colours \(\(255, 0, 0\)\); save it as 8-bit"),
        (lambda: saved(Image.fromarray(MASK), "JPEG"), "a JPEG changes the values"),
        (lambda: saved(Image.new("RGBA", (3, 2), (0, 0, 0, 9))), "must not be transparent"),
        (lambda: saved(Image.fromarray(MASK.astype(np.uint16) * 257)), "contains value 65535"),
        (lambda: tiff(MASK / 2), "must contain whole numbers"),
        (lambda: tiff(np.where(MASK, np.nan, 0).astype(np.float32)), "must contain whole numbers"),
        (lambda: tiff(-MASK.astype(np.int16)), "contains value -255"),
        (lambda: saved(Image.new("L", (4, 2))), "the mask is 4 x 2 pixels, its image 3 x 2"),
    ],
)
def test_every_other_names_its_cure(tmp_path, make, complaint):
    with pytest.raises(InputError, match=complaint):
        read(tmp_path, make())


def turned_world(tmp_path, orientation, size=(40, 32)):
    """A folder whose photograph a.jpg EXIF turns, and a record of it."""
    plain_folder(tmp_path, "file,tags\na.jpg,cat\nb.png,dog\n")
    (tmp_path / "a.png").unlink()
    exif = Image.Exif()
    exif[274] = orientation
    Image.new("RGB", size).save(tmp_path / "a.jpg", exif=exif)
    (tmp_path / "masks").mkdir()


def mask_of(tmp_path, mask):
    Image.fromarray(mask).save(tmp_path / "masks" / "a.png")
    collection, problems = open_collection(tmp_path), Problems()
    record = next(record for record in collection.split("all") if record.name == "a")
    return collection.mask(record, problems), [remark.text for remark in problems.remarks]


def test_a_mask_is_turned_with_its_photograph_and_that_is_said(tmp_path):
    stored = np.zeros((32, 40), np.uint8)
    stored[:4, :7] = 1
    for orientation, expected in ((6, np.rot90(stored, -1)), (8, np.rot90(stored)), (5, stored.T)):
        turned_world(tmp_path / str(orientation), orientation)
        mask, remarks = mask_of(tmp_path / str(orientation), stored)
        np.testing.assert_array_equal(mask, expected)
        assert len(remarks) == 1
        assert "they were turned with it" in remarks[0]


def test_a_mask_drawn_on_the_turned_photograph_stays_as_it_is(tmp_path):
    turned_world(tmp_path, 6)
    upright = np.zeros((40, 32), np.uint8)
    upright[:4, :7] = 1
    mask, remarks = mask_of(tmp_path, upright)
    np.testing.assert_array_equal(mask, upright)
    assert remarks == []


@pytest.mark.parametrize(("orientation", "size"), [(6, (32, 32)), (3, (40, 32))])
def test_a_mask_that_fits_either_way_is_said(tmp_path, orientation, size):
    turned_world(tmp_path, orientation, size)
    drawn = np.eye(size[1], size[0], dtype=np.uint8)
    mask, remarks = mask_of(tmp_path, drawn)
    np.testing.assert_array_equal(mask, drawn)
    assert "which fit either way" in remarks[0]


def test_a_mask_of_another_size_names_exif_only_where_it_matters(tmp_path):
    turned_world(tmp_path / "turned", 6)
    with pytest.raises(InputError, match=r"9 x 9 pixels.*turned by EXIF; it is stored as 40 x 32"):
        mask_of(tmp_path / "turned", np.zeros((9, 9), np.uint8))
    turned_world(tmp_path / "upright", 1)
    with pytest.raises(InputError, match="9 x 9") as error:
        mask_of(tmp_path / "upright", np.zeros((9, 9), np.uint8))
    assert "EXIF" not in str(error.value)


def test_the_size_is_compared_before_the_colours(tmp_path):
    (tmp_path / "mask").write_bytes(saved(Image.new("RGB", (4, 2), (255, 0, 0))))
    with pytest.raises(InputError, match="4 x 2 pixels"):
        load_mask(tmp_path / "mask", SIZE)
