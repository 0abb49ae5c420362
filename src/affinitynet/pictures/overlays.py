"""Images with scores or masks laid over them: numbers to pixels."""

from __future__ import annotations

import numpy as np

from affinitynet.files import voc_palette
from affinitynet.records import IGNORE

# Rising from nothing through red to yellow, so that an overlay shows where a class is seen and how clearly.
_HEAT = np.array([[40, 40, 120], [150, 20, 140], [230, 60, 60], [255, 170, 40], [255, 250, 160]], np.float32)
_PALETTE = np.array(voc_palette(), np.float32).reshape(256, 3)
_TINTS = _PALETTE * (255 / _PALETTE.max(1, keepdims=True).clip(1))  # VOC's hues, bright enough to see on a photograph


def overlay_heat(image: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Lay scores [H, W] in [0, 1] over an image as heat; where they are 0 the image shows.

    Example:
        >>> overlay_heat(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1))).tolist()
        [[[0, 0, 0]]]
    """
    position = np.clip(scores, 0, 1) * (len(_HEAT) - 1)
    heat = np.stack([np.interp(position, range(len(_HEAT)), _HEAT[:, channel]) for channel in range(3)], axis=-1)
    opacity = 0.75 * np.sqrt(np.clip(scores, 0, 1))[..., None]
    return (image * (1 - opacity) + heat * opacity).astype(np.uint8)


def overlay_mask(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Tint an image with a mask's colours and draw its outlines; ignored pixels turn grey.

    Example:
        >>> overlay_mask(np.full((1, 1, 3), 9, np.uint8), np.zeros((1, 1), np.uint8)).tolist()
        [[[9, 9, 9]]]
    """
    colours = _TINTS[mask]
    colours[mask == IGNORE] = 200
    opacity = np.where(mask == 0, 0.0, 0.6)[..., None]
    picture = image * (1 - opacity) + colours * opacity
    edge = np.zeros(mask.shape, bool)
    edge[:, 1:] |= mask[:, 1:] != mask[:, :-1]
    edge[1:] |= mask[1:] != mask[:-1]
    picture[edge & (mask != IGNORE)] = 255
    return picture.astype(np.uint8)
