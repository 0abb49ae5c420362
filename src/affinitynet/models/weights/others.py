"""Networks that are not of this method, recognised by their tensors' names: what a file is, where it cannot be used."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

_RESNETS = {(2, False): "18", (6, False): "34", (6, True): "50", (23, True): "101", (36, True): "152"}
_VITS = {192: "tiny", 384: "small", 768: "base", 1024: "large", 1280: "huge"}

# Names that only this network has, what it is, and what to do; the first that fits is said.
_NETWORKS: tuple[tuple[str, str, str], ...] = (
    (r"fc_edge\d\.", "a part of IRNet's boundary and displacement network", "pass the whole file"),
    (r"pos_embed_(cls|pat)$", "MCTformer's network, a token per class", "choose weights with one class token"),
    (
        r"vit\.embeddings\.|deit\.embeddings\.|embeddings\.patch_embeddings\.|resnet\.embedder\.",
        "a network with the names of Hugging Face's transformers",
        "pass the same network as timm saves it (model.safetensors of the hub's timm/ repositories)",
    ),
    (r"visual\.(conv1|trunk|transformer)\.", "CLIP", "pass its image encoder as timm saves it"),
    (r"(^|\.)block1\.0\.attn\.(q|kv)\.", "SegFormer's mix transformer", "choose a timm: network"),
    (r"features\.denseblock1\.", "a DenseNet", "choose it with --network timm:densenet121 (169, 201)"),
    (r"(^|\.)model\.0\.conv\.weight$", "a YOLO detector", "choose a timm: network"),
    (
        r"(^|\.)conv_stem\.weight$",
        "an EfficientNet or MobileNet other than timm's tf_efficientnet_lite0, or a part of it",
        "choose it with --network timm:NAME",
    ),
    (r"(^|\.)unet\.|diffusion_model\.", "a diffusion model", "choose a timm: network"),
)
SEAM = "SEAM's network, whose classifier has a background class and a correlation module of its own"


def is_seam(names: Mapping[str, object]) -> bool:
    """Return whether a head is that of SEAM (Wang et al., CVPR 2020), which shares three names with AffinityNet's.

    Example:
        >>> is_seam({"f8_3.weight": 0, "f8_4.weight": 0, "f9.weight": 0}), is_seam({"f9.weight": 0})
        (True, False)
    """
    return {"f8_3.weight", "f8_4.weight", "f9.weight"} <= set(names) and "f8_5.weight" not in names


def describe(tensors: Mapping[str, Tensor]) -> tuple[str, str]:
    """Say which network a file holds, and what to do with it.

    Example:
        >>> import torch
        >>> describe({"model.layer3.5.conv3.weight": torch.zeros(1)})
        ('a ResNet-50', 'choose it with --network timm:resnet50')
        >>> describe({"a": torch.zeros(1)})[0]
        'an unknown network'
    """
    for pattern, what, cure in _NETWORKS:
        if any(re.search(pattern, name) for name in tensors):
            return what, cure
    return _resnet(tensors) or _vit(tensors) or ("an unknown network", "pass weights of the requested network")


def _resnet(tensors: Mapping[str, Tensor]) -> tuple[str, str] | None:
    blocks = [match for name in tensors if (match := re.search(r"(?:^|\.)layer3\.(\d+)\.conv(\d)\.weight$", name))]
    if not blocks:
        return None
    depth = (1 + max(int(match[1]) for match in blocks), any(match[2] == "3" for match in blocks))
    if depth not in _RESNETS:
        return "a ResNet of unusual depth", "choose the timm: network that it is"
    return f"a ResNet-{_RESNETS[depth]}", f"choose it with --network timm:resnet{_RESNETS[depth]}"


def _vit(tensors: Mapping[str, Tensor]) -> tuple[str, str] | None:
    kernels = [value for name, value in tensors.items() if name.endswith("patch_embed.proj.weight") and value.ndim == 4]
    if not kernels or not any(name.endswith("blocks.0.attn.qkv.weight") for name in tensors):
        return None
    width, patch = kernels[0].shape[0], kernels[0].shape[-1]
    if width not in _VITS:
        return "a vision transformer", "choose the timm: network that it is"
    name = f"vit_{_VITS[width]}_patch{patch}_224"
    return f"a vision transformer of width {width}", f"choose the timm: network that it is, such as timm:{name}"
