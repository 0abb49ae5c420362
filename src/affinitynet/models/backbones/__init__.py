"""Networks without a head, one file each; made by name through the registry."""

from affinitynet.models.backbones.registry import BACKBONES, build_backbone, is_backbone, pretrained_backbone

__all__ = ["BACKBONES", "build_backbone", "is_backbone", "pretrained_backbone"]
