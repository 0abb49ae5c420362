"""affinitynet: tags in, masks out.

The public names are imported when they are first used, so that ``import affinitynet`` is quick.

Example:
    >>> import affinitynet
    >>> affinitynet.mean_iou.__module__
    'affinitynet.ops.metrics'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "class_activation_maps": "ops.cam",
    "dense_crf": "ops.crf",
    "confident_seeds": "ops.seeds",
    "affinity_labels": "ops.affinity",
    "affinity_loss": "ops.affinity",
    "random_walk": "ops.walk",
    "confusion_matrix": "ops.metrics",
    "mean_iou": "ops.metrics",
    "TagClassifier": "models.classifier",
    "AffinityNet": "models.affinity_net",
    "PipelineConfig": "config.settings",
    "run_pipeline": "pipeline.run",
    "MaskPredictor": "inference.tagged",
    "SegmentationPredictor": "inference.untagged",
}

__all__ = [  # noqa: RUF022 (in the order of the method)
    "class_activation_maps",
    "dense_crf",
    "confident_seeds",
    "affinity_labels",
    "affinity_loss",
    "random_walk",
    "confusion_matrix",
    "mean_iou",
    "TagClassifier",
    "AffinityNet",
    "PipelineConfig",
    "run_pipeline",
    "MaskPredictor",
    "SegmentationPredictor",
]

if TYPE_CHECKING:
    from affinitynet.config.settings import PipelineConfig
    from affinitynet.inference.tagged import MaskPredictor
    from affinitynet.inference.untagged import SegmentationPredictor
    from affinitynet.models.affinity_net import AffinityNet
    from affinitynet.models.classifier import TagClassifier
    from affinitynet.ops.affinity import affinity_labels, affinity_loss
    from affinitynet.ops.cam import class_activation_maps
    from affinitynet.ops.crf import dense_crf
    from affinitynet.ops.metrics import confusion_matrix, mean_iou
    from affinitynet.ops.seeds import confident_seeds
    from affinitynet.ops.walk import random_walk
    from affinitynet.pipeline.run import run_pipeline


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"affinitynet.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'affinitynet' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
