"""Stage 2, second half: class activation maps -> confident seeds by the dense CRF (spec, stage 2)."""

from __future__ import annotations

import numpy as np
import torch

from affinitynet.files import save_arrays
from affinitynet.ops.seeds import confident_seeds
from affinitynet.pipeline.context import Context, label_images, load_cams
from affinitynet.records import TaggedImage


def make_seeds(context: Context) -> None:
    """Write ``seeds/NAME.npz``: classes int64 [K], low and high float16 [K + 1, H, W], background first."""
    alphas = (context.config.seeds.low_alpha, context.config.seeds.high_alpha)

    def make(record: TaggedImage, image: np.ndarray) -> None:
        cams = load_cams(context.work, record.name)
        pixels = torch.from_numpy(image.copy()).to(context.runtime.device)
        scores = confident_seeds(pixels, torch.from_numpy(cams.scores).to(context.runtime.device), alphas)
        low, high = scores.half().cpu().numpy()
        save_arrays(context.work.artifact("seeds", record.name), classes=cams.classes, low=low, high=high)

    label_images(context, "seeds", "make-seeds", make)
