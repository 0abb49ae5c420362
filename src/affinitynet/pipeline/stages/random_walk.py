"""The random walk that spreads the activation maps along the affinities (paper, section 3.3)."""

from __future__ import annotations

from affinitynet.inference.links import load_pair_network
from affinitynet.inference.tagged import MaskPredictor
from affinitynet.pipeline.context import Context, label_images
from affinitynet.records import TaggedImage, Walk


def random_walk(context: Context) -> None:
    """Write the walked scores of every target image, for each background strength of ``walk.alphas``."""
    net = load_pair_network(context.work, context.config)
    predictor = MaskPredictor(None, net, context.config, context.runtime.device)

    def make(record: TaggedImage) -> Walk:
        return predictor.walk(context.image(record), context.work.cams.load(record.name))

    label_images(context, context.work.walks, "random-walk", make)
