"""Whether an installed affinitynet works: ``python tiny_run.py`` draws six pictures and runs every stage on them."""

import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from affinitynet.data.drawn_world import draw_world

QUICK = "--{0}.epochs 1 --{0}.min-steps 0 --{0}.batch-size 2 --{0}.crop-size 64"
TRAININGS = " ".join(QUICK.format(network) for network in ("classifier", "affinity", "segmenter"))
SETTINGS = shlex.split(f"{TRAININGS} --cams.scales [1.0] --walk.steps 16")


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        data, work = Path(folder) / "data", Path(folder) / "work"
        draw_world(data, train=4, val=2, seed=3)  # a world in which every class occurs
        command = [sys.executable, "-m", "affinitynet", "run", "--data", str(data), "--work", str(work), *SETTINGS]
        code = subprocess.run(command, check=False).returncode
        masks = list((work / "masks").glob("*.png"))
        report = [sys.executable, "-m", "affinitynet", "report", "--work", str(work)]
        return code or subprocess.run(report, check=False).returncode or int(len(masks) != 6)


if __name__ == "__main__":
    sys.exit(main())
