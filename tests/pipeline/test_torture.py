"""The short form of ``make torture``: a few kills at random moments."""

import subprocess
import sys

from tests.support.places import ROOT


def test_killed_and_continued_equals_never_killed():
    command = [sys.executable, "-m", "tests.support.torture", "--kills", "5"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 kills" in done.stdout
    assert "0 artifacts differ, 0 runs failed" in done.stdout
