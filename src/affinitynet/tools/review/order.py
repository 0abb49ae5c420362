"""Which image to correct next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from affinitynet.data.turns import in_turn


class Doubtful(Protocol):
    """An image and how much it can teach."""

    @property
    def name(self) -> str: ...
    @property
    def tags(self) -> tuple[str, ...]: ...
    @property
    def doubt(self) -> float: ...
    @property
    def disagreement(self) -> float: ...


Image = TypeVar("Image", bound=Doubtful)


def most_to_teach(images: Sequence[Image]) -> list[Image]:
    """Put images in the order in which their correction should teach most.

    That is where the scores of the classes are close to each other and where steps disagree, by the sum of both ranks;
    and each class in turn, the rarest first, so that a few corrections show all of them. Images without a tag, whose
    masks are empty for certain, come last.

    Example:
        >>> from affinitynet.tools.review.session import Listed
        >>> found = [
        ...     Listed(n, "all", t, d, 0.0, None) for n, t, d in (("a", "x", 0.9), ("b", "x", 0.8), ("c", "y", 0.1))
        ... ]
        >>> [image.name for image in most_to_teach(found)]
        ['c', 'a', 'b']
    """
    ranks = {image.name: 0.0 for image in images}
    for measured in (lambda image: image.doubt, lambda image: image.disagreement):
        values = sorted({measured(image) for image in images})
        place = {value: number / max(1, len(values) - 1) for number, value in enumerate(values)}
        for image in images:
            ranks[image.name] += place[measured(image)]
    worst_first = sorted(images, key=lambda image: (-ranks[image.name], image.name))
    counts: dict[str, int] = {}
    for image in images:
        for tag in image.tags:
            counts[tag] = counts.get(tag, 0) + 1
    kinds: dict[str, list[Image]] = {}
    for image in worst_first:
        kinds.setdefault(min(image.tags, key=lambda tag: (counts[tag], tag), default=""), []).append(image)
    untagged = kinds.pop("", [])
    order = sorted(kinds, key=lambda kind: (counts[kind], kind))
    return [*in_turn(kinds[kind] for kind in order), *untagged]
