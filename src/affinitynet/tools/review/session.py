"""The images of a work folder under review: in which order, what they look like, and what an action does to one."""

from __future__ import annotations

import base64
import io
import zlib
from collections import OrderedDict
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

import numpy as np
from PIL import Image

from affinitynet.data.images import image_size, load_tagged
from affinitynet.data.transforms import reduced, reduced_size
from affinitynet.errors import InputError
from affinitynet.inference.clicks import Click, ClickedMask, corrected
from affinitynet.inference.tagged import MaskPredictor
from affinitynet.ops.decision import enlarge
from affinitynet.pipeline.doubts import read_doubts
from affinitynet.records import BACKGROUND, IGNORE, TaggedImage
from affinitynet.tools.finished import Finished
from affinitynet.tools.review.actions import SIZE, Change, Stroke, painted, read_action, scaled
from affinitynet.tools.review.order import most_to_teach
from affinitynet.tools.review.steps import Action, Step, Steps, load_steps
from affinitynet.work.contents import digest_of

KEPT = 4
"""Images whose networks' results are kept, so that going back and forth costs nothing."""

QUALITY = 90  # of the pictures' JPEG


class UnknownImageError(Exception):
    """There is no image of that name."""


class ConflictError(Exception):
    """Somebody else has changed the image meanwhile."""


@dataclass(frozen=True)
class Listed:
    """What the list shows of an image."""

    name: str
    split: str
    tags: tuple[str, ...]
    doubt: float
    disagreement: float
    verdict: str | None


class ReviewSession:
    """A work folder under review. Several tabs may use it at once.

    Args:
        finished: the work folder and its collection.
        predictor: makes masks follow clicks.
    """

    def __init__(self, finished: Finished, predictor: MaskPredictor) -> None:
        self._finished, self._predictor = finished, predictor
        self._work, self.classes = finished.folder, finished.collection.classes
        self._records: dict[str, tuple[str, TaggedImage]] = {}
        for split in dict.fromkeys((finished.split, *finished.collection.evaluation_splits)):
            for record in finished.collection.split(split):
                if record.name in self._work.masks:
                    self._records.setdefault(record.name, (split, record))
        self._clicked: OrderedDict[tuple[str, tuple[int, ...]], ClickedMask] = OrderedDict()
        self._acting, self._wanted = Lock(), ""

    def images(self) -> list[Listed]:
        """Return all images, those whose correction should teach most first."""
        doubts = read_doubts(self._work)
        listed = []
        for name, (split, record) in self._records.items():
            now = self._steps(record).now
            listed.append(Listed(name, split, now.tags, *doubts.get(name, (0.0, 0.0)), now.verdict))
        return most_to_teach(listed)

    def picture(self, name: str) -> bytes:
        """Return an image as JPEG, at the size it is labelled at.

        Raises:
            UnknownImageError: there is no such image.
        """
        file = io.BytesIO()
        Image.fromarray(self._image(self._record(name))).save(file, "JPEG", quality=QUALITY)
        return file.getvalue()

    def state(self, name: str) -> dict[str, Any]:
        """Return what holds of an image.

        Raises:
            UnknownImageError: there is no such image.
        """
        record = self._record(name)
        return self._shown(record, self._steps(record))

    def prepare(self, name: str) -> None:
        """Let the networks look at an image, so that its mask follows the first click at once.

        Raises:
            UnknownImageError: there is no such image.
        """
        record = self._record(name)
        self._wanted = name
        with self._acting:
            if self._wanted != name:
                return  # whoever asked has gone on to another image meanwhile
            steps = self._steps(record)
            numbers = self._numbers(steps.now.tags)
            self._follow(record, numbers).mask(self._said(record, steps, numbers))

    def act(self, name: str, version: int, action: Action) -> dict[str, Any]:
        """Do something to an image, save it, and return what holds then.

        Raises:
            UnknownImageError: there is no such image.
            InputError: there is no such action.
            ConflictError: it has changed since ``version``.
        """
        record = self._record(name)
        kind = action.get("kind")
        self._wanted = name
        with self._acting:
            steps = replace(self._steps(record), run=self._run(record))
            if steps.version != version:
                raise ConflictError(name)
            if kind == "undo":
                return self._shown(record, steps.undo())
            if kind == "redo":
                return self._shown(record, steps.redo())
            size = self._size(record)
            change = read_action(action, self.classes, size)
            before = self._mask(record, steps)
            after, step = self._done(record, steps, change, {**action, SIZE: list(size)}, before)
            return self._shown(record, steps.add(step, after, before))

    def _record(self, name: str) -> TaggedImage:
        if name not in self._records:
            raise UnknownImageError(name)
        return self._records[name][1]

    def _done(
        self, record: TaggedImage, steps: Steps, change: Change, action: Action, before: np.ndarray
    ) -> tuple[np.ndarray, Step]:
        """Return the mask after a change, and the step it is."""
        now, verdict = steps.now, change.verdict
        if verdict is not None or change.reset:
            first = steps.first_mask() if change.reset else None
            tags, verdict = (steps.tags, steps.verdict) if change.reset else (now.tags, verdict)
            return before if first is None else first, Step(action, tags, verdict)
        tags = now.tags if change.tags is None else change.tags
        named = {stroke.label for stroke in change.strokes} | {change.brush.label if change.brush else None}
        tags = tuple(name for n, name in enumerate(self.classes) if name in tags or n in named)
        small = enlarge(before, reduced_size(before.shape, self._finished.config.longest_side))
        seen = self._changed(record, steps, change, tags, small)
        different = enlarge(seen != small, before.shape)
        return np.where(different, enlarge(seen, before.shape), before), Step(action, tags, "corrected")

    def _changed(
        self, record: TaggedImage, steps: Steps, change: Change, tags: tuple[str, ...], mask: np.ndarray
    ) -> np.ndarray:
        """Return the mask uint8 [h, w] after a change, at the size the image is labelled at."""
        if change.brush is not None:
            return painted(mask, change.brush)
        numbers = self._numbers(tags)
        follow = self._follow(record, numbers)
        said = self._said(record, steps, numbers)
        without = follow.mask(said)
        if change.strokes:
            clicked = follow.mask([*said, *(click for stroke in change.strokes for click in stroke.clicks())])
            return corrected(mask, without, clicked, self._brushed(record, steps))
        gone = (mask != BACKGROUND) & ~np.isin(mask, [number + 1 for number in numbers])
        new = np.isin(without, [n + 1 for n in numbers if n not in self._numbers(steps.now.tags)])
        return np.where(gone | new, without, mask)

    def _changes(self, record: TaggedImage, steps: Steps) -> list[Change]:
        """Return what the steps that hold change, at the size the image is labelled at now."""
        size = self._size(record)
        return [read_action(scaled(action, size), self.classes, size) for action in steps.actions]

    def _brushed(self, record: TaggedImage, steps: Steps) -> np.ndarray:
        """Return the pixels that were painted since the last reset: bool [h, w]."""
        blank = np.full(self._size(record), IGNORE, np.uint8)
        canvas = blank
        for change in self._changes(record, steps):
            if change.reset:
                canvas = blank
            elif change.brush is not None:
                canvas = painted(canvas, change.brush)
        return canvas != IGNORE

    def _said(self, record: TaggedImage, steps: Steps, numbers: tuple[int, ...]) -> list[Click]:
        """Return the clicks that hold: those since the last reset, of classes that the image still has."""
        found: list[Stroke] = []
        for change in self._changes(record, steps):
            found = [] if change.reset else [*found, *change.strokes]
        kept = [stroke for stroke in found if stroke.label is None or stroke.label in numbers]
        return [click for stroke in kept for click in stroke.clicks()]

    def _follow(self, record: TaggedImage, numbers: tuple[int, ...]) -> ClickedMask:
        """Return what the networks see in an image that has these classes."""
        key = record.name, numbers
        if key not in self._clicked:
            self._clicked[key] = self._predictor.clicked(self._image(record), numbers)
            while len(self._clicked) > KEPT:
                self._clicked.popitem(last=False)
        self._clicked.move_to_end(key)
        return self._clicked[key]

    def _size(self, record: TaggedImage) -> tuple[int, int]:
        """Return (h, w) that an image is labelled at."""
        return reduced_size(image_size(record.path), self._finished.config.longest_side)

    def _run(self, record: TaggedImage) -> str:
        """Return the digest of the mask that the last run made."""
        return digest_of(self._work.masks.path(record.name))

    def _image(self, record: TaggedImage) -> np.ndarray:
        return reduced(load_tagged(record), self._finished.config.longest_side)

    def _numbers(self, tags: tuple[str, ...]) -> tuple[int, ...]:
        return tuple(sorted(self.classes.index(tag) for tag in tags))

    def _steps(self, record: TaggedImage) -> Steps:
        tags = tuple(self.classes[tag] for tag in record.tags)
        steps = load_steps(self._work.corrections, record.name, tags, self.classes)
        used = {tag for tags in (steps.tags, *(step.tags for step in steps.steps)) for tag in tags}
        for tag in sorted(used - set(self.classes)):
            raise InputError(
                f"{self._work.corrections.file(record.name)}: {tag!r} is not a class any more; delete it and correct "
                "the image again"
            )
        if steps.steps and steps.now.verdict is None and steps.run not in ("", self._run(record)):
            return steps.anew(tags)  # nothing is said of the mask, and another run has made a new one
        return steps

    def _mask(self, record: TaggedImage, steps: Steps) -> np.ndarray:
        """Return the mask uint8 [H, W] that holds."""
        mask = steps.mask()
        if mask is None:  # of a correction that came from another tool there are no steps
            mask = self._work.corrections.mask(record.name, self.classes)
        return self._work.masks.load(record.name) if mask is None else mask

    def _shown(self, record: TaggedImage, steps: Steps) -> dict[str, Any]:
        mask, now = self._mask(record, steps), steps.now
        small = enlarge(mask, reduced_size(mask.shape, self._finished.config.longest_side))
        return {
            "name": record.name,
            "version": steps.version,
            "tags": list(now.tags),
            "verdict": now.verdict,
            "undo": steps.done > 0,
            "redo": steps.done < len(steps.steps),
            "height": small.shape[0],
            "width": small.shape[1],
            "mask": base64.b64encode(zlib.compress(np.ascontiguousarray(small).tobytes(), 1)).decode("ascii"),
        }
