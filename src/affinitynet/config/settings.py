"""Every number that decides a result: one frozen typed config per stage, YAML.

Flags, ``config.yaml`` and Python share these classes: the field ``beta`` of ``WalkConfig`` is
``--walk.beta``, ``walk: {beta: ...}`` and ``WalkConfig(beta=...)``. Typed parsing is jsonargparse's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal

from affinitynet.config.trainings import (
    AffinityConfig,
    ClassifierConfig,
    IRNetConfig,
    PrecisionChoice,
    SegmenterConfig,
    require,
)

RANDOM = "random"
"""Value of ``weights`` for a network that starts from nothing."""


@dataclass(frozen=True)
class DrawnConfig:
    """Masks that somebody drew, which teach beside the tags."""

    share: float = 0.25
    """Share of the samples of a training that are drawn: their images are repeated, up to four times, until they have
    it."""
    hold_out: float = 0.2
    """With learn_from masks: share of them that measures instead, if no other split has masks."""
    most: int | None = None
    """Drawn masks to use at most, chosen at random, each class in turn; null: all."""

    def __post_init__(self) -> None:
        require(0 <= self.share < 1, "share", self.share, "in [0, 1)")
        require(0 <= self.hold_out < 1, "hold_out", self.hold_out, "in [0, 1)")
        require(self.most is None or self.most >= 0, "most", self.most, "at least 0")


@dataclass(frozen=True)
class CamConfig:
    """Stage make-cams: classifier -> cams/NAME.npz."""

    scales: tuple[float, ...] = (1.0, 0.5, 1.5, 2.0)
    """Sizes of the image the classifier sees, each also mirrored; the maps are summed."""
    precision: PrecisionChoice = "auto"
    """Arithmetic of the classifier. auto: what is faster on this machine."""
    multiple: int = 1
    """Maps are enlarged to the next multiple of this many pixels and cut to the image (IRNet's released code: 16)."""
    grid: int | None = None
    """Stride of a second set of maps, which IRNet's released code starts its walk from (4). null: the walk averages the
    maps over its grid."""
    from_folder: str | None = None
    """Folder of maps that another method made, NAME.npy or NAME.npz, to take as they are; --cams.from for short. null:
    the classifier's."""

    def __post_init__(self) -> None:
        require(
            len(self.scales) > 0 and min(self.scales) > 0,
            "scales",
            self.scales,
            "one or more numbers above 0",
        )
        require(1 <= self.multiple <= 64, "multiple", self.multiple, "in 1..64")
        require(self.grid is None or 1 <= self.grid <= 64, "grid", self.grid, "in 1..64")


@dataclass(frozen=True)
class CRFParams:
    """Parameters of the dense CRF; the defaults are the original method's."""

    gaussian_sxy: float = 3.0
    """Standard deviation of the smoothness kernel, pixels."""
    gaussian_compat: float = 3.0
    """Potts weight of the smoothness kernel."""
    bilateral_sxy: float = 80.0
    """Standard deviation of the appearance kernel in space, pixels."""
    bilateral_srgb: float = 13.0
    """The same in colour, of 0..255 RGB."""
    bilateral_compat: float = 10.0
    """Potts weight of the appearance kernel."""
    iterations: int = 10
    """Mean-field iterations; it has not converged by 10, so their number is part of the result."""

    def __post_init__(self) -> None:
        for name in ("gaussian_sxy", "bilateral_sxy", "bilateral_srgb"):
            require(0 < getattr(self, name) < math.inf, name, getattr(self, name), "above 0")
        for name in ("gaussian_compat", "bilateral_compat", "iterations"):
            require(0 <= getattr(self, name) < math.inf, name, getattr(self, name), "at least 0")


@dataclass(frozen=True)
class SeedConfig:
    """Stage make-seeds: cams -> seeds/NAME.npz, the dense CRF's scores at two background strengths."""

    low_alpha: float | None = None
    """Exponent of the background score (1 - max cam)^alpha; a low one leaves confident foreground. null: 4 (paper), or
    for local maps, which are probabilities, 1, or what drawn masks choose."""
    high_alpha: float | None = None
    """The same; a high one leaves confident background. null: 32 (paper), or for local maps 4, or
    four times what drawn masks choose."""
    crf_scale: float | None = None
    """Factor of the CRF's widths in pixels. null: 1 (paper), or for local maps by the size of the objects."""
    thresholds: tuple[float, float] | None = None
    """Constant background scores instead of low_alpha and high_alpha: that of confident background and that of
    confident foreground (IRNet's released code: 0.05 and 0.3); the CRF then sees labels instead of scores."""
    certainty: float = 0.7
    """With thresholds: the CRF's probability of a pixel's label."""

    def __post_init__(self) -> None:
        low, high = self.low_alpha, self.high_alpha
        rule = "above 0 and in this order"
        require(all(alpha is None or alpha > 0 for alpha in (low, high)), "low_alpha, high_alpha", (low, high), rule)
        require(low is None or high is None or low < high, "low_alpha, high_alpha", (low, high), rule)
        require(self.crf_scale is None or self.crf_scale > 0, "crf_scale", self.crf_scale, "above 0")
        given = self.thresholds
        rule = "two numbers in (0, 1), in ascending order"
        require(given is None or 0 < given[0] < given[1] < 1, "thresholds", given, rule)
        require(0.5 < self.certainty < 1, "certainty", self.certainty, "between 0.5 and 1")


@dataclass(frozen=True)
class WalkConfig:
    """Stage make-masks, first half: affinities -> walks/NAME.npz."""

    beta: float = 8.0
    """Exponent of the affinities before they are normalised; higher keeps the walk inside edges."""
    steps: int = 256
    """Length t of the random walk, the paper's."""
    alphas: tuple[float, ...] = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0)
    """Background strengths that are walked and kept; a mask can be recomputed with any of them."""
    precision: PrecisionChoice = "auto"
    """Arithmetic of AffinityNet; the walk itself is float64. auto: what is faster on this machine."""

    def __post_init__(self) -> None:
        require(0 < self.beta < math.inf, "beta", self.beta, "above 0")
        require(self.steps >= 0, "steps", self.steps, "at least 0")
        require(
            len(self.alphas) > 0 and min(self.alphas) > 0,
            "alphas",
            self.alphas,
            "one or more numbers above 0",
        )


@dataclass(frozen=True)
class MaskConfig:
    """Stage make-masks, second half: walks -> masks/NAME.png. Cheap to do again."""

    alpha: float | None = None
    """Background strength of the walked scores; must be one of walk.alphas. Higher: larger objects. null: 16, or 6 for
    local maps."""
    threshold: float | None = None
    """A constant background score in (0, 1) instead of alpha's; null: use alpha."""
    relative: bool = False
    """Divide the walked scores of an image by the greatest of them before they are compared with the threshold (IRNet's
    released code)."""
    crf: bool = False
    """Pass the walked scores through the dense CRF at full size before the decision."""
    source: Literal["auto", "cams", "crf", "walk"] = "auto"
    """Step whose scores become the masks: the activation maps, these after the dense CRF, or the random walk (paper).
    auto: the walk, but the CRF where the objects of local maps are small."""
    keep_tags: bool = True
    """Give a tagged class without a pixel in the mask the place where it is strongest; such images are listed."""

    def __post_init__(self) -> None:
        require(self.alpha is None or self.alpha > 0, "alpha", self.alpha, "above 0")
        require(self.threshold is None or 0 < self.threshold < 1, "threshold", self.threshold, "between 0 and 1")
        require(not self.relative or self.threshold is not None, "relative", self.relative, "false without a threshold")


@dataclass(frozen=True)
class InstanceConfig:
    """Stage make-instances: displacements of IRNet and masks -> instances/NAME.npz."""

    within_masks: bool = True
    """Split the classes of the masks into objects. false: decide anew which pixels are theirs (IRNet's released
    code)."""
    threshold: float = 0.25
    """Without within_masks: the background's score beside those of the objects, which are divided by the greatest."""

    def __post_init__(self) -> None:
        require(0 < self.threshold < 1, "threshold", self.threshold, "between 0 and 1")


@dataclass(frozen=True)
class RefineConfig:
    """Stage refine-masks: segmenter.safetensors and tags -> masks/NAME.png. Cheap to undo."""

    masks: bool | None = None
    """Let the trained segmentation network, told the tags, make the final masks. null: yes for local maps."""
    crf: bool = True
    """Pass what it finds through the seeds' dense CRF."""


@dataclass(frozen=True)
class PredictConfig:
    """How the segmentation network labels images without tags."""

    scales: tuple[float, ...] = (0.75, 1.25)
    """Sizes at which an image is labelled; the probabilities are averaged."""
    mirror: Literal["alternate", "each"] = "alternate"
    """alternate: every second size is labelled mirrored, the others plain; each: every size both ways."""
    longest_side: int = 1024
    """Pixels of the long side above which an image is labelled at reduced size; its mask still has the full size."""
    crf: bool = True
    """Pass the probabilities through the dense CRF, with the widths that the seeds were made with."""
    precision: PrecisionChoice = "auto"
    """Arithmetic of the network. auto: what is faster on this machine."""

    def __post_init__(self) -> None:
        require(len(self.scales) > 0 and min(self.scales) > 0, "scales", self.scales, "one or more numbers above 0")
        require(self.longest_side >= 64, "longest_side", self.longest_side, "at least 64")

    def once(self) -> PredictConfig:
        """Return the settings of labelling at one size without the CRF: for many labels that are only learnt from."""
        return replace(self, scales=(1.0,), mirror="alternate", crf=False)


@dataclass(frozen=True)
class EvaluateConfig:
    """Stage evaluate: masks and ground truth -> metrics.json."""

    cam_threshold: float | None = None
    """Background score that the activation maps alone are judged with. null: 0.2 (paper), or 0.5 for local maps."""

    def __post_init__(self) -> None:
        require(
            self.cam_threshold is None or 0 < self.cam_threshold < 1,
            "cam_threshold",
            self.cam_threshold,
            "between 0 and 1",
        )


@dataclass(frozen=True)
class PipelineConfig:
    """Everything but the data that decides the result.

    Example:
        >>> PipelineConfig(seed=1).walk.beta
        8.0
    """

    network: str = "lite"
    """Backbone of both networks: lite (EfficientNet-Lite0), vgg16 or resnet38 (the paper's), timm:NAME."""
    taps: tuple[int, ...] | None = None
    """Features of a timm network to use, as timm counts them; null: the four deepest of stride 4 and above."""
    weights: str | None = None
    """File of the weights training starts from, or random; null: ImageNet's, which lite packs and others fetch."""
    seed: int = 0
    """Seed of weights, order and augmentation."""
    split: str | None = None
    """Images to train on and to label; null: train_aug, train or all, the first there is."""
    classes: tuple[str, ...] | None = None
    """Names of the classes to learn, in the order of their mask values; null: all of the collection."""
    on_error: Literal["skip", "stop"] = "skip"
    """What happens to an image, mask or row that cannot be used: it is skipped and listed, or everything stops."""
    longest_side: int | None = 1024
    """Pixels of the long side above which an image is labelled at reduced size; its mask still has the full size. null:
    every image at its own size."""
    propagation: Literal["affinity", "irnet"] = "affinity"
    """What the random walk follows: affinity (AffinityNet, Ahn & Kwak 2018), or irnet (class boundaries, Ahn et al.
    2019)."""
    learn_from: Literal["drawn", "masks"] = "drawn"
    """Which masks teach beside the tags: those in the folder drawn, or the ground truth of the split that is trained
    on, too."""
    drawn: DrawnConfig = field(default_factory=DrawnConfig)
    """Learn from drawn masks"""
    classifier: ClassifierConfig = field(default_factory=ClassifierConfig)
    """Train the tag classifier"""
    cams: CamConfig = field(default_factory=CamConfig)
    """Make class activation maps"""
    seeds: SeedConfig = field(default_factory=SeedConfig)
    """Make confident seeds"""
    crf: CRFParams = field(default_factory=CRFParams)
    """Dense CRF, of the seeds and wherever else it is asked for"""
    affinity: AffinityConfig = field(default_factory=AffinityConfig)
    """Train AffinityNet"""
    irnet: IRNetConfig = field(default_factory=IRNetConfig)
    """Train IRNet"""
    walk: WalkConfig = field(default_factory=WalkConfig)
    """Random walk"""
    masks: MaskConfig = field(default_factory=MaskConfig)
    """Masks from the walked scores"""
    segmenter: SegmenterConfig = field(default_factory=SegmenterConfig)
    """Train the segmentation network on the masks"""
    refine: RefineConfig = field(default_factory=RefineConfig)
    """Masks from the segmentation network and the tags"""
    instances: InstanceConfig = field(default_factory=InstanceConfig)
    """Objects apart, with --propagation irnet"""
    predict: PredictConfig = field(default_factory=PredictConfig)
    """Label images without tags"""
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    """Evaluation"""

    def __post_init__(self) -> None:
        require(self.longest_side is None or self.longest_side >= 64, "longest_side", self.longest_side, "64 or above")
        require(
            self.masks.alpha is None or self.masks.alpha in self.walk.alphas,
            "masks.alpha",
            self.masks.alpha,
            f"one of walk.alphas {self.walk.alphas}",
        )
        require(
            self.segmenter.start != "classifier" or self.segmenter.encoder in (None, self.network),
            "segmenter.start",
            self.segmenter.start,
            f"imagenet or random, since the classifier's network is {self.network}, not {self.segmenter.encoder}",
        )
