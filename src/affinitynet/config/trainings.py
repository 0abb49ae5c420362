"""Every number that decides how a network is trained: one frozen typed config per training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from affinitynet.errors import InputError

PrecisionChoice = Literal["auto", "float32", "bfloat16"]
Optimizer = Literal["sgd", "adamw"]


def require(holds: bool, name: str, value: object, rule: str) -> None:
    """Raise if a value is not as its rule says.

    Raises:
        InputError: it is not; the message names the setting.
    """
    if not holds:
        raise InputError(f"{name} = {value}: must be {rule}")


@dataclass(frozen=True)
class TrainConfig:
    """How a network is trained: with the poly schedule and the original's four parameter groups."""

    epochs: int = 5
    """Passes over the training split."""
    min_steps: int = 0
    """Steps to do at least: a small collection is passed over more often."""
    batch_size: int = 16
    """Images per step."""
    crop_size: int = 320
    """Side of the square training crop, pixels; a multiple of 16."""
    optimizer: Optimizer = "sgd"
    """sgd, the paper's, or adamw (Loshchilov & Hutter, 2019), whose step does not follow the size of the gradient."""
    learning_rate: float = 0.01
    """Of pretrained weights at the first step; new layers learn at 10 times this, biases at twice."""
    momentum: float = 0.9
    """Of SGD. The released code's is in effect 0 with a learning rate of 0.1."""
    weight_decay: float = 5e-4
    """L2 penalty on weights, not on biases; with adamw, decoupled weight decay."""
    poly_power: float = 0.9
    """The learning rate falls as (1 - step / steps) to this power."""
    warm_up: int = 0
    """Steps at the beginning in which the learning rate rises evenly."""
    jitter: tuple[float, float, float, float] = (0.3, 0.3, 0.3, 0.1)
    """Largest random change of brightness, contrast and saturation (shares) and of hue (of the circle)."""
    precision: PrecisionChoice = "auto"
    """Arithmetic of the forward pass; weights and sums stay float32. auto: what is faster on this machine."""

    def __post_init__(self) -> None:
        require(self.epochs >= 1, "epochs", self.epochs, "at least 1")
        require(self.min_steps >= 0, "min_steps", self.min_steps, "at least 0")
        require(self.batch_size >= 1, "batch_size", self.batch_size, "at least 1")
        require(
            self.crop_size >= 32 and self.crop_size % 16 == 0,
            "crop_size",
            self.crop_size,
            "a multiple of 16, at least 32",
        )
        require(0 < self.learning_rate < math.inf, "learning_rate", self.learning_rate, "above 0")
        require(0 <= self.momentum < 1, "momentum", self.momentum, "in [0, 1)")
        require(self.weight_decay >= 0, "weight_decay", self.weight_decay, "at least 0")
        require(0 <= self.poly_power < math.inf, "poly_power", self.poly_power, "at least 0")
        require(self.warm_up >= 0, "warm_up", self.warm_up, "at least 0")
        require(
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
        require(0 <= self.hold_out <= 0.5, "hold_out", self.hold_out, "in [0, 0.5]")
        require(
            0 < self.min_scale <= self.max_scale,
            "min_scale, max_scale",
            (self.min_scale, self.max_scale),
            "above 0 and in this order",
        )


@dataclass(frozen=True)
class AffinityConfig(TrainConfig):
    """Stage train-affinity: seeds -> affinity.safetensors."""

    epochs: int = 4
    min_steps: int = 480
    batch_size: int = 8
    learning_rate: float = 0.02
    start: Literal["imagenet", "classifier"] = "classifier"
    """Weights the backbone starts from: ImageNet's (paper), or those the classifier learnt from the tags."""
    freeze_backbone: bool = True
    """Train the head alone, which does not learn the seeds' mistakes by heart; false: the backbone, too (paper)."""
    radius: int = 5
    """Pixels of the stride-8 grid; pairs closer than this are learnt and walked (paper: 5)."""
    border: Literal["original", "full"] = "full"
    """Which pairs there are: the released code's, which leaves out sources near three borders, or all."""
    trained: str | None = None
    """File of a trained AffinityNet, ours or the released code's, to take as it is instead of training one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(2 <= self.radius <= 16, "radius", self.radius, "in 2..16")


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
        require(self.canvas >= 0, "canvas", self.canvas, "at least 0")
        scales = (self.min_scale, self.max_scale)
        require(0 < self.min_scale <= self.max_scale, "min_scale, max_scale", scales, "above 0 and in this order")
        for name in ("radius", "walk_radius"):
            require(2 <= getattr(self, name) <= 16, name, getattr(self, name), "in 2..16")


@dataclass(frozen=True)
class SegmenterConfig(TrainConfig):
    """Stage train-segmenter: masks -> segmenter.safetensors."""

    architecture: str | None = None
    """Of segmentation-models-pytorch (DeepLabV3Plus, Unet, FPN ...), or LargeFOV, the paper's, on any --network; null:
    DeepLabV3Plus, but LargeFOV on the paper's networks and timm's."""
    encoder: str | None = None
    """Its encoder, of segmentation-models-pytorch, or lite, or for LargeFOV a --network; null: --network's."""
    decoder_channels: int | None = None
    """Channels of DeepLabV3Plus's decoder; 128 are faster. null: its paper's 256."""
    start: Literal["imagenet", "classifier", "random"] = "classifier"
    """Weights the encoder starts from: those the classifier learnt from the tags, ImageNet's, or none."""
    epochs: int = 2
    """Passes over the training split, divided among the rounds."""
    min_steps: int = 480
    """Least number of steps, divided among the rounds."""
    batch_size: int = 4
    optimizer: Optimizer = "adamw"
    learning_rate: float = 1e-4
    """Of the encoder; the decoder learns at ten times that. With sgd: 0.001; at 0.01 the whole network diverges."""
    weight_decay: float = 0.01
    warm_up: int = 20
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
    tag_loss: float = 1.0
    """Weight of the loss of the tag head, which predicts the classes of the whole image and weights those of its
    pixels. 0: no tag head, as in the paper."""
    trained: str | None = None
    """File of a trained segmentation network of ours, to take as it is instead of training one."""

    @property
    def learnt_at(self) -> float:
        """Pixels of the long side of a training image before its random factor."""
        return 1.6 * self.crop_size if self.long_side is None else self.long_side

    def __post_init__(self) -> None:
        super().__post_init__()
        scales = (self.min_scale, self.max_scale)
        channels = self.decoder_channels
        require(channels is None or channels >= 1, "decoder_channels", channels, "at least 1")
        require(self.rounds is None or self.rounds >= 1, "rounds", self.rounds, "at least 1")
        require(self.long_side is None or self.long_side >= 64, "long_side", self.long_side, "at least 64")
        require(0 <= self.dice < math.inf, "dice", self.dice, "at least 0")
        require(0 <= self.tag_loss < math.inf, "tag_loss", self.tag_loss, "at least 0")
        require(0 <= self.labelled_crops <= 1, "labelled_crops", self.labelled_crops, "in 0..1")
        require(0 < self.min_scale <= self.max_scale, "min_scale, max_scale", scales, "above 0 and in this order")
