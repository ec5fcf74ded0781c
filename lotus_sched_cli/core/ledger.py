"""What others may see of the scheduler: snapshots, nothing live."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .caps import Caps
from .events import TaskSpec
from .records import Task, Worker
from .tasks import SectorId, TaskType


@dataclass(frozen=True, slots=True)
class QueuedTask:
    """A task that waits. ``queued_at`` is its first queueing; it is not tried before ``not_before`` (0: at once).

    Under the windowed policy it may wait in a window of a worker: ``window`` 1 is the first, 0 none.
    """

    task: TaskSpec
    queued_at: float
    not_before: float
    attempts: int
    failed_on: str | None
    last_error: str
    worker_id: str | None = None
    window: int = 0


@dataclass(frozen=True, slots=True)
class Carried:
    """A task on a worker; ``state`` is bound, preparing, prepared or running, ``since`` that time."""

    task: TaskSpec
    state: str
    since: float


@dataclass(frozen=True, slots=True)
class Promised:
    """A waiting P2 whose ``bytes`` are fetched to the worker since then; ``done``: they are there."""

    task: TaskSpec
    since: float
    bytes: int
    done: bool


@dataclass(frozen=True, slots=True)
class Resting:
    """The worker takes no more of ``task`` until ``until``, then one as a trial (its id in ``trial`` while it runs)."""

    task: TaskType
    failures: int
    until: float
    error: str
    trial: str | None


@dataclass(frozen=True, slots=True)
class Ledger:
    """One worker as the scheduler has it. ``held`` counts the sectors that fill its hold, ``held_sectors`` names them.

    ``pieces`` wait there for their P1. The driver knows which of the held ones have failed for good.
    """

    worker_id: str
    online: bool
    draining: bool
    caps: Caps
    carried: tuple[Carried, ...]
    by_type: Mapping[TaskType, int]
    held: int
    held_sectors: tuple[SectorId, ...]
    pieces: int
    rests: tuple[Resting, ...]
    promised: tuple[Promised, ...] = ()

    def of(self, task: TaskType) -> tuple[Carried, ...]:
        return tuple(one for one in self.carried if one.task.type is task)


def queued(task: Task, window: tuple[Worker, int] | None = None) -> QueuedTask:
    memory = task.memory
    worker_id, number = (None, 0) if window is None else (window[0].id, window[1])
    return QueuedTask(
        task.spec,
        memory.queued_at,
        task.not_before,
        memory.attempts,
        memory.failed_on,
        memory.last_error,
        worker_id,
        number,
    )


def promised(task: Task) -> Promised | None:
    promise = task.promise
    if promise is None:
        return None
    return Promised(task.spec, promise.since, promise.bytes, promise.took is not None)


def ledger(worker: Worker, held: tuple[SectorId, ...]) -> Ledger:
    return Ledger(
        worker.id,
        worker.online,
        worker.draining,
        worker.spec.caps,
        tuple(Carried(task.spec, task.state, task.since) for task in worker.carried.values()),
        {kind: number for kind, number in worker.by_type.items() if number},
        worker.hold,
        held,
        worker.pieces,
        tuple(
            Resting(kind, rest.failures, rest.until, rest.error, rest.trial)
            for kind, rest in worker.rests.items()
            if rest.until is not None
        ),
        tuple(one for task in worker.promised.values() if (one := promised(task)) is not None),
    )
