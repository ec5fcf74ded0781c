"""Workers that like tasks may be drawn from, best first, without ever looking at all of them.

A pool stands for a class of tasks: same type, proof, miner actor, and where their files may be fetched to. Its heap
orders the workers with a free slot by rules 2, 3 and 5 of A6. Binding makes a worker worth less or equal, so an entry that
is out of date is only ever too early in the heap: it is set right when it comes to the top. What makes a worker worth
more is offered anew.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush, heapreplace
from itertools import count
from typing import Any, Final

from . import space
from .choice import Rank, rank
from .decisions import Laid
from .needs import Needs
from .records import QueueKey, Task, Worker
from .tasks import TaskType

_number: Final = count()


@dataclass(slots=True, eq=False)
class Entry:
    """A worker's place in a heap, as of ``version`` of the worker."""

    rank: Rank
    worker: Worker
    version: int


@dataclass(slots=True, eq=False)
class Line:
    """Waiting tasks in the order of the queue, which is nearly that of their coming: a sorted list, ``start`` its front.

    Tasks that wait no longer stay in it until they come to the front; ``tasks`` counts those that do wait.
    """

    queue: list[tuple[QueueKey, int, Task]] = field(default_factory=list)
    start: int = 0
    tasks: int = 0

    def enqueue(self, item: tuple[QueueKey, int, Task]) -> None:
        """A task with its key and stamp. Not during a pass: it may move what stands in the list."""
        self.tasks += 1
        queue = self.queue
        if len(queue) > 2 * self.tasks + 64:
            queue[:] = [item for item in queue if item[2].waiting and item[1] == item[2].stamp]
            self.start = 0
        if not queue or queue[-1] < item:
            queue.append(item)
        else:
            insort(queue, item, self.start)

    def head(self) -> Task | None:
        """The first task that waits here."""
        self.start = self.next(self.start)
        return self.queue[self.start][2] if self.start < len(self.queue) else None

    def next(self, at: int) -> int:
        """The place of the first one from ``at`` on that still waits."""
        queue = self.queue
        while at < len(queue):
            _, stamp, task = queue[at]
            if task.waiting and task.stamp == stamp:
                break
            at += 1
        return at


Draw = tuple[Worker, Rank, tuple[Laid, ...]]


@dataclass(slots=True, eq=False)
class Pool:
    """``shared`` is the id of a path shared by many whose owners this pool is about (empty: who has none of the files);
    ``bound`` picks those of them that are bound to their own P1 results. ``fits`` looks at storage without room.
    ``closed`` is the number of the pass in which a task of this pool found no place at all.
    """

    key: tuple[Any, ...]
    type: TaskType
    proof: int
    miner: int
    groups: frozenset[str] | None
    needs: Needs
    admits: Callable[[Pool, Worker], bool]
    fits: Callable[[Task, Worker], bool]
    shared: str = ""
    bound: bool = False
    members: dict[str, Worker] = field(default_factory=dict)
    #: Compared as plain tuples; the number keeps it from ever looking at the entry.
    heap: list[tuple[Rank, int, Entry]] = field(default_factory=list)
    current: dict[str, Entry] = field(default_factory=dict)
    line: Line = field(default_factory=Line)
    closed: int = 0
    used: int = 0
    in_pass: bool = False

    def admit(self, worker: Worker) -> None:
        """The worker changed its shape: it belongs here, or no longer."""
        self.members.pop(worker.id, None)
        self.current.pop(worker.id, None)
        if self.admits(self, worker):
            self.members[worker.id] = worker
            worker.pools.append(self)

    def offer(self, worker: Worker, now: float, share: bool) -> bool:
        """The worker may be worth more than its entry says. True if it has a free slot."""
        value = rank(worker, self.type, self.proof, now, share)
        if value is None:
            return False
        entry = self.current.get(worker.id)
        if entry is not None and not value < entry.rank:
            return True
        entry = self.current[worker.id] = Entry(value, worker, worker.version)
        heappush(self.heap, (value, next(_number), entry))
        if len(self.heap) > 2 * len(self.members) + 64:
            self.heap = [(entry.rank, next(_number), entry) for entry in self.current.values()]
            heapify(self.heap)
        return True

    def best(self, task: Task, now: float, share: bool, skip: str | None = None) -> Draw | None:
        """The first worker with a free slot and room for the task; one without room is out until it improves."""
        heap, current = self.heap, self.current
        aside: tuple[Rank, int, Entry] | None = None
        found: Draw | None = None
        while heap:
            entry = heap[0][2]
            worker = entry.worker
            if current.get(worker.id) is not entry:
                heappop(heap)
                continue
            if entry.version != worker.version:
                value = rank(worker, self.type, self.proof, now, share)
                if value is None:
                    heappop(heap)
                    del current[worker.id]
                    continue
                if value != entry.rank:
                    entry = current[worker.id] = Entry(value, worker, worker.version)
                    heapreplace(heap, (value, next(_number), entry))
                    continue
                entry.version = worker.version
            if worker.id == skip:
                aside = heappop(heap)
                continue
            laid = space.lay(task, worker, now)
            if laid is None or (self.shared and not self.fits(task, worker)):
                worker.blocked = True
                heappop(heap)
                del current[worker.id]
                continue
            found = (worker, entry.rank, laid)
            break
        if aside is not None:
            heappush(heap, aside)
        return found

    def others(self, chosen: Worker) -> list[tuple[str, Rank]]:
        """Some of the next best by id, as the front of the heap has them, to be told if someone asks."""
        return [
            (entry.worker.id, value)
            for value, _, entry in self.heap[:3]
            if entry.worker is not chosen and entry.version == entry.worker.version and entry.rank is value
        ]
