"""The Dice loss against a twin in plain loops and against another library."""

import segmentation_models_pytorch as smp
import torch

from affinitynet.ops.dice import dice_loss
from tests.support import reference


def drawn(seed=0, images=3, classes=3, size=(9, 7)):
    torch.manual_seed(seed)
    logits = torch.randn(images, classes + 1, *size, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(0, classes + 1, (images, *size))
    labels[0, :4] = 255
    labels[1][labels[1] == 2] = 0  # a class that one image lacks
    return logits, labels


def test_the_loss_is_the_formula():
    logits, labels = drawn()
    assert (
        abs(float(dice_loss(logits, labels).detach()) - reference.dice_loss(logits.detach().numpy(), labels.numpy()))
        < 1e-6
    )
    assert torch.autograd.gradcheck(lambda x: dice_loss(x, labels), logits, eps=1e-3, atol=1e-2, rtol=1e-2)


def test_the_loss_of_one_class_is_that_of_another_library():
    torch.manual_seed(0)
    logits, labels = torch.randn(1, 2, 16, 16), torch.randint(0, 2, (1, 16, 16))
    other = smp.losses.DiceLoss("multiclass", classes=[1], smooth=1.0)(logits, labels)
    assert abs(float(dice_loss(logits, labels)) - float(other)) < 2e-3  # it adds its 1 in another place


def test_images_without_a_class_teach_nothing():
    logits, _ = drawn()
    loss = dice_loss(logits, torch.full((3, 9, 7), 255))
    loss.backward()
    assert float(loss.detach()) == 0
    assert not logits.grad.any()
    assert float(dice_loss(logits, torch.zeros(3, 9, 7, dtype=torch.int64))) == 0


def test_processes_that_share_a_batch_have_its_loss():
    logits, labels = drawn(images=4)
    counts = torch.stack(
        [
            torch.tensor(float(sum(len(set(t.unique().tolist()) - {0, 255}) for t in part)))
            for part in (labels[:1], labels[1:])
        ]
    )
    parts = [dice_loss(logits[part], labels[part], lambda _: counts.mean()) for part in (slice(0, 1), slice(1, 4))]
    torch.testing.assert_close(sum(parts) / 2, dice_loss(logits, labels))
