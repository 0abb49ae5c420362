"""A review of a work folder, and what a browser asks of it."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np

from affinitynet.inference.tagged import MaskPredictor
from affinitynet.tools.finished import open_finished
from affinitynet.tools.review.session import ReviewSession

NAME = "val_000"


def opened(work) -> ReviewSession:
    return ReviewSession(open_finished(work), MaskPredictor.from_work(work))


def labels(state) -> Any:
    found = zlib.decompress(base64.b64decode(state["mask"]))
    return np.frombuffer(found, np.uint8).reshape(state["height"], state["width"])


def click(x, y, name):
    return {"kind": "click", "class": name, "points": [[x, y]]}
