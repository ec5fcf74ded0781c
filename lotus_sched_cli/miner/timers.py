"""Many timers on one heap, by an injected clock: one asyncio task sleeps until the first is due."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from itertools import count
from typing import Any

#: A sleep is never longer: a clock that jumps (NTP, a suspended machine) is noticed within it.
LONGEST_SLEEP = 60.0


class Timers:
    """``at`` calls back once the clock has reached a time. Callbacks must not block and not raise."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._numbers = count()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def at(self, time: float, callback: Callable[..., None], *args: Any) -> None:
        """There is no cancelling: callbacks look whether they are still wanted."""
        heapq.heappush(self._heap, (time, next(self._numbers), callback, args))
        if self._heap[0][0] == time:
            self._wake.set()

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def next(self) -> float | None:
        """When the first timer is due."""
        return self._heap[0][0] if self._heap else None

    def run_due(self) -> int:
        """Call back whatever is due by now; how many that were."""
        now, called = self._clock(), 0
        while self._heap and self._heap[0][0] <= now:
            _, _, callback, args = heapq.heappop(self._heap)
            callback(*args)
            called += 1
        return called

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="timers")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        while True:
            self.run_due()
            self._wake.clear()
            pause = LONGEST_SLEEP if self.next is None else max(0.0, self.next - self._clock())
            try:
                await asyncio.wait_for(self._wake.wait(), min(pause, LONGEST_SLEEP))
            except TimeoutError:
                pass
