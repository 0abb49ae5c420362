"""AffinityNet: features whose L1 distance says which pixels belong together (paper, section 3.2)."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from affinitynet.models.backbones import build_backbone, parameter_groups
from affinitynet.models.weights import read_weights

STRIDE = 8
"""Input pixels per pixel of the affinity grid, of the walk and of its scores."""


class AffinityNet(nn.Module):
    """Backbone features of several strides, reduced, joined at stride 8 and mixed.

    Each tap goes through a 1x1 convolution and a GroupNorm, is brought to stride 8 (average
    pooled or bilinearly enlarged) and through ELU; ``f9`` mixes the joined channels, as in the
    paper. Fine taps carry edges, coarse ones meaning.

    Args:
        network: backbone name.
        pretrained: start the backbone from ImageNet weights.
        widths: channels of each reduced tap, finest first.

    Example:
        >>> net = AffinityNet("lite", pretrained=False).eval()
        >>> tuple(net(torch.zeros(1, 3, 64, 96)).shape)
        (1, 256, 8, 12)
    """

    def __init__(self, network: str, pretrained: bool = True, widths: tuple[int, ...] = (32, 64, 64, 96)) -> None:
        super().__init__()
        self.settings = {"network": network, "widths": list(widths)}
        self.backbone = build_backbone(network, pretrained)
        self.reduce = nn.ModuleList(
            nn.Conv2d(channels, width, 1, bias=False)
            for channels, width in zip(self.backbone.channels, widths, strict=True)
        )
        self.norm = nn.ModuleList(nn.GroupNorm(8, width) for width in widths)
        self.f9 = nn.Conv2d(sum(widths), sum(widths), 1, bias=False)
        for weight in self.reduce.parameters():
            nn.init.kaiming_normal_(weight)
        nn.init.xavier_uniform_(self.f9.weight, gain=4)

    def forward(self, x: Tensor) -> Tensor:
        """Return features float32 [B, D, H / 8, W / 8] of normalised images; H, W multiples of 8."""
        size = (x.shape[2] // STRIDE, x.shape[3] // STRIDE)
        taps = [
            F.elu(_to_size(norm(reduce(feature)), size))
            for feature, reduce, norm in zip(self.backbone(x), self.reduce, self.norm, strict=True)
        ]
        return F.elu(self.f9(torch.cat(taps, dim=1))).float()

    def parameter_groups(self) -> list[dict]:
        """Return the optimiser's groups; all but the backbone is new."""
        return parameter_groups(self, [self.reduce, self.norm, self.f9])

    @classmethod
    def load(cls, path: Path) -> AffinityNet:
        """Read an AffinityNet from its safetensors file, in eval mode.

        Raises:
            InputError: the file is not one of ours.
        """
        state, settings = read_weights(path)
        model = cls(settings["network"], pretrained=False, widths=tuple(settings["widths"]))
        model.load_state_dict(state)
        return model.eval()


def _to_size(feature: Tensor, size: tuple[int, int]) -> Tensor:
    """Average-pool a finer map to ``size``, enlarge a coarser one bilinearly."""
    if feature.shape[2] > size[0]:
        return F.adaptive_avg_pool2d(feature, size)
    return F.interpolate(feature, size, mode="bilinear", align_corners=False)
