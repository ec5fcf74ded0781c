"""What is said about the workers that refuse (scheduling.md A8): little, and each thing once an hour."""

from __future__ import annotations

from typing import Any, Final

from .decisions import Decision, Refused, Why
from .farm import Farm
from .records import Task
from .tasks import TaskType

#: Seconds between two sweeps, and after which what still stands is said again.
PAUSE: Final = 1.0
AGAIN: Final = 3600.0

Said = tuple[TaskType, str, Why]


class Refusals:
    """Sweeps over the workers for the first waiting task of each type, at most once a second.

    A worker that has not changed since the last sweep for the same task is not judged again.
    """

    def __init__(self, farm: Farm) -> None:
        self._farm = farm
        self._said: dict[Said, float] = {}
        self._seen: dict[TaskType, tuple[str, dict[str, int]]] = {}
        self._last = float("-inf")
        self._due: float | None = None

    def plan(self, now: float) -> None:
        """Something happened: look around soon, unless that is planned already."""
        if self._due is None or self._due > now + AGAIN / 2:
            self._set(max(now + PAUSE, self._last + PAUSE))

    def _set(self, at: float) -> None:
        self._due = at
        self._farm.timer(at, "sweep")

    def due(self, now: float) -> list[Decision]:
        """The refusals to be said now."""
        if self._due is None or now < self._due:
            return []
        self._due, self._last = None, now
        decisions: list[Decision] = []
        heads = self._heads()
        for kind, (task, waiting) in heads.items():
            decisions += self._sweep(kind, task, waiting - 1, now)
        for kind in [k for k in self._seen if k not in heads]:
            del self._seen[kind]
        for said in [s for s, at in self._said.items() if at <= now - AGAIN]:
            del self._said[said]
        if heads and self._said:
            self._set(max(min(self._said.values()) + AGAIN, now + PAUSE))
        return decisions

    def _heads(self) -> dict[TaskType, tuple[Task, int]]:
        heads: dict[TaskType, tuple[Task, int]] = {}
        for task in self._farm.tasks.values():
            if task.waiting:
                kind = task.spec.type
                head = heads.get(kind)
                if head is None:
                    heads[kind] = (task, 1)
                else:
                    first = self._order(task) < self._order(head[0])
                    heads[kind] = (task if first else head[0], head[1] + 1)
        return heads

    def _order(self, task: Task) -> Any:
        return self._farm.policy.order(task)

    def _sweep(self, kind: TaskType, task: Task, behind: int, now: float) -> list[Decision]:
        farm = self._farm
        before, versions = self._seen.get(kind, ("", {}))
        if before != task.spec.id or self._hour_is_over(kind, now):
            versions = {}
        self._seen[kind] = (task.spec.id, versions)
        decisions: list[Decision] = []
        for worker in farm.workers.values():
            if not worker.known or versions.get(worker.id) == worker.version:
                continue
            versions[worker.id] = worker.version
            refusal = farm.policy.judge(task, worker, now)
            if refusal is None or refusal.why is Why.TASK_TYPE:
                continue
            said = (kind, worker.id, refusal.why)
            if self._said.get(said, float("-inf")) <= now - AGAIN:
                self._said[said] = now
                decisions.append(Refused(task.spec, worker.id, worker.spec.label, refusal, behind))
        return decisions

    def _hour_is_over(self, kind: TaskType, now: float) -> bool:
        return any(said[0] is kind and at <= now - AGAIN for said, at in self._said.items())
