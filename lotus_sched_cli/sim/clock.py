"""Virtual time: what is to happen, in its order. Things of one moment happen in the order in which they were asked for."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any


class Clock:
    """``now`` in seconds from the start of the simulation. ``moved`` is when real work last began, ended or came,
    ``gained`` when some last ended well."""

    __slots__ = ("_heap", "_order", "gained", "moved", "now")

    def __init__(self) -> None:
        self.now = 0.0
        self.moved = 0.0
        self.gained = 0.0
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = 0

    def at(self, time: float, act: Callable[..., None], *args: Any) -> None:
        """Let it happen then; a time that is over means now."""
        self._order += 1
        heappush(self._heap, (max(time, self.now), self._order, act, args))

    def next(self) -> float | None:
        """When something happens next; None: never."""
        return self._heap[0][0] if self._heap else None

    def step(self) -> None:
        """Go to the next moment and let happen all that is due at it."""
        heap = self._heap
        self.now = now = heap[0][0]
        while heap and heap[0][0] <= now:
            _, _, act, args = heappop(heap)
            act(*args)
