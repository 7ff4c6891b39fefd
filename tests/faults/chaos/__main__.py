"""`make chaos`: many seeds, one after the other; ends with 1 if any run broke the promise."""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.faults.chaos.run import run
from tests.faults.chaos.schedule import schedule


def main() -> int:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seeds", type=int, default=30, help="how many runs, each with a seed of its own (30)")
    parser.add_argument("--first", type=int, default=1, help="the first seed (1)")
    parser.add_argument("--seconds", type=float, default=60, help="how long faults happen in each run (60)")
    parser.add_argument("--show", action="store_true", help="print the schedule of each seed")
    parser.add_argument("--keep", type=Path, help="keep the logs of each run in this directory")
    asked = parser.parse_args()
    broken = 0
    for seed in range(asked.first, asked.first + asked.seeds):
        if asked.show:
            print(*schedule(seed, asked.seconds), sep="\n", flush=True)
        with tempfile.TemporaryDirectory(prefix="rufkette-chaos-", ignore_cleanup_errors=True) as temporary:
            directory = Path(temporary)
            if asked.keep is not None:
                directory = asked.keep / str(seed)
                directory.mkdir(parents=True)
            outcome = asyncio.run(run(seed, asked.seconds, directory))
        print(outcome.summary, flush=True)
        for finding in outcome.findings:
            print(f"  BROKEN: {finding}", flush=True)
        broken += bool(outcome.findings)
    print(f"{asked.seeds} runs, {broken} broken")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
