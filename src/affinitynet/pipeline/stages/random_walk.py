"""The random walk that spreads the activation maps along the affinities (paper, section 3.3)."""

from __future__ import annotations

import numpy as np
import torch

from affinitynet.files import save_arrays
from affinitynet.inference.tagged import MaskPredictor
from affinitynet.models.affinity_net import AffinityNet
from affinitynet.pipeline.context import Context, label_images, load_cams
from affinitynet.records import TaggedImage


def walk_images(context: Context) -> None:
    """Write ``walks/NAME.npz`` of every labelled image.

    Arrays: classes int64 [K], scores float16 [K, h, w], alphas float64 [A] and background float16
    [A, h, w], all at stride 8.
    """
    net = AffinityNet.load(context.work.weights("affinity"))
    predictor = MaskPredictor(None, net, context.config, context.runtime.device)

    def make(record: TaggedImage, image: np.ndarray) -> None:
        cams = load_cams(context.work, record.name)
        walk = predictor.walk(image, torch.from_numpy(cams.scores).to(context.runtime.device))
        save_arrays(
            context.work.artifact("walks", record.name),
            classes=cams.classes,
            scores=walk.scores.half().cpu().numpy(),
            alphas=np.array(walk.alphas),
            background=walk.background.half().cpu().numpy(),
        )

    label_images(context, "walks", "random-walk", make)
