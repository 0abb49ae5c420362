"""From an image, its activation maps and its mask to the objects of each class, by IRNet's displacements."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from affinitynet.config.settings import PipelineConfig
from affinitynet.data.transforms import normalise, to_tensor
from affinitynet.inference.links import boundary_links, on_canvas, on_grid
from affinitynet.models.irnet import IRNet
from affinitynet.ops.decision import enlarge, enlarged_by, labels_at
from affinitynet.ops.instances import centroids, clusters, detections, instance_seeds, split_region
from affinitynet.records import Instances, ScoreMaps
from affinitynet.runtime.precision import autocast

MOST_CLUSTERS = 255
"""Clusters of an image that are walked, the largest ones; a cluster more has the pixels of the others."""


@torch.inference_mode()
def find_objects(
    network: IRNet, image: np.ndarray, cams: ScoreMaps, mask: np.ndarray, config: PipelineConfig, device: torch.device
) -> Instances:
    """Tell the objects of an image apart.

    Args:
        network: in eval mode, on ``device``.
        image: uint8 [h, w, 3], at the size it is labelled at.
        cams: activation maps of the tagged classes, at that size.
        mask: uint8 [H, W], the image's mask at its own size.
        config: of the walk and of the decision.

    Returns:
        The objects at the size of the mask. Within masks, the score is the mean of the class's map over the object.
    """
    if not cams.classes:
        return Instances(np.zeros(mask.shape, np.int32), (), ())
    backbone = network.backbone
    x = normalise(to_tensor(image), backbone.mean, backbone.std)[None]
    x = x.to(device, memory_format=backbone.layout(device))
    links = boundary_links(network, x, config)
    scores = (on_grid(cams.scores, network.stride) if cams.grid is None else cams.grid).to(device)
    seeds = instance_seeds(scores, _clusters(network, x, config))
    walked = links.walk(seeds.flatten(0, 1), config.walk.beta, config.walk.steps).view(seeds.shape)
    if not config.instances.within_masks:
        full = enlarged_by(network.stride, walked.flatten(0, 1), image.shape[:2])
        full = (full / full.amax().clamp(min=torch.finfo(full.dtype).tiny)).view(*seeds.shape[:2], *image.shape[:2])
        found = detections(full, list(cams.classes), config.instances.threshold)
        return Instances(enlarge(found.labels, mask.shape), found.classes, found.scores)
    height, width = image.shape[:2]
    grid = (walked.shape[2] * network.stride, walked.shape[3] * network.stride)
    strongest = {
        number: enlarge(labels_at(scores, grid)[:height, :width], mask.shape)
        for number, scores in zip(cams.classes, walked, strict=True)
    }
    return split_mask(mask, cams, strongest)


def _clusters(network: IRNet, x: Tensor, config: PipelineConfig) -> Tensor:
    height, width = (-(-side // network.stride) for side in x.shape[2:])
    with autocast(x.device, config.walk.precision):
        _, raw = network(on_canvas(x, config.irnet.canvas))
    displacement = raw[0, :, :height, :width] - network.mean_displacement[:, None, None]
    numbers = clusters(displacement, centroids(displacement))
    sizes = numbers.flatten().bincount()
    if len(sizes) <= MOST_CLUSTERS:
        return numbers
    kept = sizes.argsort(descending=True, stable=True)[: MOST_CLUSTERS - 1]
    new = torch.full_like(sizes, MOST_CLUSTERS - 1)
    new[kept] = torch.arange(len(kept), device=sizes.device)
    return new[numbers]


def split_mask(mask: np.ndarray, cams: ScoreMaps, numbers: Mapping[int, np.ndarray] | None = None) -> Instances:
    """Split the classes of a mask into objects: connected pieces, of one cluster where these are known.

    Args:
        mask: uint8 [H, W].
        cams: activation maps of its classes; the score of an object is the mean of its class's map over it.
        numbers: 0-based class -> the cluster of each pixel, int [H, W].

    Example:
        >>> maps = ScoreMaps((2,), torch.tensor([[[0.5, 0.0, 1.0]]]))
        >>> found = split_mask(np.array([[3, 0, 3]], np.uint8), maps)
        >>> found.labels.tolist(), found.classes, found.scores
        ([[1, 0, 2]], (2, 2), (0.5, 1.0))
    """
    labels = np.zeros(mask.shape, np.int32)
    classes: list[int] = []
    sure: list[float] = []
    for number, probability in zip(cams.classes, cams.scores.float().cpu().numpy(), strict=True):
        region = mask == number + 1
        if not region.any():
            continue
        pieces = split_region(region, np.zeros(mask.shape, np.int64) if numbers is None else numbers[number])
        numbers_of = range(1, int(pieces.max()) + 1)
        labels = np.where(pieces > 0, pieces + len(classes), labels)
        sure += np.atleast_1d(ndimage.mean(enlarge(probability, mask.shape), pieces, numbers_of)).tolist()
        classes += [number] * len(numbers_of)
    return Instances(labels, tuple(classes), tuple(sure))
