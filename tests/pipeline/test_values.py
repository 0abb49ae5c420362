"""Images of more than 8 bits through the whole line: one range, measured once, kept, carried to what comes later."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from affinitynet.cli import main
from affinitynet.data.images import load_image
from affinitynet.errors import InputError
from affinitynet.files import read_json
from affinitynet.inference.tagged import MaskPredictor
from affinitynet.inference.untagged import SegmentationPredictor
from affinitynet.pipeline.run import run_pipeline
from affinitynet.records import ValueRange, ValueRanges
from affinitynet.tools.finished import open_finished
from affinitynet.work.folder import WorkFolder
from tests.support.deep import png16, tiff
from tests.support.worlds import QUICK, copied, tiny_world

NAMES = ("first", "second", "third", "fourth")
RANGE = ValueRanges(ValueRange(0.0, 4095.0))


def write(root, name, brightest):
    picture = np.random.default_rng(len(name)).integers(0, brightest + 1, (48, 56, 3)).astype(np.uint16)
    picture[:4, :4] = brightest
    (root / f"{name}.png").write_bytes(png16(picture))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Four 12-bit pictures, one of them bright, and a finished run."""
    root = tmp_path_factory.mktemp("deep")
    (root / "data").mkdir()
    for name, brightest in zip(NAMES, (500, 1000, 2000, 4095), strict=True):
        write(root / "data", name, brightest)
    rows = [f"{name}.png,{tag}" for name, tag in zip(NAMES, ("cat", "dog", "cat", "dog"), strict=True)]
    (root / "data" / "tags.csv").write_text("\n".join(["file,tags", *rows]) + "\n")
    config = replace(QUICK, seed=1)
    run_pipeline(root / "data", root / "work", config, workers=1)
    return root


def test_the_range_is_measured_once_and_said(made):
    folder = WorkFolder(made / "work")
    assert folder.values() == RANGE
    assert read_json(folder.values_file) == {"integers": [0.0, 4095.0]}
    said = folder.log_file.read_text()
    assert "4 images of more than 8 bits, in all of which the values 0 to 4095 become 0 to 255" in said


def test_every_later_stage_and_tool_sees_it(made):
    finished = open_finished(made / "work")
    assert all(record.values == RANGE for record in finished.collection.split(finished.split))
    new = made / "new.png"
    write(made, "new", 2000)
    expected = load_image(new, RANGE)
    assert 120 < expected.max() < 130
    np.testing.assert_array_equal(SegmentationPredictor.load(made / "work").read(new), expected)
    np.testing.assert_array_equal(
        SegmentationPredictor.load(made / "work" / "segmenter.safetensors").read(new), expected
    )
    np.testing.assert_array_equal(MaskPredictor.from_work(made / "work").read(str(new)), expected)


def test_predict_labels_as_the_network_was_trained(made, tmp_path, capsys):
    new = tmp_path / "new"
    new.mkdir()
    write(new, "a", 700)
    arguments = ["predict", str(new), "--model", str(made / "work"), "-o", str(tmp_path / "out"), "--workers", "1"]
    assert main(arguments) == 0
    assert "by its own range" not in capsys.readouterr().out
    predictor = SegmentationPredictor.load(made / "work")
    with Image.open(tmp_path / "out" / "masks" / "a.png") as mask:
        np.testing.assert_array_equal(np.asarray(mask), predictor.predict(load_image(new / "a.png", RANGE)))


def test_the_same_command_has_nothing_to_do_and_another_range_is_an_error(made, tmp_path):
    data, work = copied(made / "data", tmp_path / "data"), copied(made / "work", tmp_path / "work")
    config, before = replace(QUICK, seed=1), (work / "classifier.safetensors").stat().st_mtime_ns
    run_pipeline(data, work, config, workers=1)
    assert (work / "classifier.safetensors").stat().st_mtime_ns == before
    write(data, "fourth", 60000)
    with pytest.raises(InputError, match="images, tags, drawn masks or files of weights have changed"):
        run_pipeline(data, work, config, workers=1)
    run_pipeline(data, work, config, workers=1, stages=["check-data"], force=True)
    values = WorkFolder(work).values()
    assert values is not None
    assert values.integers is not None
    assert values.integers.high > 50000


def test_dark_and_odd_files_are_named(made, tmp_path):
    data = copied(made / "data", tmp_path / "data")
    write(data, "first", 30)
    (data / "second.png").unlink()
    stack = np.random.default_rng(0).integers(0, 4000, (48, 56, 6)).astype(np.uint16)
    (data / "second.tif").write_bytes(tiff(stack))
    (data / "tags.csv").write_text((data / "tags.csv").read_text().replace("second.png", "second.tif"))
    run_pipeline(data, tmp_path / "work", QUICK, workers=1, stages=["check-data"])
    said = WorkFolder(tmp_path / "work").log_file.read_text()
    assert "1 of the 4 images of more than 8 bits use less than a twentieth" in said
    assert "first (0 to 30)" in said
    assert " images with 6 bands, of which the first three are used as red, green and blue: second" in said


def test_a_collection_of_8_bits_knows_nothing_of_it(world, finished):
    assert not (finished / "values.json").exists()
    assert "values" not in SegmentationPredictor.load(finished).model.settings
    assert all(record.values is None for record in open_finished(finished).collection.split("train"))


def test_a_torn_file_is_named_and_nobody_is_told_to_delete_it(tmp_path):
    """Without it, all that is made later would be made of images that are read otherwise."""
    for content in ("[1, 2]", "{", '{"integers": [1]}', '{"colours": [1, 2]}', json.dumps({"floats": "abc"})):
        (tmp_path / "values.json").write_text(content)
        with pytest.raises(InputError, match=r"values\.json: cannot be read") as caught:
            WorkFolder(tmp_path).values()
        assert str(caught.value).count("restore it from a copy, or name a new --work") == 1
        assert "delete" not in str(caught.value)


def test_a_drawn_world_of_16_bits_gives_the_results_of_8_bits(tmp_path):
    shallow, deep = tiny_world(tmp_path / "shallow"), tiny_world(tmp_path / "deep")
    for path in sorted((deep / "images").iterdir()):
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        Image.fromarray(pixels).save((shallow / "images" / path.name).with_suffix(".png"))
        path.with_suffix(".png").write_bytes(png16(pixels.astype(np.uint16) * 257))
        for root in (shallow, deep):
            (root / "images" / path.name).unlink()
    for root in (shallow, deep):
        for table in (root / "tags.csv", *(root / "splits").iterdir()):
            table.write_text(table.read_text().replace(".jpg", ".png"))
        run_pipeline(root, tmp_path / f"{root.name}-work", QUICK, workers=1, stages=["check-data", "train-classifier"])
    classifiers = [
        WorkFolder(tmp_path / f"{name}-work").losses("classifier").read_text() for name in ("shallow", "deep")
    ]
    assert classifiers[0] == classifiers[1]
    assert WorkFolder(tmp_path / "deep-work").values() == ValueRanges(ValueRange(0, 65535))
