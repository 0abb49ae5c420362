"""Rooms stay small. That imports go one way is checked by import-linter in `make lint` (pyproject.toml)."""

import pytest

from tests.support.places import ROOT

SOURCE = ROOT / "src" / "affinitynet"


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: str(p.relative_to(SOURCE)))
def test_rooms_stay_small(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
