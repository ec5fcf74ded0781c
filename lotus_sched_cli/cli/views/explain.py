"""``sealing explain``: why a task waits, or why it stands where it stands (ours: ``SealingExplain``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .wire import short, unix


@dataclass(frozen=True, slots=True)
class WorkerWhy:
    """One worker and a task that waits. ``why`` is empty where nothing stands against it; ``change`` completes
    "it takes the task …"; ``figures`` are those of the reason."""

    session: str
    hostname: str
    why: str
    text: str
    change: str
    figures: tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True)
class RivalWhy:
    """A worker that was in question, too; None: not looked at, ``carried`` decided."""

    session: str
    hostname: str
    carried: float
    crowd: float | None
    free_slots: int | None


@dataclass(frozen=True, slots=True)
class PrefetchWhy:
    """Files of a waiting PC2 that are fetched to a worker ahead: since then (unix seconds), bytes; ``done``: there."""

    session: str
    hostname: str
    since: float | None
    bytes: int
    done: bool


@dataclass(frozen=True, slots=True)
class AbsentWhy:
    """A worker out of reach that holds files of these types, which a waiting task needs and which lie with nobody else in
    reach; its last heartbeat in unix seconds, and what to do."""

    session: str
    hostname: str
    types: tuple[str, ...]
    last_seen: float | None
    change: str


@dataclass(frozen=True, slots=True)
class TaskWhy:
    """One task. Times are unix seconds. ``workers`` of a task that waits; the members from ``session`` on of one that is
    placed. ``state``: queued, bound, preparing, prepared, running, over. ``last_seen``: the last heartbeat of the worker
    that has it, where that one is out of reach."""

    task_id: str
    sector: int
    task: str
    state: str
    policy: str
    priority: int
    queued: float | None
    not_before: float | None
    ahead: int
    attempts: int
    failed_on: str
    last_error: str
    workers: tuple[WorkerWhy, ...]
    session: str
    hostname: str
    placed: float | None
    reasons: tuple[tuple[str, Any], ...]
    rivals: tuple[RivalWhy, ...]
    prefetch: PrefetchWhy | None = None
    absent: tuple[AbsentWhy, ...] = ()
    last_seen: float | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The tasks that were asked for; ``now`` is when, in unix seconds."""

    rows: tuple[TaskWhy, ...]
    now: float


def explanation(told: Sequence[Mapping[str, Any]], now: float) -> Explanation:
    """From the answer of ``SealingExplain``."""
    return Explanation(tuple(_task(entry) for entry in told), now)


def _task(entry: Mapping[str, Any]) -> TaskWhy:
    return TaskWhy(
        task_id=entry["TaskID"],
        sector=entry["Sector"],
        task=short(entry["Task"]),
        state=entry["State"],
        policy=entry["Policy"],
        priority=entry["Priority"],
        queued=unix(entry["Queued"]),
        not_before=unix(entry["NotBefore"]),
        ahead=entry["Ahead"],
        attempts=entry["Attempts"],
        failed_on=entry["FailedOn"],
        last_error=entry["LastError"],
        workers=tuple(worker_why(w) for w in entry["Workers"] or ()),
        session=entry["Session"],
        hostname=entry["Worker"],
        placed=unix(entry["Placed"]),
        reasons=tuple((entry["Reasons"] or {}).items()),
        rivals=tuple(
            RivalWhy(r["Session"], r["Name"], r["Carried"], r["Crowd"], r["FreeSlots"])
            for r in entry["Rivals"] or ()
        ),
        prefetch=_prefetch(entry.get("Prefetch")),
        absent=tuple(
            AbsentWhy(a["Session"], a["Name"], tuple(a["Types"]), unix(a["LastSeen"]), a["Change"])
            for a in entry.get("Absent") or ()
        ),
        last_seen=unix(entry.get("LastSeen", "")),
    )


def _prefetch(told: Mapping[str, Any] | None) -> PrefetchWhy | None:
    if told is None:
        return None
    return PrefetchWhy(told["Session"], told["Name"], unix(told["Since"]), told["Bytes"], told["Done"])


def worker_why(told: Mapping[str, Any]) -> WorkerWhy:
    figures = tuple((told["Figures"] or {}).items())
    return WorkerWhy(told["Session"], told["Name"], told["Why"], told["Text"], told["Change"], figures)
