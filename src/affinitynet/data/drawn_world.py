"""A world drawn in code: tagged pictures with exact masks, which shows the method at work within minutes.

Four kinds of creature. Each has one distinctive part, its patterned head, and a plain body in a colour
that any kind may have. A classifier learns the heads, so class activation maps find the heads, and
only the affinities can spread them over the bodies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from affinitynet.files import save_mask, write_text

CLASSES = ("checker", "dots", "rings", "stripes")
"""The classes, named after the pattern of the head."""

SIZES = ((320, 240), (240, 320))  # width, height
SUPERSAMPLING = 2  # pictures are drawn twice as large and reduced, so that outlines are smooth
BODY_COLOURS = (
    (206, 92, 74),
    (84, 140, 196),
    (232, 178, 72),
    (150, 108, 180),
    (236, 132, 158),
    (90, 176, 160),
)
GROUND_COLOURS = ((196, 208, 170), (176, 196, 210), (214, 202, 182), (160, 178, 150), (204, 190, 206))
EMPTY_SHARE = 0.15  # pictures without a creature

Marked: TypeAlias = Sequence[tuple[Image.Image, int]]
"""Images, and the value that what is drawn has in them."""


def draw_world(root: Path, train: int = 160, val: int = 40, seed: int = 0) -> None:
    """Write a drawn collection in the layout of a plain folder.

    ``images/*.jpg``, ``tags.csv``, exact ``masks/*.png`` and ``splits/train.txt``, ``val.txt``.

    Args:
        root: folder to write to.
        train, val: number of pictures of each split.
        seed: of everything drawn.

    Example:
        >>> import tempfile
        >>> root = Path(tempfile.mkdtemp())
        >>> draw_world(root, train=2, val=1)
        >>> sorted(p.name for p in root.iterdir())
        ['images', 'masks', 'splits', 'tags.csv']
    """
    rng = np.random.default_rng(seed)
    (root / "images").mkdir(parents=True, exist_ok=True)
    rows = ["file,tags"]
    for split, count in (("train", train), ("val", val)):
        names = [f"{split}_{number:03d}" for number in range(count)]
        for name in names:
            picture, mask = draw_picture(rng)
            Image.fromarray(picture).save(root / "images" / f"{name}.jpg", quality=92)
            save_mask(root / "masks" / f"{name}.png", mask)
            tags = ";".join(CLASSES[label - 1] for label in np.unique(mask) if label)
            rows.append(f"{name}.jpg,{tags}")
        write_text(root / "splits" / f"{split}.txt", "\n".join(names) + "\n")
    write_text(root / "tags.csv", "\n".join(rows) + "\n")  # written last: a folder that has it is complete


def draw_picture(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw one picture.

    Returns:
        Image uint8 [H, W, 3] and its mask uint8 [H, W] (0 background, class + 1).

    Example:
        >>> picture, mask = draw_picture(np.random.default_rng(1))
        >>> picture.shape[:2] == mask.shape, int(mask.max()) <= len(CLASSES)
        (True, True)
    """
    size = SIZES[rng.integers(len(SIZES))]
    picture, mask = _scene(rng, size), Image.new("L", _large(size))
    count = 0 if rng.random() < EMPTY_SHARE else int(rng.integers(1, 3))
    for place in rng.permutation(2)[:count]:
        kind = int(rng.integers(len(CLASSES)))
        _creature(rng, picture, [(mask, kind + 1)], kind, place)
    return _photographed(rng, picture, size), _reduced(mask)


def draw_pair(rng: np.random.Generator, touching: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw one picture of two creatures of one kind, to see whether they are told apart.

    Args:
        touching: whether they do; the second hides a part of the first then.

    Returns:
        Image uint8 [H, W, 3], its mask uint8 [H, W] (0 background, class + 1), and which of the two each pixel is,
        uint8 [H, W] (0 none, 1, 2).

    Example:
        >>> _, mask, objects = draw_pair(np.random.default_rng(0), touching=False)
        >>> len(np.unique(mask)), np.unique(objects).tolist()
        (2, [0, 1, 2])
    """
    while True:
        size, kind = SIZES[rng.integers(len(SIZES))], int(rng.integers(len(CLASSES)))
        picture, mask, objects = _scene(rng, size), Image.new("L", _large(size)), Image.new("L", _large(size))
        for number, place in enumerate((0.22, 0.78) if touching else (0.0, 1.0)):
            _creature(rng, picture, [(mask, kind + 1), (objects, number + 1)], kind, place)
        found = _reduced(objects)
        if touching == _touch(found):
            return _photographed(rng, picture, size), _reduced(mask), found


def _touch(objects: np.ndarray) -> bool:
    """Return whether the two objects have pixels side by side."""
    pairs = ((objects[1:], objects[:-1]), (objects[:, 1:], objects[:, :-1]))
    return any(bool(((one * other) == 2).any()) for one, other in pairs)


def _large(size: tuple[int, int]) -> tuple[int, int]:
    return size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING


def _scene(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """A ground with stones, before it is reduced."""
    picture = _ground(rng, _large(size))
    for _ in range(rng.integers(2, 5)):
        _stone(rng, picture)
    return picture


def _photographed(rng: np.random.Generator, picture: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """Reduce a picture, with light from one side and the noise of a camera."""
    image = np.asarray(picture.resize(size, Image.Resampling.BOX), np.float32)
    light = 1 + 0.12 * np.linspace(-1, 1, size[0])[None, :, None] * rng.choice((-1, 1))
    noisy = image * light + rng.normal(0, 4, image.shape)
    return noisy.clip(0, 255).astype(np.uint8)


def _reduced(labels: Image.Image) -> np.ndarray:
    return np.asarray(labels)[SUPERSAMPLING // 2 :: SUPERSAMPLING, SUPERSAMPLING // 2 :: SUPERSAMPLING].copy()


def _ground(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """A mottled, softly shaded ground."""
    colour = np.array(GROUND_COLOURS[rng.integers(len(GROUND_COLOURS))], np.float32)
    spots = rng.normal(0, 1, (size[1] // 16 + 1, size[0] // 16 + 1, 1)) * 9
    field = (colour + spots).clip(0, 255).astype(np.uint8)
    return Image.fromarray(field).resize(size, Image.Resampling.BICUBIC)


def _stone(rng: np.random.Generator, picture: Image.Image) -> None:
    """A plain gray thing that is not a creature."""
    x, y = int(rng.integers(0, picture.width)), int(rng.integers(0, picture.height))
    radius = int(rng.integers(16, 40))
    gray = int(rng.integers(110, 200))
    box = (x - radius, y - radius * 0.7, x + radius, y + radius * 0.7)
    ImageDraw.Draw(picture).ellipse(box, fill=(gray, gray - 6, gray - 14))


def _creature(rng: np.random.Generator, picture: Image.Image, marked: Marked, kind: int, place: float) -> None:
    """Draw a creature of a kind into one half of the picture, 0 or 1 or between them, and mark where it is."""
    wide = picture.width > picture.height
    half = (picture.width // 2, picture.height) if wide else (picture.width, picture.height // 2)
    centre = np.array([(place + 0.5) * half[0], half[1] / 2] if wide else [half[0] / 2, (place + 0.5) * half[1]])
    centre += rng.uniform(-0.12, 0.12, 2) * max(half) * np.array([not wide, wide])
    reach = min(half) * rng.uniform(0.40, 0.56)
    angle = rng.uniform(0, 2 * np.pi)
    forward = np.array([np.cos(angle), np.sin(angle)])
    body = Image.new("L", picture.size)
    _body(rng, ImageDraw.Draw(body), centre - 0.25 * reach * forward, reach, angle)
    head = Image.new("L", picture.size)
    head_centre, radius = centre + 0.75 * reach * forward, 0.44 * reach
    ImageDraw.Draw(head).ellipse((*(head_centre - radius), *(head_centre + radius)), fill=255)
    colour = tuple(int(c + rng.integers(-14, 15)) for c in BODY_COLOURS[rng.integers(len(BODY_COLOURS))])
    picture.paste(Image.new("RGB", picture.size, colour), mask=body)
    box = (*np.floor(head_centre - radius).astype(int), *np.ceil(head_centre + radius).astype(int))
    picture.paste(_pattern(kind, box), box, mask=head.crop(box))
    for image, value in marked:
        for part in (body, head):
            image.paste(value, mask=part)


def _body(rng: np.random.Generator, draw: ImageDraw.ImageDraw, centre: np.ndarray, reach: float, angle: float) -> None:
    """A smooth closed shape, longer along ``angle``, with lobes for limbs."""
    turn = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    radius = reach * (0.62 + 0.10 * np.cos(int(rng.integers(3, 6)) * turn + rng.uniform(0, 6)))
    stretch = rng.uniform(1.1, 1.35)
    along, across = stretch * radius * np.cos(turn), radius * np.sin(turn)
    x = centre[0] + along * np.cos(angle) - across * np.sin(angle)
    y = centre[1] + along * np.sin(angle) + across * np.cos(angle)
    draw.polygon([*zip(x.tolist(), y.tolist(), strict=True)], fill=255)


def _pattern(kind: int, box: tuple[int, ...]) -> Image.Image:
    """The head's pattern in black and white, as large as ``box`` (left, top, right, bottom)."""
    v, u = np.mgrid[-1 : 1 : (box[3] - box[1]) * 1j, -1 : 1 : (box[2] - box[0]) * 1j]
    patterns: dict[str, Callable[[], np.ndarray]] = {
        "checker": lambda: (np.floor(2.2 * u) + np.floor(2.2 * v)) % 2 == 0,
        "dots": lambda: (((1.6 * u) % 1 - 0.5) ** 2 + ((1.6 * v) % 1 - 0.5) ** 2) < 0.09,
        "rings": lambda: np.floor(3.2 * np.hypot(u, v)) % 2 == 0,
        "stripes": lambda: np.floor(3 * (u + v)) % 2 == 0,
    }
    dark = patterns[CLASSES[kind]]()
    colours = np.where(dark[..., None], (34, 32, 44), (246, 244, 236)).astype(np.uint8)
    return Image.fromarray(colours).filter(ImageFilter.SMOOTH)
