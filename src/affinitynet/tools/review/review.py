"""The command that opens the review of a work folder."""

from __future__ import annotations

import webbrowser
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from affinitynet.runtime.runtime import Runtime
from affinitynet.tools.finished import open_finished


@dataclass(frozen=True)
class Reviewed:
    """What came of a review.

    Args:
        images: those with a verdict.
        teaching: those of them that are trained on.
    """

    images: int
    teaching: int


def review_masks(
    work: Path,
    *,
    data: Path | None = None,
    port: int = 0,
    no_browser: bool = False,
    runtime: Runtime | None = None,
) -> Reviewed:
    """Look at masks in a browser, accept them, and correct them by clicks: the mask follows what you say.

    The most doubtful masks come first. Every step is saved at once, in the folder `corrections` of the work folder, and
    can be undone. Exports carry what was corrected or accepted, and the next run learns from it where it is of an image
    that is trained on.

    Args:
        work: Work folder with finished masks.
        data: The collection, if it has moved since; null: where it was.
        port: Of the page on this machine; 0: a free one.
        no_browser: Only print the address, do not open it.
        runtime: how to compute.

    Returns:
        How many images have a verdict, once it was stopped.

    Raises:
        InputError: the folder has no finished masks, the collection is not where it was, or the port is in use.
    """
    from affinitynet.inference.tagged import MaskPredictor
    from affinitynet.tools.review.server import ReviewServer
    from affinitynet.tools.review.session import ReviewSession

    runtime = runtime or Runtime(alone=True)
    finished = open_finished(work, data)
    if finished.lost:
        runtime.progress.say(f"review: {finished.lost}")
    session = ReviewSession(finished, MaskPredictor.from_work(work, runtime.device))
    with suppress(KeyboardInterrupt), ReviewServer(session, port) as server:
        runtime.progress.say(f"review: {len(session.images())} images at {server.address}")
        runtime.progress.say("review: only this machine can see it; Ctrl-C ends it, everything is saved")
        if not no_browser:
            webbrowser.open(server.address)
        server.serve_forever()
    splits = [image.split for image in session.images() if image.verdict is not None]
    return Reviewed(len(splits), splits.count(finished.split))
