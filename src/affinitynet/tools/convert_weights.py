"""Weights of any origin -> one safetensors file."""

from __future__ import annotations

from pathlib import Path

from affinitynet.errors import InputError
from affinitynet.files import save_weights


def convert_weights(source: Path, target: Path, *, classes: tuple[str, ...] | None = None) -> list[str]:
    """Write weights of any origin as safetensors and say what was matched.

    Checkpoints of the released code (.pth), Caffe's .caffemodel, MXNet's .params, torchvision's VGG-16, timm's
    tf_efficientnet_lite0. The origin is recognised by the content.

    Args:
        source: The file to read.
        target: The .safetensors file to write; must not exist.
        classes: Names of a classifier's classes, separated by commas; null: the file's own, or class 1, class 2 ...

    Returns:
        What was recognised, matched, left and missing, line by line.

    Raises:
        InputError: the source is damaged or unknown, a tensor does not fit (the message names it), or
            the target exists.
    """
    from affinitynet.models.affinity_net import AffinityNet
    from affinitynet.models.backbones.registry import build_backbone
    from affinitynet.models.classifier import TagClassifier
    from affinitynet.models.irnet import IRNet
    from affinitynet.models.weights.matching import listed
    from affinitynet.models.weights.names import fill_backbone, read_weights

    if target.suffix != ".safetensors":
        raise InputError(f"{target}: is written as safetensors; name it {target.with_suffix('.safetensors').name}")
    if target.exists():
        raise InputError(f"{target}: exists; delete it or name another")
    found = read_weights(source)
    if found.part == "classifier":
        model = TagClassifier.load(source, classes)
        state, settings = model.state_dict(), model.settings
    elif found.part in ("affinity", "irnet"):
        net = AffinityNet.load(source) if found.part == "affinity" else IRNet.load(source)
        state, settings = net.state_dict(), net.settings
    else:
        backbone = build_backbone(found.network, found.settings.get("taps"))
        fill_backbone(backbone, found, str(source))
        state, settings = {f"backbone.{key}": value for key, value in backbone.state_dict().items()}, backbone.settings
    save_weights(target, state, settings)
    counters = [key for key in state if key not in found.state]
    unused = [key.removeprefix("backbone.") for key in (*found.left, *(set(found.state) - set(state)))]
    return [
        f"{source}: {found.origin}, {found.contains}",
        f"matched: {len(state) - len(counters)} tensors",
        f"left:    {listed(sorted(unused)) or 'none'}",
        f"missing: {f'{len(counters)} counters that nothing reads' if counters else 'none'}",
        f"written: {target}",
    ]
