"""The tag classifier whose weights turn features into class activation maps (paper, section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn

from affinitynet.models.backbones import build_backbone, parameter_groups
from affinitynet.models.weights import read_weights

REFERENCE_CLASSES = 20  # VOC's, which the learning rates were chosen with


class TagClassifier(nn.Module):
    """Backbone -> Dropout2d(0.5) -> global average pool -> fc8 = one logit per class.

    Args:
        network: backbone name.
        classes: the C class names; their order is that of the logits.
        pretrained: start the backbone from ImageNet weights.

    Example:
        >>> import torch
        >>> model = TagClassifier("lite", ["cat", "cow", "dog", "horse", "sheep"], pretrained=False).eval()
        >>> x = torch.zeros(2, 3, 64, 96)
        >>> tuple(model(x).shape), tuple(model.activation_maps(x, [1, 3]).shape)
        ((2, 5), (2, 2, 4, 6))
    """

    def __init__(self, network: str, classes: Sequence[str], pretrained: bool = True) -> None:
        super().__init__()
        self.classes = tuple(classes)
        self.settings = {"network": network, "classes": list(classes)}
        self.backbone = build_backbone(network, pretrained)
        self.dropout = nn.Dropout2d(0.5)
        self.fc8 = nn.Conv2d(self.backbone.channels[-1], len(self.classes), 1, bias=False)
        nn.init.xavier_uniform_(self.fc8.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits float32 [B, C] of normalised images [B, 3, H, W]."""
        features = self.dropout(self.backbone(x)[-1])
        return self.fc8(features.mean((2, 3), keepdim=True)).flatten(1).float()

    def activation_maps(self, x: Tensor, classes: Sequence[int]) -> Tensor:
        """Return relu(fc8(features)) of ``classes``: float32 [B, len(classes), H / 16, W / 16]."""
        return F.relu(F.conv2d(self.backbone(x)[-1], self.fc8.weight[list(classes)])).float()

    def parameter_groups(self) -> list[dict]:
        """Return the optimiser's groups; only ``fc8`` is new."""
        return parameter_groups(self, self.fc8)

    @classmethod
    def load(cls, path: Path) -> TagClassifier:
        """Read a classifier from its safetensors file, in eval mode.

        Raises:
            InputError: the file is not one of ours.
        """
        state, settings = read_weights(path)
        model = cls(settings["network"], settings["classes"], pretrained=False)
        model.load_state_dict(state)
        return model.eval()


def tag_loss(logits: Tensor, tags: Tensor) -> Tensor:
    """Multi-label soft margin loss of logits [B, C] against 0/1 tags [B, C]: a scalar.

    The original's mean over its 20 classes. With fewer classes a mean would weigh each of them
    more and make the same learning rate diverge, so the sum is divided by 20 at least.

    Example:
        >>> import torch
        >>> round(tag_loss(torch.zeros(1, 20), torch.ones(1, 20)).item(), 4)
        0.6931
        >>> round(tag_loss(torch.zeros(1, 2), torch.ones(1, 2)).item(), 4)
        0.0693
    """
    share = min(1, logits.shape[1] / REFERENCE_CLASSES)
    return share * F.multilabel_soft_margin_loss(logits, tags)
