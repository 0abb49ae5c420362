"""How many clicks a mask takes: after the tags, from nothing, and with the classic methods that know neither.

    python -m benchmarks.clicks --work WORK [--split val] [--objects 40]

``WORK`` is a finished work folder. A simulated user clicks into the middle of the largest wrong region, as in the
literature on interactive segmentation (Xu et al., CVPR 2016), until the class of an image is as good as wanted. Every
method has a user of its own. Compared with scikit-image's random walker (Grady, 2006; ``pip install scikit-image
pyamg``) and OpenCV's GrabCut (Rother et al., 2004).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
import torch
from rich.console import Console
from scipy import ndimage

from affinitynet.data.images import load_tagged
from affinitynet.data.transforms import reduced
from affinitynet.inference.clicks import Click, ClickedMask, corrected
from affinitynet.inference.tagged import MaskPredictor
from affinitynet.ops.decision import enlarge
from affinitynet.records import IGNORE, TaggedImage
from affinitynet.tools.finished import Finished, open_finished
from benchmarks.common import show, table

PEER = find_spec("skimage") is not None
Method: TypeAlias = Callable[[Sequence[Click]], np.ndarray]
"""The clicks so far -> bool [H, W]."""

WANTED = (0.85, 0.90)
MOST = 20
"""Clicks after which the user gives up; counted as so many."""

LEAST = 0.002
"""Share of the image that a class has to cover, or the user has nothing to aim at."""

SPOT = 4
"""Radius in pixels of what the classic methods are told by a click."""

STRENGTH = 130
"""Of the random walker's edges, scikit-image's default."""

ROUNDS = 5
"""Of GrabCut."""


@dataclass(frozen=True)
class Wanted:
    """What a user wants to have: a class of an image.

    Args:
        image: uint8 [H, W, 3].
        label: 0-based class.
        mask: uint8 [H, W], ground truth of all classes.
        made: bool [H, W], the mask of this class that the tags led to.
    """

    image: np.ndarray
    label: int
    mask: np.ndarray
    made: np.ndarray

    @property
    def truth(self) -> np.ndarray:
        """Where the class is: bool [H, W]."""
        return self.mask == self.label + 1

    @property
    def counted(self) -> np.ndarray:
        """Where it is known what is there: bool [H, W]."""
        return self.mask != IGNORE

    def iou(self, found: np.ndarray) -> float:
        """Return the IoU of a mask bool [H, W]."""
        found, truth = found & self.counted, self.truth
        return float((found & truth).sum() / max(1, (found | truth).sum()))

    def next_click(self, found: np.ndarray) -> Click:
        """Return the middle of the largest wrong region of a mask bool [H, W]."""
        wrong = (found != self.truth) & self.counted
        pieces, number = ndimage.label(wrong)
        largest = pieces == 1 + np.argmax(np.bincount(pieces.ravel(), minlength=number + 1)[1:])
        depth = ndimage.distance_transform_edt(np.pad(largest, 1))[1:-1, 1:-1]
        y, x = divmod(int(np.argmax(depth)), largest.shape[1])
        return Click(x, y, int(self.mask[y, x]) - 1 if self.mask[y, x] else None)


def clicks_needed(wanted: Wanted, method: Method, start: np.ndarray) -> list[int]:
    """Return how many clicks each of :data:`WANTED` takes, from a mask bool [H, W] on."""
    said: list[Click] = []
    found, needed = start, [MOST] * len(WANTED)
    for number in range(MOST + 1):
        for row, least in enumerate(WANTED):
            if wanted.iou(found) >= least:
                needed[row] = min(needed[row], number)
        if max(needed) <= number or number == MOST:
            return needed
        said.append(wanted.next_click(found))
        found = method(said)
    return needed


def follow(wanted: Wanted, clicked: ClickedMask, made: np.ndarray) -> Method:
    """Return ours: as in the review, a click changes what it changes, and what is far from that stays."""
    without, nowhere = clicked.mask([]) == wanted.label + 1, np.zeros(made.shape, bool)

    def method(clicks: Sequence[Click]) -> np.ndarray:
        found = clicked.mask(clicks) == wanted.label + 1
        return corrected(made, without, found, nowhere)

    return method


def random_walker(wanted: Wanted) -> Method:
    """Return scikit-image's random walker from the clicks alone."""
    from skimage import segmentation

    def method(clicks: Sequence[Click]) -> np.ndarray:
        markers = _markers(wanted, clicks)
        if len(np.unique(markers[markers > 0])) < 2:
            return np.full(markers.shape, markers.max() == 1)
        labels = segmentation.random_walker(
            wanted.image / 255, markers, STRENGTH, mode="cg_mg", tol=1e-3, channel_axis=-1
        )
        return labels == 1

    return method


def grab_cut(wanted: Wanted, made: np.ndarray) -> Method:
    """Return OpenCV's GrabCut from the clicks and a mask bool [H, W] that is probable."""

    def method(clicks: Sequence[Click]) -> np.ndarray:
        state: Any = np.where(made, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
        markers = _markers(wanted, clicks)
        state[markers == 1], state[markers == 2] = cv2.GC_FGD, cv2.GC_BGD
        if len(np.unique(state % 2)) < 2:  # nothing to tell it from
            return state % 2 == 1
        background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.setRNGSeed(0)
        image: Any = wanted.image[..., ::-1].copy()
        cv2.grabCut(image, state, (0, 0, 0, 0), background, foreground, ROUNDS, cv2.GC_INIT_WITH_MASK)
        return state % 2 == 1

    return method


def _markers(wanted: Wanted, clicks: Sequence[Click]) -> np.ndarray:
    """Return what clicks say, uint8 [H, W]: 1 the class, 2 not the class, 0 nothing."""
    markers = np.zeros(wanted.truth.shape, np.uint8)
    for click in clicks:
        cv2.circle(markers, (click.x, click.y), SPOT, 1 if click.label == wanted.label else 2, -1)
    return markers


def wanted_of(finished: Finished, split: str, most: int) -> list[tuple[TaggedImage, Wanted]]:
    """Return classes of images, evenly drawn."""
    found: list[tuple[TaggedImage, Wanted]] = []
    for record in finished.collection.split(split):
        if record.truth is None:
            continue
        image = reduced(load_tagged(record), finished.config.longest_side)
        mask, made = (
            enlarge(whole, image.shape[:2])
            for whole in (finished.collection.mask(record), finished.folder.masks.load(record.name))
        )
        large = [tag for tag in record.tags if (mask == tag + 1).mean() >= LEAST]
        found += [(record, Wanted(image, tag, mask, made == tag + 1)) for tag in large]
    return found[:: max(1, len(found) // most)][:most]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", required=True, type=Path)
    parser.add_argument("--split", default="val")
    parser.add_argument("--objects", type=int, default=40)
    given = parser.parse_args(argv)
    finished, predictor = open_finished(given.work), MaskPredictor.from_work(given.work)
    chosen = wanted_of(finished, given.split, given.objects)
    console = Console(stderr=True)
    needed: dict[str, list[list[int]]] = {}
    for number, (record, wanted) in enumerate(chosen, 1):
        nothing = np.zeros_like(wanted.made)
        for name, method, start in _methods(predictor, record, wanted, nothing):
            needed.setdefault(name, []).append(clicks_needed(wanted, method, start))
        taken = ", ".join(f"{name} {rows[-1]}" for name, rows in needed.items())
        line = f"{number} of {len(chosen)}: {record.name}: {taken}"
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    title = f"Mean clicks on {given.split}, {len(chosen)} classes of images ({MOST} where {MOST} are not enough)"
    made = table(title, "method", *(f"to {least:.0%} IoU" for least in WANTED), "not reached")
    for name, rows in needed.items():
        counts = np.array(rows)
        missed = " / ".join(f"{(counts[:, row] == MOST).sum()}" for row in range(len(WANTED)))
        made.add_row(name, *(f"{mean:.1f}" for mean in counts.mean(0)), missed)
    show(made)


def _methods(
    predictor: MaskPredictor, record: TaggedImage, wanted: Wanted, nothing: np.ndarray
) -> list[tuple[str, Method, np.ndarray]]:
    """Return name, method and the mask it starts from."""
    clicked = predictor.clicked(wanted.image, record.tags)
    even = torch.full((len(record.tags) + 1, *nothing.shape), 1 / (len(record.tags) + 1))
    blank = predictor.clicked(wanted.image, record.tags, even)
    methods = [
        ("ours, after the tags", follow(wanted, clicked, wanted.made), wanted.made),
        ("ours, from nothing", follow(wanted, blank, nothing), nothing),
        ("GrabCut, after the tags", grab_cut(wanted, wanted.made), wanted.made),
        ("GrabCut, from nothing", grab_cut(wanted, nothing), nothing),
    ]
    if PEER:
        methods.append(("random walker, from nothing", random_walker(wanted), nothing))
    return methods


if __name__ == "__main__":
    main()
