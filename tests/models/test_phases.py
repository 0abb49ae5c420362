"""Depthwise convolutions by phases: the values and gradients of PyTorch's own."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from affinitynet.models.backbones.registry import build_backbone
from affinitynet.models.phases import PhasedConv2d, depthwise_by_phases, depthwise_by_taps, take_apart
from affinitynet.models.segmenter import Segmenter


def gradients(convolve, x, weight, bias, seen):
    leaves = [tensor.clone().requires_grad_() for tensor in (x, weight, bias)]
    found = convolve(*leaves)
    return found, torch.autograd.grad((found * seen).sum(), leaves)


@pytest.mark.parametrize("dilation", [1, 2, 3, 12])
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("size", [(1, 1), (7, 12), (20, 21)])
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("convolve", [depthwise_by_phases, depthwise_by_taps])
def test_values_and_gradients(dilation, kernel, size, memory, convolve):
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    x, weight, bias = drawn(2, 6, *size).contiguous(memory_format=memory), drawn(6, 1, kernel, kernel), drawn(6)
    seen, padding = drawn(2, 6, *size), dilation * (kernel // 2)
    expected, wanted = gradients(
        lambda x, w, b: F.conv2d(x, w, b, padding=padding, dilation=dilation, groups=6), x, weight, bias, seen
    )
    found, got = gradients(lambda x, w, b: convolve(x, w, b, dilation), x, weight, bias, seen)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(got, wanted)


def test_networks_compute_by_phases_when_they_learn_and_as_ever_when_they_label():
    torch.manual_seed(0)
    phased = build_backbone("lite").train()
    plain = copy.deepcopy(phased)
    taken = [module for module in plain.modules() if isinstance(module, PhasedConv2d)]
    for module in taken:
        module.__class__ = nn.Conv2d  # type: ignore[assignment]
    assert len(taken) == 4
    assert list(phased.state_dict()) == list(plain.state_dict())
    x = torch.randn(2, 3, 96, 128)
    with torch.no_grad():
        assert all(torch.equal(a, b) for a, b in zip(phased(x), plain(x), strict=True))
    for network in (phased, plain):
        sum(feature.square().mean() for feature in network(x)).backward()
    for a, b in zip(phased.parameters(), plain.parameters(), strict=True):
        if a.grad is not None and b.grad is not None:
            torch.testing.assert_close(a.grad, b.grad, rtol=1e-3, atol=1e-4 * b.grad.abs().max().item())


def test_the_segmentation_network_does_too():
    network = Segmenter("DeepLabV3Plus", "lite", ["cat"])
    assert sum(isinstance(module, PhasedConv2d) for module in network.encoder.modules()) >= 4


def test_others_are_left_as_they_are():
    others = nn.Sequential(
        nn.Conv2d(4, 4, 3, padding=1, groups=4),  # not dilated
        nn.Conv2d(4, 4, 3, padding=2, dilation=2),  # not depthwise
        nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=4, stride=2),
        nn.Conv2d(4, 4, 3, padding=1, dilation=2, groups=4),  # the size does not stay
        nn.Conv2d(4, 4, 2, padding=2, dilation=2, groups=4),
        nn.Conv2d(4, 8, 3, padding=2, dilation=2, groups=4),
        nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=4, padding_mode="reflect"),
    )
    take_apart(others)
    assert not any(isinstance(module, PhasedConv2d) for module in others)


def test_maps_that_were_joined_to_others_get_their_gradients_in_one_piece():
    network, arrived = Segmenter("DeepLabV3Plus", "lite", ["cat"]).train(), []
    enlarge = network.get_submodule("network.decoder.up")

    def watch(_, __, enlarged):
        enlarged.register_hook(lambda gradient: arrived.append(gradient))

    enlarge.register_forward_hook(watch)
    network(torch.randn(2, 3, 128, 128)).square().mean().backward()
    assert [gradient.is_contiguous(memory_format=torch.channels_last) for gradient in arrived] == [True]
