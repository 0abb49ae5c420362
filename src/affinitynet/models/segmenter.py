"""The segmentation network trained on the masks, which needs no tags (paper, section 4.4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from affinitynet.errors import InputError, nearest
from affinitynet.models.backbones.base import Backbone
from affinitynet.models.backbones.lite import Lite
from affinitynet.models.backbones.registry import build_backbone
from affinitynet.models.parameter_groups import parameter_groups
from affinitynet.models.weights.names import TIMM_LITE, fill, read_weights

LARGEFOV = "LargeFOV"
ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {
    name: getattr(smp, name)
    for name in (
        "DeepLabV3Plus",
        "DeepLabV3",
        "Unet",
        "UnetPlusPlus",
        "FPN",
        "PAN",
        "PSPNet",
        "Linknet",
        "MAnet",
        "UPerNet",
    )
}
"""The architectures of segmentation-models-pytorch that work with any of its encoders."""


LONG_SIDE = "long_side"
"""Name of the setting that says at which size images were learnt from."""

NOT_FOUND = "not_found"
"""Name of the setting that lists the classes that it finds in few of the training images tagged with them."""

BUILT_FROM = ("architecture", "encoder", "classes", "taps")
"""Settings that a network is built from; others say how it came about."""


class Segmenter(nn.Module):
    """A network that labels every pixel.

    Args:
        architecture: a key of ``ARCHITECTURES``, or "LargeFOV", the paper's: a classifier of the
            backbone's last features with a large field of view.
        encoder: for "LargeFOV" a backbone's name; else "lite" or an encoder of
            segmentation-models-pytorch, with random weights.
        classes: the C class names; background is label 0.
        taps: of a timm backbone, as for :func:`build_backbone`.

    Raises:
        InputError: an unknown architecture or encoder.

    Example:
        >>> model = Segmenter("LargeFOV", "lite", ["cat", "dog"]).eval()
        >>> tuple(model(torch.zeros(1, 3, 40, 56)).shape)
        (1, 3, 40, 56)
    """

    def __init__(
        self, architecture: str, encoder: str, classes: Sequence[str], taps: Sequence[int] | None = None
    ) -> None:
        super().__init__()
        self.settings: dict[str, Any] = {"architecture": architecture, "encoder": encoder, "classes": list(classes)}
        if taps is not None:
            self.settings["taps"] = list(taps)
        self.classes = tuple(classes)
        labels = len(self.classes) + 1
        if architecture == LARGEFOV:
            backbone = build_backbone(encoder, taps)
            self.network: nn.Module = LargeFOV(backbone, labels)
            self.mean, self.std = backbone.mean, backbone.std
            self.multiple, self.smallest, self.aligned = 1, 1, False
        else:
            self.network = _smp_network(architecture, encoder, labels)
            self.mean, self.std = Lite.mean, Lite.std
            self.multiple, self.smallest, self.aligned = 32, 128, True

    @property
    def long_side(self) -> int | None:
        """Pixels of the long side that images are to be labelled at; ``None``: at their own size."""
        return self.settings.get(LONG_SIDE)

    def finds(self, tags: Sequence[int]) -> bool:
        """Return whether it finds all of these classes, 0-based numbers, as far as the training images told.

        Example:
            >>> model = Segmenter("LargeFOV", "lite", ["cat", "dog"])
            >>> model.settings["not_found"] = ["dog"]
            >>> model.finds([0]), model.finds([0, 1])
            (True, False)
        """
        return not {self.classes[tag] for tag in tags} & set(self.settings.get(NOT_FOUND, ()))

    @property
    def encoder(self) -> nn.Module:
        """The part that starts from pretrained weights."""
        return self.network.get_submodule("encoder")

    def forward(self, x: Tensor) -> Tensor:
        """Return logits float32 [B, C + 1, H, W] of normalised images [B, 3, H, W], background first."""
        if self.training and len(x) == 1:
            return self(torch.cat([x, x]))[:1]  # BatchNorm cannot estimate statistics from one pooled value
        return self.logits(self.coarse(x), x.shape[2:])

    def coarse(self, x: Tensor) -> Tensor:
        """Return what needs to see the whole image: features of normalised images, from which follow the logits.

        They do not grow with the classes, or hardly: of "LargeFOV" they are the logits at its stride.
        """
        height, width = x.shape[2:]
        padded = F.pad(x, (0, self._missing(width), 0, self._missing(height)))
        if isinstance(self.network, LargeFOV):
            return self.network(padded)
        return self.network.get_submodule("decoder")(self.encoder(padded))

    def logits(self, coarse: Tensor, size: tuple[int, ...]) -> Tensor:
        """Return logits float32 [B, C + 1, H, W] of images of ``size`` (H, W), from what :meth:`coarse` returns."""
        head = None if isinstance(self.network, LargeFOV) else self.network.get_submodule("segmentation_head")
        logits = (coarse if head is None else head(coarse)).float()
        padded = self.padded(size)
        if logits.shape[2:] != padded:
            logits = F.interpolate(logits, padded, mode="bilinear", align_corners=False)
        return logits[:, :, : size[0], : size[1]]

    def coarse_logits(self, coarse: Tensor, start: int, stop: int) -> Tensor:
        """Return the rows ``start`` to ``stop`` of the logits before they are enlarged to the size of the image.

        Args:
            coarse: what :meth:`coarse` returns, [B, D, h, w].

        Returns:
            floating [B, C + 1, stop - start, w]; with ``aligned``, their corners are those of the padded image.
        """
        if isinstance(self.network, LargeFOV):
            return coarse[:, :, start:stop]
        convolution: Any = self.network.get_submodule("segmentation_head.0")
        reach = convolution.kernel_size[0] // 2
        top, bottom = max(start - reach, 0), min(stop + reach, coarse.shape[2])
        rows = F.pad(coarse[:, :, top:bottom], (0, 0, reach - (start - top), reach - (bottom - stop)))
        return F.conv2d(rows, convolution.weight, convolution.bias, padding=(0, reach))

    def padded(self, size: tuple[int, ...]) -> torch.Size:
        """Return the size that an image of ``size`` (H, W) is padded to, for the architecture to accept it."""
        return torch.Size((size[0] + self._missing(size[0]), size[1] + self._missing(size[1])))

    def _missing(self, side: int) -> int:
        """Return how many pixels to pad a side by, for the architecture to accept it."""
        return max(self.smallest - side, -side % self.multiple)

    def train(self, mode: bool = True) -> Segmenter:
        """Set the mode of all layers except the encoder's BatchNorm, which keeps its statistics as elsewhere."""
        super().train(mode)
        for module in self.encoder.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def parameter_groups(self) -> list[dict]:
        """Return the optimiser's groups; everything but the encoder is new."""
        known = {id(module) for module in self.encoder.modules()}
        new = [m for m in self.network.modules() if id(m) not in known and not list(m.children())]
        return parameter_groups(self.network, new)

    @classmethod
    def load(cls, path: Path) -> Segmenter:
        """Read a segmenter from its safetensors file, in eval mode.

        Raises:
            InputError: the file is not a segmenter.
        """
        found = read_weights(path)
        if "architecture" not in found.settings:
            raise InputError(f"{path}: contains no segmentation network; pass a segmenter.safetensors")
        built = {key: value for key, value in found.settings.items() if key in BUILT_FROM}
        model = cls(**{"taps": None, **built})
        model.settings |= found.settings
        fill(model, found.state, str(path))
        return model.eval()


class LargeFOV(nn.Module):
    """Label scores from a backbone's last features, as DeepLab-LargeFOV does.

    The head is the backbone's: VGG-16 is classified as in Chen et al. (ICLR 2015), others as in Wu et al. (2016).
    """

    def __init__(self, backbone: Backbone, labels: int) -> None:
        super().__init__()
        self.encoder = backbone
        self.head = backbone.large_field_head(labels)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(x)[-1])


def _smp_network(architecture: str, encoder: str, labels: int) -> nn.Module:
    if architecture not in ARCHITECTURES:
        likely = nearest(architecture, [*ARCHITECTURES, LARGEFOV])
        raise InputError(f"--segmenter.architecture {architecture}: unknown; did you mean {likely}?")
    name = f"tu-{TIMM_LITE}" if encoder == "lite" else encoder
    try:
        return ARCHITECTURES[architecture](encoder_name=name, encoder_weights=None, classes=labels)
    except (KeyError, RuntimeError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise InputError(
            f"--segmenter.encoder {encoder}: segmentation-models-pytorch cannot build {architecture} on it ({reason}); "
            "choose lite, resnet34 or another of its encoders"
        ) from None


def start_from(segmenter: Segmenter, backbone: Backbone) -> None:
    """Give a segmenter's encoder the weights of a backbone of the same network, and freeze what the backbone freezes.

    Raises:
        InputError: the encoder is a different network.
    """
    state, trained = backbone.state_dict(), {name: p.requires_grad for name, p in backbone.named_parameters()}
    if segmenter.settings["architecture"] != LARGEFOV:  # elsewhere the encoder is timm's network in another wrapper
        state = {f"model.{key.removeprefix('network.')}": value for key, value in state.items()}
        trained = {f"model.{key.removeprefix('network.')}": value for key, value in trained.items()}
    wanted = segmenter.encoder.state_dict()
    if missing := set(wanted) - set(state):
        raise InputError(
            f"--segmenter.encoder {segmenter.settings['encoder']}: is a different network in "
            f"{segmenter.settings['architecture']} than in the classifier (it needs {min(missing)}); choose "
            "--segmenter.architecture LargeFOV, or --segmenter.start imagenet"
        )
    segmenter.encoder.load_state_dict({key: state[key] for key in wanted})
    for name, parameter in segmenter.encoder.named_parameters():
        parameter.requires_grad_(trained[name])


def start_from_hub(segmenter: Segmenter) -> None:
    """Give an encoder of segmentation-models-pytorch its downloadable ImageNet weights.

    Raises:
        InputError: they are not available.
    """
    name = segmenter.settings["encoder"]
    try:
        encoder = smp.encoders.get_encoder(name, weights="imagenet")
    except Exception as error:  # a hub and its transport may raise anything
        raise InputError(
            f"--segmenter.encoder {name}: its ImageNet weights cannot be downloaded "
            f"({type(error).__name__}); go online once, or choose --segmenter.encoder lite, whose weights are installed"
        ) from None
    segmenter.encoder.load_state_dict(encoder.state_dict())
