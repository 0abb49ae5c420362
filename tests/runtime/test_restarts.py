"""The short form of what ``make torture`` does to the workers of torchrun: one is killed."""

import sys

import pytest

from tests.support.restarts import Count, restarts

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="looks for workers in /proc")]


def test_a_job_whose_worker_is_killed_ends_by_itself(tmp_path):
    assert restarts(tmp_path, kills=1, seed=0) == Count(kills=1, lacking=0, different=0, code=0)
