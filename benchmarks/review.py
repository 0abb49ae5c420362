"""How long does it take to correct masks? A simulated user at the review page in a real browser.

    python -m benchmarks.review --work WORK [--images 20] [--clicks 8] [--data DATA]

The user takes the images of the training split that have ground truth, in the order of doubt in which the page lists
them, corrects each by clicks into the middle of the largest wrong region until it is as good as wanted, or by so many
clicks, and accepts what was good from the beginning. Needs Chromium, and playwright (``pip install playwright``).
Afterwards ``affinitynet run --force`` learns from the corrections; run it on a copy of a work folder to compare.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from affinitynet.inference.tagged import MaskPredictor
from affinitynet.ops.decision import enlarge
from affinitynet.tools.finished import Finished, open_finished
from affinitynet.tools.review.server import ReviewServer
from affinitynet.tools.review.session import ReviewSession
from benchmarks.clicks import Wanted
from benchmarks.common import show, table

GOOD = 0.9
"""IoU of every tagged class from which the user is content."""

MASK = "[mask, now.width, now.height]"  # what the page shows, as its script knows it
PLACE = "([x, y]) => [view.x + view.scale * (x + 0.5), view.y + view.scale * (y + 0.5)]"
MOST_CLASSES = 9  # that have a key


@dataclass
class Corrected:
    """What was done to an image.

    Args:
        seconds: from the moment it was shown.
        clicks: how many.
        before, after: mean IoU of its tagged classes.
    """

    seconds: float
    clicks: int
    before: float
    after: float


class User:
    """Somebody who knows the truth, at the page.

    Args:
        page: of the browser, with the review open.
        finished: the work folder under review.
        most: clicks for an image.
    """

    def __init__(self, page: Any, finished: Finished, most: int) -> None:
        self._page, self._finished, self._most = page, finished, most
        self._records = {record.name: record for record in finished.collection.split(finished.split)}

    def correct(self, name: str) -> Corrected:
        """Correct the image that is shown, and go to the next one."""
        start, clicks = time.perf_counter(), 0
        before = worst = self._worst(name)
        while worst[0] < GOOD and clicks < self._most:
            self._click(worst[1])
            clicks, worst = clicks + 1, self._worst(name)
        self._page.keyboard.press("n" if clicks else "a")
        self._page.locator(f"body:not([data-name='{name}'])").wait_for()
        return Corrected(time.perf_counter() - start, clicks, before[2], worst[2])

    def _worst(self, name: str) -> tuple[float, Wanted, float]:
        """Return IoU and state of the worst of the tagged classes, and the mean IoU of all."""
        record = self._records[name]
        values, width, height = self._page.evaluate(f"(() => {{ const [m, w, h] = {MASK}; return [[...m], w, h]; }})()")
        mask = np.array(values, np.uint8).reshape(height, width)
        truth = enlarge(self._finished.collection.mask(record), mask.shape)
        states = [Wanted(np.zeros((0, 0, 3), np.uint8), tag, truth, mask == tag + 1) for tag in record.tags]
        scored = [(state.iou(state.made), state) for state in states]
        iou, state = min(scored, key=lambda pair: pair[0])
        return iou, state, statistics.mean(pair[0] for pair in scored)

    def _click(self, state: Wanted) -> None:
        click = state.next_click(state.made)
        self._page.keyboard.press("0" if click.label is None else f"{click.label + 1}")
        box = self._page.locator("#canvas").bounding_box()
        x, y = self._page.evaluate(PLACE, [click.x, click.y])
        version = int(self._page.locator("body").get_attribute("data-version"))
        self._page.mouse.click(box["x"] + x, box["y"] + y)
        self._page.locator(f"body[data-version='{version + 1}']").wait_for()


@contextmanager
def opened(finished: Finished, work: Path) -> Iterator[Any]:
    """Serve the review of a work folder, and open it in Chromium."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    server = ReviewServer(ReviewSession(finished, MaskPredictor.from_work(work)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with server, sync_playwright() as starter:
        browser = starter.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(server.address)
        page.locator(".row[aria-selected=true]").wait_for()
        yield page
        browser.close()
        server.shutdown()


def measurable(finished: Finished) -> list[str]:
    """Return the images of the training split that have tags and ground truth."""
    records = finished.collection.split(finished.split)
    return [record.name for record in records if record.tags and record.truth is not None]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", required=True, type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--clicks", type=int, default=8)
    given = parser.parse_args(argv)
    finished = open_finished(given.work, given.data)
    known = set(measurable(finished))
    done: list[Corrected] = []
    if len(finished.collection.classes) > MOST_CLASSES:
        parser.error(f"--work {given.work}: has more classes than keys; at most {MOST_CLASSES}")
    with opened(finished, given.work) as page:
        user = User(page, finished, given.clicks)
        while len(done) < given.images:
            name = page.locator("body").get_attribute("data-name")
            if name in known:
                known.remove(name)
                done.append(user.correct(name))
            elif known:
                page.keyboard.press("n")
                page.locator(f"body:not([data-name='{name}'])").wait_for()
            else:
                break
    total, clicks = sum(one.seconds for one in done), sum(one.clicks for one in done)
    made = table("A session at the review page", "images", "clicks", "s of page and server", "IoU before", "IoU after")
    before, after = (100 * statistics.mean(getattr(one, when) for one in done) for when in ("before", "after"))
    made.add_row(f"{len(done)}", f"{clicks}", f"{total:.0f}", f"{before:.1f}", f"{after:.1f}")
    show(made)


if __name__ == "__main__":
    main()
