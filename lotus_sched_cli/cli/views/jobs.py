"""``sealing jobs``: what runs, waits to run, or waits to be taken (Lotus: ``cli/miner/sealing.go``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .wire import NIL_UUID, short, unix

RETURN_DONE: Final = -3
STATES: Final = {1: "prepared", 0: "running", -1: "ret-wait", -2: "returned", RETURN_DONE: "ret-done"}


@dataclass(frozen=True, slots=True)
class Used:
    """What a job's process took so far: seconds of clock and of processors, peak memory in bytes."""

    seconds: float
    cpu_seconds: float
    max_rss: int


@dataclass(frozen=True, slots=True)
class Job:
    """One row. ``age`` is in seconds, None where the miner does not know since when; ids are whole.

    ``usage`` None: the miner is a stock one, or the worker's sealer runs no programs. ``number`` and ``worker_number`` are
    those of the 2020 tables; None from a stock miner.
    """

    id: str
    sector: int
    worker: str
    hostname: str
    task: str
    state: str
    start: float | None
    age: float | None
    usage: Used | None = None
    number: int | None = None
    worker_number: int | None = None


@dataclass(frozen=True, slots=True)
class Jobs:
    """All rows in the order in which they are shown."""

    rows: tuple[Job, ...]


def jobs_view(
    jobs: Mapping[str, Sequence[Mapping[str, Any]] | None],
    hostnames: Mapping[str, str],
    now: float,
    *,
    show_done: bool = False,
    queue: Sequence[Mapping[str, Any]] = (),
) -> Jobs:
    """Rows of ``WorkerJobs``, then those of ``SealingQueue`` (ours).

    ``hostnames``: by worker session, from ``WorkerStats``; needed only where a job does not name its host itself.
    """
    found: list[tuple[tuple[int, float, str], Job]] = []
    for session, entries in jobs.items():
        for entry in entries or ():
            wait = int(entry["RunWait"])
            if wait == RETURN_DONE and not show_done:
                continue
            row = job_row(session, entry, hostnames, now)
            found.append(((wait, row.start if row.start is not None else float("-inf"), row.id), row))
    found.sort(key=lambda pair: pair[0])
    return Jobs(tuple(row for _, row in found) + tuple(queued_row(entry, now) for entry in queue))


def job_row(session: str, entry: Mapping[str, Any], hostnames: Mapping[str, str], now: float) -> Job:
    start = unix(entry.get("Start"))
    wait = int(entry["RunWait"])
    return Job(
        id=entry["ID"]["ID"],
        sector=entry["Sector"]["Number"],
        worker=session,
        hostname=hostnames.get(session) or entry.get("Hostname") or "",
        task=short(entry["Task"]),
        state=(entry.get("Sched") or {}).get("Prefetch") or state_of(wait),
        start=start,
        age=None if start is None else now - start,
        usage=used(entry),
        number=(entry.get("Sched") or {}).get("Number"),
        worker_number=(entry.get("Sched") or {}).get("WorkerNumber"),
    )


def state_of(wait: int) -> str:
    return STATES.get(wait, f"assigned({wait - 1})" if wait > 1 else "running")


def used(entry: Mapping[str, Any]) -> Used | None:
    told = (entry.get("Sched") or {}).get("Usage")
    return None if told is None else Used(told["Seconds"], told["CPUSeconds"], told["MaxRSS"])


def queued_row(entry: Mapping[str, Any], now: float) -> Job:
    """A task that no worker has yet. Its id is the one that ``sealing abort --sched`` takes.

    The host is ``-``: awk counts columns, so none may be empty.
    """
    start = unix(entry.get("Queued"))
    return Job(
        id=entry["TaskID"],
        sector=entry["Sector"],
        worker=NIL_UUID,
        hostname="-",
        task=short(entry["Task"]),
        state="queued",
        start=start,
        age=None if start is None else now - start,
    )


def need_hostnames(jobs: Mapping[str, Sequence[Mapping[str, Any]] | None]) -> bool:
    """Whether ``WorkerStats`` must be asked too (a stock miner names the host only in rows without a worker)."""
    return any(not entry.get("Hostname") for entries in jobs.values() for entry in entries or ())


def hostnames_of(stats: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Host name by session, from ``WorkerStats``."""
    return {session: worker["Info"]["Hostname"] for session, worker in stats.items()}
