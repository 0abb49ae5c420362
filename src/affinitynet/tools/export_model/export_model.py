"""``export-model``: the segmentation network with all of ``predict`` around it, in one file."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from affinitynet.errors import InputError, one_line
from affinitynet.files import atomic_file

if TYPE_CHECKING:
    from affinitynet.inference.untagged import SegmentationPredictor

FORMATS = ("onnx",)
SIZES = ((75, 110), (160, 97))
"""Of drawn pictures on which every exported model is compared: a network may hold on to the size it was exported at."""
TOLERANCE = 0.01
"""Mean difference of the probabilities of a picture; float32 on another runtime stays below a hundredth of this."""


@dataclass(frozen=True)
class Comparison:
    """How an exported model's masks of photographs compare with those of ``predict``.

    Args:
        images: their number.
        equal: share of the pixels with the label that ``predict`` gives them in float32 without the dense CRF, which
            is what the model computes.
        equal_as_set: the same, as the settings have it.
        precision: the arithmetic that they name.
        seconds: an image takes the exported model.
        seconds_as_set: and ``predict``, as the settings have it.
    """

    images: int
    equal: float
    equal_as_set: float
    precision: str
    seconds: float
    seconds_as_set: float


@dataclass(frozen=True)
class Exported:
    """What :func:`export_model` has written.

    Args:
        labels: names of the mask values, background first.
        megabytes: of the file.
        without_crf: whether ``predict`` would pass the probabilities through the dense CRF, which the file does not.
        comparison: with ``predict``, if photographs were named.
    """

    labels: tuple[str, ...]
    megabytes: float
    without_crf: bool = False
    comparison: Comparison | None = None


def export_model(model: Path, out: Path, format: str = "onnx", *, check: Path | None = None) -> Exported:
    """Write the segmentation network as one file that labels photographs without affinitynet and without torch.

    Reducing, padding, mirroring, scales and the decision are inside: a photograph of any size goes in, its mask comes
    out. It computes in float32, and without the dense CRF.

    Args:
        model: A work folder with a segmentation network, or its .safetensors file.
        out: The file to write; must not exist.
        format: Only onnx so far.
        check: A photograph, or a folder of them, to compare its masks with those of predict; null: none.

    Raises:
        InputError: there is no such network or format, the file exists, the packages of the extra are not installed, or
            the network cannot be exported.
    """
    if format not in FORMATS:
        raise InputError(f"--format {format}: unknown format; known: {', '.join(FORMATS)}")
    if out.suffix != f".{format}":
        raise InputError(f"--out {out}: is written as {format}; name it {out.with_suffix(f'.{format}').name}")
    if out.exists():
        raise InputError(f"--out {out}: exists already; delete it or name another file")
    from affinitynet.tools.sources import find_images

    images = list(find_images([check]).images.values()) if check is not None else []

    from affinitynet.inference.untagged import SegmentationPredictor
    from affinitynet.tools.export.common import needs
    from affinitynet.tools.export_model.onnx_graph import onnx_model

    predictor = SegmentationPredictor.load(model)
    runtime = needs("onnxruntime", "onnxruntime", "onnx")
    content = onnx_model(predictor.model, predictor.config).SerializeToString()
    exact = SegmentationPredictor(predictor.model, replace(predictor.config, precision="float32", crf=False))
    session = _working_session(runtime, content, exact)
    with atomic_file(out) as file:
        file.write(content)
    comparison = _compared(session, exact, predictor, images) if images else None
    labels = ("background", *predictor.model.classes)
    return Exported(labels, len(content) / 2**20, predictor.config.crf, comparison)


def _working_session(runtime: Any, content: bytes, exact: SegmentationPredictor) -> Any:
    """Return a session of the model, which was found to compute what ``predict`` does at more than one size.

    Raises:
        InputError: it does not run, or computes something else.
    """
    rng = np.random.default_rng(0)
    try:
        session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
        for height, width in SIZES:
            coarse = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
            image = np.ascontiguousarray(coarse.repeat(8, 0).repeat(8, 1)[:height, :width])
            difference = np.abs(session.run(["scores"], {"image": image})[0] - exact.scores(image).numpy()).mean()
            if not difference < TOLERANCE:
                raise ValueError(f"probabilities differ by {difference:.2f} at {width} x {height}")
    except Exception as error:  # a runtime may raise anything
        raise InputError(
            f"export-model: this network cannot be exported for images of any size ({one_line(error)[:200]}); "
            "train another --segmenter.architecture, such as DeepLabV3Plus"
        ) from None
    return session


def _compared(
    session: Any, exact: SegmentationPredictor, as_set: SegmentationPredictor, images: list[Path]
) -> Comparison:
    """Label images by the exported model and by ``predict``."""
    from affinitynet.data.images import load_image

    equal, equal_as_set, pixels, seconds, seconds_as_set = 0, 0, 0, 0.0, 0.0
    for path in images:
        image = load_image(path)
        start = time.monotonic()
        mask = session.run(["mask"], {"image": image})[0]
        middle = time.monotonic()
        other = as_set.predict(image)
        seconds, seconds_as_set = seconds + middle - start, seconds_as_set + time.monotonic() - middle
        equal += int((mask == exact.predict(image)).sum())
        equal_as_set, pixels = equal_as_set + int((mask == other).sum()), pixels + mask.size
    count = len(images)
    shares = equal / pixels, equal_as_set / pixels
    return Comparison(count, *shares, as_set.config.precision, seconds / count, seconds_as_set / count)
