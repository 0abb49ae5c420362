"""AffinityNet: features whose L1 distance measures which pixels belong together (paper, section 3.2)."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from affinitynet.errors import InputError
from affinitynet.models.backbones.base import Backbone
from affinitynet.models.backbones.registry import build_backbone
from affinitynet.models.parameter_groups import parameter_groups
from affinitynet.models.weights.names import fill, read_weights


class AffinityNet(nn.Module):
    """Backbone features, reduced, joined at stride 8 and mixed.

    Each tap goes through a 1x1 convolution and, if the backbone asks for it, a GroupNorm, is brought to
    stride 8 (average-pooled or enlarged bilinearly) and goes through ELU; ``f9`` mixes the joined channels,
    as in the paper. Fine taps carry edges, coarse ones semantics.

    Args:
        backbone: of :func:`affinitynet.models.backbones.registry.build_backbone`.

    Example:
        >>> net = AffinityNet(build_backbone("lite")).eval()
        >>> tuple(net(torch.zeros(1, 3, 64, 96)).shape)
        (1, 256, 8, 12)
    """

    stride = 8
    """Pixels of the input per pixel of the affinity grid, of the walk and of its scores."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.settings = dict(backbone.settings)
        self.backbone = backbone
        backbone.enlarge_field()
        widths, groups = backbone.reduced, backbone.groups
        self.reduce = nn.ModuleList(
            nn.Conv2d(channels, width, 1, bias=False) for channels, width in zip(backbone.channels, widths, strict=True)
        )
        self.norm = nn.ModuleList(
            nn.Identity() if groups is None else nn.GroupNorm(groups[i], width) for i, width in enumerate(widths)
        )
        self.f9 = nn.Conv2d(sum(widths), sum(widths), 1, bias=False)
        for weight in self.reduce.parameters():
            nn.init.kaiming_normal_(weight)
        nn.init.xavier_uniform_(self.f9.weight, gain=4)

    def forward(self, x: Tensor) -> Tensor:
        """Return features float32 [B, D, H / 8, W / 8] of normalised images; H, W multiples of 8."""
        size = (x.shape[2] // self.stride, x.shape[3] // self.stride)
        taps = [
            F.elu(_to_size(norm(reduce(feature)), size))
            for feature, reduce, norm in zip(self.backbone(x), self.reduce, self.norm, strict=True)
        ]
        return F.elu(self.f9(torch.cat(taps, dim=1))).float()

    def parameter_groups(self) -> list[dict]:
        """Return the optimiser's groups; the head's convolutions are new (as in the original, its norms are not)."""
        return parameter_groups(self, [self.reduce, self.f9])

    @classmethod
    def load(cls, path: Path) -> AffinityNet:
        """Read an AffinityNet, in eval mode: from our own safetensors or a checkpoint of the released code.

        Raises:
            InputError: the file is not an AffinityNet.
        """
        found = read_weights(path)
        if found.part != "affinity":
            raise InputError(f"{path}: contains {found.contains}, not an AffinityNet; pass another file")
        model = cls(build_backbone(found.network, found.settings.get("taps")))
        fill(model, found.state, str(path))
        return model.eval()


def _to_size(feature: Tensor, size: tuple[int, int]) -> Tensor:
    """Average-pool a finer map to ``size``, enlarge a coarser one bilinearly."""
    if feature.shape[2] > size[0]:
        return F.adaptive_avg_pool2d(feature, size)
    if feature.shape[2:] == size:
        return feature
    return F.interpolate(feature, size, mode="bilinear", align_corners=False)
