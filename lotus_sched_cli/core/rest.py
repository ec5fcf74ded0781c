"""Rests: a worker that fails at once would draw every task of the farm to itself (scheduling.md A4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .decisions import RestBegan, RestEnded
from .records import Rest, Task, Worker
from .tasks import TaskType

if TYPE_CHECKING:
    from .farm import Farm

#: Failures in a row after which a worker rests from a task type.
REST_AFTER: Final = 2


def bound(worker: Worker, task: Task) -> None:
    """While a worker rests, what it gets is its trial."""
    rest = worker.rests.get(task.spec.type)
    if rest is not None and rest.until is not None:
        rest.trial = task.spec.id


def unbound(worker: Worker, task: Task) -> None:
    rest = worker.rests.get(task.spec.type)
    if rest is not None and rest.trial == task.spec.id:
        rest.trial = None


def succeeded(farm: Farm, worker: Worker, kind: TaskType) -> None:
    rest = worker.rests.pop(kind, None)
    if rest is not None and rest.until is not None:
        farm.decisions.append(RestEnded(worker.id, kind))


def failed(farm: Farm, worker: Worker, kind: TaskType, error: str, now: float) -> None:
    rest = worker.rests.get(kind)
    if rest is None:
        rest = worker.rests[kind] = Rest()
    rest.failures += 1
    rest.error = error
    if rest.failures < REST_AFTER:
        return
    first = rest.until is None
    rest.until = now + farm.delay(rest.failures - REST_AFTER)
    farm.timer(rest.until, "worker", worker.id)
    if first:
        farm.decisions.append(RestBegan(worker.id, kind, rest.failures, rest.until, error))


def over(farm: Farm, worker_id: str, task: TaskType | None) -> None:
    """The operator ends the worker's rest from a task type, or from all."""
    worker = farm.workers.get(worker_id)
    if worker is None:
        return
    for kind in [task] if task is not None else list(worker.rests):
        succeeded(farm, worker, kind)
    farm.improved(worker)
