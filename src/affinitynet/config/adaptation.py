"""Settings that are left open until the collection decides them, and the plan that says what it decided and why."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from affinitynet.config.settings import CRFParams, PipelineConfig

Number = TypeVar("Number", int, float)

OPEN = (None, "auto")
"""Values of a setting that leave it open."""

PAPER: Mapping[str, Any] = {
    "seeds.low_alpha": 4.0,
    "seeds.high_alpha": 32.0,
    "seeds.crf_scale": 1.0,
    "masks.source": "walk",
    "masks.alpha": 16.0,
    "classifier.precision": "float32",
    "affinity.precision": "float32",
    "irnet.precision": "float32",
    "segmenter.precision": "float32",
    "cams.precision": "float32",
    "walk.precision": "float32",
    "predict.precision": "float32",
    "refine.masks": False,
    "segmenter.rounds": 1,
    "segmenter.long_side": None,
    "evaluate.cam_threshold": 0.2,
}
"""The settings that may be left open, with the paper's values: they hold where nothing was decided."""


@dataclass(frozen=True)
class Decision:
    """A line of the plan: what the collection decided of a setting that was left open.

    Args:
        setting: its name, ``seeds.low_alpha``.
        value: its value.
        because: why, in words.
        stage: that found it out.
    """

    setting: str
    value: Any
    because: str
    stage: str

    @property
    def shown(self) -> str:
        """The setting and its value.

        Example:
            >>> Decision("seeds.crf_scale", 0.16666, "the objects are small", "train-classifier").shown
            'seeds.crf_scale = 0.167'
        """
        value = f"{self.value:.3g}" if isinstance(self.value, float) else self.value
        return f"{self.setting} = {value}"


OF_THE_CLASSIFIER = "train-classifier"
"""The stage whose decisions are about the classifier's maps."""

PROBABILITIES = tuple(
    Decision(setting, value, "maps of probabilities", OF_THE_CLASSIFIER)
    for setting, value in (
        ("seeds.low_alpha", 1.0),
        ("seeds.high_alpha", 4.0),
        ("masks.alpha", 6.0),
        ("evaluate.cam_threshold", 0.5),
    )
)
"""What holds for maps that are probabilities: background is what the classes leave of 1; a walk thins out both."""


def holds(config: PipelineConfig, decision: Decision) -> bool:
    """Return whether a decision holds: those about the classifier's maps do not for another method's.

    Example:
        >>> from affinitynet.config.settings import CamConfig
        >>> theirs = PipelineConfig(cams=CamConfig(from_folder="maps"))
        >>> holds(PipelineConfig(), PROBABILITIES[0]), holds(theirs, PROBABILITIES[0])
        (True, False)
    """
    return config.cams.from_folder is None or decision.stage != OF_THE_CLASSIFIER


def lines_of(plan: Iterable[Decision]) -> list[str]:
    """Return a plan as lines, one for each reason.

    Example:
        >>> lines_of([Decision("refine.masks", False, "small", "x"), Decision("masks.source", "crf", "small", "x")])
        ['refine.masks = False, masks.source = crf: small']
    """
    reasons: dict[str, list[str]] = {}
    for decision in plan:
        reasons.setdefault(decision.because, []).append(decision.shown)
    return [f"{', '.join(settings)}: {because}" for because, settings in reasons.items()]


def adapted(config: PipelineConfig, plan: Iterable[Decision] = ()) -> PipelineConfig:
    """Fill in the settings that are left open: as the plan says, else as the paper does.

    A background strength that is not walked becomes the nearest one that is. Of the seeds' two strengths, one left open
    follows the other where they would not be in order.

    Example:
        >>> plan = [Decision("seeds.low_alpha", 1.0, "the maps are probabilities", "train-classifier")]
        >>> found = adapted(PipelineConfig(), plan).seeds
        >>> found.low_alpha, found.high_alpha
        (1.0, 32.0)
    """
    decided = {d.setting: d.value for d in plan if d.setting in PAPER and holds(config, d)}
    values = {**PAPER, **decided}
    values |= _in_order(config, values)
    wished = float(values["masks.alpha"])
    values["masks.alpha"] = min(config.walk.alphas, key=lambda walked: abs(walked - wished))
    for setting in PAPER:
        group, name = setting.split(".")
        found = getattr(config, group)
        if getattr(found, name) in OPEN:
            config = dataclasses.replace(config, **{group: dataclasses.replace(found, **{name: values[setting]})})
    return config


def _in_order(config: PipelineConfig, values: Mapping[str, Any]) -> dict[str, float]:
    """Return the strength of the seeds that is left open and would not be below, or above, the one that is given."""
    low, high = float(values["seeds.low_alpha"]), float(values["seeds.high_alpha"])
    given_low, given_high = config.seeds.low_alpha, config.seeds.high_alpha
    if given_low is not None and given_low >= high:
        return {"seeds.high_alpha": given_low * high / low}
    if given_high is not None and given_high <= low:
        return {"seeds.low_alpha": given_high * low / high}
    return {}


def is_open(config: PipelineConfig, setting: str) -> bool:
    """Return whether a setting is left open.

    Example:
        >>> is_open(PipelineConfig(), "masks.source"), is_open(PipelineConfig(), "walk.steps")
        (True, False)
    """
    group, name = setting.split(".")
    return getattr(getattr(config, group), name) in OPEN


def given(value: Number | None) -> Number:
    """Return a number that :func:`adapted` has filled in.

    Raises:
        ValueError: it is still open.
    """
    if value is None:
        raise ValueError("a setting is left open; pass the settings through adapted() first")
    return value


def seed_crf(config: PipelineConfig) -> CRFParams:
    """Return the parameters of the seeds' dense CRF: its widths are ``seeds.crf_scale`` times those of ``crf``.

    The smoothness kernel stays at least a pixel wide.

    Example:
        >>> plan = [Decision("seeds.crf_scale", 0.25, "the objects are small", "train-classifier")]
        >>> found = seed_crf(adapted(PipelineConfig(), plan))
        >>> found.bilateral_sxy, found.gaussian_sxy
        (20.0, 1.0)
    """
    return scaled_crf(config.crf, given(config.seeds.crf_scale))


def scaled_crf(crf: CRFParams, scale: float) -> CRFParams:
    """Return the parameters of a dense CRF whose kernels are ``scale`` times as wide.

    The smoothness kernel stays at least a pixel wide.
    """
    smooth = max(crf.gaussian_sxy * scale, min(crf.gaussian_sxy, 1.0))
    return dataclasses.replace(crf, gaussian_sxy=smooth, bilateral_sxy=crf.bilateral_sxy * scale)
