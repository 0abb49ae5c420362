"""Kill workers of torchrun at random: the job must end by itself, with the files of a job that nobody disturbed.

A training that goes on differs by rounding: in its first step PyTorch adds up the gradients in another order.

    python -m tests.support.restarts [--kills 10] [--seed 0]

Part of ``make torture``; ``test_restarts.py`` is its short form.
"""

from __future__ import annotations

import argparse
import io
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

import numpy as np
import yaml

from affinitynet.config.config_file import to_dict
from tests.support.torture import artifacts
from tests.support.worlds import QUICK, tiny_world

WORKERS = 3
STEPS = 60
"""Of each training, so that it saves itself twice before its end."""
BATCH = 4
CONFIG = replace(
    QUICK,
    classifier=replace(QUICK.classifier, min_steps=STEPS, batch_size=BATCH),
    affinity=replace(QUICK.affinity, min_steps=STEPS, batch_size=BATCH),
    segmenter=replace(QUICK.segmenter, min_steps=STEPS, batch_size=BATCH),
)


@dataclass
class Count:
    """What happened: workers killed, files that only one of the jobs has, trainings that differ by more than rounding,
    and the exit code of the job."""

    kills: int = 0
    lacking: int = 0
    different: int = 0
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
            time.sleep(draw.uniform(0, seconds / 2))
            if workers := _workers(job.pid):
                os.kill(draw.choice(workers), signal.SIGKILL)
                count.kills += 1
        count.code = job.wait()
    whole, found = artifacts(folder / "whole"), artifacts(folder / "killed")
    count.lacking = len(whole.keys() ^ found.keys())
    tables = [name for name in whole.keys() & found.keys() if name.startswith("losses/")]
    count.different = sum(not _alike(whole[name], found[name]) for name in tables)
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


def _alike(one: bytes, other: bytes) -> bool:
    """Return whether two tables of losses are the same but for rounding, step by step."""
    losses, others = (np.loadtxt(io.BytesIO(table), delimiter=",", skiprows=1) for table in (one, other))
    return losses.shape == others.shape and np.allclose(losses, others, rtol=1e-2)


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
    print(
        f"{counted.kills} workers killed: exit code {counted.code}, {counted.lacking} files lack or are too many, "
        f"{counted.different} trainings differ by more than rounding"
    )
    raise SystemExit(bool(counted.lacking or counted.different or counted.code))
