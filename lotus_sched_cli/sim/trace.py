"""What a simulation remembers: every task that ran, and when each sector came and was done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from lotus_sched_cli.core.tasks import TaskType

from .farm import FarmSpec
from .things import Host, Job


class Span(NamedTuple):
    """A task from its queueing to its end on a worker, in seconds.

    ``ran`` is when its files were there and it began (None: it never did), ``slot`` since when it kept a slot (a task that
    waits for its turn on the worker has none yet), ``work`` how long it takes alone on its machine.
    """

    host: int
    stage: TaskType
    sector: int
    queued: float
    bound: float
    ran: float | None
    slot: float
    end: float
    work: float
    outcome: str


@dataclass(slots=True)
class Trace:
    """``end`` is the time of the last thing that was done. ``stuck`` says why a run ended early, empty if it did not.

    ``unfinished`` are sectors that came and were not done, by the stage they were at.
    """

    farm: FarmSpec
    policy: str
    hosts: list[Host]
    spans: list[Span] = field(default_factory=list)
    came: dict[int, float] = field(default_factory=dict)
    done: dict[int, float] = field(default_factory=dict)
    end: float = 0.0
    copied: int = 0
    copies: int = 0
    idle: dict[TaskType, float] = field(default_factory=dict)
    idle_total: float = 0.0
    idle_empty: float = 0.0
    no_space: int = 0
    stuck: str = ""
    unfinished: dict[str, int] = field(default_factory=dict)

    def record(self, job: Job, now: float, outcome: str) -> None:
        task = job.task
        self.spans.append(
            Span(
                job.host.number,
                task.spec.type,
                task.sector.number,
                task.since,
                job.bound,
                job.ran,
                job.bound if not job.waits else now if job.ran is None else job.ran,
                now,
                job.work,
                outcome,
            )
        )
        self.end = max(self.end, now)

    def of(self, stage: TaskType) -> Iterator[Span]:
        return (span for span in self.spans if span.stage is stage)
