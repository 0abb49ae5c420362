"""Every number that decides a result: one frozen typed config per stage, YAML.

Flags, ``config.yaml`` and Python share these classes: the field ``beta`` of ``WalkConfig`` is
``--walk.beta``, ``walk: {beta: ...}`` and ``WalkConfig(beta=...)``. Typed parsing is jsonargparse's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from affinitynet.errors import InputError

Precision = Literal["float32", "bfloat16"]
TrainingPrecision = Literal["auto", "float32", "bfloat16"]

RANDOM = "random"
"""Value of ``weights`` for a network that starts from nothing."""


def _require(holds: bool, name: str, value: object, rule: str) -> None:
    if not holds:
        raise InputError(f"{name} = {value}: must be {rule}")


@dataclass(frozen=True)
class TrainConfig:
    """How a network is trained: SGD with the poly schedule and the original's four parameter groups."""

    epochs: int = 5
    """Passes over the training split."""
    min_steps: int = 0
    """Steps to do at least: a small collection is passed over more often."""
    batch_size: int = 16
    """Images per step."""
    crop_size: int = 320
    """Side of the square training crop, pixels; a multiple of 16."""
    learning_rate: float = 0.01
    """Of pretrained weights at the first step; new layers learn at 10 times this, biases at twice."""
    momentum: float = 0.9
    """Of SGD. The released code's is in effect 0 with a learning rate of 0.1."""
    weight_decay: float = 5e-4
    """L2 penalty on weights, not on biases."""
    poly_power: float = 0.9
    """The learning rate falls as (1 - step / steps) to this power."""
    jitter: tuple[float, float, float, float] = (0.3, 0.3, 0.3, 0.1)
    """Largest random change of brightness, contrast and saturation (shares) and of hue (of the circle)."""
    precision: TrainingPrecision = "auto"
    """Arithmetic of the forward pass; weights and sums stay float32. auto: what is faster on this machine."""

    def __post_init__(self) -> None:
        _require(self.epochs >= 1, "epochs", self.epochs, "at least 1")
        _require(self.min_steps >= 0, "min_steps", self.min_steps, "at least 0")
        _require(self.batch_size >= 1, "batch_size", self.batch_size, "at least 1")
        _require(
            self.crop_size >= 32 and self.crop_size % 16 == 0,
            "crop_size",
            self.crop_size,
            "a multiple of 16, at least 32",
        )
        _require(0 < self.learning_rate < math.inf, "learning_rate", self.learning_rate, "above 0")
        _require(0 <= self.momentum < 1, "momentum", self.momentum, "in [0, 1)")
        _require(self.weight_decay >= 0, "weight_decay", self.weight_decay, "at least 0")
        _require(0 <= self.poly_power < math.inf, "poly_power", self.poly_power, "at least 0")
        _require(
            all(0 <= share <= 1 for share in self.jitter) and self.jitter[3] <= 0.5,
            "jitter",
            self.jitter,
            "four numbers in [0, 1], the last one at most 0.5",
        )


@dataclass(frozen=True)
class ClassifierConfig(TrainConfig):
    """Stage train-classifier: tags -> classifier.safetensors."""

    epochs: int = 5
    min_steps: int = 230
    min_scale: float = 0.8
    """Shortest long side a training image is resized to, in crop sizes (paper: 256 of 448 pixels, 0.57)."""
    max_scale: float = 1.7
    """Longest long side a training image is resized to, in crop sizes (paper: 512 of 448 pixels, 1.14)."""
    trained: str | None = None
    """File of a trained classifier, ours or the released code's, to take as it is instead of training one."""
    maps: Literal["local", "cam"] = "local"
    """local: a classifier of places, whose maps are probabilities. cam: the paper's, of whole images, whose maps are
    class activation maps; the settings of a training are for it."""
    hold_out: float = 0.15
    """Share of the training images whose tags are not learnt from but measure what was learnt, at most 200 images."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(0 <= self.hold_out <= 0.5, "hold_out", self.hold_out, "in [0, 0.5]")
        _require(
            0 < self.min_scale <= self.max_scale,
            "min_scale, max_scale",
            (self.min_scale, self.max_scale),
            "above 0 and in this order",
        )


@dataclass(frozen=True)
class CamConfig:
    """Stage make-cams: classifier -> cams/NAME.npz."""

    scales: tuple[float, ...] = (1.0, 0.5, 1.5, 2.0)
    """Sizes of the image the classifier sees, each also mirrored; the maps are summed."""
    precision: Precision = "bfloat16"
    """Arithmetic of the classifier."""
    multiple: int = 1
    """Maps are enlarged to the next multiple of this many pixels and cut to the image (IRNet's released code: 16)."""
    grid: int | None = None
    """Stride of a second set of maps, which IRNet's released code starts its walk from (4). null: the walk averages the
    maps over its grid."""
    from_folder: str | None = None
    """Folder of maps that another method made, NAME.npy or NAME.npz, to take as they are; --cams.from for short. null:
    the classifier's."""

    def __post_init__(self) -> None:
        _require(
            len(self.scales) > 0 and min(self.scales) > 0,
            "scales",
            self.scales,
            "one or more numbers above 0",
        )
        _require(1 <= self.multiple <= 64, "multiple", self.multiple, "in 1..64")
        _require(self.grid is None or 1 <= self.grid <= 64, "grid", self.grid, "in 1..64")


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
            _require(0 < getattr(self, name) < math.inf, name, getattr(self, name), "above 0")
        for name in ("gaussian_compat", "bilateral_compat", "iterations"):
            _require(0 <= getattr(self, name) < math.inf, name, getattr(self, name), "at least 0")


@dataclass(frozen=True)
class SeedConfig:
    """Stage make-seeds: cams -> seeds/NAME.npz, the dense CRF's scores at two background strengths."""

    low_alpha: float | None = None
    """Exponent of the background score (1 - max cam)^alpha; a low one leaves confident foreground. null: 4 (paper), or
    1 for local maps, which are probabilities."""
    high_alpha: float | None = None
    """The same; a high one leaves confident background. null: 32 (paper), or 4 for local maps."""
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
        _require(all(alpha is None or alpha > 0 for alpha in (low, high)), "low_alpha, high_alpha", (low, high), rule)
        _require(low is None or high is None or low < high, "low_alpha, high_alpha", (low, high), rule)
        _require(self.crf_scale is None or self.crf_scale > 0, "crf_scale", self.crf_scale, "above 0")
        given = self.thresholds
        rule = "two numbers in (0, 1), in ascending order"
        _require(given is None or 0 < given[0] < given[1] < 1, "thresholds", given, rule)
        _require(0.5 < self.certainty < 1, "certainty", self.certainty, "between 0.5 and 1")


@dataclass(frozen=True)
class AffinityConfig(TrainConfig):
    """Stage train-affinity: seeds -> affinity.safetensors."""

    epochs: int = 4
    min_steps: int = 480
    batch_size: int = 8
    learning_rate: float = 0.02
    start: Literal["imagenet", "classifier"] = "classifier"
    """Weights the backbone starts from: ImageNet's (paper), or those the classifier learnt from the tags."""
    radius: int = 5
    """Pixels of the stride-8 grid; pairs closer than this are learnt and walked (paper: 5)."""
    border: Literal["original", "full"] = "full"
    """Which pairs there are: the released code's, which leaves out sources near three borders, or all."""
    trained: str | None = None
    """File of a trained AffinityNet, ours or the released code's, to take as it is instead of training one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(2 <= self.radius <= 16, "radius", self.radius, "in 2..16")


@dataclass(frozen=True)
class IRNetConfig(TrainConfig):
    """Stage train-irnet: seeds -> irnet.safetensors."""

    epochs: int = 4
    min_steps: int = 480
    batch_size: int = 8
    learning_rate: float = 0.01
    """Of the boundary branch; the displacement branch learns at ten times that."""
    radius: int = 10
    """Pixels of the stride-4 grid; pairs closer than this are learnt from (paper: 10)."""
    walk_radius: int = 5
    """Pairs closer than this are walked (released code: 5)."""
    border: Literal["original", "full"] = "full"
    """Which pairs are learnt from: the released code's, which leaves out sources near three borders, or all."""
    min_scale: float = 0.5
    """Least random factor of a training image's size."""
    max_scale: float = 1.5
    """Greatest random factor of a training image's size."""
    trained: str | None = None
    """File of a trained IRNet, ours or the released code's, to take as it is instead of training one."""
    canvas: int = 0
    """Pixels of the square that smaller images are labelled on, since the network's norms see it too (released code:
    512). 0: the image alone."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self.canvas >= 0, "canvas", self.canvas, "at least 0")
        scales = (self.min_scale, self.max_scale)
        _require(0 < self.min_scale <= self.max_scale, "min_scale, max_scale", scales, "above 0 and in this order")
        for name in ("radius", "walk_radius"):
            _require(2 <= getattr(self, name) <= 16, name, getattr(self, name), "in 2..16")


@dataclass(frozen=True)
class WalkConfig:
    """Stage make-masks, first half: affinities -> walks/NAME.npz."""

    beta: float = 8.0
    """Exponent of the affinities before they are normalised; higher keeps the walk inside edges."""
    steps: int = 256
    """Length t of the random walk, the paper's."""
    alphas: tuple[float, ...] = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0)
    """Background strengths that are walked and kept; a mask can be recomputed with any of them."""
    precision: Precision = "bfloat16"
    """Arithmetic of AffinityNet; the walk itself is float64."""

    def __post_init__(self) -> None:
        _require(0 < self.beta < math.inf, "beta", self.beta, "above 0")
        _require(self.steps >= 0, "steps", self.steps, "at least 0")
        _require(
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
        _require(self.alpha is None or self.alpha > 0, "alpha", self.alpha, "above 0")
        _require(self.threshold is None or 0 < self.threshold < 1, "threshold", self.threshold, "between 0 and 1")
        _require(
            not self.relative or self.threshold is not None, "relative", self.relative, "false without a threshold"
        )


@dataclass(frozen=True)
class InstanceConfig:
    """Stage make-instances: displacements of IRNet and masks -> instances/NAME.npz."""

    within_masks: bool = True
    """Split the classes of the masks into objects. false: decide anew which pixels are theirs (IRNet's released
    code)."""
    threshold: float = 0.25
    """Without within_masks: the background's score beside those of the objects, which are divided by the greatest."""

    def __post_init__(self) -> None:
        _require(0 < self.threshold < 1, "threshold", self.threshold, "between 0 and 1")


@dataclass(frozen=True)
class SegmenterConfig(TrainConfig):
    """Stage train-segmenter: masks -> segmenter.safetensors."""

    architecture: str | None = None
    """Of segmentation-models-pytorch (DeepLabV3Plus, Unet, FPN ...), or LargeFOV, the paper's, on any --network; null:
    DeepLabV3Plus, but LargeFOV on the paper's networks and timm's."""
    encoder: str | None = None
    """Its encoder, of segmentation-models-pytorch, or lite, or for LargeFOV a --network; null: --network's."""
    start: Literal["imagenet", "classifier", "random"] = "classifier"
    """Weights the encoder starts from: those the classifier learnt from the tags, ImageNet's, or none."""
    epochs: int = 4
    """Passes over the training split, divided among the rounds."""
    min_steps: int = 480
    """Least number of steps, divided among the rounds."""
    batch_size: int = 8
    learning_rate: float = 0.001
    """Of the encoder; the decoder learns at ten times that. At 0.01 the whole network diverges."""
    rounds: int | None = None
    """Trainings in a row: each but the first learns from what the one before finds where the tags are known. null: 2,
    but 1 where the objects are small."""
    long_side: int | None = None
    """Pixels of the long side that images are learnt from at, times a random factor, and labelled at. null: what the
    objects of local maps need; else 1.6 crop sizes, and images are labelled at their own size."""
    min_scale: float = 0.5
    """Least random factor of a training image's long side."""
    max_scale: float = 1.25
    """Greatest random factor of a training image's long side."""
    labelled_crops: float = 0.5
    """Share of the crops that are laid around a pixel of a class, of each class of the image alike."""
    dice: float = 1.0
    """Weight of the Dice loss beside the cross-entropy; 0: the cross-entropy alone, the paper's."""

    @property
    def learnt_at(self) -> float:
        """Pixels of the long side of a training image before its random factor."""
        return 1.6 * self.crop_size if self.long_side is None else self.long_side

    def __post_init__(self) -> None:
        super().__post_init__()
        scales = (self.min_scale, self.max_scale)
        _require(self.rounds is None or self.rounds >= 1, "rounds", self.rounds, "at least 1")
        _require(self.long_side is None or self.long_side >= 64, "long_side", self.long_side, "at least 64")
        _require(0 <= self.dice < math.inf, "dice", self.dice, "at least 0")
        _require(0 <= self.labelled_crops <= 1, "labelled_crops", self.labelled_crops, "in 0..1")
        _require(0 < self.min_scale <= self.max_scale, "min_scale, max_scale", scales, "above 0 and in this order")


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

    scales: tuple[float, ...] = (1.0,)
    """Sizes at which an image is labelled, each also mirrored; the probabilities are averaged."""
    longest_side: int = 1024
    """Pixels of the long side above which an image is labelled at reduced size; its mask still has the full size."""
    crf: bool = False
    """Pass the probabilities through the dense CRF."""
    precision: Precision = "bfloat16"
    """Arithmetic of the network."""

    def __post_init__(self) -> None:
        _require(len(self.scales) > 0 and min(self.scales) > 0, "scales", self.scales, "one or more numbers above 0")
        _require(self.longest_side >= 64, "longest_side", self.longest_side, "at least 64")


@dataclass(frozen=True)
class EvaluateConfig:
    """Stage evaluate: masks and ground truth -> metrics.json."""

    cam_threshold: float | None = None
    """Background score that the activation maps alone are judged with. null: 0.2 (paper), or 0.5 for local maps."""

    def __post_init__(self) -> None:
        _require(
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
        _require(self.longest_side is None or self.longest_side >= 64, "longest_side", self.longest_side, "64 or above")
        _require(
            self.masks.alpha is None or self.masks.alpha in self.walk.alphas,
            "masks.alpha",
            self.masks.alpha,
            f"one of walk.alphas {self.walk.alphas}",
        )
        _require(
            self.segmenter.start != "classifier" or self.segmenter.encoder in (None, self.network),
            "segmenter.start",
            self.segmenter.start,
            f"imagenet or random, since the classifier's network is {self.network}, not {self.segmenter.encoder}",
        )
