"""The demonstration from start to summary. Exit code 0 when all four sectors are Proving."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from lotus_sched_cli.cli.errors import CliError
from lotus_sched_cli.lotus.errors import UserError

from .farm import Farm
from .show import Screen, screen_for
from .watch import Snapshot, look

SECTORS: Final = (15, 16, 17, 18)
#: Seconds that the whole may take.
LIMIT: Final = 55.0
#: Seconds between two looks.
PAUSE: Final = 0.2


def main(make: Callable[[Path], Farm] = Farm, play: Callable[[Farm], int] | None = None) -> int:
    """Run it; whatever happens, no process stays behind."""
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, interrupt)
    with tempfile.TemporaryDirectory(prefix="lotus-sched-demo-", ignore_cleanup_errors=True) as folder:
        farm = make(Path(folder))
        try:
            return (play or simulated)(farm)
        except KeyboardInterrupt:
            print("\ninterrupted; stopping the miner and the workers", file=sys.stderr)
            return 130
        except BrokenPipeError:
            # Whoever read it has gone; a second failure when Python closes stdout would be noise.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except UserError as error:
            print(f"ERROR: {error}", file=sys.stderr)
            return 1
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            farm.stop()


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def simulated(farm: Farm) -> int:
    """Start the farm, pledge, watch until the end, tell who did what."""
    began = time.monotonic()
    with screen_for(sys.stdout) as screen:
        screen.say(
            f"starting a miner and two workers in {farm.root}; sealing is simulated, {farm.speed} times faster"
        )
        farm.start()
        for number in SECTORS:
            farm.api.call("PledgeSector")
            screen.say(f"pledged sector {number}")
        last = watch(farm, screen, began)
        screen.close(last)
    screen.summary(farm.placements(), time.monotonic() - began)
    return 0


def watch(farm: Farm, screen: Screen, began: float, limit: float = LIMIT) -> Snapshot:
    """Look and show until every sector is Proving. Raises CliError when a process ends or time is up."""
    while True:
        farm.check()
        now = look(farm.api, SECTORS, time.monotonic() - began)
        screen.update(now)
        if now.done:
            return now
        if now.seconds > limit:
            states = ", ".join(f"{number}: {state}" for number, state in now.sectors)
            raise CliError(f"not finished after {limit:g} s ({states})", farm.tail())
        time.sleep(PAUSE)


if __name__ == "__main__":
    sys.exit(main())
