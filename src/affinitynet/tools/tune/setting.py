"""What decides a mask once AffinityNet is trained, and how well each choice does."""

from __future__ import annotations

from dataclasses import dataclass, replace

from affinitynet.config.settings import PipelineConfig


@dataclass(frozen=True)
class Setting:
    """What decides a mask once AffinityNet is trained."""

    beta: float
    steps: int
    alpha: float

    def applied_to(self, config: PipelineConfig) -> PipelineConfig:
        """Return the config with this setting."""
        walk = replace(config.walk, beta=self.beta, steps=self.steps)
        return replace(config, walk=walk, masks=replace(config.masks, alpha=self.alpha, threshold=None))


@dataclass(frozen=True)
class Tuning:
    """How well each setting does, and how sure that is.

    Args:
        split: the images measured on.
        images: their number.
        miou: setting -> mIoU in [0, 1] over all of them.
        present, best: the setting in use and the one with the highest mIoU.
        better: share of resampled collections of images on which ``best`` beats ``present``.
        gain: 2.5 and 97.5 percentile of its gain there, in mIoU.
    """

    split: str
    images: int
    miou: dict[Setting, float]
    present: Setting
    best: Setting
    better: float
    gain: tuple[float, float]
