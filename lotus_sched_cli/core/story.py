"""The life of each task: what happened to it and what was decided, with the time."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

from .decisions import Assigned, Decision, FilesMissing, Prefetch, PrefetchOver, Refused, Start
from .events import (
    Event,
    PrefetchDone,
    PrefetchFailed,
    TaskEnded,
    TaskPrepared,
    TaskPreparing,
    TaskQueued,
    TaskRemoved,
    TaskRestored,
    TaskRunning,
)

#: Lines kept of one task, and tasks of which they are kept once they are gone.
LINES: Final = 64
GONE: Final = 1024

_OF_TASKS: Final = (Assigned, Prefetch, PrefetchOver, Start, Refused, FilesMissing)


class StoryLine(NamedTuple):
    """What happened to a task, or was decided on it, and when."""

    time: float
    data: Event | Decision

    @property
    def what(self) -> str:
        """The name of the event or decision."""
        return type(self.data).__name__


class Stories:
    """Bounded: the last lines of every live task and of the tasks that ended last."""

    def __init__(self) -> None:
        #: Tuples, as most of ten thousand tasks have one line or two.
        self._lines: dict[str, tuple[StoryLine, ...]] = {}
        self._gone: OrderedDict[str, None] = OrderedDict()

    def event(self, now: float, event: Event) -> None:
        match event:
            case TaskQueued(task=task) | TaskRestored(task=task):
                self._gone.pop(task.id, None)
                self._add(task.id, now, event)
            case (
                TaskPreparing(task_id=task_id)
                | TaskPrepared(task_id=task_id)
                | TaskRunning(task_id=task_id)
                | TaskEnded(task_id=task_id)
                | TaskRemoved(task_id=task_id)
                | PrefetchDone(task_id=task_id)
                | PrefetchFailed(task_id=task_id)
            ):
                if task_id in self._lines:
                    self._add(task_id, now, event)
            case _:
                pass

    def decision(self, now: float, decision: Decision) -> None:
        if isinstance(decision, _OF_TASKS):
            self._add(decision.task.id, now, decision)

    def _add(self, task_id: str, now: float, data: Event | Decision) -> None:
        lines = self._lines.get(task_id, ())
        self._lines[task_id] = (*lines[1 - LINES :], StoryLine(now, data))

    def over(self, task_id: str) -> None:
        """The task left the scheduler; its story stays for a while."""
        if task_id not in self._lines:
            return
        self._gone[task_id] = None
        if len(self._gone) > GONE:
            oldest, _ = self._gone.popitem(last=False)
            self._lines.pop(oldest, None)

    def of(self, task_id: str) -> list[StoryLine]:
        return list(self._lines.get(task_id, ()))
