"""Suspicious tags: those the classifier contradicts, most suspicious first.

Each class has its own scale, as in confident learning (Northcutt, Jiang & Chuang, JAIR 2021): 0 is the mean
probability of the images without its tag, 1 that of the images with it. A missing tag is suspected beyond 0.5, a wrong
one below.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from affinitynet.data.images import load_tagged
from affinitynet.files import write_text
from affinitynet.records import TaggedImage
from affinitynet.runtime.runtime import Runtime
from affinitynet.tools.finished import open_finished

MISSING, WRONG = "missing", "wrong"


@dataclass(frozen=True)
class Suspicion:
    """A tag that the classifier contradicts.

    Args:
        image, class_name: whose tag.
        kind: "missing" or "wrong".
        probability: the classifier's, that the class is in the image.
        strength: above 0.5; 1 is as far on the other side as an image that rightly is there. Suspicions
            are ranked by it.
    """

    image: str
    class_name: str
    kind: str
    probability: float
    strength: float


def audit_tags(work: Path, data: Path | None = None, *, runtime: Runtime | None = None) -> list[Suspicion]:
    """List the tags that the trained classifier contradicts, missing and wrong ones, most suspicious first.

    All go to audit.csv in the work folder. Look before you change one: a classifier errs, too. One that has seen a
    wrong tag has partly learnt it, so errors that follow a rule (one class always tagged as another) are not found;
    those that happen now and then are.

    Args:
        work: Work folder with a trained classifier.
        data: The collection, if it has moved since; null: where it was.
        runtime: how to compute; its processes share the images.

    Returns:
        The suspicions, strongest first.

    Raises:
        InputError: there is no trained classifier, or the collection is not where it was.
    """
    from affinitynet.inference.tags import tag_probabilities
    from affinitynet.models.classifier import load_classifier

    runtime = runtime or Runtime()
    finished = open_finished(work, data, "train-classifier")
    folder, config, collection = finished.folder, finished.config, finished.collection
    records = collection.split(finished.split)
    classifier = load_classifier(folder.weights("classifier"), collection.classes).to(runtime.device)
    found = np.zeros((len(records), len(collection.classes)), np.float32)

    def classify(numbered: tuple[int, TaggedImage]) -> None:
        number, record = numbered
        found[number] = tag_probabilities(classifier, load_tagged(record), config.classifier)

    jobs = list(enumerate(records))
    runtime.for_each_image("audit-tags", classify, runtime.processes.share(jobs))
    found = runtime.processes.total(found)
    tagged = np.zeros(found.shape, bool)
    for number, record in jobs:
        tagged[number, list(record.tags)] = True
    suspicions = suspect(found, tagged, [record.name for record in records], collection.classes)
    if runtime.processes.first:
        write_text(folder.root / "audit.csv", _table(suspicions))
    return suspicions


def suspect(
    probability: np.ndarray, tagged: np.ndarray, images: Sequence[str], classes: Sequence[str]
) -> list[Suspicion]:
    """Rank the tags that probabilities contradict.

    Args:
        probability: float [N, C].
        tagged: bool [N, C].
        images, classes: their names.

    Returns:
        Suspicions, strongest first. A class that every image has, or none, or that the classifier does not
        tell from the others, is skipped.

    Example:
        >>> probability = np.array([[0.9], [0.8], [0.1], [0.95], [0.1], [0.1]])
        >>> tagged = np.array([[True], [True], [True], [False], [False], [False]])
        >>> [(s.image, s.kind, round(s.strength, 1)) for s in suspect(probability, tagged, list("abcdef"), ["cat"])]
        [('d', 'missing', 2.6), ('c', 'wrong', 2.3)]
    """
    suspicions = []
    for number, name in enumerate(classes):
        sure, has_tag = probability[:, number], tagged[:, number]
        if has_tag.all() or not has_tag.any():
            continue
        absent, present = float(sure[~has_tag].mean()), float(sure[has_tag].mean())
        if present <= absent:
            continue
        for image, p, tag in zip(images, sure.tolist(), has_tag.tolist(), strict=True):
            place = (p - absent) / (present - absent)
            kind, strength = (WRONG, 1 - place) if tag else (MISSING, place)
            if strength > 0.5:
                suspicions.append(Suspicion(image, name, kind, p, strength))
    return sorted(suspicions, key=lambda suspicion: -suspicion.strength)


def _table(suspicions: Sequence[Suspicion]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "class", "tag", "probability", "strength"])
    for s in suspicions:
        writer.writerow([s.image, s.class_name, s.kind, f"{s.probability:.3f}", f"{s.strength:.3f}"])
    return text.getvalue()
