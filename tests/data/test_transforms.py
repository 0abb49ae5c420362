"""Random augmentation, against another implementation of the same."""

import numpy as np
import torch
from torchvision.transforms import v2

from affinitynet.data.transforms import jitter_colours, to_tensor

STRONG = (0.3, 0.3, 0.3, 0.1)


def some_picture(height: int = 40, width: int = 60) -> np.ndarray:
    """Return smooth colours uint8 [H, W, 3] with something of every hue."""
    rows, columns = np.mgrid[:height, :width]
    waves = [np.sin(rows / 9 + phase) * np.cos(columns / 11 - phase) for phase in (0.0, 2.1, 4.2)]
    return (127 + 120 * np.stack(waves, -1)).astype(np.uint8)


def test_colours_change_as_torchvision_changes_those_of_tensors():
    picture = some_picture()
    for seed in range(20):
        torch.manual_seed(seed)
        expected = v2.ColorJitter(*STRONG)(to_tensor(picture)).int()
        torch.manual_seed(seed)
        found = to_tensor(jitter_colours(picture, STRONG)).int()
        difference = (found - expected).abs().float()
        assert difference.mean() < 2
        assert difference.max() <= 16  # hues in 256 steps
        assert (found - to_tensor(picture).int()).abs().float().mean() > 2


def test_no_jitter_changes_nothing():
    picture = some_picture()
    np.testing.assert_array_equal(jitter_colours(picture, (0.0, 0.0, 0.0, 0.0)), picture)
