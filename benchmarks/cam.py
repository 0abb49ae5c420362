"""Multi-scale class activation maps of one image: ours, against the plain loop of eight float32 passes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from affinitynet.config.presets import preset
from affinitynet.config.trainings import PrecisionChoice
from affinitynet.data.transforms import normalise, resize, to_tensor
from affinitynet.inference.tagged import MaskPredictor
from affinitynet.models.backbones.registry import build_backbone
from affinitynet.models.classifier import TagClassifier
from affinitynet.ops.cam import class_activation_maps
from affinitynet.ops.metrics import confusion_matrix, mean_iou
from affinitynet.runtime.memory import keep_freed_memory
from benchmarks.common import Call, paired_seconds, photograph, show, table

SIZE = (375, 500)
TOY = (48, 64)
CLASSES = [7, 14]
THRESHOLD = 0.2


def classifier(network: str) -> TagClassifier:
    """Return the same random classifier each time: speed does not depend on the weights."""
    torch.manual_seed(0)
    return TagClassifier(build_backbone(network), [f"class {i}" for i in range(20)]).eval()


@torch.inference_mode()
def plain_loop(model: TagClassifier, image: np.ndarray, scales: tuple[float, ...], device: str) -> torch.Tensor:
    """Return the maps as the released code makes them: scale by scale, the mirror image by itself."""
    height, width = image.shape[:2]
    maps = []
    for scale in scales:
        scaled = resize(image, (round(height * scale), round(width * scale)))
        x = normalise(to_tensor(scaled), model.backbone.mean, model.backbone.std)[None].to(device)
        maps.append(torch.cat([model.activation_maps(view, CLASSES) for view in (x, x.flip(-1))]))
    return class_activation_maps(maps, (height, width))


def ours(network: str, precision: PrecisionChoice, device: str) -> MaskPredictor:
    config = preset(network)
    config = replace(config, cams=replace(config.cams, precision=precision))
    return MaskPredictor(classifier(network), None, config, device)


def agreement(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Return the mIoU, %, between the labels that two sets of maps give."""
    labels = [torch.cat([torch.full_like(m[:1], THRESHOLD), m]).argmax(0).cpu() for m in (found, expected)]
    return 100 * mean_iou(confusion_matrix(labels[0], labels[1], len(CLASSES) + 1))[0]


def _maps(predictor: MaskPredictor, image: np.ndarray) -> torch.Tensor:
    return predictor.cams(image, CLASSES).scores


def compare(image: np.ndarray, networks: list[str], repeats: int, device: str) -> None:
    columns = ("network", "plain s", "float32 s", "ratio", "bfloat16 s", "ratio", "mIoU bfloat16 / plain")
    size = f"{image.shape[1]}x{image.shape[0]}"
    made = table(f"class activation maps of {size} on {device}, four scales and their mirror images", *columns)
    for network in networks:
        plain = classifier(network).to(device)
        scales = preset(network).cams.scales
        exact, half = ours(network, "float32", device), ours(network, "bfloat16", device)
        calls: dict[str, Call] = {
            "plain": partial(plain_loop, plain, image, scales, device),
            "float32": partial(_maps, exact, image),
            "bfloat16": partial(_maps, half, image),
        }
        same = agreement(half.cams(image, CLASSES).scores, plain_loop(plain, image, scales, device))
        seconds = paired_seconds(calls, repeats, device)
        made.add_row(
            network,
            f"{seconds['plain']:.2f}",
            f"{seconds['float32']:.2f}",
            f"{seconds['plain'] / seconds['float32']:.2f}",
            f"{seconds['bfloat16']:.2f}",
            f"{seconds['plain'] / seconds['bfloat16']:.2f}",
            f"{same:.1f}",
        )
    show(made)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", help="a photograph; without one, a drawn and noisy picture")
    parser.add_argument("--networks", nargs="+", default=["lite", "vgg16", "resnet38"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--toy", action="store_true", help="toy sizes: shows that it runs, measures nothing")
    given = parser.parse_args(argv)
    keep_freed_memory()  # as the commands do
    picture = photograph(given.image, *(TOY if given.toy else SIZE)).numpy()
    compare(picture, given.networks, given.repeats, "cpu")
    if torch.cuda.is_available():
        compare(picture, given.networks, given.repeats, "cuda")


if __name__ == "__main__":
    main()
