"""Every bad input of ``hostile.py`` ends as it has to, in bounded time and memory, and runs nothing."""

import subprocess
import sys

import pytest

from tests.support.hostile import CASES, CODES, check
from tests.support.places import ROOT


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_ends_as_it_has_to(case, tmp_path):
    ended = check(case, tmp_path)
    assert ended.code == CODES[case.end], ended.lines
    assert "Traceback" not in ended.lines
    named = [line for line in ended.lines.splitlines() if line.startswith("affinitynet: ")]
    assert (case.says in "".join(named)) if case.says else not named
    assert {path.name for path in tmp_path.iterdir()} <= {"data", "work"}


def test_there_are_sixty_kinds():
    assert len({case.name for case in CASES}) == len(CASES) >= 60


def test_all_of_them_fit_into_little_memory():
    """A process that may have 2 GB beside its libraries reads the lot: no bomb goes off."""
    code = (
        "import resource, sys, torch, affinitynet.cli, runpy\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2 * 2**30,) * 2)\n"
        "sys.argv = ['hostile']\n"
        "runpy.run_module('tests.support.hostile', run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
