"""Where things lie: the checkout, the recorded numbers, and what lies beside a developer's checkout."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
SHARED = ROOT.parent / "shared"
