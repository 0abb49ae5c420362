"""Kill workers of torchrun at random: the job must end by itself, with the files of a job that nobody disturbed.

    python -m tests.support.restarts [--kills 10] [--seed 0]

Part of ``make torture``; ``test_restarts.py`` is its short form.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from affinitynet.config.config_file import to_dict
from tests.support.torture import artifacts
from tests.support.worlds import QUICK, tiny_world

WORKERS = 3
STEPS = 60
"""Of each training, so that it saves itself twice before its end."""
CONFIG = replace(
    QUICK,
    classifier=replace(QUICK.classifier, min_steps=STEPS),
    affinity=replace(QUICK.affinity, min_steps=STEPS),
    segmenter=replace(QUICK.segmenter, min_steps=STEPS),
)


@dataclass
class Count:
    """What happened: workers killed, artifacts that differ, and the exit code of the job."""

    kills: int = 0
    differences: int = 0
    code: int = 0


def restarts(folder: Path, kills: int, seed: int) -> Count:
    """Run a job of three workers twice, and kill a random one of them ``kills`` times in the second."""
    data, config = tiny_world(folder / "data"), folder / "config.yaml"
    config.write_text(yaml.safe_dump(to_dict(CONFIG)))
    start = time.monotonic()
    with (folder / "whole.log").open("w") as log:
        code = _started(data, folder / "whole", config, 0, log.fileno()).wait()
    if code:
        raise SystemExit(f"the job that nobody killed failed:\n{(folder / 'whole.log').read_text()}")
    seconds, count = time.monotonic() - start, Count()
    with (folder / "killed.log").open("w") as log:
        job = _started(data, folder / "killed", config, kills, log.fileno())
        draw = random.Random(seed)
        while count.kills < kills and job.poll() is None:
            time.sleep(draw.uniform(0, seconds))
            if workers := _workers(job.pid):
                os.kill(draw.choice(workers), signal.SIGKILL)
                count.kills += 1
        count.code = job.wait()
    whole, found = artifacts(folder / "whole"), artifacts(folder / "killed")
    different = [name for name in sorted(found.keys() | whole.keys()) if found.get(name) != whole.get(name)]
    print(*different, sep="\n", end="\n" if different else "", flush=True)
    count.differences = len(different)
    return count


def _started(data: Path, work: Path, config: Path, most: int, log: int) -> subprocess.Popen[bytes]:
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--monitor-interval", "0.1"]
    restarted = [f"--nproc-per-node={WORKERS}", f"--max-restarts={most}"]
    command: Sequence[object] = ("-m", "affinitynet", "run", "--data", data, "--work", work, "--config", config)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, *torchrun, *restarted, *map(str, command), "--workers", "1"],
        env=environment,
        stdout=log,
        stderr=log,
    )


def _workers(torchrun: int) -> list[int]:
    """Return the processes that a torchrun has started and that have not ended (Linux)."""
    try:
        found = Path(f"/proc/{torchrun}/task/{torchrun}/children").read_text().split()
        return [int(pid) for pid in found if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"]
    except FileNotFoundError:
        return []


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        counted = restarts(Path(temporary), given.kills, given.seed)
    print(f"{counted.kills} workers killed: exit code {counted.code}, {counted.differences} artifacts differ")
    raise SystemExit(bool(counted.differences or counted.code))
