"""IRNet: where the boundaries between classes are, and where the middle of each object is (Ahn et al., CVPR 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from affinitynet.errors import InputError
from affinitynet.models.backbones.base import Backbone
from affinitynet.models.backbones.registry import build_backbone
from affinitynet.models.weights.names import fill, read_weights

EDGE_WIDTH, EDGE_GROUPS = 32, 4
"""Channels of the boundary branch a tap, and groups of their norm, as in the released code."""

WIDTHS, FINE_GROUP, COARSE_GROUPS, WIDEST = (64, 128), 8, 16, 256
"""The same of the displacement branch: channels of the first two taps, groups of the first tap and of all others, and
channels of all others."""

MIDDLE = 8
"""Stride at which the coarse features of the displacement branch meet."""


class IRNet(nn.Module):
    """Two small branches on the features of a backbone that stays as it is.

    Every feature map goes through a 1x1 convolution, a GroupNorm and, enlarged bilinearly to the grid of stride 4, a
    ReLU. One branch joins them to the logit of a class boundary; the other, which joins the coarse ones first, to the
    displacement from each pixel to the middle of its object.

    Args:
        backbone: of :func:`affinitynet.models.backbones.registry.build_backbone`.

    Example:
        >>> net = IRNet(build_backbone("lite")).eval()
        >>> edge, displacement = net(torch.zeros(1, 3, 64, 96))
        >>> tuple(edge.shape), tuple(displacement.shape)
        ((1, 16, 24), (1, 2, 16, 24))
    """

    stride = 4
    """Pixels of the input per pixel of the boundaries, of the walk and of its scores."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.settings = dict(backbone.settings)
        self.backbone = backbone
        backbone.requires_grad_(False)
        channels, strides = backbone.channels, backbone.strides
        self.edges = nn.ModuleList(_Reduction(wide, EDGE_WIDTH, EDGE_GROUPS) for wide in channels)
        self.edge = nn.Conv2d(EDGE_WIDTH * len(channels), 1, 1)
        widths = [*WIDTHS, *[WIDEST] * len(channels)][: len(channels)]
        groups = [FINE_GROUP, *[COARSE_GROUPS] * len(channels)][: len(channels)]
        parts = zip(channels, widths, groups, strict=True)
        self.displacements = nn.ModuleList(_Reduction(*part) for part in parts)
        coarse = [width for width, stride in zip(widths, strides, strict=True) if stride >= MIDDLE]
        self.join_coarse = _Reduction(sum(coarse), WIDEST, COARSE_GROUPS)
        fine = sum(widths) - sum(coarse)
        self.join = _Reduction(fine + WIDEST, WIDEST, COARSE_GROUPS)
        self.displacement = nn.Conv2d(WIDEST, 2, 1, bias=False)
        self.mean_displacement: Tensor
        self.register_buffer("mean_displacement", torch.zeros(2))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return boundary logits float32 [B, h, w] and raw displacements float32 [B, 2, h, w].

        Args:
            x: normalised images [B, 3, H, W], of any size; h = H / 4 and w = W / 4, rounded up.
        """
        features, size = self._features(x), self._grid(x)
        return self._edge(features, size), self._displacement(features, size, self._grid(x, MIDDLE))

    def boundary_logits(self, x: Tensor) -> Tensor:
        """Return the boundary logits of :meth:`forward` alone."""
        return self._edge(self._features(x), self._grid(x))

    def _grid(self, x: Tensor, stride: int = stride) -> tuple[int, int]:
        return -(-x.shape[2] // stride), -(-x.shape[3] // stride)

    def _features(self, x: Tensor) -> tuple[Tensor, ...]:
        with torch.no_grad():
            features: tuple[Tensor, ...] = self.backbone(x)
        return features

    def _edge(self, features: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        parts = zip(self.edges, features, self.backbone.strides, strict=True)
        maps = [F.relu(_to_size(reduce(feature), size, stride / self.stride)) for reduce, feature, stride in parts]
        edge: Tensor = self.edge(torch.cat(maps, 1))[:, 0].float()
        return edge

    def _displacement(self, features: Sequence[Tensor], size: tuple[int, int], middle: tuple[int, int]) -> Tensor:
        fine, coarse = [], []
        for reduce, feature, stride in zip(self.displacements, features, self.backbone.strides, strict=True):
            if stride >= MIDDLE:
                coarse.append(F.relu(_to_size(reduce(feature), middle, stride / MIDDLE)))
            else:
                fine.append(F.relu(_to_size(reduce(feature), size, stride / self.stride)))
        joined = F.relu(_to_size(self.join_coarse(torch.cat(coarse, 1)), size, MIDDLE / self.stride))
        displacement: Tensor = self.displacement(F.relu(self.join(torch.cat([*fine, joined], 1)))).float()
        return displacement

    def train(self, mode: bool = True) -> IRNet:
        """Set the mode of the branches; the backbone stays in eval mode."""
        super().train(mode)
        self.backbone.eval()
        return self

    def parameter_groups(self) -> list[dict]:
        """Return the optimiser's groups: the displacement branch learns ten times as fast, and all of it decays."""
        boundary = [*self.edges.parameters(), *self.edge.parameters()]
        displacement = [
            *self.displacements.parameters(),
            *self.join_coarse.parameters(),
            *self.join.parameters(),
            *self.displacement.parameters(),
        ]
        return [
            {"params": boundary, "factor": 1, "decays": True},
            {"params": displacement, "factor": 10, "decays": True},
        ]

    @classmethod
    def load(cls, path: Path) -> IRNet:
        """Read an IRNet, in eval mode: from our own safetensors or a checkpoint of the released code.

        Raises:
            InputError: the file is not an IRNet.
        """
        found = read_weights(path)
        if found.part != "irnet":
            raise InputError(f"{path}: contains {found.contains}, not an IRNet; pass another file")
        model = cls(build_backbone(found.network, found.settings.get("taps")))
        fill(model, found.state, str(path))
        return model.eval()


class _Reduction(nn.Sequential):
    """A 1x1 convolution and a GroupNorm."""

    def __init__(self, channels: int, width: int, groups: int) -> None:
        super().__init__(nn.Conv2d(channels, width, 1, bias=False), nn.GroupNorm(groups, width))

    def forward(self, x: Tensor) -> Tensor:
        convolution, norm = self
        # On CPUs the GroupNorm of channels-last maps errs by 1e-4 where this errs by 1e-6.
        reduced: Tensor = norm(convolution(x).contiguous())
        return reduced


def _to_size(feature: Tensor, size: tuple[int, int], factor: float) -> Tensor:
    """Enlarge a map bilinearly by a factor and cut it at the right and at the bottom.

    Where the factor is not whole, or the map too small since the backbone rounded down, it is stretched to the size.
    """
    if feature.shape[2:] == size:
        return feature
    if not factor.is_integer() or any(
        factor * side < wanted for side, wanted in zip(feature.shape[2:], size, strict=True)
    ):
        return F.interpolate(feature, size, mode="bilinear", align_corners=False)
    large = F.interpolate(feature, scale_factor=factor, mode="bilinear", align_corners=False)
    return large[:, :, : size[0], : size[1]]
