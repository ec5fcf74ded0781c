"""What a scheduling policy is to the farm: told of every change, asked for a pass."""

from __future__ import annotations

from typing import Any, Protocol

from .decisions import Refusal
from .records import Task, Worker


class Policy(Protocol):
    """The farm calls the hooks as things change; the scheduler calls ``run`` once per batch of events."""

    def task_added(self, task: Task) -> None:
        """It waits for a worker from now on (its delay, if any, is over)."""

    def task_removed(self, task: Task) -> None:
        """It waits no longer: bound, delayed, or gone."""

    def task_changed(self, task: Task) -> None:
        """A waiting task's files lie elsewhere now."""

    def task_prepared(self, task: Task) -> None:
        """A bound task that waits for its turn has all it needs (``Farm.start`` gives it the turn)."""

    def reshaped(self, worker: Worker) -> None:
        """What it offers, its caps, its paths or their specs changed; or it is new or gone."""

    def improved(self, worker: Worker) -> None:
        """It may take something that it could not take before: a slot, room, hold, a rest that is over."""

    def lighter(self, worker: Worker) -> None:
        """Room that was promised to pieces, or a piece that waits, is gone from it."""

    def worsened(self, worker: Worker) -> None:
        """It may take less, or its figures for the choice changed for the worse."""

    def run(self, now: float) -> list[Task]:
        """One pass: bind what can be bound (by ``Farm.bind``); the tasks bound, in the order of the queue.

        To be called again later, it sets ``Farm.timer(at, "policy")``.
        """

    def close(self) -> None:
        """Another policy takes over: leave nothing of this one on workers and tasks."""

    # -- questions --------------------------------------------------------------------------------------------------

    def order(self, task: Task) -> Any:
        """Where it stands in the queue; smaller goes first."""

    def judge(self, task: Task, worker: Worker, now: float) -> Refusal | None:
        """The first reason why the worker does not take the waiting task now; None if it would."""

    def window_of(self, task: Task) -> tuple[Worker, int] | None:
        """The worker in whose window it waits, and the number of that window (the first is 1); None: in no window."""

    def open_windows(self) -> list[str] | None:
        """Workers that ask for tasks, once for each open window, oldest first; None for a policy without windows."""

    def validate(self, now: float) -> None:
        """AssertionError if an index or a rule of the policy does not hold."""
