"""The short form of ``make torture``: a few kills at random moments."""

import pytest

from tests.support.torture import Count, torture

pytestmark = pytest.mark.first


def test_killed_and_continued_equals_never_killed(tmp_path):
    count = torture(tmp_path, kills=5, seed=0)
    assert count == Count(kills=5, finished=count.finished, differences=0, failures=0)
    assert count.finished >= 1
