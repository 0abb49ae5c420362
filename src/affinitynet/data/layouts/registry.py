"""The layouts by name."""

from __future__ import annotations

from affinitynet.data.layouts import folder, voc
from affinitynet.data.layouts.base import LayoutReader

LAYOUTS: dict[str, LayoutReader] = {"voc": voc, "folder": folder}
"""Layout -> its file; the first that recognises a folder reads it. A new layout is a file and one entry here."""
