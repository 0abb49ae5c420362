"""Stage 4: the random walk, and the decision that turns its scores into masks (spec, stage 4).

The walk is kept, so that another background strength or threshold re-makes the masks at once.
"""

from __future__ import annotations

import numpy as np
import torch

from affinitynet.data.images import image_size
from affinitynet.data.store import load_arrays, save_arrays, save_mask
from affinitynet.models.affinity_net import AffinityNet
from affinitynet.ops.labels import decide
from affinitynet.predictor import MaskPredictor, Walk
from affinitynet.stages.context import Context, label_images, load_cams
from affinitynet.types import TaggedImage


def walk_images(context: Context) -> None:
    """Write ``walks/NAME.npz`` of every labelled image.

    Arrays: classes int64 [K], scores float16 [K, h, w], alphas float64 [A] and background float16
    [A, h, w], all at stride 8.
    """
    net = AffinityNet.load(context.work.weights("affinity"))
    predictor = MaskPredictor(None, net, context.config, context.device)

    def make(record: TaggedImage, image: np.ndarray) -> None:
        cams = load_cams(context.work, record.name)
        walk = predictor.walk(image, torch.from_numpy(cams.scores).to(context.device))
        save_arrays(
            context.work.artifact("walks", record.name),
            classes=cams.classes,
            scores=walk.scores.half().cpu().numpy(),
            alphas=np.array(walk.alphas),
            background=walk.background.half().cpu().numpy(),
        )

    label_images(context, "walks", "random-walk", make)


def make_masks(context: Context) -> None:
    """Write ``masks/NAME.png`` of every labelled image from its kept walk."""
    predictor = MaskPredictor(None, None, context.config, context.device)

    def make(record: TaggedImage, image: np.ndarray) -> None:
        classes, walk = load_walk(context, record.name)
        scores = predictor.full_scores(image, walk, context.config.masks)
        save_mask(context.work.artifact("masks", record.name), decide(scores, classes, image_size(record.path)))

    label_images(context, "masks", "make-masks", make)


def load_walk(context: Context, name: str) -> tuple[list[int], Walk]:
    """Read an image's classes and its walked scores as float32."""
    arrays = load_arrays(context.work.artifact("walks", name))
    background, scores = (
        torch.from_numpy(arrays[key].astype(np.float32)).to(context.device) for key in ("background", "scores")
    )
    return arrays["classes"].tolist(), Walk(tuple(arrays["alphas"].tolist()), background, scores)
