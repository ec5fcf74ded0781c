"""How far long work is: a bar with rate and time left on a terminal, a line every few seconds in a pipe or log.

Nothing is said of work that ends within the first few seconds. `following` is for daemons (their log), `Shown` for commands.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final, TextIO

from . import logs
from .units import go_duration, size_str

#: Seconds between two lines of a pipe; of work that waits without an end in sight, at first.
EVERY: Final = 5.0
#: Longest distance of such lines.
MOST: Final = 60.0
#: Seconds between two drawings on a terminal.
TICK: Final = 0.5
_BAR: Final = 30

#: Done so far, and in all (None: not known).
Look = Callable[[], tuple[int, int | None]]

log: Final = logs.get("stores")
_keys: Final = itertools.count()


@dataclass(frozen=True, slots=True)
class Pace:
    """A moment of some work: ``done`` of ``total`` (None: unknown) after ``seconds``. ``unit`` ``B`` means bytes."""

    what: str
    done: int
    total: int | None
    seconds: float
    unit: str = "B"

    @property
    def rate(self) -> float:
        """Per second, over the whole time so far."""
        return self.done / self.seconds if self.seconds > 0 else 0.0

    @property
    def left(self) -> float | None:
        """Seconds until the end at that rate; None where it cannot be told."""
        if self.total is None or not self.done or not self.seconds:
            return None
        return max(0, self.total - self.done) / self.rate

    def line(self) -> str:
        """``fetching …: 12 GiB of 32 GiB, 1.1 GiB/s, 18s left``."""
        return f"{self.what}: {self._figures()}"

    def bar(self, width: int) -> str:
        """The same with a bar, cut to the terminal's width."""
        if self.total:
            full = min(_BAR, self.done * _BAR // self.total)
            drawn = f"[{'#' * full}{' ' * (_BAR - full)}] {min(100, self.done * 100 // self.total)}% "
        else:
            drawn = ""
        return f"{self.what} {drawn}{self._figures()}"[: max(20, width - 1)]

    def _figures(self) -> str:
        of = "" if self.total is None else f" of {self._amount(self.total)}"
        unit = "" if self.unit == "B" else f" {self.unit}"
        rate = f"{size_str(int(self.rate))}/s" if self.unit == "B" else f"{self.rate:,.0f}/s"
        left = "" if self.left is None else f", {go_duration(round(self.left) * 1_000_000_000)} left"
        return f"{self._amount(self.done)}{of}{unit}, {rate}{left}"

    def _amount(self, number: int) -> str:
        return size_str(number) if self.unit == "B" else f"{number:,}"


class Shown:
    """Progress of a command, on ``out`` (stderr). ``tell`` may be called as often as one likes."""

    def __init__(
        self,
        what: str,
        unit: str = "B",
        *,
        out: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what, self._unit, self._clock = what, unit, clock
        self._out = sys.stderr if out is None else out
        self._terminal = self._out.isatty()
        self._began = self._last = clock()
        self._drawn = False

    def tell(self, done: int, total: int | None) -> None:
        now = self._clock()
        if now - self._last < (TICK if self._terminal else EVERY):
            return
        self._last = now
        pace = Pace(self._what, done, total, now - self._began, self._unit)
        if self._terminal:
            self._out.write(f"\r\x1b[0K{pace.bar(shutil.get_terminal_size().columns)}")
            self._drawn = True
        else:
            self._out.write(pace.line() + "\n")
        self._out.flush()

    def close(self) -> None:
        """Take the bar away."""
        if self._drawn:
            self._out.write("\r\x1b[0K")
            self._out.flush()


@contextlib.asynccontextmanager
async def following(what: str, look: Look, unit: str = "B") -> AsyncIterator[None]:
    """Say in the daemon's log how far ``look`` is while the block runs."""
    task = asyncio.create_task(_follow(what, look, unit), name=f"progress: {what}")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _follow(what: str, look: Look, unit: str) -> None:
    began = time.monotonic()
    key = next(_keys)
    gap = EVERY
    try:
        while True:
            terminal = logs.on_terminal()
            await asyncio.sleep(TICK if terminal else gap)
            pace = Pace(what, *look(), time.monotonic() - began, unit)
            if terminal:
                logs.show_below(key, pace.bar(shutil.get_terminal_size().columns))
            else:
                log.info(pace.line())
                # A night-long fetch is not said a thousand times.
                gap = min(MOST, gap * 1.5)
    finally:
        logs.show_below(key, "")
