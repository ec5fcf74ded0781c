"""What a scheduling policy is to the farm: told of every change, asked for a pass."""

from __future__ import annotations

from typing import Protocol

from .records import Task, Worker


class Policy(Protocol):
    """The farm calls the first six as things change; the scheduler calls ``run`` once per batch of events."""

    def task_added(self, task: Task) -> None:
        """It waits for a worker from now on (its delay, if any, is over)."""

    def task_removed(self, task: Task) -> None:
        """It waits no longer: bound, delayed, or gone."""

    def reshaped(self, worker: Worker) -> None:
        """What it offers, its caps, its paths or their specs changed; or it is new or gone."""

    def improved(self, worker: Worker) -> None:
        """It may take something that it could not take before: a slot, room, hold, a rest that is over."""

    def lighter(self, worker: Worker) -> None:
        """Room that was promised to pieces, or a piece that waits, is gone from it."""

    def worsened(self, worker: Worker) -> None:
        """It may take less, or its figures for the choice changed for the worse."""

    def run(self, now: float) -> list[Task]:
        """One pass: bind what can be bound (by ``Farm.bind``); the tasks bound, in the order of the queue."""

    def validate(self, now: float) -> None:
        """AssertionError if an index of the policy differs from its recomputation."""
