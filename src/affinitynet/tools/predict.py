"""Masks of images without tags, from files and folders of any size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from affinitynet.data.image_files import find_image_files
from affinitynet.data.images import load_image
from affinitynet.errors import InputError, LeftOut, OnError, Problems
from affinitynet.files import atomic_file
from affinitynet.runtime.processes import Processes
from affinitynet.runtime.runtime import Runtime
from affinitynet.work.artifacts import MASKS, PROBABILITIES, Artifacts
from affinitynet.work.drive import refused_names
from affinitynet.work.folder import save_left_out


@dataclass(frozen=True)
class Predicted:
    """What :func:`predict_images` has done, by all processes together.

    Args:
        labelled: number of images labelled now.
        left_out: what could not be read.
    """

    labelled: int
    left_out: tuple[LeftOut, ...]


def predict_images(
    sources: Sequence[Path],
    out: Path,
    model: Path,
    *,
    overlays: bool = False,
    scores: bool = False,
    on_error: OnError = "skip",
    runtime: Runtime | None = None,
) -> Predicted:
    """Label images without tags, by the segmentation network that the masks trained.

    (Images with tags are labelled better by make-masks.) Names and sub-folders are kept. Masks that exist are left
    alone, so that the same command continues.

    Args:
        sources: Image files, and folders that are searched through.
        out: Where masks/NAME.png go, with their sub-folders.
        model: A work folder with a segmentation network, or its .safetensors file.
        overlays: Also write overlays/NAME.jpg: the image with its mask laid over.
        scores: Also write scores/NAME.npz: probabilities float16 [C + 1, h, w], background first.
        on_error: What happens to an image that cannot be read: it is skipped and listed in left_out.csv, or everything
            stops.
        runtime: how to compute; its processes share the images.

    Raises:
        InputError: a source is missing or not an image, or there is no model.
    """
    images = find_images(sources)

    from affinitynet.inference.untagged import SegmentationPredictor
    from affinitynet.ops.decision import labels_at
    from affinitynet.pictures.overlays import overlay_mask

    runtime = runtime or Runtime()
    processes = runtime.processes
    predictor = SegmentationPredictor.load(model, runtime.device)
    masks, probabilities = Artifacts(out, MASKS), Artifacts(out, PROBABILITIES)
    problems = Problems(on_error)
    refused = refused_names(out, images) if processes.first else {}
    refused = dict(processes.gather(list(refused.items())))

    def label(name: str) -> None:
        image = None
        with problems.noted(name, "image"):
            if name in refused:
                raise InputError(refused[name])
            image = load_image(images[name])
        if image is not None:
            write(name, image)

    def write(name: str, image: np.ndarray) -> None:
        if scores:
            found = predictor.scores(image)
            probabilities.save(name, found)
            mask = labels_at(found, image.shape[:2])
        else:
            mask = predictor.predict(image)
        if overlays:
            with atomic_file(out / "overlays" / f"{name}.jpg") as file:
                Image.fromarray(overlay_mask(image, mask)).save(file, "JPEG", quality=90)
        masks.save(name, mask)  # last: an image with a mask is finished

    own = processes.share(list(images))
    missing = [name for name in own if name in refused or name not in masks]
    runtime.for_each_image("predict", label, missing, total=len(own))
    return _summed(len(missing), problems, out, processes)


def _summed(tried: int, problems: Problems, out: Path, processes: Processes) -> Predicted:
    """Add up what the processes did, and let the first one list what was skipped."""
    left_out = tuple(sorted(processes.gather(problems.found), key=lambda left: left.name))
    if processes.first:
        (out / "left_out.csv").unlink(missing_ok=True)  # an earlier call's
        if left_out:
            save_left_out(out / "left_out.csv", left_out)
    return Predicted(sum(processes.gather([tried])) - len(left_out), left_out)


def find_images(sources: Sequence[Path]) -> dict[str, Path]:
    """Return name -> image of all files named and all below the folders named.

    A name is the path below the folder without its suffix; with it where two differ in nothing else.

    Raises:
        InputError: a source is missing, or no image is found.

    Example:
        >>> find_images([])
        Traceback (most recent call last):
        affinitynet.errors.InputError: no image to label; name image files or folders that hold some
    """
    found: list[tuple[Path, Path]] = []
    for source in sources:
        if source.is_dir():
            found += [(path.relative_to(source), path) for path in find_image_files(source).images]
        elif source.is_file():
            found.append((Path(source.name), source))
        else:
            raise InputError(f"{source}: no such file or folder; name images or folders of images")
    if not found:
        raise InputError("no image to label; name image files or folders that hold some")
    stems = Counter(relative.with_suffix("") for relative, _ in found)
    images: dict[str, Path] = {}
    for relative, path in found:
        name = (relative if stems[relative.with_suffix("")] > 1 else relative.with_suffix("")).as_posix()
        if name in images:
            raise InputError(
                f"{path} and {images[name]}: would both be labelled as {name}; label them into two folders"
            )
        images[name] = path
    return images
