"""Waiting tasks that the same workers may take, in the order of the queue: looked at together, not task by task.

A worker that has some of a task's own files on a path of its own is not looked at in the line, but for the task alone.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Any, Final

from lotus_sched_cli.core.eligibility import may_hold, offers
from lotus_sched_cli.core.needs import SELECT_MOVE, SELECT_TASK
from lotus_sched_cli.core.records import Placement, Sector, Task, Worker

from .assigners import Field
from .bench import Bench

#: Owners of a path above which it makes a line of its own, instead of each owner being looked at for each task.
MANY_OWNERS: Final = 8

Layout = tuple[tuple[str, int], ...]
#: Priority classes, order and number as Lotus queues them, then first come.
Order = tuple[bool, int, int, int, float, int]


def order_of(task: Task) -> Order:
    """Lotus's queue (scheduling.md B1): tasks with an order below 0 first, then priority, order, sector number."""
    spec = task.spec
    order = spec.type.order
    return order >= 0, -spec.priority, order, spec.sector.number, task.memory.queued_at, task.key[-1]


def line_key(task: Task, layout: Layout) -> tuple[Any, ...]:
    """Equal for tasks that the same workers may take (files on a worker's own paths left aside)."""
    spec, needs = task.spec, task.needs
    miner = 0 if needs.selector is SELECT_TASK else spec.sector.miner
    declared = task.sector.declared() & needs.touched if needs.selector is SELECT_MOVE else 0
    return spec.type, spec.proof, miner, task.groups, needs, declared, layout


class Line:
    """``members`` are the workers that may take its tasks, room and slots left aside."""

    def __init__(self, key: tuple[Any, ...], task: Task, layout: Layout, local_moves_only: bool) -> None:
        self.key = key
        self.kind, self.proof = task.spec.type, task.spec.proof
        self.needs = task.needs
        self.members: dict[str, Bench] = {}
        self.waiting = 0
        self.field: Field | None = None
        #: Ids of the workers in the field.
        self.asked: set[str] = set()
        self.pass_number = 0
        self.closed = 0
        self._local = local_moves_only
        self._heap: list[tuple[Order, int, Task]] = []
        self._passed: list[tuple[Order, int, Task]] = []
        self.probe = _probe(task, layout)

    def admit(self, bench: Bench) -> None:
        """The worker changed its shape: it belongs here, or no longer."""
        if self.admits(bench.worker):
            self.members[bench.worker.id] = bench
        else:
            self.members.pop(bench.worker.id, None)

    def admits(self, worker: Worker) -> bool:
        return worker.known and offers(worker, self.kind) and may_hold(self.probe, worker, self._local)

    def add(self, task: Task) -> None:
        heappush(self._heap, (order_of(task), task.stamp, task))
        self.waiting += 1
        if len(self._heap) > 64 and len(self._heap) > 4 * self.waiting:
            self._heap = [item for item in self._heap if self._lives(item)]
            heapify(self._heap)

    def head(self) -> tuple[Order, Task] | None:
        """The first task that waits and has not been passed by in this pass."""
        heap = self._heap
        while heap:
            order, stamp, task = heap[0]
            if task.stamp == stamp and task.pools and task.pools[0] is self:
                return order, task
            heappop(heap)
        return None

    def pass_by(self) -> None:
        """The head finds no place; others of the line still may."""
        self._passed.append(heappop(self._heap))

    def end_pass(self) -> None:
        self.field = None
        for item in self._passed:
            heappush(self._heap, item)
        self._passed.clear()

    def _lives(self, item: tuple[Order, int, Task]) -> bool:
        task = item[2]
        return task.stamp == item[1] and bool(task.pools) and task.pools[0] is self


def _probe(task: Task, layout: Layout) -> Task:
    """A task of the line whose files lie where those of all its tasks lie, and nowhere else."""
    sector = Sector(task.spec.sector)
    for path_id, types in layout:
        sector.files[path_id] = Placement(types, False)
    if task.needs.selector is SELECT_MOVE:
        sector.files[""] = Placement(task.sector.declared() & task.needs.touched, False)
    probe = Task(task.spec, sector, task.memory, task.key)
    probe.needs, probe.groups = task.needs, task.groups
    return probe
