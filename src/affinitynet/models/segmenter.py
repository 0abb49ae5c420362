"""The segmentation network trained on the masks, which needs no tags (paper, section 4.4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from affinitynet.errors import InputError, nearest
from affinitynet.models.backbones.base import Backbone
from affinitynet.models.backbones.lite import Lite
from affinitynet.models.backbones.registry import build_backbone
from affinitynet.models.parameter_groups import parameter_groups
from affinitynet.models.phases import take_apart
from affinitynet.models.tag_head import TagHead
from affinitynet.models.weights.names import TIMM_LITE, fill, read_weights

LARGEFOV, DEEPLAB = "LargeFOV", "DeepLabV3Plus"
ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {
    name: getattr(smp, name)
    for name in (
        DEEPLAB,
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

CRF = "crf"
"""Name of the setting that holds the parameters of the dense CRF that follows it."""

LABELLED_AT = "labelled_at"
"""Name of the setting that says to which long side images were reduced where that CRF was fitted, ``None`` if never."""

NOT_FOUND = "not_found"
"""Name of the setting that lists the classes that it finds in few of the training images tagged with them."""

BUILT_FROM = ("architecture", "encoder", "classes", "taps", "finds_tags", "decoder_channels")
"""Settings that a network is built from; others say how it came about."""


class TrainingOutput(NamedTuple):
    """What a network with a tag head gives in training: logits of pixels [B, C + 1, H, W] and of tags [B, C]."""

    pixels: Tensor
    tags: Tensor


class Coarse(NamedTuple):
    """What depends on whole images.

    Args:
        features: [B, D, h, w], from which follow the logits of the pixels.
        tags: log probabilities float32 [B, C] that the images show the classes; ``None``: nothing is said.
    """

    features: Tensor
    tags: Tensor | None = None

    def image(self, number: int) -> Coarse:
        """Return what belongs to one image."""
        tags = None if self.tags is None else self.tags[number : number + 1]
        return Coarse(self.features[number : number + 1], tags)


class Segmenter(nn.Module):
    """A network that labels every pixel.

    With a tag head it also finds what the whole image shows, as the context encoding of Zhang et al. (CVPR 2018)
    learns to, and the probabilities of its pixels count that in: those of class c are proportional to exp(logit of the
    pixel) x probability of the tag. A pixel alone hardly tells the hind leg of a dog from that of a sheep.

    Args:
        architecture: a key of ``ARCHITECTURES``, or "LargeFOV", the paper's: a classifier of the
            backbone's last features with a large field of view.
        encoder: for "LargeFOV" a backbone's name; else "lite" or an encoder of
            segmentation-models-pytorch, with random weights.
        classes: the C class names; background is label 0.
        taps: of a timm backbone, as for :func:`build_backbone`.
        finds_tags: whether it has a :class:`TagHead`.
        decoder_channels: of DeepLabV3Plus; ``None``: the 256 of its paper.

    Raises:
        InputError: an unknown architecture or encoder, or ``decoder_channels`` of another architecture.

    Example:
        >>> model = Segmenter("LargeFOV", "lite", ["cat", "dog"], finds_tags=True).eval()
        >>> tuple(model(torch.zeros(1, 3, 40, 56)).shape)
        (1, 3, 40, 56)
    """

    def __init__(
        self,
        architecture: str,
        encoder: str,
        classes: Sequence[str],
        taps: Sequence[int] | None = None,
        finds_tags: bool = False,
        decoder_channels: int | None = None,
    ) -> None:
        super().__init__()
        if decoder_channels is not None and architecture != DEEPLAB:
            raise InputError(f"--segmenter.decoder-channels {decoder_channels}: {architecture} has none; leave it out")
        self.settings: dict[str, Any] = {"architecture": architecture, "encoder": encoder, "classes": list(classes)}
        if taps is not None:
            self.settings["taps"] = list(taps)
        if finds_tags:
            self.settings["finds_tags"] = True
        if decoder_channels is not None:
            self.settings["decoder_channels"] = decoder_channels
        self.classes = tuple(classes)
        labels = len(self.classes) + 1
        if architecture == LARGEFOV:
            backbone = build_backbone(encoder, taps)
            self.network: nn.Module = LargeFOV(backbone, labels)
            self.mean, self.std, channels = backbone.mean, backbone.std, backbone.channels[-1]
            self.multiple, self.smallest, self.aligned = 1, 1, False
        else:
            self.network = _smp_network(architecture, encoder, labels, decoder_channels)
            encoder_of_smp: Any = self.encoder
            self.mean, self.std, channels = Lite.mean, Lite.std, encoder_of_smp.out_channels[-1]
            self.multiple, self.smallest, self.aligned = 32, 128, True
        of_lite = encoder == "lite" and architecture != LARGEFOV
        self.tag_head = TagHead(channels, len(self.classes), of_lite) if finds_tags else None

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

    @property
    def _pretrained(self) -> list[nn.Module]:
        return [self.encoder] if self.tag_head is None else [self.encoder, self.tag_head.last]

    def forward(self, x: Tensor) -> Tensor | TrainingOutput:
        """Return logits float32 [B, C + 1, H, W] of normalised images [B, 3, H, W], background first.

        In training, one with a tag head returns the logits of pixels and tags apart.
        """
        if self.training and len(x) == 1:  # BatchNorm cannot estimate statistics from one pooled value
            found = self(torch.cat([x, x]))
            return TrainingOutput(*(part[:1] for part in found)) if isinstance(found, TrainingOutput) else found[:1]
        if self.training and self.tag_head is not None:
            features, last = self._seen(self._fitting(x))
            return TrainingOutput(self.logits(Coarse(features), x.shape[2:]), self.tag_head(last))
        return self.logits(self.coarse(x), x.shape[2:])

    def coarse(self, x: Tensor, tags_known: bool = False) -> Coarse:
        """Return what depends on whole images, normalised [B, 3, H, W].

        Its size does not grow with the classes, or hardly: of "LargeFOV" the features are the logits at its stride.

        Args:
            tags_known: whether the tags are known, so that nothing is said of them.
        """
        return self.coarse_of_padded(self._fitting(x), tags_known)

    def coarse_of_padded(self, x: Tensor, tags_known: bool = False) -> Coarse:
        """Return the same of images of a :meth:`padded` size, as they are."""
        features, last = self._seen(x)
        if tags_known or self.tag_head is None:
            return Coarse(features)
        return Coarse(features, F.logsigmoid(self.tag_head(last).float()))

    def logits(self, coarse: Coarse, size: tuple[int, ...]) -> Tensor:
        """Return logits float32 [B, C + 1, H, W] of images of ``size`` (H, W)."""
        logits, padded = self.padded_logits(coarse).float(), self.padded(size)
        if logits.shape[2:] != padded:
            logits = F.interpolate(logits, padded, mode="bilinear", align_corners=False)
        return logits[:, :, : size[0], : size[1]]

    def padded_logits(self, coarse: Coarse) -> Tensor:
        """Return the logits floating [B, C + 1, h, w] of padded images, before they are enlarged to their size."""
        head = None if isinstance(self.network, LargeFOV) else self.network.get_submodule("segmentation_head")
        return _with_tags(coarse.features if head is None else head(coarse.features), coarse.tags)

    def coarse_logits(self, coarse: Coarse, start: int, stop: int) -> Tensor:
        """Return the rows ``start`` to ``stop`` of the logits before they are enlarged to the size of the image.

        Returns:
            floating [B, C + 1, stop - start, w]; with ``aligned``, their corners are those of the padded image.
        """
        features = coarse.features
        if isinstance(self.network, LargeFOV):
            return _with_tags(features[:, :, start:stop], coarse.tags)
        convolution: Any = self.network.get_submodule("segmentation_head.0")
        reach = convolution.kernel_size[0] // 2
        top, bottom = max(start - reach, 0), min(stop + reach, features.shape[2])
        rows = F.pad(features[:, :, top:bottom], (0, 0, reach - (start - top), reach - (bottom - stop)))
        return _with_tags(F.conv2d(rows, convolution.weight, convolution.bias, padding=(0, reach)), coarse.tags)

    def _seen(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return features of padded images: [B, D, h, w] for the pixels, and the encoder's last, [B, E, h', w']."""
        features = self.encoder(x)
        if isinstance(self.network, LargeFOV):
            coarse = self.network.head(features[-1])
        else:
            coarse = self.network.get_submodule("decoder")(features)
        return coarse, features[-1]

    def _fitting(self, x: Tensor) -> Tensor:
        """Return images padded to a size that the architecture accepts."""
        return F.pad(x, (0, self._missing(x.shape[3]), 0, self._missing(x.shape[2])))

    def padded(self, size: tuple[int, ...]) -> torch.Size:
        """Return the size that an image of ``size`` (H, W) is padded to, for the architecture to accept it."""
        return torch.Size((size[0] + self._missing(size[0]), size[1] + self._missing(size[1])))

    def _missing(self, side: int) -> int:
        """Return how many pixels to pad a side by, for the architecture to accept it."""
        return max(self.smallest - side, -side % self.multiple)

    def train(self, mode: bool = True) -> Segmenter:
        """Set the mode of all layers except pretrained BatchNorm, which keeps its statistics as elsewhere."""
        super().train(mode)
        for part in self._pretrained:
            for module in part.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def parameter_groups(self) -> list[dict]:
        """Return the optimiser's groups; what does not start from pretrained weights is new."""
        known = {id(module) for part in self._pretrained for module in part.modules()}
        return parameter_groups(self, [m for m in self.modules() if id(m) not in known and not list(m.children())])

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


def _with_tags(logits: Tensor, tags: Tensor | None) -> Tensor:
    """Add log probabilities [B, C] of the classes to the logits [B, C + 1, h, w] of pixels."""
    return logits if tags is None else logits + F.pad(tags, (1, 0))[:, :, None, None].to(logits.dtype)


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


def _smp_network(architecture: str, encoder: str, labels: int, decoder_channels: int | None) -> nn.Module:
    if architecture not in ARCHITECTURES:
        likely = nearest(architecture, [*ARCHITECTURES, LARGEFOV])
        raise InputError(f"--segmenter.architecture {architecture}: unknown; did you mean {likely}?")
    name = f"tu-{TIMM_LITE}" if encoder == "lite" else encoder
    width = {} if decoder_channels is None else {"decoder_channels": decoder_channels}
    try:
        network = ARCHITECTURES[architecture](encoder_name=name, encoder_weights=None, classes=labels, **width)
    except (KeyError, RuntimeError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise InputError(
            f"--segmenter.encoder {encoder}: segmentation-models-pytorch cannot build {architecture} on it ({reason}); "
            "choose lite, resnet34 or another of its encoders"
        ) from None
    take_apart(network)
    for module in network.modules():
        if isinstance(module, nn.Upsample):
            module.register_forward_hook(_ask_for_dense_gradients)
    return network


def _ask_for_dense_gradients(_: nn.Module, __: tuple[Tensor, ...], enlarged: Tensor) -> None:
    """Let the gradients of an enlarged map arrive in one piece: cut out of others, they take PyTorch six times as long.

    So they do where the map was joined to another one.
    """
    if enlarged.requires_grad:
        enlarged.register_hook(lambda gradient: gradient.contiguous(memory_format=torch.channels_last))


def start_from(segmenter: Segmenter, backbone: Backbone) -> None:
    """Give a segmenter the weights of a backbone that its encoder is built from, and freeze what the backbone freezes.

    Raises:
        InputError: the encoder is a different network.
    """
    in_timm = segmenter.settings["architecture"] != LARGEFOV  # elsewhere the encoder is the backbone itself

    def renamed(key: str) -> str:
        return f"model.{key.removeprefix('network.')}" if in_timm else key

    known = backbone.state_dict()
    state = {renamed(key): value for key, value in known.items()}
    trained = {renamed(name): parameter.requires_grad for name, parameter in backbone.named_parameters()}
    wanted = segmenter.encoder.state_dict()
    if missing := set(wanted) - set(state):
        raise InputError(
            f"--segmenter.encoder {segmenter.settings['encoder']}: is a different network in "
            f"{segmenter.settings['architecture']} than in the classifier (it needs {min(missing)}); choose "
            "--segmenter.architecture LargeFOV, or --segmenter.start imagenet"
        )
    segmenter.encoder.load_state_dict({key: state[key] for key in wanted})
    if segmenter.tag_head is not None:
        segmenter.tag_head.start_from(known)
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
