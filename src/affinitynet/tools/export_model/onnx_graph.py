"""The ONNX graph of ``predict``: photograph in, mask out, with the network in the middle.

The network is torch's to export; what comes before and after it is written here in ONNX's own notation, after
:class:`affinitynet.inference.untagged.SegmentationPredictor`, which the tests compare it with.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from affinitynet import __version__
from affinitynet.config.settings import PredictConfig
from affinitynet.errors import InputError, one_line
from affinitynet.files import voc_palette
from affinitynet.inference.untagged import views_of
from affinitynet.models.segmenter import Segmenter
from affinitynet.tools.export.common import needs

OPSET = 18
"""The first whose Resize knows the filter that Pillow reduces images with."""

_PILLOW = 'mode = "cubic", cubic_coeff_a = -0.5, antialias = 1, exclude_outside = 1, axes = [2, 3]'
_BILINEAR = 'mode = "linear", axes = [2, 3]'

_REDUCED = """
g (uint8[H, W, 3] image) => (uint8[1, 3, h, w] reduced) {
    zero = Constant <value_ints = [0]> ()
    two = Constant <value_ints = [2]> ()
    three = Constant <value_ints = [3]> ()
    far = Constant <value_ints = [-9223372036854775807]> ()
    back = Constant <value_ints = [-1]> ()
    one = Constant <value_ints = [1]> ()
    axes = Constant <value_ints = [2, 3]> ()
    shape = Shape (image)
    full = Slice (shape, zero, two)
    longest = ReduceMax <keepdims = 1> (full)
    longest_side = Constant <value_ints = [LONGEST]> ()
    wanted = Cast <to = 11> (longest_side)
    held = Cast <to = 11> (longest)
    ratio = Div (wanted, held)
    unity = Cast <to = 11> (one)
    factor = Min (ratio, unity)
    full_double = Cast <to = 11> (full)
    exact = Mul (full_double, factor)
    rounded = Round (exact)
    whole = Cast <to = 7> (rounded)
    small = Max (whole, one)
    planes = Transpose <perm = [2, 0, 1]> (image)
    batch = Unsqueeze (planes, zero)
    reduced = Resize <PILLOW> (batch, , , small)
}
"""

_VIEW = """
g (uint8[1, 3, h, w] reduced) => (float[b, 3, H, W] N_padded) {
    N_pixels = Cast <to = 1> (N_image)
    N_highest = Constant <value_floats = [255.0]> ()
    N_share = Div (N_pixels, N_highest)
    N_centred = Sub (N_share, mean)
    N_plain = Div (N_centred, std)
    N_mirrored = Slice (N_plain, back, far, three, back)
    N_seen = Concat <axis = 0> (SEEN)
    N_multiple = Constant <value_ints = [MULTIPLE]> ()
    N_smallest = Constant <value_ints = [SMALLEST]> ()
    N_minus = Neg (N_size)
    N_rest = Mod (N_minus, N_multiple)
    N_short = Sub (N_smallest, N_size)
    N_missing = Max (N_rest, N_short)
    N_nothing = Constant <value_ints = [0, 0]> ()
    N_pads = Concat <axis = 0> (N_nothing, N_missing)
    N_padded_size = Add (N_size, N_missing)
    N_padded = Pad (N_seen, N_pads, , axes)
}
"""

_SCALED = """
g (uint8[1, 3, h, w] reduced) => (uint8[1, 3, H, W] N_image) {
    N_scale = Constant <value = double[1] {SCALE}> ()
    N_from = Cast <to = 11> (small)
FIT    N_exact = Mul (N_from, N_factor)
    N_rounded = Round (N_exact)
    N_whole = Cast <to = 7> (N_rounded)
    N_size = Max (N_whole, one)
    N_image = Resize <PILLOW> (reduced, , , N_size)
}
"""

_OWN_SIZE = "    N_factor = Identity (N_scale)\n"

_LEARNT_SIZE = """    N_long_side = Constant <value = double[1] {LONG_SIDE}> ()
    N_longest = ReduceMax <keepdims = 1> (N_from)
    N_fit = Div (N_long_side, N_longest)
    N_factor = Mul (N_scale, N_fit)
"""

_UNSCALED = """
g (uint8[1, 3, h, w] reduced) => (uint8[1, 3, h, w] N_image) {
    N_size = Identity (small)
    N_image = Identity (reduced)
}
"""

_PROBABILITIES = """
g (float[b, L, H, W] N_logits) => (float[b, L, H, W] N_probabilities) {
    N_large = Resize <BILINEAR> (N_logits, , , N_padded_size)
    N_corner = Constant <value_ints = [0, 0]> ()
    N_cropped = Slice (N_large, N_corner, N_size, axes)
    N_probabilities = Softmax <axis = 1> (N_cropped)
}
"""

_ONE = """
g (float[1, L, H, W] N_probabilities) => (float[1, L, h, w] N_scores) {
    N_scores = Resize <BILINEAR> (N_probabilities, , , small)
}
"""

_ONE_MIRRORED = """
g (float[1, L, H, W] N_probabilities) => (float[1, L, h, w] N_scores) {
    N_turned_back = Slice (N_probabilities, back, far, three, back)
    N_scores = Resize <BILINEAR> (N_turned_back, , , small)
}
"""

_BOTH = """
g (float[2, L, H, W] N_probabilities) => (float[1, L, h, w] N_scores) {
    N_first, N_second = Split <axis = 0, num_outputs = 2> (N_probabilities)
    N_second_back = Slice (N_second, back, far, three, back)
    N_sum = Add (N_first, N_second_back)
    N_scores = Resize <BILINEAR> (N_sum, , , small)
}
"""

_SUMS = {(False,): _ONE, (True,): _ONE_MIRRORED, (False, True): _BOTH}
"""How often an image is seen at one scale, whether mirrored -> the sum of its probabilities at its own size."""

_DECISION = """
g (float[1, L, h, w] mean_scores) => (uint8[H, W] mask, float[L, h, w] scores) {
    scores = Squeeze (mean_scores, zero)
    lowest = Constant <value = float[1] {-1.0}> ()
    nothing = Constant <value = uint8[1] {0}> ()
    ones = Constant <value_ints = [1, 1]> ()
    shape4 = Concat <axis = 0> (ones, full)
    best0 = Expand (lowest, shape4)
    mask0 = Expand (nothing, shape4)
    labels_shape = Shape <start = 0, end = 1> (scores)
    labels = Squeeze (labels_shape, zero)
    yes = Constant <value = bool {1}> ()
    best_of_all, mask4 = Loop <body = each (int64 label, bool go, float[1, 1, H, W] best, uint8[1, 1, H, W] so_far)
        => (bool going, float[1, 1, H, W] better, uint8[1, 1, H, W] now) {
            going = Identity (go)
            index = Unsqueeze (label, zero)
            channel = Gather <axis = 1> (mean_scores, index)
            wide = Resize <BILINEAR> (channel, , , full)
            stronger = Greater (wide, best)
            better = Max (wide, best)
            value = Cast <to = 2> (index)
            now = Where (stronger, value, so_far)
        }> (labels, yes, best0, mask0)
    mask3 = Squeeze (mask4, zero)
    mask = Squeeze (mask3, zero)
}
"""


@dataclass(frozen=True)
class _Network:
    """The exported network: nodes from ``x`` to ``logits``, and its weights."""

    nodes: list[Any]
    weights: list[Any]


def onnx_model(model: Segmenter, config: PredictConfig) -> Any:
    """Return the ONNX model of a segmentation network with what ``predict`` does before and after it.

    Its input is ``image``, uint8 [H, W, 3] RGB; its outputs are ``mask``, uint8 [H, W], and ``scores``, the
    probabilities float32 [C + 1, h, w] at the size the image is labelled at. Labels and colours are in the metadata.

    The dense CRF is left out.

    Raises:
        InputError: onnx is not installed, or the network cannot be exported.
    """
    onnx = needs("onnx", "onnx", "onnx")
    network = _exported(model)
    constants = [
        onnx.numpy_helper.from_array(torch.tensor(values).view(1, 3, 1, 1).numpy(), name)
        for name, values in (("mean", model.mean), ("std", model.std))
    ]
    pieces = [*_parsed(_REDUCED, LONGEST=config.longest_side)]
    views = views_of(config)
    for number, (scale, mirrored) in enumerate(views):
        pieces += _view(f"v{number}", scale, mirrored, model, network)
    count = float(sum(len(mirrored) for _, mirrored in views))
    pieces += _mean([f"v{number}_scores" for number in range(len(views))], count)
    pieces += _parsed(_DECISION)
    kinds, proto = onnx.helper.make_tensor_value_info, onnx.TensorProto
    graph = onnx.helper.make_graph(
        pieces,
        "affinitynet",
        [kinds("image", proto.UINT8, ["height", "width", 3])],
        [
            kinds("mask", proto.UINT8, ["height", "width"]),
            kinds("scores", proto.FLOAT, [len(model.classes) + 1, "h", "w"]),
        ],
        [*constants, *network.weights],
    )
    found = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], producer_name="affinitynet", ir_version=9
    )
    found.producer_version = __version__
    palette = voc_palette()
    labels = ["background", *model.classes]
    colours = [palette[3 * value : 3 * value + 3] for value in range(len(labels))]
    onnx.helper.set_model_props(found, {"labels": json.dumps(labels), "colours": json.dumps(colours)})
    onnx.checker.check_model(found)
    return found


def _view(name: str, scale: float, mirrored: tuple[bool, ...], model: Segmenter, network: _Network) -> list[Any]:
    """Return the nodes that turn ``reduced`` into the probabilities of one scale."""
    first = _resized(name, scale, model.long_side)
    seen = ", ".join(f"{name}_mirrored" if flipped else f"{name}_plain" for flipped in mirrored)
    padded = _parsed(_VIEW, N=name, MULTIPLE=model.multiple, SMALLEST=model.smallest, SEEN=seen)
    weights = {weight.name for weight in network.weights}
    names = {"x": f"{name}_padded", "logits": f"{name}_logits"}
    middle = [_renamed(node, f"{name}_", weights, names) for node in network.nodes]
    return [*first, *padded, *middle, *_parsed(_PROBABILITIES, N=name), *_parsed(_SUMS[mirrored], N=name)]


def _resized(name: str, scale: float, long_side: int | None) -> list[Any]:
    """Return the nodes that bring ``reduced`` to the size of one scale."""
    if scale == 1 and long_side is None:
        return _parsed(_UNSCALED, N=name)
    fit = _OWN_SIZE if long_side is None else _LEARNT_SIZE.replace("LONG_SIDE", repr(float(long_side)))
    return _parsed(_SCALED.replace("FIT", fit), N=name, SCALE=repr(float(scale)))


def _mean(names: list[str], count: float) -> list[Any]:
    return _parsed(
        "g (float[1] a) => (float[1] b) {\n"
        f"    total = Sum ({', '.join(names)})\n"
        f"    count = Constant <value_floats = [{count}]> ()\n"
        "    mean_scores = Div (total, count)\n}"
    )


def _parsed(text: str, **values: object) -> list[Any]:
    """Return the nodes of a graph in ONNX's notation, with words in it replaced."""
    parser = needs("onnx.parser", "onnx", "onnx")
    for word, value in {"PILLOW": _PILLOW, "BILINEAR": _BILINEAR, **values}.items():
        text = text.replace(f"{word}_", f"{value}_") if word == "N" else text.replace(word, str(value))
    return list(parser.parse_graph(text).node)


def _exported(model: Segmenter) -> _Network:
    """Let torch export the network itself, for padded images of any size."""
    onnx = needs("onnx", "onnx", "onnx")
    side = max(model.smallest, 2 * model.multiple, 64)
    try:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), _without_stdout():
            # Its successor, by torch.export, takes minutes for a network whose sizes are free.
            warnings.simplefilter("ignore")
            file = Path(folder) / "network.onnx"
            torch.onnx.export(
                _Padded(model).eval(),
                (torch.zeros(2, 3, side, side + 32),),
                file,
                input_names=["x"],
                output_names=["logits"],
                opset_version=OPSET,
                dynamic_axes={"x": {2: "height", 3: "width"}, "logits": {2: "height", 3: "width"}},
                dynamo=False,
            )
            graph = onnx.load(file).graph
    except Exception as error:  # an exporter may raise anything
        raise InputError(f"export-model: torch cannot export this network ({one_line(error)[:200]})") from None
    return _Network(list(graph.node), list(graph.initializer))


class _Padded(nn.Module):
    """A segmentation network for padded images: its logits before they are enlarged."""

    def __init__(self, model: Segmenter) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model.padded_logits(self.model.coarse_of_padded(x))


@contextmanager
def _without_stdout() -> Iterator[None]:
    """Drop what is printed: where torch cannot export a network it prints the whole of it, from C++."""
    sys.stdout.flush()
    kept = os.dup(1)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _renamed(node: Any, prefix: str, kept: Iterable[str], names: dict[str, str]) -> Any:
    """Return a copy of a node whose values have other names, so that a network can be in a graph more than once."""
    found = type(node)()
    found.CopyFrom(node)

    def new(name: str) -> str:
        return name if not name or name in kept else names.get(name, f"{prefix}{name}")

    found.name = f"{prefix}{node.name}"
    for values in (found.input, found.output):
        renamed = [new(name) for name in values]
        del values[:]
        values.extend(renamed)
    for attribute in found.attribute:
        if attribute.HasField("g"):
            inner = [_renamed(each, prefix, kept, names) for each in attribute.g.node]
            del attribute.g.node[:]
            attribute.g.node.extend(inner)
            for value in (*attribute.g.input, *attribute.g.output):
                value.name = new(value.name)
    return found
