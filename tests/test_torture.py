"""The short form of ``make torture``: a few kills at random moments."""

import subprocess
import sys
from pathlib import Path


def test_killed_and_continued_equals_never_killed():
    command = [sys.executable, str(Path(__file__).parent / "torture.py"), "--kills", "5"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 kills" in done.stdout
    assert "0 artifacts differ, 0 runs failed" in done.stdout
