"""How fast is this machine? Training steps and images a second of every preset, in one command.

    python -m benchmarks.all [--presets lite vgg16 resnet38 irn] [--device auto|cpu|cuda]

Weights and pixels are random: speed does not depend on them. A training step is the loop's own, with the optimiser, at
the preset's crop and batch size, and without reading and augmenting images. Images are photographs of 500 x 375 pixels
with two tags, labelled one after another, as the stages do with one worker.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from affinitynet.config.adaptation import adapted
from affinitynet.config.presets import PRESETS, preset
from affinitynet.config.settings import PipelineConfig
from affinitynet.config.trainings import TrainConfig
from affinitynet.inference.links import PairNetwork
from affinitynet.inference.refine import find_seeds
from affinitynet.inference.tagged import MaskPredictor
from affinitynet.inference.untagged import SegmentationPredictor
from affinitynet.models.affinity_net import AffinityNet
from affinitynet.models.backbones.registry import build_backbone
from affinitynet.models.classifier import TagClassifier, tag_loss
from affinitynet.models.irnet import IRNet
from affinitynet.pipeline.stages.train_affinity import affinity_net_loss
from affinitynet.pipeline.stages.train_irnet import irnet_loss
from affinitynet.pipeline.stages.train_segmenter import new_segmenter, segmenter_loss
from affinitynet.runtime.memory import keep_freed_memory
from affinitynet.runtime.runtime import Runtime
from affinitynet.training.checkpoint import TrainingFiles
from affinitynet.training.loop import Loss, MeanCount, fit
from affinitynet.training.samples import Sample
from benchmarks.common import photograph, show, table

CLASSES = [f"class {number}" for number in range(20)]
TAGS = [7, 14]
SIZE, TOY = (375, 500), (48, 64)
WARM_UP, STEPS = 2, 6


class Drawn:
    """Samples of random pixels with labels: made once, so that loading them takes no time."""

    def __init__(self, config: TrainConfig, *labels: Tensor) -> None:
        self.names = [f"{number}" for number in range(config.batch_size)]
        self.sample = torch.rand(3, config.crop_size, config.crop_size), *labels

    def __call__(self, index: int) -> Sample:
        return self.sample


def seconds_a_step(model: nn.Module, config: TrainConfig, labels: Sample, loss: Loss, runtime: Runtime) -> float:
    """Return the median seconds of a training step, after some to warm up."""
    times: list[float] = []

    def timed(network: nn.Module, batch: Sample, mean_count: MeanCount) -> Tensor:
        if runtime.device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter())
        return loss(network, batch, mean_count)

    with tempfile.TemporaryDirectory() as folder:
        files = TrainingFiles("step", Path(folder) / "c.safetensors", Path(folder) / "losses.csv")
        fit(model, Drawn(config, *labels), timed, config, files, runtime, seed=0)
    return statistics.median(
        after - before for before, after in zip(times[WARM_UP:], times[WARM_UP + 1 :], strict=False)
    )


def short(config: TrainConfig, toy: bool) -> TrainConfig:
    """Return a training of some steps."""
    steps: dict[str, Any] = {"epochs": WARM_UP + STEPS + 1, "min_steps": 0, "learning_rate": 1e-9}
    if toy:
        steps |= {"batch_size": 2, "crop_size": 64}
    return replace(config, **steps)


def labels_at(config: TrainConfig, stride: int) -> Tensor:
    """Return labels int64 [S, S] of two classes on background, in stripes, at a stride."""
    side = -(-config.crop_size // stride)
    rows = torch.arange(side) * 4 // side
    return torch.tensor([0, TAGS[0] + 1, 255, TAGS[1] + 1])[rows][:, None].expand(side, side).contiguous()


def classifier_step(model: nn.Module, batch: Sample, mean_count: MeanCount) -> Tensor:
    return tag_loss(model(batch[0]), batch[1], mean_count)


def trainings(config: PipelineConfig, runtime: Runtime, toy: bool) -> dict[str, float]:
    """Return the seconds of a step of each training of a preset."""
    tags = torch.zeros(len(CLASSES))
    tags[TAGS] = 1
    backbone = partial(build_backbone, config.network, config.taps)
    learnt = short(config.classifier, toy)
    times = {
        "classifier": seconds_a_step(TagClassifier(backbone(), CLASSES), learnt, (tags,), classifier_step, runtime)
    }
    if config.propagation == "irnet":
        pairs, loss = IRNet(backbone()), partial(irnet_loss, config.irnet)
        learnt = short(config.irnet, toy)
        times["IRNet"] = seconds_a_step(pairs, learnt, (labels_at(learnt, pairs.stride),), loss, runtime)
    else:
        net, loss = AffinityNet(backbone()), partial(affinity_net_loss, config.affinity)
        if config.affinity.freeze_backbone:
            net.backbone.requires_grad_(False)
        learnt = short(config.affinity, toy)
        times["AffinityNet"] = seconds_a_step(net, learnt, (labels_at(learnt, net.stride),), loss, runtime)
    network, learnt, loss = (
        new_segmenter(config, CLASSES),
        short(config.segmenter, toy),
        partial(segmenter_loss, config.segmenter),
    )
    times["segmenter"] = seconds_a_step(network, learnt, (labels_at(learnt, 1), tags), loss, runtime)
    return times


@torch.inference_mode()
def labelling(config: PipelineConfig, runtime: Runtime, size: tuple[int, int]) -> dict[str, float]:
    """Return the seconds of each step that labels an image."""
    torch.manual_seed(0)
    image, device = photograph(None, *size).numpy(), runtime.device
    backbone = partial(build_backbone, config.network, config.taps)
    pairs: PairNetwork = IRNet(backbone()) if config.propagation == "irnet" else AffinityNet(backbone())
    predictor = MaskPredictor(TagClassifier(backbone(), CLASSES), pairs, config, device)
    network = SegmentationPredictor(new_segmenter(config, CLASSES), config.predict, device)
    cams = predictor.cams(image, TAGS)
    return {
        "maps": median(lambda: predictor.cams(image, TAGS), device),
        "CRF, twice": median(lambda: find_seeds(image, cams, config, device), device),
        "walk": median(lambda: predictor.walk(image, cams), device),
        "predict": median(lambda: network.predict(image), device),
    }


def median(call: Callable[[], object], device: torch.device) -> float:
    """Return the median seconds of a call."""
    times = []
    for _ in range(WARM_UP + STEPS):
        start = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times[WARM_UP:])


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", default=["lite", "vgg16", "resnet38", "irn"], choices=list(PRESETS))
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--toy", action="store_true", help="toy sizes: shows that it runs, measures nothing")
    given = parser.parse_args(argv)
    keep_freed_memory()  # as the commands do
    runtime = Runtime(given.device, workers=0 if given.device == "cpu" else 1)
    made = table(f"Every preset on {runtime.device}", "preset", "what", "seconds", "a second")
    for name in given.presets:
        config = adapted(preset(name))
        trained = trainings(config, runtime, given.toy)
        labelled = labelling(config, runtime, TOY if given.toy else SIZE)
        for what, seconds in {**{f"{key}: step": value for key, value in trained.items()}, **labelled}.items():
            made.add_row(name, what, f"{seconds:.4f}", f"{1 / seconds:.1f}")
    show(made)


if __name__ == "__main__":
    main()
