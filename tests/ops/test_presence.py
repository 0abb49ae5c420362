"""Which classes a crop shows: the loss against a twin in plain loops."""

import torch

from affinitynet.ops.presence import presence_loss
from tests.support import reference


def test_the_loss_is_the_formula():
    torch.manual_seed(0)
    logits = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 1, 2, 3, 255])[torch.randint(0, 5, (4, 2, 2))]
    tags = torch.tensor([[1.0, 1, 0], [1, 1, 1], [0, 0, 1], [1, 1, 1]])
    assert (
        abs(
            float(presence_loss(logits, labels, tags).detach()) - reference.presence_loss(logits.detach(), labels, tags)
        )
        < 1e-6
    )
    assert torch.autograd.gradcheck(lambda x: presence_loss(x, labels, tags), logits, eps=1e-3, atol=1e-3)


def test_a_tagged_class_outside_the_crop_teaches_nothing():
    logits = torch.zeros(1, 2, requires_grad=True)
    presence_loss(logits, torch.zeros(1, 3, 3, dtype=torch.int64), torch.tensor([[1.0, 0.0]])).backward()
    assert logits.grad is not None
    assert logits.grad[0, 0] == 0
    assert logits.grad[0, 1] > 0


def test_crops_of_which_nothing_is_known_cost_nothing():
    assert presence_loss(torch.ones(2, 2), torch.full((2, 3, 3), 255), torch.ones(2, 2)) == 0


def test_processes_that_share_a_batch_have_the_loss_of_the_whole():
    torch.manual_seed(0)
    logits, tags = torch.randn(4, 3), torch.tensor([[1.0, 1, 0], [1, 1, 1], [0, 0, 1], [1, 1, 1]])
    labels = torch.tensor([0, 1, 2, 3, 255])[torch.randint(0, 5, (4, 2, 2))]
    halves, counts = (slice(2), slice(2, 4)), []

    def counted(count):
        counts.append(count)
        return count

    for half in halves:
        presence_loss(logits[half], labels[half], tags[half], counted)
    mean = torch.stack(counts).mean()
    parts = [presence_loss(logits[half], labels[half], tags[half], lambda _: mean) for half in halves]
    torch.testing.assert_close(sum(parts) / 2, presence_loss(logits, labels, tags))
