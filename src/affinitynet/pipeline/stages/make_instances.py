"""IRNet's displacements -> the objects of each image (docs/method.md, "Instances")."""

from __future__ import annotations

from affinitynet.inference.objects import find_objects
from affinitynet.models.irnet import IRNet
from affinitynet.pipeline.context import Context, label_images
from affinitynet.records import Instances, TaggedImage


def make_instances(context: Context) -> None:
    """Write the objects of every target image: pixels, class and score of each."""
    work, device = context.work, context.runtime.device
    network = IRNet.load(work.weights("irnet")).to(device)

    def make(record: TaggedImage) -> Instances:
        cams, mask = work.cams.load(record.name), work.masks.load(record.name)
        return find_objects(network, context.image(record), cams, mask, context.config, device)

    label_images(context, work.instances, "make-instances", make)
