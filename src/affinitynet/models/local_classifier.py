"""A tag classifier for objects of any size: the paper's, with another pooling and a backbone that stays as it is.

Where the paper averages over an image before it classifies, this one weighs the places of an image by softmax(sharpness
x logit), between the average (0) and the maximum (infinity) of multiple-instance learning; so the activation maps of
what is small are small. Each image's median is taken off its features: what a whole image looks like (its sheet, its
scanner, the slice of a volume) cannot stand in for the object that it is tagged with.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from affinitynet.errors import InputError
from affinitynet.models.backbones.base import Backbone
from affinitynet.models.backbones.registry import build_backbone
from affinitynet.models.weights.names import fill, read_weights
from affinitynet.records import saved_values

LOCAL = "local"
"""Value of the setting ``maps`` of a saved local classifier."""

STRIDE = 8
"""Pixels between places. Finer features of a backbone are left out: they say too little of what is there."""

WIDEST = 128
"""Channels above which a feature map is projected at random to :data:`PROJECTED` (Johnson & Lindenstrauss, 1984)."""

PROJECTED = 96
SMALLEST, LARGEST = 512, 1024  # long side of an image as it is seen, pixels


def seen_size(size: tuple[int, ...]) -> tuple[int, int]:
    """Return the size (H, W) at which an image is seen: small ones are enlarged, so that small objects cover places.

    Example:
        >>> seen_size((256, 128)), seen_size((300, 600)), seen_size((4000, 3000))
        ((512, 256), (300, 600), (1024, 768))
    """
    factor = min(max(max(size), SMALLEST), LARGEST) / max(size)
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def pooled(logits: Tensor, sharpness: Tensor | float) -> Tensor:
    """Return the logits of images: the means of their places', weighted by softmax(sharpness x logit).

    Args:
        logits: [..., P] of P places.
        sharpness: 0 is the paper's average; one number, or one for each row.

    Example:
        >>> places = torch.tensor([0.0, 0.0, 6.0])
        >>> [round(float(pooled(places, sharpness)), 2) for sharpness in (0.0, 1.0, 9.0)]
        [2.0, 5.97, 6.0]
    """
    return ((sharpness * logits).softmax(-1) * logits).sum(-1)


class LocalClassifier(nn.Module):
    """Backbone as it is -> features of places -> one logit per class and place -> pooling.

    Args:
        backbone: of :func:`affinitynet.models.backbones.registry.build_backbone`; its weights stay as they are.
        classes: the C class names; their order is that of the logits.
        sharpness: of the pooling.

    Example:
        >>> model = LocalClassifier(build_backbone("lite"), ["rust", "miner"], 1.0).eval()
        >>> x = torch.zeros(2, 3, 64, 96)
        >>> tuple(model(x).shape), tuple(model.place_probabilities(model.features(x)).shape)
        ((2, 2), (2, 2, 8, 12))
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, backbone: Backbone, classes: Sequence[str], sharpness: float = 1.0) -> None:
        super().__init__()
        self.classes = tuple(classes)
        self.settings: dict[str, Any] = {
            **backbone.settings,
            "classes": list(classes),
            "maps": LOCAL,
            "sharpness": sharpness,
        }
        self.backbone = backbone.eval()
        strides = backbone.strides
        self.used = [number for number, stride in enumerate(strides) if stride >= min(STRIDE, max(strides))]
        draw, depth = torch.Generator().manual_seed(0), 0
        for number in self.used:
            channels = backbone.channels[number]
            if channels > WIDEST:
                random = torch.randn(PROJECTED, channels, 1, 1, generator=draw) / channels**0.5
                self.register_buffer(f"projection{number}", random)
            depth += PROJECTED if channels > WIDEST else channels
        self.register_buffer("mean", torch.zeros(depth))
        self.register_buffer("deviation", torch.ones(depth))
        self.places = nn.Conv2d(depth, len(self.classes), 1)

    def features(self, x: Tensor) -> Tensor:
        """Return features float32 [B, D, h, w] of normalised images [B, 3, H, W]: what each place is like beyond
        the image's median."""
        taps, found = self.backbone(x), []
        size = taps[self.used[0]].shape[2:]
        for number in self.used:
            tap = taps[number]
            if tap.shape[1] > WIDEST:
                tap = F.conv2d(tap, self.get_buffer(f"projection{number}").to(tap.dtype))
            found.append(F.interpolate(tap.float(), size, mode="bilinear", align_corners=False))
        features = torch.cat(found, 1)
        return features - features.flatten(2).median(2).values[:, :, None, None]

    def standardised(self, features: Tensor) -> Tensor:
        """Return features [B, D, h, w] in units of their deviation over the training images."""
        return (features.float() - self.mean[:, None, None]) / self.deviation[:, None, None]

    def forward(self, x: Tensor) -> Tensor:
        """Return logits float32 [B, C] of normalised images [B, 3, H, W]."""
        return self.image_logits(self.features(x))

    def image_logits(self, features: Tensor) -> Tensor:
        """Return logits [B, C] of images from the features of their places [B, D, h, w]."""
        return pooled(self.places(self.standardised(features)).flatten(2), self.settings["sharpness"])

    def place_probabilities(self, features: Tensor) -> Tensor:
        """Return how probable each class is in each place, [B, C, h, w] in [0, 1], from features [B, D, h, w]."""
        return self.places(self.standardised(features)).sigmoid()

    @classmethod
    def load(cls, path: Path) -> LocalClassifier:
        """Read a local classifier from its safetensors file, in eval mode.

        Raises:
            InputError: the file is none.
        """
        found = read_weights(path)
        settings = found.settings
        if settings.get("maps") != LOCAL:
            raise InputError(f"{path}: contains {found.contains}, not a local classifier; pass one of maps: local")
        model = cls(build_backbone(found.network, settings.get("taps")), settings["classes"], settings["sharpness"])
        model.settings |= saved_values(settings)
        fill(model, found.state, str(path))
        return model.eval()
