"""What was understood of a collection, on a screen."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from affinitynet.data.facts import Cases, CollectionFacts, SplitFacts
from affinitynet.data.findings import FEW, LISTED, Finding, clear, count, findings, listed

WIDTH, HEIGHT = 100, 24
"""Columns and lines of a summary, unless more are asked for."""

_LABEL = 10  # columns before the facts
_CLASSES = 10
"""Classes in a line; of more, the most frequent are named."""


@dataclass(frozen=True)
class Line:
    """A line of a summary, and what it is."""

    text: str
    kind: Literal["title", "fact", "warning", "serious"]


@dataclass(frozen=True)
class Summary:
    """What was understood of a collection.

    Args:
        title: a line.
        facts: (what it is about, text).
        findings: what looks wrong, serious matters first.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    findings: tuple[Finding, ...]

    def lines(self, width: int = WIDTH, height: int | None = None) -> list[Line]:
        """Return the summary as lines.

        Args:
            width: columns.
            height: lines; findings that find no room are counted in the last one. ``None``: all of them.

        Example:
            >>> summary = Summary("data", (("classes", "1: cat (3 images)"),), (Finding("look"), Finding("see")))
            >>> [line.text for line in summary.lines(height=4)]
            ['data', '  classes   1: cat (3 images)', '  ! look', '  ! see']
            >>> summary.lines(height=3)[-1].text
            '  ! 2 warnings more in log.txt'
        """
        found = [Line(self.title, "title")]
        for label, text in self.facts:
            found += [Line(line, "fact") for line in _wrapped(text, f"  {label:<{_LABEL}}", width)]
        for number, finding in enumerate(self.findings):
            lines = _wrapped(finding.text, "  ! ", width)
            left = len(self.findings) - number
            if height is not None and len(found) + len(lines) + (left > 1) > height:
                found.append(Line(f"  ! {count(left, 'warning')} more in log.txt", "warning"))
                break
            found += [Line(line, "serious" if finding.serious else "warning") for line in lines]
        return found


def _wrapped(text: str, start: str, width: int) -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_long_words=False,
        break_on_hyphens=False,
    )


def summarise(facts: CollectionFacts) -> Summary:
    """Return what was understood of a collection, and what looks wrong.

    Example:
        >>> summarise(CollectionFacts("data", training_images=3)).title
        'What was understood of data:'
    """
    shown = (
        ("layout", facts.layout),
        ("images", _images(facts)),
        ("classes", _classes(facts)),
        ("negatives", _negatives(facts)),
        ("together", _together(facts)),
        ("splits", "; ".join(map(_split, facts.splits))),
        ("masks", _masks(facts)),
        ("drawn", _drawn(facts)),
        ("not used", _passed_over(facts.passed_over)),
        ("skipped", _skipped(facts.skipped)),
        ("taken", "; ".join(remark.text for remark in facts.remarks if remark.kind == "taken")),
    )
    return Summary(
        _printable(f"What was understood of {facts.folder}:"),
        tuple((label, _printable(text)) for label, text in shown if text),
        tuple(Finding(_printable(finding.text), finding.serious) for finding in findings(facts)),
    )


def _printable(text: str) -> str:
    """Return a text with escapes for line breaks, terminal codes and characters that are not seen.

    Names of classes and files are other people's.
    """
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


def _images(facts: CollectionFacts) -> str:
    kinds = [kind if number == facts.images else f"{kind} ({number:,})" for kind, number in facts.kinds.items()]
    sizes = facts.sizes
    (least, middle, most) = (
        f"{width:,} x {height:,}" for width, height in (sizes.smallest, sizes.median, sizes.largest)
    )
    size = f"all {least} pixels" if least == most else f"{least} to {most} pixels, the median {middle}"
    return f"{facts.images:,} read: {listed(kinds)}; {size}"


def _classes(facts: CollectionFacts) -> str:
    classes, total = facts.classes, len(facts.classes)
    found = [each for each in classes if each.images]
    if total > _CLASSES:
        found = sorted(found, key=lambda each: -each.images)
    shown = found if len(found) <= _CLASSES else [*found[: _CLASSES - 1], found[-1]]
    texts = []
    for number, each in enumerate(shown):
        images = count(each.images, "image") if number == 0 else f"{each.images:,}"
        texts.append(f"{clear(each.name)} ({images}{': too few' if each.images < FEW else ''})")
    if len(shown) < len(found):
        texts.insert(-1, f"{len(found) - len(shown):,} more")
    without = f"; {total - len(found):,} without an image" if len(found) < total else ""
    return f"{total:,}: {', '.join(texts)}{without}"


def _negatives(facts: CollectionFacts) -> str:
    total = facts.training_images
    learnt = [each for each in facts.classes if each.images]
    text = f"{facts.negatives:,} of {count(total, 'training image')} {_verb(facts.negatives)} no tag at all"
    if len(learnt) < 2:
        return text
    fewest = min(total - each.images for each in learnt)
    return f"{text}; each class is absent from {fewest:,} or more"


def _verb(number: int) -> str:
    return "has" if number == 1 else "have"


def _together(facts: CollectionFacts) -> str:
    if not facts.pairs:
        return "no image has two tags" if len(facts.classes) > 1 else ""
    pairs = [f"{pair.first} and {pair.second} ({pair.images:,})" for pair in facts.pairs]
    return f"most often {listed(pairs, most=3)}"


def _split(split: SplitFacts) -> str:
    uses = [use for use, used in (("trained on", split.trained), ("measured", split.measured)) if used]
    masks = (
        ""
        if not split.masks
        else ", all with masks"
        if split.masks == split.images
        else f", {split.masks:,} with masks"
    )
    return f"{split.name} {split.images:,} ({' and '.join(uses) or 'not used'}{masks})"


def _masks(facts: CollectionFacts) -> str:
    masks = facts.masks
    if not masks.count:
        return "none, so results cannot be measured"
    pixels = [("background", masks.background), *((each.name, each.pixels) for each in facts.classes)]
    pixels = [(name, number) for name, number in [*pixels, ("255 (ignored)", masks.ignored)] if number]
    if len(pixels) > _CLASSES:
        pixels.sort(key=lambda pair: -pair[1])
    total = sum(number for _, number in pixels)
    shares = [f"{name} {_percent(number / total)}" for name, number in pixels]
    return f"{masks.count:,}, of their pixels: {listed(shares, _CLASSES)}"


def _drawn(facts: CollectionFacts) -> str:
    if not facts.drawn:
        return ""
    found = [f"{clear(each.name)} in {each.drawn:,}" for each in facts.classes if each.drawn]
    return f"{count(facts.drawn, 'mask')} to learn from, never measured: {listed(found, _CLASSES) or 'all background'}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%" if share >= 0.1 else f"{100 * share:.2g}%"


def _passed_over(groups: Sequence[Cases]) -> str:
    texts = [f"{group.reason}: {count(group.count, 'file')} (e.g. {group.example})" for group in groups[:LISTED]]
    return "; ".join([*texts, *([f"{len(groups) - LISTED} kinds more"] if len(groups) > LISTED else [])])


def _skipped(groups: Sequence[Cases]) -> str:
    texts = [f"{count(group.count, group.reason)} (e.g. {group.example})" for group in groups]
    return f"{', '.join(texts)}; the reasons are in left_out.csv" if texts else ""


def serious(facts: CollectionFacts) -> Iterator[str]:
    """Yield what makes a class impossible to learn, a line each."""
    return (finding.text for finding in summarise(facts).findings if finding.serious)
