"""What looks wrong in a collection, in a line each, and how to fix it."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from affinitynet.data.class_names import joined, look_alikes, names_absence, names_nothing
from affinitynet.data.facts import Cases, ClassFacts, CollectionFacts
from affinitynet.data.survey import LARGE, SMALL

FEW = 5
"""Images of a class below which it is too few to learn from."""

LISTED = 4
"""Names in a line."""

TRAINED = ("train", "all")
"""How splits begin that may have images in common with the one that is trained on."""


@dataclass(frozen=True)
class Finding:
    """Something that looks wrong.

    Args:
        text: a line.
        serious: whether a class cannot be learnt because of it.
    """

    text: str
    serious: bool = False


def findings(facts: CollectionFacts) -> tuple[Finding, ...]:
    """Return what looks wrong, serious matters first.

    Example:
        >>> facts = CollectionFacts("data", classes=(ClassFacts("lesion", 8),), training_images=8)
        >>> findings(facts)[0].serious
        True
    """
    found = [finding for check in _CHECKS for finding in check(facts)]
    found += [Finding(remark.text) for remark in facts.remarks if remark.kind == "warning"]
    return tuple(sorted(found, key=lambda finding: not finding.serious))


def listed(names: Sequence[str], most: int = LISTED) -> str:
    """Return names in a row, and how many more there are.

    Example:
        >>> listed(["a", "b", "c"], most=2)
        'a, b and 1 more'
    """
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown


def clear(name: str) -> str:
    """Return the name of a class, in quotes where it could be taken for several.

    Example:
        >>> clear("traffic light"), clear("cat, dog")
        ('traffic light', "'cat, dog'")
    """
    return repr(name) if any(sign in name for sign in ",;") or name != name.strip() else name


def count(number: int, what: str) -> str:
    """Return a number of things.

    Example:
        >>> count(1, "image"), count(1200, "class")
        ('1 image', '1,200 classes')
    """
    plural = f"{what}es" if what.endswith("s") else f"{what}s"
    return f"{number:,} {what if number == 1 else plural}"


def _everywhere(facts: CollectionFacts) -> Iterator[Finding]:
    total = facts.training_images
    everywhere = [found.name for found in facts.classes if found.images == total > 0]
    if everywhere:
        what = "it has nothing to compare with and its maps mean nothing"
        cure = "add images without it, with an empty tags cell"
        yield Finding(f"cannot be learnt: every training image has {_quoted(everywhere)}: {what}; {cure}", True)
    lacking = {found.name: total - found.images for found in facts.classes if found.images >= FEW}
    nearly = [f"{name} ({number})" for name, number in lacking.items() if 0 < number < FEW]
    if nearly:
        yield Finding(f"too few training images without the class, below {FEW}: {listed(nearly)}; add some")


def _inseparable(facts: CollectionFacts) -> Iterator[Finding]:
    images = Counter({found.name: found.images for found in facts.classes})
    partners: dict[str, list[str]] = {}
    part_of: dict[str, str] = {}
    for pair in facts.pairs:
        first, second = sorted((pair.first, pair.second), key=lambda name: images[name])
        if pair.images == images[first] == images[second] < facts.training_images:
            group = partners.get(pair.first) or partners.get(pair.second) or []
            group += [name for name in (pair.first, pair.second) if name not in group]
            partners |= dict.fromkeys(group, group)
        elif pair.images == images[first] >= FEW and images[second] < facts.training_images * 4 / 5:
            part_of.setdefault(first, second)
    for group in {id(group): group for group in partners.values()}.values():
        yield Finding(
            f"cannot be told apart: {_quoted(group)} always come together ({count(images[group[0]], 'image')}): "
            "they get the same maps; add images with one of them, or make them one class",
            True,
        )
    if part_of:
        pairs = [f"{name!r} (with {other!r})" for name, other in part_of.items()]
        yield Finding(f"never without another class: {listed(pairs)}: the maps of one may cover the other")


def _rare(facts: CollectionFacts) -> Iterator[Finding]:
    rare = [f"{clear(found.name)} ({found.images})" for found in facts.classes if 0 < found.images < FEW]
    if rare:
        yield Finding(f"too few training images to learn well, below {FEW}: {listed(rare)}; add some")
    elsewhere = [f"{found.name} ({found.measured})" for found in facts.classes if not found.images and found.measured]
    if elsewhere:
        yield Finding(f"cannot be learnt: only in images that are not trained on: {listed(elsewhere)}", True)
    absent = [found.name for found in facts.classes if not found.images and not found.measured]
    if absent:
        used = ",".join(found.name for found in facts.classes if found.images)
        cure = f"; to leave them out: --classes {used}" if used and len(used) <= 60 and " " not in used else ""
        yield Finding(f"no image has the tag of {count(len(absent), 'class')}: {listed(absent)}{cure}")


def _names(facts: CollectionFacts) -> Iterator[Finding]:
    images = {found.name: found.images for found in facts.classes}
    several = joined(list(images))
    if several:
        yield Finding(f"looks like several tags in one: {_quoted(several)}; separate tags by ;")
    alike = [
        f"{_seen(common, rare)} ({images[common]:,}) and {_seen(rare, common)} ({images[rare]:,})"
        for common, rare in look_alikes({name: number for name, number in images.items() if name not in several})
    ]
    if alike:
        yield Finding(f"one class in two spellings? {listed(alike)}; write them alike, or they compete")
    nothing = [name for name in images if names_nothing(name)]
    if nothing:
        yield Finding(
            f"the class {_quoted(nothing)} sounds like 'nothing is there': background is no class; "
            "leave the tags cell of such images empty"
        )
    paired = {name for pair in facts.pairs for name in (pair.first, pair.second)}
    absence = [name for name in images if names_absence(name) and name not in paired and images[name]]
    if absence and len(images) > 1:
        yield Finding(
            f"the class {_quoted(absence)} never comes with another: if it says that nothing is there, "
            "leave the tags cell empty instead"
        )


def _masks(facts: CollectionFacts) -> Iterator[Finding]:
    masks = facts.masks
    painted = sum(found.pixels for found in facts.classes)
    if masks.count and not painted and masks.ignored:
        yield Finding(
            f"the masks hold only 0 and 255, and 255 is 'ignore': they have no pixel of a class, so nothing can be "
            f"measured; paint each class with its number: {_numbers(facts.classes)}"
        )
    elif masks.count and not painted:
        yield Finding("all masks are background, so nothing can be measured; paint each class with its number")
    elif masks.unpainted.count:
        yield Finding(f"{_of(masks.unpainted, 'mask')} no pixel of a class though the image is tagged")
    if painted and masks.missing.count:
        yield Finding(f"{_of(masks.missing, 'mask')} no pixel of a class that the image is tagged with")
    if masks.untagged.count:
        yield Finding(
            f"{_of(masks.untagged, 'mask')} pixels of a class that the image is not tagged with: a missing tag?"
        )
    unmeasured = [found.name for found in facts.classes if not found.masks and found.images]
    if painted and unmeasured:
        yield Finding(f"no mask has a pixel of {listed(unmeasured)}: cannot be measured")


def _images(facts: CollectionFacts) -> Iterator[Finding]:
    if facts.leaked.count:
        yield Finding(f"measured on what was trained on: {_same(facts.leaked)}: results will look too good; remove one")
    elif facts.repeated.count:
        yield Finding(f"{_same(facts.repeated)}; remove one of each")
    if facts.contradicted.count:
        yield Finding(f"{_same(facts.contradicted)}, but the tags differ; fix the tags")
    for split in facts.splits:
        if split.measured and split.shared and not split.trained and not split.name.startswith(TRAINED):
            yield Finding(
                f"{split.shared:,} of the {count(split.images, 'image')} of split {split.name} are trained on too: "
                "results on it will look too good"
            )
    if facts.flat.count:
        yield Finding(f"{_have(facts.flat, 'image')} almost one colour (the first: {facts.flat.example}): look at it")
    if facts.sizes.small.count:
        yield Finding(
            f"{_have(facts.sizes.small, 'image')} a side below {SMALL} pixels ({facts.sizes.small.example}): "
            "too small for exact masks"
        )
    if facts.sizes.large.count:
        yield Finding(
            f"{_have(facts.sizes.large, 'image')} a side above {LARGE:,} pixels ({facts.sizes.large.example}): reduced "
            "to longest_side while labelled, small objects vanish; cut into tiles"
        )


_CHECKS: tuple[Callable[[CollectionFacts], Iterator[Finding]], ...] = (
    _everywhere,
    _inseparable,
    _names,
    _images,
    _masks,
    _rare,
)


def _seen(name: str, other: str) -> str:
    """Return a name in quotes, in escapes where it looks like the other one."""
    return ascii(name) if unicodedata.normalize("NFC", name) == unicodedata.normalize("NFC", other) else repr(name)


def _quoted(names: Sequence[str]) -> str:
    return listed([repr(name) for name in names])


def _numbers(classes: Sequence[ClassFacts]) -> str:
    return listed([f"{number} = {clear(found.name)}" for number, found in enumerate(classes, start=1)])


def _of(cases: Cases, what: str) -> str:
    return f"{count(cases.count, what)} (the first: {cases.example}) {'has' if cases.count == 1 else 'have'}"


def _have(cases: Cases, what: str) -> str:
    return f"{count(cases.count, what)} {'has' if cases.count == 1 else 'have'}"


def _same(cases: Cases) -> str:
    verb = "image shows" if cases.count == 1 else "images show"
    return f"{cases.count:,} {verb} the same as another ({cases.example})"
