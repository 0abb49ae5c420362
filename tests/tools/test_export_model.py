"""The exported model computes what ``predict`` does, at any size, and says what it cannot."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from affinitynet.cli import main
from affinitynet.config.settings import PredictConfig
from affinitynet.data.images import load_image
from affinitynet.errors import InputError
from affinitynet.files import save_weights, voc_palette
from affinitynet.inference.untagged import SegmentationPredictor
from affinitynet.models.segmenter import Segmenter
from affinitynet.tools.export_model import export_model as tool
from tests.support.places import ROOT
from tests.test_readme import blocks

onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra onnx")
pytest.importorskip("onnx", reason="needs the extra onnx")

CLASSES = ["cat", "dog", "cow"]


def network(architecture: str = "DeepLabV3Plus", encoder: str = "lite") -> Segmenter:
    torch.manual_seed(0)
    return Segmenter(architecture, encoder, CLASSES, finds_tags=architecture == "DeepLabV3Plus").eval()


def saved(model: Segmenter, folder: Path) -> Path:
    path = folder / "segmenter.safetensors"
    save_weights(path, model.state_dict(), model.settings)
    return path


def blots(height: int, width: int) -> np.ndarray:
    coarse = np.random.default_rng(1).integers(0, 256, (height // 16 + 1, width // 16 + 1, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def session_of(model: Segmenter, config: PredictConfig):
    from affinitynet.tools.export_model.onnx_graph import onnx_model

    return onnxruntime.InferenceSession(onnx_model(model, config).SerializeToString())


@pytest.mark.parametrize("architecture", ["DeepLabV3Plus", "Unet", "LargeFOV"])
@pytest.mark.parametrize(("scales", "mirror"), [((1.0,), "each"), ((0.5, 1.0, 1.3), "alternate")])
@pytest.mark.parametrize("long_side", [None, 80])
def test_masks_and_probabilities_are_those_of_predict(architecture, scales, mirror, long_side):
    """Also of images above ``longest_side``, whose masks have their own size, and of the smallest ones."""
    model, config = network(architecture), PredictConfig(scales, mirror, 96, crf=False, precision="float32")
    if long_side:
        model.settings["long_side"] = long_side
    session, predictor = session_of(model, config), SegmentationPredictor(model, config)
    for size in ((64, 96), (53, 37), (150, 211), (301, 97), (1, 1), (1, 90)):
        image = blots(*size)
        mask, scores = session.run(None, {"image": image})
        expected = predictor.scores(image).numpy()
        assert mask.dtype == np.uint8
        assert mask.shape == size
        assert scores.shape == expected.shape
        assert np.abs(scores - expected).mean() < 5e-3  # Pillow rounds a resized image between its two passes
        assert (mask == predictor.predict(image)).mean() > 0.99
    image = blots(64, 96)
    if scales == (1.0,) and not long_side:
        assert np.abs(session.run(["scores"], {"image": image})[0] - predictor.scores(image).numpy()).max() < 1e-4


@pytest.mark.parametrize("architecture", ["DeepLabV3Plus", "Unet", "LargeFOV"])
def test_images_larger_than_the_one_it_was_exported_with(architecture):
    model, config = network(architecture), PredictConfig((1.0,), longest_side=320, crf=False, precision="float32")
    session, predictor = session_of(model, config), SegmentationPredictor(model, config)
    for size in ((256, 192), (160, 128), (64, 320), (320, 130)):
        image = blots(*size)
        scores = session.run(["scores"], {"image": image})[0]
        assert np.abs(scores - predictor.scores(image).numpy()).max() < 1e-4


def test_real_photographs(voc_animals):
    model, config = network(), PredictConfig(crf=False, precision="float32")
    session, predictor = session_of(model, config), SegmentationPredictor(model, config)
    for path in sorted((voc_animals / "JPEGImages").iterdir())[:3]:
        image = load_image(path)
        assert (session.run(["mask"], {"image": image})[0] == predictor.predict(image)).mean() >= 0.999


def test_the_command_and_the_script_without_torch(finished, world, tmp_path, capsys):
    photos = sorted((world / "images").iterdir())[:2]
    folder = tmp_path / "photos"
    folder.mkdir()
    for photo in photos:
        (folder / photo.name).write_bytes(photo.read_bytes())
    command = ["export-model", "--model", str(finished), "--format", "onnx", "-o", str(tmp_path / "model.onnx")]
    assert main([*command, "--check", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "4 classes" in said
    assert "leaves out the dense CRF" in said
    assert re.search(r"2 images: 100.00% of the pixels as predict in float32, \d+\.\d\d% with float32 and the", said)

    (script,) = [block for block in blocks(ROOT / "docs" / "use-the-masks.md", "python") if "onnxruntime" in block]
    script += "\nassert not {'torch', 'affinitynet'} & set(sys.modules)\n"
    names = [str(folder / photo.name) for photo in photos]
    done = subprocess.run([sys.executable, "-c", script, *names], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    model = SegmentationPredictor.load(finished)
    predictor = SegmentationPredictor(model.model, replace(model.config, crf=False))
    for name, line in zip(names, done.stdout.splitlines(), strict=True):
        expected, picture = predictor.predict(load_image(Path(name))), Image.open(f"{name}.mask.png")
        assert (np.asarray(picture) == expected).mean() > 0.999
        palette = picture.getpalette()
        assert palette is not None
        assert palette[: 3 * 5] == voc_palette()[: 3 * 5]
        labels = ("background", *predictor.model.classes)
        assert str([labels[value] for value in np.unique(np.asarray(picture))]) in line

    assert main(command) == 2
    assert "exists already" in capsys.readouterr().err


def test_labels_and_colours_are_in_the_file(tmp_path):
    found = tool.export_model(saved(network("LargeFOV"), tmp_path), tmp_path / "model.onnx")
    about = onnxruntime.InferenceSession(tmp_path / "model.onnx").get_modelmeta().custom_metadata_map
    assert json.loads(about["labels"]) == ["background", *CLASSES] == list(found.labels)
    assert json.loads(about["colours"]) == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]


def test_what_cannot_be_exported_is_refused_and_nothing_written(tmp_path, capfd, monkeypatch):
    out = tmp_path / "out" / "model.onnx"
    for architecture, encoder in (("PSPNet", "lite"), ("LargeFOV", "timm:test_vit")):
        with pytest.raises(InputError, match="torch cannot export this network"):
            tool.export_model(saved(network(architecture, encoder), tmp_path), out)
    assert capfd.readouterr().out == ""
    path = saved(network("LargeFOV"), tmp_path)
    for arguments, message in (
        ({"format": "tflite"}, "--format tflite: unknown format; known: onnx"),
        ({"out": tmp_path / "model.bin"}, "name it model.onnx"),
        ({"check": tmp_path / "absent"}, "no such file or folder"),
        ({"model": tmp_path / "absent.safetensors"}, "no such file"),
    ):
        with pytest.raises(InputError, match=message):
            tool.export_model(**{"model": path, "out": out, **arguments})
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(InputError, match=r"pip install 'affinitynet\[onnx\]'"):
        tool.export_model(path, out)
    assert not out.parent.exists()


def test_a_network_that_holds_on_to_a_size_is_found_out():
    """A tracing exporter may write down the size it was shown, without a word."""
    from affinitynet.tools.export_model.onnx_graph import onnx_model

    model = network("LargeFOV")
    content = onnx_model(model, PredictConfig((1.0,), longest_side=64)).SerializeToString()
    for longest_side, found_out in ((64, False), (1024, True)):
        exact = SegmentationPredictor(model, PredictConfig((1.0,), longest_side=longest_side, crf=False))
        if found_out:
            with pytest.raises(InputError, match="cannot be exported for images of any size"):
                tool._working_session(onnxruntime, content, exact)
        else:
            assert tool._working_session(onnxruntime, content, exact)
