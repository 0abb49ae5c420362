"""Whether an installed affinitynet works: ``python tiny_run.py``, from anywhere, draws six pictures and runs every stage."""

import subprocess
import sys
import tempfile
from pathlib import Path

from affinitynet.data.drawn_world import draw_world

SETTINGS = (
    "--classifier.epochs 1 --classifier.min-steps 0 --classifier.batch-size 2 --classifier.crop-size 64 "
    "--affinity.epochs 1 --affinity.min-steps 0 --affinity.batch-size 2 --affinity.crop-size 64 "
    "--segmenter.epochs 1 --segmenter.min-steps 0 --segmenter.batch-size 2 --segmenter.crop-size 64 "
    "--cams.scales [1.0] --walk.steps 16"
).split()


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        data, work = Path(folder) / "data", Path(folder) / "work"
        draw_world(data, train=4, val=2)
        command = [sys.executable, "-m", "affinitynet", "run", "--data", str(data), "--work", str(work), *SETTINGS]
        code = subprocess.run(command, check=False).returncode
        masks = list((work / "masks").glob("*.png"))
        report = [sys.executable, "-m", "affinitynet", "report", "--work", str(work)]
        return code or subprocess.run(report, check=False).returncode or int(len(masks) != 6)


if __name__ == "__main__":
    sys.exit(main())
