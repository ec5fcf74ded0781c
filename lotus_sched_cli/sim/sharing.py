"""What tasks share: memory bandwidth, a GPU, a network card. Work runs at a speed that depends on who else is at it."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Any

from .farm import Group

_order = count()


class Share:
    """Jobs that all run at ``speed(how many)`` of their own speed. One clock counts the work done by each of them.

    Whoever changes it calls ``due`` afterwards: the time at which the next job is done, None if there is none.
    """

    __slots__ = ("_at", "_clock", "_ends", "_gone", "_jobs", "_speed", "version")

    def __init__(self, speed: Callable[[int], float]) -> None:
        self._speed = speed
        self._clock = 0.0
        self._at = 0.0
        self._ends: list[tuple[float, int, Any]] = []
        self._jobs = 0
        self._gone: set[Any] = set()
        self.version = 0

    def __len__(self) -> int:
        return self._jobs

    def add(self, now: float, work: float, job: Any) -> None:
        """``work`` in seconds of a job that has it all for itself."""
        self._advance(now)
        heappush(self._ends, (self._clock + work, next(_order), job))
        self._jobs += 1

    def remove(self, now: float, job: Any) -> None:
        """The job ends before its work is done."""
        self._advance(now)
        self._gone.add(job)
        self._jobs -= 1

    def due(self) -> float | None:
        self.version += 1
        while self._ends and self._ends[0][2] in self._gone:
            self._gone.discard(heappop(self._ends)[2])
        if not self._ends:
            return None
        return self._at + max(0.0, self._ends[0][0] - self._clock) / self._speed(self._jobs)

    def finish(self, now: float) -> Any:
        """Take out the job that is done now."""
        self._advance(now)
        end, _, job = heappop(self._ends)
        self._clock = max(self._clock, end)
        self._jobs -= 1
        return job

    def _advance(self, now: float) -> None:
        if self._jobs:
            self._clock += (now - self._at) * self._speed(self._jobs)
        self._at = now


def memory_of(group: Group) -> Share:
    """PreCommit1 side by side on one machine."""
    full = group.p1_full_speed
    return Share(lambda n: 1.0 if not full or n <= full else full / n)


def gpu_of(group: Group) -> Share:
    """PreCommit2 and Commit2 on one GPU."""
    overlap = group.gpu_overlap
    return Share(lambda n: (1.0 + overlap * (n - 1)) / n)


class Card:
    """A host's network card: bytes per second each way, and the transfers that use it."""

    __slots__ = ("rate", "receiving", "sending")

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.sending: dict[Transfer, None] = {}
        self.receiving: dict[Transfer, None] = {}


class Transfer:
    """Bytes on their way from one host to another, at the smaller of the two fair shares."""

    __slots__ = ("_at", "_left", "_rate", "done", "source", "target", "version")

    def __init__(self, source: Card, target: Card, size: float, done: Any) -> None:
        self.source, self.target = source, target
        self._left, self._rate, self._at = size, 0.0, 0.0
        self.done = done
        self.version = 0

    def start(self, now: float) -> dict[Transfer, None]:
        """Those whose end has moved, this one included."""
        self._at = now
        self.source.sending[self] = None
        self.target.receiving[self] = None
        return self._others()

    def stop(self, now: float) -> dict[Transfer, None]:
        """Done, or broken off: those whose end has moved."""
        self.version += 1
        del self.source.sending[self]
        del self.target.receiving[self]
        return self._others()

    @property
    def under_way(self) -> bool:
        return self in self.source.sending

    def due(self, now: float) -> float:
        """When it will be done as things are now."""
        self._left = max(0.0, self._left - (now - self._at) * self._rate)
        self._at = now
        self._rate = min(
            self.source.rate / len(self.source.sending), self.target.rate / len(self.target.receiving)
        )
        self.version += 1
        return now + self._left / self._rate

    def _others(self) -> dict[Transfer, None]:
        return {**self.source.sending, **self.target.receiving}
