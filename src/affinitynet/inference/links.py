"""What the random walk follows in one image, from either network of pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from affinitynet.config.settings import PipelineConfig
from affinitynet.inference.clicks import PairsSeen
from affinitynet.models.affinity_net import AffinityNet
from affinitynet.models.irnet import IRNet
from affinitynet.ops.affinity import Border, pair_affinity
from affinitynet.ops.boundaries import boundary_affinity
from affinitynet.ops.walk import random_walk
from affinitynet.runtime.precision import autocast
from affinitynet.work.folder import WorkFolder

PairNetwork: TypeAlias = AffinityNet | IRNet

MULTIPLE = 16
"""IRNet's input is padded to a multiple of this many pixels, the coarsest stride of the backbones."""


@dataclass(frozen=True)
class Links:
    """The pairs of an image's grid, and how much of a score each pixel sends on its way.

    Args:
        affinity: floating [P, h, w] in [0, 1].
        weight: floating [h, w] in [0, 1], what scores are multiplied by before they walk; ``None`` for 1 everywhere.
        radius, border: of the pairs.
    """

    affinity: Tensor
    weight: Tensor | None
    radius: int
    border: Border

    def walk(self, scores: Tensor, beta: float, steps: int) -> Tensor:
        """Spread scores [K, h, w] along the pairs; see :func:`affinitynet.ops.walk.random_walk`."""
        if self.weight is not None:
            scores = scores * self.weight
        return random_walk(scores, self.affinity, beta, steps, self.radius, self.border)


def load_pair_network(work: WorkFolder, config: PipelineConfig) -> PairNetwork:
    """Read the network whose affinities are walked in a work folder.

    Raises:
        InputError: it cannot be read.
    """
    if config.propagation == "irnet":
        return IRNet.load(work.weights("irnet"))
    return AffinityNet.load(work.weights("affinity"))


def find_links(network: PairNetwork, x: Tensor, config: PipelineConfig) -> Links:
    """Return the pairs of a normalised image [1, 3, H, W], on a grid of H / stride x W / stride, rounded up."""
    if isinstance(network, AffinityNet):
        x = F.pad(x, (0, -x.shape[3] % network.stride, 0, -x.shape[2] % network.stride))
        with autocast(x.device, config.walk.precision):
            features = network(x)
        pairs = config.affinity
        return Links(pair_affinity(features, pairs.radius, pairs.border)[0], None, pairs.radius, pairs.border)
    return boundary_links(network, x, config)


def see_pairs(network: PairNetwork, x: Tensor, config: PipelineConfig) -> PairsSeen:
    """Return what a network of pairs sees in a normalised image [1, 3, H, W]."""
    if isinstance(network, IRNet):
        return PairsSeen(boundaries=_boundaries(network, x, config))
    x = F.pad(x, (0, -x.shape[3] % network.stride, 0, -x.shape[2] % network.stride))
    with autocast(x.device, config.walk.precision):
        return PairsSeen(features=network(x)[0])


def boundary_links(network: IRNet, x: Tensor, config: PipelineConfig) -> Links:
    """Return the pairs of an image by IRNet's boundaries, those of the image and of its mirror image together."""
    boundaries, radius = _boundaries(network, x, config), config.irnet.walk_radius
    return Links(boundary_affinity(boundaries[None], radius, "full")[0], 1 - boundaries, radius, "full")


def _boundaries(network: IRNet, x: Tensor, config: PipelineConfig) -> Tensor:
    """Return IRNet's boundaries [H / stride, W / stride] rounded up, in [0, 1]."""
    height, width = (-(-side // network.stride) for side in x.shape[2:])
    views = torch.cat([on_canvas(view, config.irnet.canvas) for view in (x, x.flip(-1))])
    with autocast(x.device, config.walk.precision):
        plain, mirrored = network.boundary_logits(views)[:, :height, :width]
    return ((plain + mirrored.flip(-1)) / 2).sigmoid()


def on_grid(scores: Tensor, stride: int) -> Tensor:
    """Average scores [K, H, W] over the pixels of a grid, [K, H / stride, W / stride] rounded up; 0 beyond the image.

    Example:
        >>> on_grid(torch.ones(1, 4, 6), 4)
        tensor([[[1.0000, 0.5000]]])
    """
    return F.avg_pool2d(F.pad(scores, (0, -scores.shape[2] % stride, 0, -scores.shape[1] % stride)), stride)


def on_canvas(x: Tensor, canvas: int) -> Tensor:
    """Pad an image at the right and at the bottom: to the canvas, or beyond it to a multiple of the strides."""
    height, width = (canvas - side if side <= canvas else -side % MULTIPLE for side in x.shape[2:])
    return F.pad(x, (0, width, 0, height))
