"""``sealing sched-diag`` as a table: what waits, what each worker may carry and carries, and why the oldest tasks wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .explain import WorkerWhy, worker_why
from .wire import order, short, unix
from .workers import Worker, workers_view


@dataclass(frozen=True, slots=True)
class QueueLine:
    """The waiting tasks of one type. ``age``: seconds since the oldest came, None where the miner does not tell;
    ``delayed`` of them are tried again later. ``first`` is the task that is next."""

    task: str
    waiting: int
    delayed: int
    age: float | None
    first: str
    sector: int


@dataclass(frozen=True, slots=True)
class FleetLine:
    """A worker: of each kind what it carries and its cap, None from a stock miner; ``others``: what else it carries."""

    session: str
    hostname: str
    state: str
    p1: int
    p1_max: int | None
    hold: int | None
    hold_max: int | None
    p2: int
    p2_max: int | None
    c2: int
    c2_max: int | None
    others: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class RefusalLine:
    """What stands against a worker for the first waiting task of a type."""

    task: str
    sector: int
    worker: WorkerWhy


@dataclass(frozen=True, slots=True)
class SchedTable:
    """``refusals`` is empty from a stock miner, which does not tell them."""

    queue: tuple[QueueLine, ...]
    workers: tuple[FleetLine, ...]
    refusals: tuple[RefusalLine, ...]


def sched_table(
    queue: Sequence[Mapping[str, Any]],
    stats: Mapping[str, Mapping[str, Any]],
    explained: Sequence[Mapping[str, Any]],
    now: float,
) -> SchedTable:
    """From ``SealingQueue`` (or what a stock miner's diagnosis has of it), ``WorkerStats`` and ``SealingExplain`` of the
    first waiting task of each type."""
    refusals = tuple(
        RefusalLine(short(task["Task"]), task["Sector"], worker_why(worker))
        for task in explained
        for worker in task["Workers"] or ()
        if worker["Why"] not in ("", "task-type")
    )
    fleet = tuple(_fleet(worker) for worker in workers_view(stats).rows)
    return SchedTable(_lines(queue, now), fleet, refusals)


def first_of_each(queue: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The waiting task of each type that is next; one whose time has not come only where there is no other."""
    found: dict[str, Mapping[str, Any]] = {}
    for entry in sorted(queue, key=lambda e: bool(e.get("NotBefore"))):
        found.setdefault(entry["Task"], entry)
    return [found[task] for task in sorted(found, key=order)]


def _lines(queue: Sequence[Mapping[str, Any]], now: float) -> tuple[QueueLine, ...]:
    lines = []
    for first in first_of_each(queue):
        same = [entry for entry in queue if entry["Task"] == first["Task"]]
        times = [at for at in (unix(entry.get("Queued")) for entry in same) if at is not None]
        lines.append(
            QueueLine(
                short(first["Task"]),
                len(same),
                sum(bool(entry.get("NotBefore")) for entry in same),
                now - min(times) if times else None,
                first["TaskID"],
                first["Sector"],
            )
        )
    return tuple(lines)


def _fleet(worker: Worker) -> FleetLine:
    sched = worker.sched
    counts: dict[str, int] = {}
    if sched is not None:
        for task, count in (*sched.running, *sched.preparing):
            counts[task] = counts.get(task, 0) + count
    else:
        counts = {one.task: one.count for one in worker.tasks}
    caps = sched.caps if sched is not None else None
    others = tuple((t, n) for t, n in counts.items() if t not in ("PC1", "PC2", "C2") and n)
    if sched is not None and sched.prefetching:
        others += (("PC2 prefetching", sched.prefetching),)
    return FleetLine(
        session=worker.session,
        hostname=worker.hostname,
        state=_state(worker),
        p1=counts.get("PC1", 0),
        p1_max=caps.precommit1_max if caps else None,
        hold=sched.held if sched is not None else None,
        hold_max=caps.precommit1_hold_max if caps else None,
        p2=counts.get("PC2", 0),
        p2_max=caps.precommit2_max if caps else None,
        c2=counts.get("C2", 0),
        c2_max=caps.commit2_max if caps else None,
        others=others,
    )


def _state(worker: Worker) -> str:
    if not worker.enabled:
        return "offline"
    sched = worker.sched
    if sched is not None and sched.drain:
        return "drain"
    if sched is not None and sched.rests:
        return "rest " + ",".join(rest.task for rest in sched.rests)
    return "ok"
