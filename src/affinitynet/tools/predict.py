"""Masks of images without tags, from files, folders and lists of any size."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from affinitynet.config.config_file import differences, to_dict
from affinitynet.data.image_files import PREDICTED, summary_of
from affinitynet.data.images import read_image
from affinitynet.errors import InputError, LeftOut, OnError, Problems, Remark
from affinitynet.files import atomic_file, read_json, write_json
from affinitynet.runtime.runtime import Runtime
from affinitynet.tools.sources import FoundImages, find_images
from affinitynet.work.artifacts import MASKS, PROBABILITIES, Artifacts
from affinitynet.work.contents import digest_of
from affinitynet.work.drive import refused_names
from affinitynet.work.folder import save_left_out

if TYPE_CHECKING:
    import numpy as np

    from affinitynet.inference.untagged import SegmentationPredictor

OVERLAYS = "overlays"
POLL = 1.0
"""Seconds between two looks at a folder that is watched; a file that has not changed in between is complete."""

_OWN_VALUES = "images of more than 8 bits, each by its own range of values: the network was trained on 8-bit images"


@dataclass(frozen=True)
class Predicted:
    """What :func:`predict_images` has done, by all processes together.

    Args:
        labelled: number of images labelled now.
        left_out: what could not be read.
        seconds: that labelling took.
        passed_over: lines about files that were not looked at.
        remarks: what was read tolerantly.
    """

    labelled: int
    left_out: tuple[LeftOut, ...]
    seconds: float = 0.0
    passed_over: tuple[str, ...] = ()
    remarks: tuple[Remark, ...] = ()


def predict_images(
    sources: Sequence[Path],
    out: Path,
    model: Path,
    *,
    overlays: bool = False,
    scores: bool = False,
    watch: bool = False,
    on_error: OnError = "skip",
    runtime: Runtime | None = None,
) -> Predicted:
    """Label images without tags, by the segmentation network that the masks trained.

    (Images with tags are labelled better by make-masks.) Names and sub-folders are kept. Images that have all that is
    asked for are left alone, so that the same command continues.

    Args:
        sources: Image files, folders that are searched through, and lists of both: files that end in .txt, with a path
            a line, or - for standard input.
        out: Where masks/NAME.png go, with their sub-folders.
        model: A work folder with a segmentation network, or its .safetensors file.
        overlays: Also write overlays/NAME.jpg: the image with its mask laid over.
        scores: Also write scores/NAME.npz: probabilities float16 [C + 1, h, w], background first.
        watch: Go on with images that are added to the folders, until Ctrl-C.
        on_error: What happens to an image that cannot be read: it is skipped and listed in left_out.csv, or everything
            stops.
        runtime: how to compute; its processes share the images.

    Raises:
        InputError: a source is missing or not an image, there is no model, or ``out`` has masks that another network or
            other settings made.
    """
    problems, runtime = Problems(on_error), runtime or Runtime()
    without = [out / folder for folder in (MASKS.folder, PROBABILITIES.folder, OVERLAYS)]
    if watch:
        _check_watch(sources, runtime)
    found = find_images(sources, without, problems, empty=watch)

    from affinitynet.inference.untagged import SegmentationPredictor

    predictor = SegmentationPredictor.load(model, runtime.device)
    note = _note(out, model, predictor)
    if runtime.processes.first:
        write_json(out / PREDICTED, note)
    run = _Run(predictor, out, overlays, scores, problems)
    run.label(found.images, runtime)
    if watch:
        runtime.progress.say(f"{len(run.labelled)} images labelled; watching for more, until Ctrl-C")
        try:
            for added in _added(sources, without, found):
                run.label(added, runtime)
        except KeyboardInterrupt:
            found = find_images(sources, without, Problems("skip"), empty=True)
    return _summed(run, found, runtime)


class _Run:
    """One call: what it labels with, and what it has done so far.

    Args:
        predictor: the network.
        out, overlays, scores: what to write, and where.
        problems: takes what cannot be read.
    """

    def __init__(
        self, predictor: SegmentationPredictor, out: Path, overlays: bool, scores: bool, problems: Problems
    ) -> None:
        self.predictor, self.out, self.overlays, self.scores, self.problems = predictor, out, overlays, scores, problems
        self.masks, self.probabilities = Artifacts(out, MASKS), Artifacts(out, PROBABILITIES)
        self.labelled: list[str] = []
        self.seconds = 0.0
        self.notes: list[tuple[str, str]] = []
        self.refused: dict[str, str] = {}

    def label(self, images: dict[str, Path], runtime: Runtime) -> None:
        """Label this process's share of the images that lack something that is asked for."""
        own = runtime.processes.share(list(images))
        refused = refused_names(self.out, images) if runtime.processes.first else {}
        self.refused = dict(runtime.processes.gather(list(refused.items())))
        missing = [name for name in own if name in self.refused or not self._finished(name)]
        start = time.monotonic()
        try:
            runtime.for_each_image("predict", lambda name: self._one(name, images[name]), missing, total=len(own))
        finally:  # --watch reports what it did before Ctrl-C
            self.seconds += time.monotonic() - start

    def _finished(self, name: str) -> bool:
        return (
            name in self.masks
            and (not self.scores or name in self.probabilities)
            and (not self.overlays or self._overlay(name).exists())
        )

    def _overlay(self, name: str) -> Path:
        return self.out / OVERLAYS / f"{name}.jpg"

    def _one(self, name: str, path: Path) -> None:
        image = None
        with self.problems.noted(name, "image"):
            if name in self.refused:
                raise InputError(self.refused[name])
            found = read_image(path, self.predictor.values)
            image = found.pixels
            if found.note:
                self.notes.append((found.note, name))
            if found.deep and self.predictor.values is None:
                self.notes.append((_OWN_VALUES, name))
        if image is not None:
            self._write(name, image)
            self.labelled.append(name)

    def _write(self, name: str, image: np.ndarray) -> None:
        from affinitynet.ops.decision import labels_at
        from affinitynet.pictures.overlays import overlay_mask

        if self.scores:
            found = self.predictor.scores(image)
            self.probabilities.save(name, found)
            mask = labels_at(found, image.shape[:2])
        else:
            mask = self.predictor.predict(image)
        if self.overlays:
            with atomic_file(self._overlay(name)) as file:
                Image.fromarray(overlay_mask(image, mask)).save(file, "JPEG", quality=90)
        self.masks.save(name, mask)  # last: whoever waits for a mask finds the rest beside it


def _note(out: Path, model: Path, predictor: SegmentationPredictor) -> dict[str, Any]:
    """Return what to note beside the masks: the network and the settings that decide them.

    Raises:
        InputError: the folder has masks that others made.
    """
    from affinitynet.inference.untagged import weights_file

    made_by = {"weights": digest_of(weights_file(model)), "predict": to_dict(predictor.config)}
    note = {"command": "predict", "model": str(model)}
    if not any(Artifacts(out, MASKS).names()):
        return note | made_by
    path = out / PREDICTED
    earlier = read_json(path) if path.exists() else {}
    if "weights" not in earlier:  # nobody knows what made these masks: a version before noted less
        return note
    if changed := differences({part: earlier.get(part) for part in made_by}, made_by):
        same = earlier["weights"] == made_by["weights"]
        other = f"other settings ({'; '.join(changed)})" if same else "another network"
        raise InputError(f"--out {out}: has masks that {other} made; name another folder, or delete this one")
    return note | made_by


def _check_watch(sources: Sequence[Path], runtime: Runtime) -> None:
    """Raise if there is nothing to watch, or several processes would."""
    if not any(source.is_dir() for source in sources):
        raise InputError("--watch: none of the sources is a folder; name one")
    if runtime.processes.count > 1:
        raise InputError("--watch: several processes cannot share a folder that grows; start one")


def _added(sources: Sequence[Path], without: Sequence[Path], found: FoundImages) -> Iterator[dict[str, Path]]:
    """Yield name -> image of files that are added to folders, once they no longer change; never ends."""
    names = dict(found.images)
    known = set(names.values())
    before: dict[Path, tuple[int, int]] = {}
    folders = [source for source in sources if source.is_dir()]
    while True:
        time.sleep(POLL)
        now: dict[Path, tuple[int, int]] = {}
        added: dict[str, Path] = {}
        for name, path in find_images(folders, without, empty=True).images.items():
            if path in known or (state := _state(path)) is None:
                continue
            now[path] = state
            if before.get(path) == state:
                free = name if name not in names else f"{name}{path.suffix}"
                added[free] = names[free] = path
        known.update(added.values())
        before = now
        if added:
            yield added


def _state(path: Path) -> tuple[int, int] | None:
    """Return size and time of change of a file that holds something."""
    try:
        stat = path.stat()
    except OSError:  # it was there a moment ago
        return None
    return (stat.st_size, stat.st_mtime_ns) if stat.st_size else None


def _summed(run: _Run, found: FoundImages, runtime: Runtime) -> Predicted:
    """Add up what the processes did, and let the first one list what was skipped."""
    processes = runtime.processes
    unread = [
        LeftOut(passed.path.name, "image", f"{passed.path}: {passed.reason}")
        for passed in found.passed_over
        if passed.picture
    ]
    rows = [left for left in run.problems.found if left.part == "row"]  # known to every process
    failed = processes.gather([left for left in run.problems.found if left.part != "row"])
    left_out = tuple(sorted((*rows, *failed, *unread), key=lambda left: left.name))
    said = Problems()
    for rule, name in sorted(processes.gather(run.notes)):
        said.taken(rule, name)
    if processes.first:
        (run.out / "left_out.csv").unlink(missing_ok=True)  # an earlier call's
        if left_out:
            save_left_out(run.out / "left_out.csv", left_out)
    lines = summary_of(passed for passed in found.passed_over if not passed.picture)
    if found.junk:
        lines.append(f"{found.junk} hidden or left behind by the system")
    labelled = sum(processes.gather([len(run.labelled)]))
    return Predicted(labelled, left_out, run.seconds, tuple(lines), said.remarks)
