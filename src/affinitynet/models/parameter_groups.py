"""Which parameters learn how fast: the four groups of the original."""

from __future__ import annotations

from torch import nn


def parameter_groups(model: nn.Module, new: nn.Module | list[nn.Module], alike: bool = False) -> list[dict]:
    """Split trainable parameters into the four groups of the original optimiser.

    Pretrained weights learn at ``lr``, pretrained biases at ``2 lr`` without decay, new layers'
    weights at ``10 lr`` and new biases at ``20 lr`` without decay (docs/method.md, "Training"). The optimiser's
    ``lr`` is multiplied by each group's ``factor``, and weight decay applies where ``decays`` is true.

    Args:
        model: the whole network.
        new: the parts that start from random values.
        alike: biases learn as fast as weights and decay too, as in the released code of IRNet.

    Returns:
        Groups ``{"params", "factor", "decays"}``, without empty ones.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
        >>> [(len(g["params"]), g["factor"], g["decays"]) for g in parameter_groups(model, model[1])]
        [(1, 1, True), (1, 2, False), (1, 10, True), (1, 20, False)]
    """
    modules = new if isinstance(new, list) else [new]
    fresh = {id(p) for module in modules for p in module.parameters()}
    groups: list[dict] = [
        {"params": [], "factor": factor, "decays": decays}
        for factor, decays in ((1, True), (2, False), (10, True), (20, False))
    ]
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            apart = name.endswith("bias") and not alike
            groups[2 * (id(parameter) in fresh) + apart]["params"].append(parameter)
    return [group for group in groups if group["params"]]
