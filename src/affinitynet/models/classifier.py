"""The tag classifier whose weights turn features into class activation maps (paper, section 3.1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from affinitynet.errors import InputError
from affinitynet.models.backbones.base import Backbone
from affinitynet.models.backbones.registry import build_backbone
from affinitynet.models.local_classifier import LOCAL, LocalClassifier
from affinitynet.models.parameter_groups import parameter_groups
from affinitynet.models.weights.names import fill, read_weights
from affinitynet.records import saved_values

REFERENCE_CLASSES = 20  # those of VOC, for which the learning rates were chosen


class TagClassifier(nn.Module):
    """Backbone -> Dropout2d -> global average pool -> fc8 = one logit per class.

    Args:
        backbone: of :func:`affinitynet.models.backbones.registry.build_backbone`.
        classes: the C class names; their order is that of the logits.

    Example:
        >>> model = TagClassifier(build_backbone("lite"), ["cat", "cow", "dog", "horse", "sheep"]).eval()
        >>> x = torch.zeros(2, 3, 64, 96)
        >>> tuple(model(x).shape), tuple(model.activation_maps(x, [1, 3]).shape)
        ((2, 5), (2, 2, 4, 6))
    """

    def __init__(self, backbone: Backbone, classes: Sequence[str]) -> None:
        super().__init__()
        self.classes = tuple(classes)
        self.settings = {**backbone.settings, "classes": list(classes)}
        self.backbone = backbone
        self.dropout = nn.Dropout2d(backbone.dropout)
        self.fc8 = nn.Conv2d(self.backbone.channels[-1], len(self.classes), 1, bias=False)
        backbone.initialise(self.fc8)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits float32 [B, C] of normalised images [B, 3, H, W]."""
        features = self.dropout(self.backbone(x)[-1])
        return self.fc8(features.mean((2, 3), keepdim=True)).flatten(1).float()

    def activation_maps(self, x: Tensor, classes: Sequence[int]) -> Tensor:
        """Return the rectified fc8(features) of ``classes``: float32 [B, len(classes), h, w]."""
        maps = F.conv2d(self.backbone(x)[-1], self.fc8.weight[list(classes)])
        return self.backbone.rectify(maps.float())

    def parameter_groups(self) -> list[dict]:
        """Return the optimiser's groups; only ``fc8`` is new."""
        return parameter_groups(self, self.fc8, self.backbone.alike)

    @classmethod
    def load(cls, path: Path, classes: Sequence[str] | None = None) -> TagClassifier:
        """Read a classifier, in eval mode: from our own safetensors or a checkpoint of the released code.

        Args:
            classes: names of the classes, for a file that does not contain them.

        Raises:
            InputError: the file is not a classifier, or has a different number of classes.
        """
        found = read_weights(path)
        if found.settings.get("maps") == LOCAL:
            raise InputError(f"{path}: contains a local classifier; pass one of whole images, trained with maps: cam")
        if found.part != "classifier":
            raise InputError(
                f"{path}: contains {found.contains}, not a classifier of this method; pass another file, or start "
                f"from its backbone with --network {found.network} --weights {path}"
            )
        count = len(found.state["fc8.weight"])
        names = found.settings.get("classes") or classes or [f"class {i + 1}" for i in range(count)]
        model = cls(build_backbone(found.network, found.settings.get("taps")), names)
        model.settings |= saved_values(found.settings)
        fill(model, found.state, str(path))
        return model.eval()


def load_classifier(path: Path, classes: Sequence[str] | None = None) -> TagClassifier | LocalClassifier:
    """Read a classifier of either kind, in eval mode.

    Args:
        classes: as for :meth:`TagClassifier.load`.

    Raises:
        InputError: the file is no classifier.
    """
    if read_weights(path).settings.get("maps") == LOCAL:
        return LocalClassifier.load(path)
    return TagClassifier.load(path, classes)


def tag_loss(logits: Tensor, tags: Tensor, mean_count: Callable[[Tensor], Tensor] = lambda count: count) -> Tensor:
    """Multi-label soft margin loss of logits [B, C] against 0/1 tags [B, C]: a scalar.

    ``mean_count`` turns the number of images here into its mean over the processes that share the batch.

    The original averages over its 20 classes. With fewer classes an average would give each of them more
    weight and make the same learning rate diverge, so the sum is divided by at least 20.

    Example:
        >>> round(tag_loss(torch.zeros(1, 20), torch.ones(1, 20)).item(), 4)
        0.6931
        >>> round(tag_loss(torch.zeros(1, 2), torch.ones(1, 2)).item(), 4)
        0.0693
    """
    share = min(1, logits.shape[1] / REFERENCE_CLASSES)
    images = mean_count(torch.tensor(float(len(logits)), device=logits.device))
    return share * F.multilabel_soft_margin_loss(logits, tags, reduction="sum") / images
