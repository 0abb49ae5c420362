"""Which classes a crop shows: the loss against a twin in plain loops."""

import math

import torch

from affinitynet.ops.presence import presence_loss


def twin(logits, labels, tags) -> float:
    losses = []
    for scores, crop, whole in zip(logits.tolist(), labels.flatten(1).tolist(), tags.tolist(), strict=True):
        for number, (score, tag) in enumerate(zip(scores, whole, strict=True)):
            shown = number + 1 in crop
            if shown or not tag:
                losses.append(math.log1p(math.exp(-score if shown else score)))
    return sum(losses) / len(losses)


def test_the_loss_is_the_formula():
    torch.manual_seed(0)
    logits = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 1, 2, 3, 255])[torch.randint(0, 5, (4, 2, 2))]
    tags = torch.tensor([[1.0, 1, 0], [1, 1, 1], [0, 0, 1], [1, 1, 1]])
    assert abs(float(presence_loss(logits, labels, tags).detach()) - twin(logits.detach(), labels, tags)) < 1e-6
    assert torch.autograd.gradcheck(lambda x: presence_loss(x, labels, tags), logits, eps=1e-3, atol=1e-3)


def test_a_tagged_class_outside_the_crop_teaches_nothing():
    logits = torch.zeros(1, 2, requires_grad=True)
    presence_loss(logits, torch.zeros(1, 3, 3, dtype=torch.int64), torch.tensor([[1.0, 0.0]])).backward()
    assert logits.grad is not None
    assert logits.grad[0, 0] == 0
    assert logits.grad[0, 1] > 0


def test_crops_of_which_nothing_is_known_cost_nothing():
    assert presence_loss(torch.ones(2, 2), torch.full((2, 3, 3), 255), torch.ones(2, 2)) == 0
