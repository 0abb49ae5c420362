"""Kill runs at random moments and continue them: the result must be that of a run never killed.

    python -m tests.support.torture [--kills 100] [--seed 0]

Part of ``make torture``; ``test_torture.py`` is its short form.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import tempfile
import time
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from pathlib import Path

from affinitynet.errors import InputError
from affinitynet.pipeline.run import run_pipeline
from affinitynet.training import loop
from tests.support.processes import started
from tests.support.worlds import QUICK, snapshot, tiny_world

VOLATILE = ("log.txt", "stages.json", ".contents.json", ".lock")  # times, and a lock that a killed run leaves open
CONFIG = replace(
    QUICK,
    classifier=replace(QUICK.classifier, min_steps=12),
    affinity=replace(QUICK.affinity, min_steps=12),
    segmenter=replace(QUICK.segmenter, min_steps=12),
)
"""Long enough for trainings to be killed between checkpoints."""


@dataclass
class Count:
    """What happened: kills, runs that came to their end, artifacts that differ, and ends other than by us."""

    kills: int = 0
    finished: int = 0
    differences: int = 0
    failures: int = 0


def torture(folder: Path, kills: int, seed: int) -> Count:
    """Kill runs until ``kills`` are reached, continuing each to its end."""
    data = tiny_world(folder / "data")
    _await(started(time.monotonic))  # starts the server, which is not to be timed
    start = time.monotonic()
    _await(started(_run, data, folder / "whole"))
    whole, seconds = artifacts(folder / "whole"), time.monotonic() - start
    draw, count = random.Random(seed), Count()
    while count.kills < kills:
        child = started(_run, data, folder / "killed")
        child.join(draw.uniform(0, seconds / 2))
        if child.is_alive():
            os.kill(child.pid or 0, signal.SIGKILL)
            child.join()
            count.kills += 1
        elif child.exitcode:
            count.failures += 1
            shutil.rmtree(folder / "killed")
        if child.exitcode == 0 or count.kills == kills:
            if child.exitcode:
                _await(started(_run, data, folder / "killed"))
            found = artifacts(folder / "killed")
            count.finished += 1
            different = [name for name in sorted(found.keys() | whole.keys()) if found.get(name) != whole.get(name)]
            print(*different, sep="\n", end="\n" if different else "", flush=True)
            count.differences += len(different)
            shutil.rmtree(folder / "killed")
    return count


def _run(data: Path, work: Path) -> None:
    loop.CHECKPOINT_STEPS = 2
    try:
        run_pipeline(data, work, CONFIG, workers=1)
    except InputError as error:
        print(f"a continued run ended with: {error}", flush=True)
        os._exit(3)


def _await(child: BaseProcess) -> None:
    child.join()
    if child.exitcode:
        raise SystemExit("the run that nobody killed failed")


def artifacts(work: Path) -> dict[str, bytes]:
    return {name: content for name, content in snapshot(work).items() if name not in VOLATILE}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        counted = torture(Path(temporary), given.kills, given.seed)
    print(
        f"{counted.kills} kills, {counted.finished} runs continued to their end: "
        f"{counted.differences} artifacts differ, {counted.failures} runs failed"
    )
    raise SystemExit(bool(counted.differences or counted.failures))
