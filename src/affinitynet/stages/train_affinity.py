"""Stage 3: confident seeds -> AffinityNet (paper, section 3.2; spec, stage 3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from affinitynet.data.images import load_image
from affinitynet.data.store import load_arrays, save_weights
from affinitynet.data.transforms import jitter_colours, normalise, random_crop, random_flip, to_tensor
from affinitynet.engine import Sample, fit
from affinitynet.models.affinity_net import STRIDE, AffinityNet
from affinitynet.ops.affinity import affinity_labels, affinity_loss, pair_affinity, pair_labels
from affinitynet.stages.context import Context
from affinitynet.types import InputError


def train_affinity(context: Context) -> None:
    """Train AffinityNet on the seeds of the training split and write ``affinity.safetensors``."""
    config = context.config.affinity
    # An image without a tag has no foreground, so its seeds tell nothing apart.
    records = [record for record in context.training_images if record.tags]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(context.config.seed)
        model = AffinityNet(context.config.network)
    mean, std = model.backbone.mean, model.backbone.std

    def sample(index: int) -> Sample:
        record = records[index]
        image = to_tensor(load_image(record.path))
        low, high = _scores(context, record.name, image.shape[1:])
        image, low, high = random_flip(*random_crop(config.crop_size, jitter_colours(image), low, high))
        low, high = (F.avg_pool2d(scores.float(), STRIDE) for scores in (low, high))
        return normalise(image, mean, std), affinity_labels(low, high)

    def loss(net: nn.Module, batch: Sample) -> Tensor:
        images, labels = batch
        affinity = pair_affinity(net(images), config.radius)
        return affinity_loss(affinity, *pair_labels(labels, config.radius))

    fit(
        model,
        sample,
        len(records),
        loss,
        config,
        seed=context.config.seed,
        device=context.device,
        checkpoint=context.work.checkpoint("affinity"),
        losses=context.work.losses("affinity"),
        report=context.report,
        label="train-affinity",
    )
    save_weights(context.work.weights("affinity"), model.state_dict(), model.settings)
    context.work.checkpoint("affinity").unlink(missing_ok=True)


def _scores(context: Context, name: str, size: torch.Size) -> tuple[Tensor, Tensor]:
    """Read an image's low and high seeds, float16 [K + 1, H, W]."""
    path = context.work.artifact("seeds", name)
    arrays = load_arrays(path)
    if arrays["low"].shape[1:] != tuple(size):
        raise InputError(f"{path}: made from an image of another size; delete it and run make-seeds again")
    return torch.from_numpy(arrays["low"]), torch.from_numpy(arrays["high"])
