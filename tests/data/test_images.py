"""Pictures in every format and depth: what is seen, against values that were written by others."""

import io
from importlib.util import find_spec

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from affinitynet.data.formats import cure_for, format_of, reads_avif
from affinitynet.data.images import image_size, load_image, read_image
from affinitynet.data.pixels import turned
from affinitynet.data.values import Measured, known_values, measure, ranges_of
from affinitynet.errors import InputError
from affinitynet.records import ValueRange, ValueRanges
from tests.support.deep import dicom, heic, png16, png_chunk, tiff, with_tag

RAMP = np.linspace(0, 1, 24 * 30).reshape(24, 30)
GRAY = np.round(RAMP * 255).astype(np.uint8)
COLOURS = np.dstack([GRAY, GRAY[::-1], GRAY[:, ::-1]])


def seen(tmp_path, content, name="a.bin", values=None):
    path = tmp_path / name
    path.write_bytes(content)
    image = load_image(path, values)
    assert image_size(path) == image.shape[:2]
    return image


def encoded(form, **options):
    file = io.BytesIO()
    Image.fromarray(COLOURS).save(file, form, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("JPEG", {"quality": 100}),
        ("JPEG2000", {}),
        ("PPM", {}),
        ("BMP", {}),
        ("WEBP", {"lossless": True}),
        pytest.param("AVIF", {"quality": 100}, marks=pytest.mark.skipif(not reads_avif(), reason="no AVIF")),
    ],
)
def test_the_content_tells_the_format_not_the_name(tmp_path, form, options):
    for name in ("a", "a.jfif", "a.png", "a.dat"):
        difference = np.abs(seen(tmp_path, encoded(form, **options), name).astype(int) - COLOURS)
        assert difference.max() <= (40 if form in ("JPEG", "AVIF") else 0)


def test_signatures_name_the_formats_and_nothing_else():
    for form in ("JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP", "JPEG2000", "PPM"):
        assert format_of(encoded(form)[:132]) == form
    for text in (
        b"",
        b"BMW is a car",
        b"P5 is a page",
        b"II",
        b"RIFF....WAVE",
        b"%!PS-Adobe-3.0",
        b"<svg/>",
        bytes(132),
    ):
        assert format_of(text) is None


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("write", ["png", "png colours", "tif", "tif lzw", "tif colours", "int32"])
def test_bits_in_use_become_the_whole_range(tmp_path, bits, write):
    top = 2**bits - 1
    deep = np.round(np.dstack([RAMP, RAMP[::-1], RAMP[:, ::-1]]) * top).astype(np.uint16)
    gray = np.repeat(deep[..., :1], 3, axis=2)
    if write == "tif lzw":
        file = io.BytesIO()
        Image.fromarray(deep[..., 0]).save(file, "TIFF", compression="tiff_lzw")
        content, expected = file.getvalue(), gray
    else:
        content, expected = {
            "png": (png16(deep[..., :1]), gray),
            "png colours": (png16(deep), deep),
            "tif": (tiff(deep[..., 0]), gray),
            "tif colours": (tiff(deep, photometric="rgb"), deep),
            "int32": (tiff(deep[..., 0].astype(np.int32)), gray),
        }[write]
    image = seen(tmp_path, content)
    np.testing.assert_array_equal(image, np.round(expected * (255 / top)))


def test_a_16_bit_picture_is_seen_as_its_8_bit_twin(tmp_path):
    deep = COLOURS.astype(np.uint16) * 257
    for content in (png16(deep), tiff(deep, photometric="rgb"), tiff(deep, photometric="rgb", planarconfig="separate")):
        np.testing.assert_array_equal(seen(tmp_path, content), COLOURS)


@pytest.mark.parametrize("kind", ["u2", "i2", "u4", "i4", "f4", "f8"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"tile": (16, 16)}], ids=["plain", "zlib", "tiles"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_every_type_order_and_orientation_of_a_tiff(tmp_path, kind, byteorder, options, orientation):
    deep = np.round(RAMP * 1023).astype(kind)
    turn = [(274, 3, 1, orientation, True)]
    expected = np.rot90(np.round(deep * (255 / 1023)), {1: 0, 3: 2, 6: -1}[orientation])
    for values in (deep, np.dstack([deep] * 6)):
        content = tiff(values.astype(byteorder + kind), byteorder=byteorder, extratags=turn, **options)
        np.testing.assert_array_equal(seen(tmp_path, content)[..., 0], expected)


def test_an_uncompressed_8_bit_tiff_is_turned_and_not_garbled(tmp_path):
    for values in (GRAY, COLOURS):
        photometric = {} if values is GRAY else {"photometric": "rgb"}
        image = seen(tmp_path, tiff(values, extratags=[(274, 3, 1, 6, True)], **photometric), "a.tif")
        np.testing.assert_array_equal(image[..., 0], np.rot90(values[..., 0] if values.ndim == 3 else values, -1))


def test_orientations_are_those_of_pillow():
    stored = np.arange(12).reshape(3, 4)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[274] = orientation
        file = io.BytesIO()
        Image.fromarray(stored.astype(np.uint8)).save(file, "PNG", exif=exif)
        expected = np.asarray(ImageOps.exif_transpose(Image.open(file)))
        np.testing.assert_array_equal(turned(stored, orientation), expected)


def test_bands_beyond_the_third_are_not_shown_and_that_is_said(tmp_path):
    nir = np.full_like(GRAY, 9)
    for values, options, note in (
        (np.dstack([COLOURS, nir]), {"photometric": "rgb", "extrasamples": [0]}, "4 bands"),
        (np.dstack([COLOURS, nir]), {}, "4 bands"),
        (np.dstack([COLOURS, nir, nir, nir, nir, nir]), {}, "8 bands"),
        (np.dstack([GRAY, nir]), {}, "2 bands"),
    ):
        for depth in (np.uint8, np.uint16):
            path = tmp_path / "a.tif"
            path.write_bytes(tiff(values.astype(depth), **options))
            found = read_image(path)
            expected = COLOURS if values.shape[2] > 2 else np.dstack([GRAY] * 3)
            np.testing.assert_array_equal(found.pixels, expected)
            assert note in found.note


def test_transparency_is_laid_on_white_at_any_depth(tmp_path):
    alpha = np.zeros((24, 30), np.uint16)
    alpha[:, :10] = 65535
    deep = COLOURS.astype(np.uint16) * 257
    layers = np.dstack([deep, alpha])
    layers[:, 10:, :3] = 65535  # what is not seen decides nothing
    gray = np.dstack([deep[..., 0], alpha])
    key = png_chunk(b"tRNS", np.array([7, 7, 7], ">u2").tobytes())
    keyed = deep.copy()
    keyed[:, 10:] = 7
    for content, expected in (
        (png16(layers), COLOURS),
        (tiff(layers, photometric="rgb", extrasamples=["unassalpha"]), COLOURS),
        (png16(gray), np.dstack([GRAY] * 3)),
        (png16(keyed, key), COLOURS),
    ):
        image = seen(tmp_path, content)
        np.testing.assert_array_equal(image[:, :10], expected[:, :10])
        assert (image[:, 10:] == 255).all()


def test_what_was_not_measured_is_black_and_decides_nothing(tmp_path):
    values = RAMP.astype(np.float32) * 0.3 - 0.1
    expected = np.round((values - values[1:].min()) * (255 / np.ptp(values[1:])))
    values[0, :5] = [np.nan, -np.inf, -9999, -3.4e38, 1e38]
    values[0, 5] = np.inf
    values[0, 6:] = 0.05
    image = seen(tmp_path, tiff(values))[..., 0]
    assert image[0, :5].tolist() == [0] * 5
    assert image[0, 5] == 255
    assert np.abs(image[1:].astype(int) - expected[1:]).max() <= 1
    whole = np.round(RAMP * 800 + 200).astype(np.int16)
    whole[0, 0] = 1234
    assert seen(tmp_path, tiff(whole, extratags=[(42113, "s", 5, "1234", True)]))[0, 0].tolist() == [0, 0, 0]
    assert seen(tmp_path, tiff(np.full((4, 5), np.nan, np.float32))).max() == 0


def test_white_may_be_zero(tmp_path):
    content = tiff(np.round(RAMP * 4095).astype(np.uint16), photometric="miniswhite")
    np.testing.assert_array_equal(seen(tmp_path, content)[..., 0], 255 - np.round(np.round(RAMP * 4095) * (255 / 4095)))


def test_the_first_page_is_read_and_that_is_said(tmp_path):
    path = tmp_path / "stack.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(GRAY, metadata=None)
        file.write(GRAY[::-1], metadata=None)
    found = read_image(path)
    np.testing.assert_array_equal(found.pixels[..., 0], GRAY)
    assert "several pages" in found.note
    with tifffile.TiffWriter(path) as file:
        file.write(GRAY, metadata=None)
        file.write(GRAY[::2, ::2], subfiletype=1, metadata=None)
    assert read_image(path).note == ""  # a smaller copy is no page


@pytest.mark.skipif(find_spec("imagecodecs") is not None, reason="imagecodecs is installed")
def test_what_cannot_be_unpacked_says_what_is_missing(tmp_path):
    with pytest.raises(InputError, match=r"depth or number of bands .* \(LZW\); pip install 'affinitynet\[tiff\]'"):
        seen(tmp_path, with_tag(tiff(np.zeros((8, 8, 6), np.uint16)), 259, 5))  # LZW


def test_no_tiff_takes_all_memory(tmp_path):
    packed = tiff(np.zeros((64, 64, 6), np.uint16), compression="zlib", rowsperstrip=64)
    with pytest.raises(InputError, match="unpacks to more"):
        seen(tmp_path, with_tag(packed, 257, 1))  # one row, but the strip holds 64
    large = tiff(np.zeros((8, 8, 6)))
    with pytest.raises(InputError, match="GB"):
        seen(tmp_path, with_tag(with_tag(large, 256, 65535), 257, 65535))


def test_a_collection_has_one_range_so_that_brightness_keeps_its_meaning(tmp_path):
    dark, bright = (np.round(RAMP * top).astype(np.uint16) for top in (900, 3600))
    paths = [tmp_path / name for name in ("dark.tif", "bright.tif")]
    for path, values in zip(paths, (dark, bright), strict=True):
        path.write_bytes(tiff(values))
    measured = [read_image(path, measured=True).measured for path in paths]
    ranges = ranges_of(one for one in measured if one)
    assert ranges is not None
    levels = [float(load_image(path, ranges).mean()) for path in paths]
    assert levels[1] / levels[0] == pytest.approx(4, rel=0.03)
    assert load_image(paths[1], ranges).max() == 255
    alone = [load_image(path).max() for path in paths]
    assert alone[0] > 220  # a file by itself is made visible


def test_a_range_is_that_of_the_values_in_use():
    def of(*bounds):
        return ranges_of(Measured("integers", ValueRange(*bound)) for bound in bounds)

    assert of((12, 4000)) == ValueRanges(ValueRange(0, 4095))
    assert of((700, 1900)) == ValueRanges(ValueRange(700, 1900))
    assert of((-1000, 2000), (-900, 3000)) == ValueRanges(ValueRange(-1000, 3000))
    many = [(100.0, 2000.0)] * 200
    assert of(*many, (100.0, 60000.0)) == ValueRanges(ValueRange(100, 2000))  # one image in two hundred
    floats = Measured("floats", ValueRange(0.1, 0.7))
    assert ranges_of([floats, Measured("integers", ValueRange(0, 4000))]) == ValueRanges(
        ValueRange(0, 4095), ValueRange(0.1, 0.7)
    )
    assert ranges_of([]) is None
    flat = np.full((4, 5), 7, np.uint16)
    assert measure(flat, known_values(flat)) is None


def test_pictures_of_8_bits_are_not_measured(tmp_path):
    for form in ("PNG", "JPEG", "TIFF"):
        path = tmp_path / "a.bin"
        path.write_bytes(encoded(form))
        found = read_image(path, ValueRanges(ValueRange(0, 10)), measured=True)
        assert (found.deep, found.measured) == (False, None)
        np.testing.assert_array_equal(found.pixels, load_image(path))


def test_dicom_is_rescaled_windowed_and_inverted(tmp_path):
    pytest.importorskip("pydicom")
    stored = np.round(RAMP * 2000).astype(np.int32)
    scale = {"RescaleSlope": "1", "RescaleIntercept": "-1000"}
    window = {"WindowCenter": "0", "WindowWidth": "1000"}
    plain = seen(tmp_path, dicom(stored, **scale), "a.dcm")[..., 0]
    assert np.abs(plain.astype(int) - np.round(RAMP * 255)).max() <= 1
    windowed = seen(tmp_path, dicom(stored, **scale, **window), "a.dcm")[..., 0]
    expected = np.round((stored - 1000.0).clip(-500, 500) + 500) * 0.255
    assert np.abs(windowed - expected).max() <= 1
    inverted = seen(tmp_path, dicom(stored, "MONOCHROME1", **scale, **window), "no suffix")[..., 0]
    assert (inverted == 255 - windowed).all()
    path = tmp_path / "a.dcm"
    found = read_image(path, measured=True)
    assert found.measured == Measured("integers", ValueRange(-500, 500))
    padded = stored.copy()
    padded[0] = 30000
    image = seen(tmp_path, dicom(padded, PixelPaddingValue=30000, **scale), "a.dcm")
    assert image[0].max() == 0
    assert image[1:].max() == 255


def test_photographs_of_phones(tmp_path):
    pytest.importorskip("pillow_heif")
    content = heic((30, 24))
    assert seen(tmp_path, content, "IMG_1.HEIC").shape == (24, 30, 3)
    assert seen(tmp_path, content, "renamed.jpg").std() > 10


def test_without_its_reader_a_format_names_the_cure(tmp_path, monkeypatch):
    monkeypatch.setattr("affinitynet.data.formats.find_spec", lambda name: None)
    cure_for.cache_clear()
    try:
        for start, cure in (
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", r"HEIC; pip install 'affinitynet\[heic\]'"),
            (bytes(128) + b"DICM", r"DICOM; pip install 'affinitynet\[dicom\]'"),
            (b"8BPS\0\1", "Photoshop; export"),
        ):
            with pytest.raises(InputError, match=cure):
                seen(tmp_path, start + bytes(64), "a.jpg")
    finally:
        cure_for.cache_clear()


def test_a_damaged_bigtiff_is_refused_in_a_line(tmp_path):
    content = bytearray(tiff(GRAY, bigtiff=True, rowsperstrip=12))
    entry = content.index(b"\x11\x01\x10\x00")  # StripOffsets: two numbers of 8 bytes, elsewhere
    offsets = int.from_bytes(content[entry + 12 : entry + 20], "little")
    content[offsets + 8 : offsets + 16] = b"\xff" * 8
    with pytest.raises(InputError, match="cannot be read"):
        seen(tmp_path, bytes(content))
