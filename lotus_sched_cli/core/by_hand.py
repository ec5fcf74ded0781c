"""A task that an operator gives to a worker himself."""

from __future__ import annotations

from typing import Final

from . import promise, space
from .decisions import HandRefused, Why
from .farm import Farm
from .records import Task

#: What no force helps against: the worker could not do the task.
HARD: Final = frozenset({Why.OFFLINE, Why.TASK_TYPE, Why.STORAGE, Why.NO_FILES})


def assign(farm: Farm, task_id: str, worker_id: str, force: bool, done: list[Task]) -> None:
    """Bind the task, added to ``done``; or say in ``farm.decisions`` what stands against it."""
    task, worker = farm.tasks.get(task_id), farm.workers.get(worker_id)
    if task is None or worker is None or not worker.known or task.state != "queued":
        farm.decisions.append(HandRefused(task_id, worker_id, None))
        return
    refusal = farm.policy.judge(task, worker, farm.now)
    if refusal is not None and (not force or refusal.why in HARD):
        farm.decisions.append(HandRefused(task_id, worker_id, refusal))
        return
    task.forced = refusal is not None
    task.reasons = {"by_hand": True} | ({"forced_over": refusal.text} if refusal is not None else {})
    task.not_before = 0.0
    farm.bind(task, worker, space.lay(task, worker, farm.now) or (), farm.now)
    promise.settle(farm, task)
    promise.sweep(farm)
    done.append(task)
