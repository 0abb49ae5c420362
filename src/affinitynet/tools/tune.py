"""Which background strength, and where asked which beta and t, fits the ground truth there is best."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from threading import Lock

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from affinitynet.config.config_file import read_config, stored_data
from affinitynet.config.settings import PipelineConfig
from affinitynet.data.images import load_image
from affinitynet.data.transforms import reduced
from affinitynet.errors import InputError
from affinitynet.inference.tagged import MaskPredictor, Walk
from affinitynet.models.affinity_net import STRIDE, AffinityNet
from affinitynet.ops.decision import enlarge
from affinitynet.ops.metrics import confusion_matrix, mean_iou
from affinitynet.pipeline.context import Context, load_cams
from affinitynet.pipeline.run import open_context, run_stages
from affinitynet.pipeline.stages.make_masks import load_walk
from affinitynet.records import TaggedImage
from affinitynet.runtime.runtime import Runtime
from affinitynet.work.folder import WorkFolder

RESAMPLES = 500
"""Draws of the bootstrap over images."""


@dataclass(frozen=True)
class Setting:
    """What decides a mask once AffinityNet is trained."""

    beta: float
    steps: int
    alpha: float

    def applied_to(self, config: PipelineConfig) -> PipelineConfig:
        """Return the config with this setting."""
        walk = replace(config.walk, beta=self.beta, steps=self.steps)
        return replace(config, walk=walk, masks=replace(config.masks, alpha=self.alpha, threshold=None))


@dataclass(frozen=True)
class Tuning:
    """How well each setting does, and how sure that is.

    Args:
        split: the images measured on.
        images: their number.
        miou: setting -> mIoU in [0, 1] over all of them.
        present, best: the setting in use and the one with the highest mIoU.
        better: share of resampled collections of images on which ``best`` beats ``present``.
        gain: 2.5 and 97.5 percentile of its gain there, in mIoU.
    """

    split: str
    images: int
    miou: dict[Setting, float]
    present: Setting
    best: Setting
    better: float
    gain: tuple[float, float]


def tune(context: Context, split: str, betas: Sequence[float], steps: Sequence[int]) -> Tuning:
    """Measure every combination of ``betas``, ``steps`` and the walked alphas on the masks of a split.

    With the beta and t in use, the kept walks are decided again; other ones walk again.

    Raises:
        InputError: the split has no ground truth.
    """
    records = [record for record in context.collection.split(split) if record.mask is not None]
    if not records:
        raise InputError(
            f"--on {split}: has no ground-truth masks; draw a few (docs/own-data.md) or name another split"
        )
    walk = context.config.walk
    present = Setting(walk.beta, walk.steps, context.config.masks.alpha)
    walks = list(dict.fromkeys([(present.beta, present.steps), *product(betas, steps)]))
    matrices = _matrices(context, records, walks)
    settings = [Setting(*pair, alpha) for pair in walks for alpha in walk.alphas]
    miou = dict(zip(settings, (mean_iou(m.sum(0))[0] for m in matrices), strict=True))
    best = max(settings, key=lambda setting: miou[setting])
    gains = _resampled_gains(matrices[settings.index(best)], matrices[settings.index(present)], context.config.seed)
    low, high = np.percentile(gains, (2.5, 97.5)).tolist()
    return Tuning(split, len(records), miou, present, best, float((gains > 0).mean()), (low, high))


def _matrices(context: Context, records: Sequence[TaggedImage], walks: Sequence[tuple[float, int]]) -> Tensor:
    """Return confusion matrices int64 [walks x alphas, images, C + 1, C + 1]."""
    size = len(context.collection.classes) + 1
    alphas = context.config.walk.alphas
    matrices = torch.zeros(len(walks) * len(alphas), len(records), size, size, dtype=torch.int64)
    predictors = _predictors(context, walks)
    lock = Lock()

    def measure(number: int) -> None:
        record = records[number]
        image = reduced(load_image(record.path), context.config.longest_side)
        target = torch.from_numpy(context.collection.mask(record).astype(np.int64))
        found = []
        for pair in walks:
            classes, walk = load_walk(context, record.name)
            if pair in predictors:
                cams = torch.from_numpy(load_cams(context.work, record.name).scores)
                walk = predictors[pair].walk(image, cams.to(context.runtime.device))
            masks = (enlarge(mask.numpy(), target.shape) for mask in _masks(walk, classes, image.shape[:2]))
            found += [confusion_matrix(torch.from_numpy(mask), target, size) for mask in masks]
        with lock:
            matrices[:, number] = torch.stack(found)

    context.runtime.for_each_image("tune", measure, range(len(records)))
    return matrices


def _predictors(context: Context, walks: Sequence[tuple[float, int]]) -> dict[tuple[float, int], MaskPredictor]:
    """Return who walks, for each walk that is not kept."""
    others = [pair for pair in walks if pair != (context.config.walk.beta, context.config.walk.steps)]
    if not others:
        return {}
    net = AffinityNet.load(context.work.weights("affinity"))
    configs = {pair: Setting(*pair, context.config.masks.alpha).applied_to(context.config) for pair in others}
    return {pair: MaskPredictor(None, net, config, context.runtime.device) for pair, config in configs.items()}


def _masks(walk: Walk, classes: Sequence[int], size: Iterable[int]) -> list[Tensor]:
    """Return the masks int64 [H, W] of a walk, one for each alpha, at the size the image is labelled at."""
    height, width = size
    scores = torch.cat([walk.background, walk.scores])
    full = F.interpolate(scores[None], scale_factor=STRIDE, mode="bilinear", align_corners=False)[0].cpu()
    full = full[:, :height, :width]
    if not len(classes):
        return [torch.zeros(height, width, dtype=torch.int64)] * len(walk.alphas)
    strongest, index = full[len(walk.alphas) :].max(0)
    labels = torch.tensor([c + 1 for c in classes])[index]
    return [torch.where(strongest > background, labels, 0) for background in full[: len(walk.alphas)]]


def _resampled_gains(best: Tensor, present: Tensor, seed: int) -> np.ndarray:
    """Return the gain in mIoU on collections of images drawn with replacement."""
    generator = torch.Generator().manual_seed(seed)
    gains = []
    for _ in range(RESAMPLES):
        drawn = torch.randint(len(best), (len(best),), generator=generator)
        gains.append(mean_iou(best[drawn].sum(0))[0] - mean_iou(present[drawn].sum(0))[0])
    return np.array(gains)


def tune_masks(
    work: Path | str,
    *,
    data: Path | str | None = None,
    split: str | None = None,
    betas: Sequence[float] = (),
    steps: Sequence[int] = (),
    runtime: Runtime | None = None,
) -> Tuning:
    """Find the alpha (and beta and t) that fit the ground truth best, and make the masks with them.

    The choice is written to the work folder's ``config.yaml``; walks and masks are made again where
    it differs from the present one.

    Args:
        work: a work folder whose ``make-masks`` has finished.
        data: the data set, where it has moved since.
        split: whose ground truth; by default the first split that can be measured.
        betas, steps: to try beside those in use; each new pair walks every measured image again.
        runtime: how to compute; by default on a GPU if there is one, on every core.

    Raises:
        InputError: there are no masks yet, or no ground truth.
    """
    folder, runtime = WorkFolder(Path(work)), runtime or Runtime.start()
    if not folder.records().get("make-masks", {}).get("finished"):
        raise InputError(f"--work {work}: has no finished masks; run `affinitynet run` first")
    config = read_config(folder.config_file, PipelineConfig())
    source = Path(data or stored_data(folder.config_file) or "")
    context = open_context(source, folder, config, runtime)
    if not context.collection.evaluation_splits:
        raise InputError(f"--data {source}: has no ground-truth masks to tune on; draw a few (docs/own-data.md)")
    walk = config.walk
    tuning = tune(
        context, split or context.collection.evaluation_splits[0], betas or (walk.beta,), steps or (walk.steps,)
    )
    if tuning.best != tuning.present or config.masks.threshold is not None:
        chosen = tuning.best.applied_to(config)
        stages = ("random-walk", "make-masks", "evaluate")
        run_stages(source, work, chosen, stages, runtime, force=True)
    return tuning
