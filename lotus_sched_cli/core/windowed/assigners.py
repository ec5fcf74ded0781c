"""The ways to choose one of the open windows that would take a task (scheduling.md B2, step 2).

Source: Lotus ``storage/sealer/sched_assigner_*.go``. The order in which windows are looked at is that of the selector's
comparison; equals are drawn by lot, as Lotus shuffles them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import heapify, heappop, heapreplace
from itertools import count, groupby
from typing import Any, Final, Protocol

from lotus_sched_cli.core.records import Task
from lotus_sched_cli.core.tasks import TaskType

from .bench import Bench, Window
from .draw import Lots
from .usage import Share

Rank = tuple[int, float]


@dataclass(slots=True, eq=False)
class Entry:
    """A worker with open windows that may take the tasks of a line; smaller ranks are looked at first."""

    bench: Bench
    share: Share
    rank: Rank

    def window(self) -> Window | None:
        """Its oldest open window that has room for one more; None: its windows are full for this pass."""
        spec, share = self.bench.worker.spec, self.share
        for window in self.bench.asked:
            if window.used.fits(share, spec):
                return window
        return None


class Field(Protocol):
    """What a line may choose from in one pass; it shrinks as windows fill up."""

    def best(self, own: list[Entry]) -> Window | None:
        """The window for a task; ``own`` are entries of this task alone, of workers that are not in the field."""

    def empty(self) -> bool:
        """No window of the line has room for one more."""


class Assigner(Protocol):
    """One pass's choices."""

    def field(self, entries: list[Entry], kind: TaskType, proof: int) -> Field: ...

    def placed(self, task: Task, bench: Bench) -> None:
        """The task goes to a window of this worker."""


# -- looked at one by one -------------------------------------------------------------------------------------------------


class _Drawn:
    """Entries by rank, equals drawn by lot when they are needed."""

    def __init__(self, entries: list[Entry], lots: Lots) -> None:
        self._lots = lots
        ordered = sorted(entries, key=_rank)
        self._groups: list[tuple[Rank, list[Entry]]] = [
            (rank, list(group)) for rank, group in groupby(ordered, key=_rank)
        ]

    def empty(self) -> bool:
        return not any(group for _, group in self._groups)

    def draws(self, own: list[Entry]) -> Iterator[tuple[Bench, Window]]:
        """Windows with room, best rank first; those of workers that have none leave the field."""
        mine = sorted(own, key=_rank) if len(own) > 1 else own
        at = 0
        while self._groups and not self._groups[0][1]:
            del self._groups[0]
        for rank, group in self._groups:
            drawn = 0
            while drawn < len(group):
                while at < len(mine) and (
                    mine[at].rank < rank or (mine[at].rank == rank and self._lots.below(len(group) + 1) == 0)
                ):
                    if (window := mine[at].window()) is not None:
                        yield mine[at].bench, window
                    at += 1
                if drawn >= len(group):
                    break
                lot = drawn + self._lots.below(len(group) - drawn)
                entry = group[lot]
                found = entry.window()
                if found is None:
                    group[lot] = group[-1]
                    group.pop()
                    continue
                group[lot], group[drawn] = group[drawn], entry
                drawn += 1
                yield entry.bench, found
        for entry in mine[at:]:
            if (window := entry.window()) is not None:
                yield entry.bench, window


class _LowestUtilization(_Drawn):
    def best(self, own: list[Entry]) -> Window | None:
        chosen: Window | None = None
        lowest = float("inf")
        for bench, window in self.draws(own):
            if bench.load >= lowest:
                # The list began in order of utilization: Lotus takes it that none after this one is better.
                break
            chosen, lowest = window, bench.load
        return chosen


class _First(_Drawn):
    def best(self, own: list[Entry]) -> Window | None:
        for _, window in self.draws(own):
            return window
        return None


class _Plain:
    """Assigners that keep no count of their own."""

    def __init__(self, make: Callable[[list[Entry], Lots], Field], lots: Lots) -> None:
        self._make = make
        self._lots = lots

    def field(self, entries: list[Entry], kind: TaskType, proof: int) -> Field:
        return self._make(entries, self._lots)

    def placed(self, task: Task, bench: Bench) -> None:
        pass


def _any(entries: list[Entry], lots: Lots) -> Field:
    return _First([Entry(e.bench, e.share, (0, 0.0)) for e in entries], lots)


# -- fewest tasks ---------------------------------------------------------------------------------------------------------


class _Spread:
    """The worker with the fewest tasks; ``by_type`` counts each task type by itself.

    Counted is what this pass has assigned; ``queued`` adds what the worker has already.
    """

    def __init__(self, by_type: bool, queued: bool, lots: Lots) -> None:
        self._by_type = by_type
        self._queued = queued
        self._lots = lots
        self._assigned: dict[tuple[str, TaskType | None], int] = {}

    def field(self, entries: list[Entry], kind: TaskType, proof: int) -> Field:
        return _Fewest(self, entries, kind, proof, self._lots)

    def placed(self, task: Task, bench: Bench) -> None:
        kind, proof = task.spec.type, task.spec.proof
        now = self.tasks(bench, kind, proof)
        self._assigned[bench.worker.id, kind if self._by_type else None] = now + 1

    def tasks(self, bench: Bench, kind: TaskType, proof: int) -> int:
        key = (bench.worker.id, kind if self._by_type else None)
        counted = self._assigned.get(key)
        if counted is None:
            counted = 0
            if self._queued:
                counted = bench.count(kind if self._by_type else None, proof)
            self._assigned[key] = counted
        return counted


class _Fewest:
    def __init__(self, spread: _Spread, entries: list[Entry], kind: TaskType, proof: int, lots: Lots) -> None:
        self._spread = spread
        self._kind, self._proof = kind, proof
        self._number = count()
        self._lots = lots
        self._heap = [self._item(entry) for entry in entries]
        heapify(self._heap)

    def _item(self, entry: Entry) -> tuple[int, Rank, int, int, Entry]:
        tasks = self._spread.tasks(entry.bench, self._kind, self._proof)
        return tasks, entry.rank, self._lots.below(1 << 20), next(self._number), entry

    def empty(self) -> bool:
        return not self._heap

    def best(self, own: list[Entry]) -> Window | None:
        top = self._top()
        offers = [self._item(entry) for entry in own if entry.window() is not None]
        if top is not None:
            offers.append(top)
        return min(offers)[4].window() if offers else None

    def _top(self) -> tuple[int, Rank, int, int, Entry] | None:
        """The best entry with its count as it is now; counts only grow within a pass."""
        heap = self._heap
        while heap:
            top = heap[0]
            entry = top[4]
            tasks = self._spread.tasks(entry.bench, self._kind, self._proof)
            if entry.window() is None:
                heappop(heap)
            elif tasks > top[0]:
                heapreplace(heap, (tasks, *top[1:]))
            else:
                return top
        return None


def _rank(entry: Entry) -> Rank:
    return entry.rank


#: ``Settings.assigner`` → what makes the assigner of one pass. The empty name is Lotus's default.
ASSIGNERS: Final[dict[str, Callable[[Lots], Any]]] = {
    "": lambda lots: _Plain(_LowestUtilization, lots),
    "utilization": lambda lots: _Plain(_LowestUtilization, lots),
    "spread": lambda lots: _Spread(False, False, lots),
    "experiment-spread-qcount": lambda lots: _Spread(False, True, lots),
    "experiment-spread-tasks": lambda lots: _Spread(True, False, lots),
    "experiment-spread-tasks-qcount": lambda lots: _Spread(True, True, lots),
    "experiment-random": lambda lots: _Plain(_any, lots),
    "2020": lambda lots: _Plain(_First, lots),
}
