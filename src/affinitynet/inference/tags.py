"""Photograph in, tag probabilities out: what the classifier believes is in an image."""

from __future__ import annotations

import numpy as np
import torch

from affinitynet.config.trainings import ClassifierConfig
from affinitynet.data.transforms import normalise, resize, to_tensor
from affinitynet.inference.tagged import see_places
from affinitynet.models.classifier import TagClassifier
from affinitynet.models.local_classifier import LocalClassifier


@torch.inference_mode()
def tag_probabilities(
    classifier: TagClassifier | LocalClassifier, image: np.ndarray, config: ClassifierConfig
) -> np.ndarray:
    """Return the probability float32 [C] of each class in an image uint8 [H, W, 3].

    The image and its mirror image are seen at the middle of the sizes the classifier was trained at.
    """
    if isinstance(classifier, LocalClassifier):
        device = classifier.mean.device
        seen = [classifier.image_logits(see_places(classifier, view, device)) for view in (image, image[:, ::-1])]
        return torch.cat(seen).sigmoid().mean(0).cpu().numpy()
    side = config.crop_size * (config.min_scale + config.max_scale) / 2
    height, width = (max(1, round(length * side / max(image.shape[:2]))) for length in image.shape[:2])
    backbone = classifier.backbone
    x = normalise(to_tensor(resize(image, (height, width))), backbone.mean, backbone.std)[None]
    x = x.to(next(classifier.parameters()).device)
    return classifier(torch.cat([x, x.flip(-1)])).sigmoid().mean(0).cpu().numpy()
