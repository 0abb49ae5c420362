"""Confusion matrix and mean IoU against the twin, and their edges."""

import math

import numpy as np
import pytest
import torch

from affinitynet.ops.metrics import confusion_at, confusion_matrix, mean_iou
from tests.support import reference


def test_counts_like_the_twin(device):
    rng = np.random.default_rng(0)
    prediction, target = rng.integers(0, 4, (2, 9, 11))
    target[0] = 255
    found = confusion_matrix(torch.from_numpy(prediction).to(device), torch.from_numpy(target).to(device), 6).cpu()
    expected = reference.confusion_matrix(prediction, target, 6)
    assert found.dtype == torch.int64
    assert (found.numpy() == expected).all()
    miou, iou = mean_iou(found)
    assert miou == pytest.approx(reference.mean_iou(expected))
    assert iou[4:].isnan().all()


def test_takes_bytes_and_nothing_at_all():
    labels = torch.tensor([[0, 20], [20, 255]], dtype=torch.uint8)
    assert confusion_matrix(labels.clamp(max=20), labels, 21)[20, 20] == 2
    nothing = confusion_matrix(labels[:0], labels[:0], 3)
    assert nothing.sum() == 0
    assert math.isnan(mean_iou(nothing)[0])


@pytest.mark.parametrize(("prediction", "target"), [(3, 0), (255, 0), (-1, 0), (0, 3), (0, -1)])
def test_refuses_labels_out_of_range(prediction, target):
    with pytest.raises(ValueError, match="classes"):
        confusion_matrix(torch.tensor([prediction, 0]), torch.tensor([target, 0]), 3)


def test_refuses_two_shapes():
    with pytest.raises(ValueError, match="shape"):
        confusion_matrix(torch.zeros(3, dtype=torch.long), torch.zeros(4, dtype=torch.long), 3)


def test_a_prediction_of_ignore_where_nothing_counts_is_fine():
    assert confusion_matrix(torch.tensor([255]), torch.tensor([255]), 3).sum() == 0


def test_every_threshold_counts_like_a_mask_of_its_own(device, monkeypatch):
    monkeypatch.setattr("affinitynet.ops.metrics._PART", 100)
    rng = np.random.default_rng(1)
    thresholds = (0.05, 0.3, 0.30000001, 0.8)
    strength = rng.choice([-1, 0, *thresholds, 0.9], (17, 23)).astype(np.float32)
    labels, target = rng.integers(1, 4, (17, 23)), rng.choice([0, 1, 2, 255], (17, 23))
    strong, label, true = (torch.from_numpy(array).to(device) for array in (strength, labels, target))
    found = confusion_at(thresholds, strong, label, true, 5).cpu()
    for threshold, matrix in zip(thresholds, found.numpy(), strict=True):
        mask = np.where(strength > np.float32(threshold), labels, 0)
        assert (matrix == reference.confusion_matrix(mask, target, 5)).all(), threshold


def test_labels_at_thresholds_are_checked():
    known, outside = torch.zeros(3, dtype=torch.long), torch.full((3,), 4)
    with pytest.raises(ValueError, match="prediction holds label 4, but there are 3 classes"):
        confusion_at((0.5,), torch.zeros(3), outside, known, 3)
    with pytest.raises(ValueError, match=r"differ in shape: \[2\], \[3\], \[3\]"):
        confusion_at((0.5,), torch.zeros(2), known, known, 3)
