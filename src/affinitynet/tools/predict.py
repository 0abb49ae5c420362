"""Masks of images without tags, from files and folders of any size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from affinitynet.data.images import EXTENSIONS, load_image
from affinitynet.errors import InputError, LeftOut, OnError, Problems
from affinitynet.files import atomic_file, save_arrays, save_mask
from affinitynet.inference.untagged import SegmentationPredictor
from affinitynet.ops.decision import labels_at
from affinitynet.pictures.overlays import overlay_mask
from affinitynet.runtime.runtime import Runtime
from affinitynet.work.folder import save_left_out


def predict_images(
    sources: Sequence[Path],
    out: Path,
    model: Path,
    *,
    overlays: bool = False,
    scores: bool = False,
    on_error: OnError = "skip",
    runtime: Runtime | None = None,
) -> tuple[int, tuple[LeftOut, ...]]:
    """Label images and write ``out/masks/NAME.png``.

    Names and sub-folders are kept. Images whose mask is there already are left alone, so that an
    interrupted call is continued by the same call.

    Args:
        sources: image files, and folders that are searched through.
        out: where masks go, with ``overlays/NAME.jpg`` and ``scores/NAME.npz`` if asked for.
        model: a work folder, or a segmentation network's safetensors file.
        overlays: also write the images with their masks laid over.
        scores: also write probabilities float16 [C + 1, h, w], background first.
        on_error: what an image does that cannot be read: "skip", to be listed in ``out/left_out.csv``, or "stop".
        runtime: how to compute; its processes share the images.

    Returns:
        The number of images labelled and what was left out, by all processes together.

    Raises:
        InputError: a source is missing or no image, or there is no model.
    """
    images = find_images(sources)
    runtime = runtime or Runtime.start()
    processes = runtime.processes
    predictor = SegmentationPredictor.load(model, runtime.device)
    problems = Problems(on_error)

    def label(name: str) -> None:
        image = None
        with problems.noted(name, "image"):
            image = load_image(images[name])
        if image is not None:
            write(name, image)

    def write(name: str, image: np.ndarray) -> None:
        found = predictor.scores(image)
        mask = labels_at(found, image.shape[:2])
        if scores:
            save_arrays(out / "scores" / f"{name}.npz", scores=found.half().cpu().numpy())
        if overlays:
            with atomic_file(out / "overlays" / f"{name}.jpg") as file:
                Image.fromarray(overlay_mask(image, mask)).save(file, "JPEG", quality=90)
        save_mask(out / "masks" / f"{name}.png", mask)  # last: an image with a mask is finished

    own = processes.share(list(images))
    missing = [name for name in own if not (out / "masks" / f"{name}.png").exists()]
    runtime.for_each_image("predict", label, missing, total=len(own))
    left_out = tuple(sorted(processes.gather(problems.found), key=lambda left: left.name))
    if processes.first:
        (out / "left_out.csv").unlink(missing_ok=True)  # an earlier call's
        if left_out:
            save_left_out(out / "left_out.csv", left_out)
    return sum(processes.gather([len(missing)])) - len(left_out), left_out


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
            files = (path for path in sorted(source.rglob("*")) if path.suffix.lower() in EXTENSIONS)
            found += [(path.relative_to(source), path) for path in files if path.is_file()]
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
