"""Images with scores or masks laid over them: numbers to pixels."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from affinitynet.files import voc_palette
from affinitynet.records import IGNORE

# From blue through red to yellow, so that an overlay shows where a class is found and how strongly.
_HEAT = np.array([[40, 40, 120], [150, 20, 140], [230, 60, 60], [255, 170, 40], [255, 250, 160]], np.float32)
_PALETTE = np.array(voc_palette(), np.float32).reshape(256, 3)
_TINTS = _PALETTE * (255 / _PALETTE.max(1, keepdims=True).clip(1))  # VOC's hues, bright enough to see on a photograph
_IGNORED = 200  # grey of ignored pixels
_LAYER_OPACITY = 150  # of a class's colour in a layer
_LEVELS = 32  # of a heat layer


def overlay_heat(image: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Overlay an image with scores [H, W] in [0, 1] as a heat map, transparent where they are 0.

    Example:
        >>> overlay_heat(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1))).tolist()
        [[[0, 0, 0]]]
    """
    position = np.clip(scores, 0, 1) * (len(_HEAT) - 1)
    heat = np.stack([np.interp(position, range(len(_HEAT)), _HEAT[:, channel]) for channel in range(3)], axis=-1)
    opacity = 0.75 * np.sqrt(np.clip(scores, 0, 1))[..., None]
    return (image * (1 - opacity) + heat * opacity).astype(np.uint8)


def overlay_mask(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Tint an image with a mask's colours and draw its outlines; ignored pixels are grey.

    Example:
        >>> overlay_mask(np.full((1, 1, 3), 9, np.uint8), np.zeros((1, 1), np.uint8)).tolist()
        [[[9, 9, 9]]]
    """
    colours = _TINTS[mask]
    colours[mask == IGNORE] = _IGNORED
    opacity = np.where(mask == 0, 0.0, 0.6)[..., None]
    picture = image * (1 - opacity) + colours * opacity
    edge = np.zeros(mask.shape, bool)
    edge[:, 1:] |= mask[:, 1:] != mask[:, :-1]
    edge[1:] |= mask[1:] != mask[:-1]
    picture[edge & (mask != IGNORE)] = 255
    return picture.astype(np.uint8)


def label_layer(labels: np.ndarray, size: tuple[int, int]) -> bytes:
    """Return labels uint8 [H, W] as a PNG of ``size`` (width, height) in VOC's hues, background transparent, 255 grey.

    Example:
        >>> label_layer(np.zeros((4, 4), np.uint8), (2, 2))[1:4]
        b'PNG'
    """
    palette = _TINTS.copy()
    palette[IGNORE] = _IGNORED
    opacity = bytes([0, *[_LAYER_OPACITY] * 255])
    picture = Image.fromarray(np.ascontiguousarray(labels, np.uint8)).resize(size, Image.Resampling.NEAREST)
    return _palette_png(picture, palette, opacity)


def heat_layer(scores: np.ndarray, size: tuple[int, int]) -> bytes:
    """Return scores [H, W] in [0, 1] as a heat map PNG, transparent where they are 0.

    Stored at a quarter of ``size`` (width, height) at most: maps are smooth, and browsers enlarge them smoothly.

    Example:
        >>> heat_layer(np.zeros((4, 4)), (8, 8))[1:4]
        b'PNG'
    """
    levels = np.round(np.clip(scores, 0, 1) * (_LEVELS - 1)).astype(np.uint8)
    small = (max(1, min(size[0] // 4, scores.shape[1])), max(1, min(size[1] // 4, scores.shape[0])))
    picture = Image.fromarray(levels).resize(small, Image.Resampling.BOX)
    place = np.linspace(0, len(_HEAT) - 1, _LEVELS)
    colours = np.stack([np.interp(place, range(len(_HEAT)), _HEAT[:, channel]) for channel in range(3)], axis=1)
    opacity = bytes((190 * np.sqrt(np.linspace(0, 1, _LEVELS))).astype(np.uint8))
    return _palette_png(picture, colours, opacity)


def _palette_png(picture: Image.Image, palette: np.ndarray, opacity: bytes) -> bytes:
    picture.putpalette(palette.astype(np.uint8).tobytes())
    file = io.BytesIO()
    picture.save(file, "PNG", transparency=opacity, optimize=True)
    return file.getvalue()
