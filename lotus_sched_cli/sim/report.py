"""What a run was like, in figures: the same values for the table, for JSON and for comparing policies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lotus_sched_cli.core.tasks import TaskType

from . import bounds
from .bounds import Bound
from .farm import STAGES, FarmSpec
from .trace import Span, Trace

DAY: Final = 86400.0
#: A makespan above this share of the stated bound needs an explanation.
CLOSE: Final = 1.05


@dataclass(frozen=True, slots=True)
class StageReport:
    """One stage of all sectors. Seconds; means are over the tasks that succeeded.

    ``waited`` from queueing to binding, ``fetched`` from there until it ran, ``ran`` the task itself. ``utilisation`` is
    the share of slot time that was used, None where slots have no limit; ``idle`` worker-seconds with a free slot while a
    task waited that the worker could have done.
    """

    stage: str
    tasks: int
    failed: int
    slots: int | None
    waited: float
    fetched: float
    ran: float
    utilisation: float | None
    idle: float


@dataclass(frozen=True, slots=True)
class DiskReport:
    """A storage path: the most that was used and reserved on it at once."""

    worker: str
    path: str
    peak: int
    capacity: int


@dataclass(frozen=True, slots=True)
class Report:
    """One farm under one policy. ``bound`` is the stated lower bound; ``closest`` explains a makespan that is more than
    1.05 times it: the largest of the bounds that look closer."""

    farm: str
    policy: str
    workers: int
    sectors: int
    sealed: int
    makespan: float
    sectors_per_day: float
    stages: tuple[StageReport, ...]
    idle_while_eligible: float
    idle_empty: float
    copies: int
    bytes_copied: int
    disks: tuple[DiskReport, ...]
    refused_for_space: int
    bound: Bound | None
    closest: Bound | None
    stuck: str
    unfinished: dict[str, int]

    @property
    def ratio(self) -> float | None:
        """Makespan over the stated bound; None where not all was sealed."""
        if self.bound is None or not self.bound.seconds or self.sealed < self.sectors:
            return None
        return self.makespan / self.bound.seconds


def report(trace: Trace) -> Report:
    """The figures of one run."""
    farm = trace.farm
    done = len(trace.done)
    whole = done == farm.sectors
    bound = bounds.stated(farm) if whole else None
    closest = None
    if bound is not None and bound.seconds and trace.end > CLOSE * bound.seconds:
        closest = bounds.refined(farm, trace)[0]
    by_stage: dict[TaskType, list[Span]] = {stage: [] for stage in STAGES}
    for span in trace.spans:
        by_stage[span.stage].append(span)
    return Report(
        farm=farm.name,
        policy=trace.policy,
        workers=farm.workers,
        sectors=farm.sectors,
        sealed=done,
        makespan=trace.end,
        sectors_per_day=done / trace.end * DAY if trace.end else 0.0,
        stages=tuple(_stage(trace, stage, spans) for stage, spans in by_stage.items() if spans),
        idle_while_eligible=trace.idle_total,
        idle_empty=trace.idle_empty,
        copies=trace.copies,
        bytes_copied=trace.copied,
        disks=tuple(
            DiskReport(host.id, disk.id, disk.peak, disk.capacity)
            for host in trace.hosts
            for disk in host.disks.values()
        ),
        refused_for_space=trace.no_space,
        bound=bound,
        closest=closest,
        stuck=trace.stuck,
        unfinished=dict(trace.unfinished),
    )


def _stage(trace: Trace, stage: TaskType, spans: list[Span]) -> StageReport:
    good = [span for span in spans if span.outcome == "success"]
    number = len(good) or 1
    slots = total_slots(trace.farm, stage)
    busy = sum(span.end - span.slot for span in spans)
    return StageReport(
        stage=stage.short,
        tasks=len(good),
        failed=sum(span.outcome == "failed" for span in spans),
        slots=slots,
        waited=sum(span.bound - span.queued for span in good) / number,
        fetched=sum(_ran(span) - span.bound for span in good) / number,
        ran=sum(span.end - _ran(span) for span in good) / number,
        utilisation=busy / (slots * trace.end) if slots and trace.end else None,
        idle=trace.idle.get(stage, 0.0),
    )


def _ran(span: Span) -> float:
    return span.end if span.ran is None else span.ran


def total_slots(farm: FarmSpec, stage: TaskType) -> int | None:
    """Tasks of the stage that the farm may carry at once; None: no limit."""
    slots = [group.slots(stage) for group in farm.groups]
    return None if None in slots else sum(slot for slot in slots if slot)
