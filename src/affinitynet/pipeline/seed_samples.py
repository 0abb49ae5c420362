"""What the seeds teach a network of pairs: crops, and the labels of their grid (paper, section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from affinitynet.config.trainings import IRNetConfig, TrainConfig
from affinitynet.data.images import load_tagged
from affinitynet.data.transforms import jitter_colours, normalise, random_crop, random_flip, reduced, resize, to_tensor
from affinitynet.errors import InputError
from affinitynet.models.backbones.base import Backbone
from affinitynet.ops.affinity import affinity_labels
from affinitynet.ops.decision import enlarge
from affinitynet.ops.seeds import certain_scores
from affinitynet.pipeline.context import Context
from affinitynet.pipeline.drawn import learnt_from
from affinitynet.records import IGNORE, TaggedImage
from affinitynet.training.samples import Sample
from affinitynet.work.folder import WorkFolder


@dataclass(frozen=True)
class SeedSamples:
    """Index -> augmented crop float32 [3, S, S], its labels int64 [S / stride, S / stride] (docs/method.md, "Labels").

    A class of plain values, so that it can be sent to another process.
    """

    records: tuple[TaggedImage, ...]
    work: WorkFolder
    longest_side: int | None
    config: TrainConfig
    stride: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def names(self) -> list[str]:
        return [record.name for record in self.records]

    def __call__(self, index: int) -> Sample:
        record = self.records[index]
        colours = jitter_colours(reduced(load_tagged(record), self.longest_side), self.config.jitter)
        image = to_tensor(colours)
        low, high = self._seeds(record, image.shape[1:])
        image, low, high = random_flip(*random_crop(self.config.crop_size, image, low, high))
        low, high = (F.avg_pool2d(scores.float(), self.stride) for scores in (low, high))
        return normalise(image, self.mean, self.std), affinity_labels(low, high)

    def _seeds(self, record: TaggedImage, size: torch.Size) -> tuple[Tensor, Tensor]:
        """Read an image's low and high scores, floating [K + 1, H, W]; of a drawn mask they are 0 and 1."""
        name = record.name
        if record.drawn is not None:
            drawn = torch.from_numpy(enlarge(self.work.drawn.load(name), tuple(size)).copy())
            return certain_scores(drawn)
        seeds = self.work.seeds.load(name)
        if seeds.low.shape[1:] != size:
            path = self.work.seeds.path(name)
            raise InputError(
                f"{path}: made from an image of another size, which has changed since; run again, which says what has "
                "to be recomputed"
            )
        return seeds.low, seeds.high


@dataclass(frozen=True)
class ScaledSeedSamples(SeedSamples):
    """The same for IRNet: images also change in size, and labels are decided before they are reduced to the grid.

    Outside the image the input is 0 after it was normalised, and labels are 255 (docs/method.md, "IRNet").
    """

    config: IRNetConfig

    def __call__(self, index: int) -> Sample:
        record, config = self.records[index], self.config
        image = reduced(load_tagged(record), self.longest_side)
        low, high = self._seeds(record, torch.Size(image.shape[:2]))
        labels = affinity_labels(low, high, foreground_first=True).byte().numpy()
        factor = float(torch.empty(()).uniform_(config.min_scale, config.max_scale))
        size = (max(1, round(image.shape[0] * factor)), max(1, round(image.shape[1] * factor)))
        labels = np.asarray(Image.fromarray(labels).resize((size[1], size[0]), Image.Resampling.NEAREST))
        colours = to_tensor(jitter_colours(resize(image, size), config.jitter))
        # The canvas around a small image is 0, so labels are held below 0 until they are on it.
        below = torch.from_numpy(labels.astype(np.int64))[None] - IGNORE
        x, below = random_flip(*random_crop(config.crop_size, normalise(colours, self.mean, self.std), below))
        middle = self.stride // 2
        return x, below[0, middle :: self.stride, middle :: self.stride] + IGNORE


def seed_samples(
    kind: type[SeedSamples], context: Context, config: TrainConfig, stride: int, backbone: Backbone
) -> SeedSamples:
    """Return the samples of a run. An image without a tag has no foreground, so its seeds tell nothing apart."""
    records = tuple(record for record in context.training_images if record.tags or record.drawn)
    records = learnt_from(records, context.config.drawn.share)
    return kind(records, context.work, context.config.longest_side, config, stride, backbone.mean, backbone.std)
