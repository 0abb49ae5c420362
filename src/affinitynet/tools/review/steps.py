"""The steps that were taken on one image under review: saved one by one, undone and redone without limit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from affinitynet.data.corrections import WITH_MASK, Correction, Corrections, Verdict
from affinitynet.data.truth import renumbered
from affinitynet.errors import InputError
from affinitynet.files import read_label_image, save_mask

Action = dict[str, Any]
"""What somebody did, plain JSON values; ``kind`` says what."""


@dataclass(frozen=True)
class Step:
    """An action, and what holds after it.

    Args:
        action: what was done.
        tags: class names of the image.
        verdict: of its mask.
    """

    action: Action
    tags: tuple[str, ...]
    verdict: Verdict | None


@dataclass(frozen=True)
class Steps:
    """All steps on one image.

    Args:
        corrections: where they are kept.
        name: of the image.
        classes: whose numbers masks have here.
        meant: class names that the values of the masks on disk stand for.
        tags: its class names before the first step.
        retagged: whether these differ from the collection's.
        verdict: of its mask before the first step, if that came from another tool.
        steps: in order; those from ``done`` on were undone.
        done: number of steps that hold.
        version: grows with every change, so that two people do not overwrite each other.
        run: digest of the mask that the run had made when the last step was taken; empty if that was not noted.
    """

    corrections: Corrections
    name: str
    classes: tuple[str, ...]
    meant: tuple[str, ...]
    tags: tuple[str, ...]
    retagged: bool = False
    verdict: Verdict | None = None
    steps: tuple[Step, ...] = ()
    done: int = 0
    version: int = 0
    run: str = ""

    @property
    def now(self) -> Step:
        """The last step that holds."""
        return self.steps[self.done - 1] if self.done else Step({}, self.tags, self.verdict)

    @property
    def actions(self) -> list[Action]:
        """The actions that hold."""
        return [step.action for step in self.steps[: self.done]]

    def mask(self) -> np.ndarray | None:
        """Return the mask that holds, ``None`` before the first step."""
        return self._read(self.done) if self.steps else None

    def first_mask(self) -> np.ndarray | None:
        """Return the mask before the first step, ``None`` if there is no step."""
        return self._read(0) if self.steps else None

    def add(self, step: Step, mask: np.ndarray, before: np.ndarray) -> Steps:
        """Take a step; what was undone is forgotten.

        Args:
            mask: uint8 [H, W], after it.
            before: before it.
        """
        if not self.done:
            self._write(0, before)
        self._write(self.done + 1, mask)
        kept = (*self.steps[: self.done], step)
        return replace(self, steps=kept, done=len(kept), version=self.version + 1)._saved(mask)

    def undo(self) -> Steps:
        """Take back the last step, if there is one."""
        return self._moved(self.done - 1) if self.done else self

    def redo(self) -> Steps:
        """Take the next step again that was undone, if there is one."""
        return self._moved(self.done + 1) if self.done < len(self.steps) else self

    def anew(self, tags: tuple[str, ...]) -> Steps:
        """Return an image without steps, of which a run has made a new mask since all were taken back.

        Args:
            tags: its class names now.
        """
        return replace(self, tags=tags, steps=(), done=0, run="")

    def _moved(self, done: int) -> Steps:
        return replace(self, done=done, version=self.version + 1)._saved(self._read(done))

    def _write(self, number: int, mask: np.ndarray) -> None:
        file = self.corrections.step_file(self.name, number)
        save_mask(file, renumbered(mask, self.classes, self.meant, file))

    def _read(self, number: int) -> np.ndarray:
        file = self.corrections.step_file(self.name, number)
        return renumbered(read_label_image(file), self.meant, self.classes, file)

    def _saved(self, mask: np.ndarray) -> Steps:
        """Write what holds: the mask of a verdict, and all steps."""
        now = self.now
        steps = [{"action": s.action, "tags": list(s.tags), "verdict": s.verdict} for s in self.steps]
        before = {"before": list(self.tags), "retagged": self.retagged, "verdict": self.verdict}
        history = {**before, "steps": steps, "done": self.done, "version": self.version, "run": self.run}
        tags = now.tags if self.retagged or now.tags != self.tags else None
        kept = renumbered(mask, self.classes, self.meant, self.corrections.mask_file(self.name))
        self.corrections.save(
            self.name,
            Correction(now.verdict, tags, history, self.meant),
            kept if now.verdict in WITH_MASK else None,
        )
        return self


def load_steps(corrections: Corrections, name: str, tags: tuple[str, ...], classes: tuple[str, ...]) -> Steps:
    """Read the steps that were taken on an image; none if nobody has reviewed it.

    Args:
        tags: class names of the image, if nobody has.
        classes: of the work folder.

    Raises:
        InputError: the file is damaged.
    """
    said = corrections.load(name)
    meant = tuple(dict.fromkeys((*(said.classes or classes), *classes)))
    fresh, history = Steps(corrections, name, classes, meant, tags), said.history
    if history is None:
        return replace(fresh, retagged=said.tags is not None, verdict=said.verdict)
    try:
        steps = tuple(Step(dict(s["action"]), tuple(s["tags"]), s["verdict"]) for s in history["steps"])
        done, version = int(history["done"]), int(history["version"])
        if not 0 <= done <= len(steps):
            raise ValueError(f"done {done}")
        before = tuple(history["before"])
        return replace(
            fresh,
            tags=before,
            retagged=bool(history.get("retagged", False)),
            verdict=Correction(history.get("verdict")).verdict,
            steps=steps,
            done=done,
            version=version,
            run=str(history.get("run", "")),
        )
    except (TypeError, KeyError, ValueError, OverflowError) as error:
        raise InputError(
            f"{corrections.file(name)}: is not a history of steps ({error}); delete it and correct the image again"
        ) from None
