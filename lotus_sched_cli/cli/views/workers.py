"""``sealing workers``: each worker's load and, from our miner, its caps and what it carries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .wire import order, short, unix


@dataclass(frozen=True, slots=True)
class TaskCount:
    """How many tasks of a type are active or being prepared; ``limit`` is the worker's own, 0 for none."""

    task: str
    count: int
    limit: int


@dataclass(frozen=True, slots=True)
class Caps:
    """What the operator allows the worker (scheduling.md A2)."""

    precommit1_max: int
    precommit1_hold_max: int
    precommit2_max: int
    commit2_max: int
    force_p2_from_local_p1: bool


@dataclass(frozen=True, slots=True)
class Rest:
    """A task type that the worker gets none of for a while, until the next trial (unix seconds), and why."""

    task: str
    until: float | None
    last_error: str


@dataclass(frozen=True, slots=True)
class Sched:
    """What our scheduler counts: tasks by short type, sectors that fill the P1 hold, rests, drain.

    ``number`` is the worker's in the tables of 2020: it lasts, and the built-in worker has 0.
    """

    caps: Caps
    running: tuple[tuple[str, int], ...]
    preparing: tuple[tuple[str, int], ...]
    prefetching: int
    held: int
    held_failed: int
    rests: tuple[Rest, ...]
    drain: str
    last_seen: float | None
    types: tuple[str, ...]
    number: int = 0


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker; memory in bytes. ``sched`` is None where the miner does not tell (a stock one)."""

    session: str
    hostname: str
    enabled: bool
    tasks: tuple[TaskCount, ...]
    cpus: int
    cpu_use: int
    mem_physical: int
    mem_swap: int
    mem_used: int
    mem_swap_used: int
    mem_used_min: int
    mem_used_max: int
    gpus: tuple[str, ...]
    gpu_used: float
    sched: Sched | None

    @property
    def overcommitted(self) -> tuple[str, ...]:
        """What is promised to tasks beyond what the machine has: shown, never a reason to refuse (caps decide)."""
        over = []
        if self.mem_used_min > self.mem_physical:
            over.append("memory")
        if self.mem_used_max > self.mem_physical + self.mem_swap:
            over.append("virtual memory")
        if self.cpu_use > self.cpus:
            over.append("cores")
        if self.gpus and self.gpu_used > len(self.gpus):
            over.append("GPUs")
        return tuple(over)


@dataclass(frozen=True, slots=True)
class Absent:
    """A worker that has not registered since the miner started; ``last_seen`` in unix seconds, ``carried`` as in Sched."""

    session: str
    hostname: str
    number: int
    last_seen: float | None
    carried: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Workers:
    """All workers in the order in which they are shown: by session, as text."""

    rows: tuple[Worker, ...]
    absent: tuple[Absent, ...] = ()


def absent_row(entry: Mapping[str, Any]) -> Absent:
    """Our miner's word about a worker of an earlier run (``WorkersAbsent``)."""
    return Absent(
        entry["Session"],
        entry["Name"],
        entry["Number"],
        unix(entry.get("LastSeen")),
        by_type(entry.get("Carried") or {}),
    )


def workers_view(
    stats: Mapping[str, Mapping[str, Any]],
    *,
    post: bool = False,
    absent: Iterable[Mapping[str, Any]] = (),
) -> Workers:
    """Rows of ``WorkerStats``. ``post``: the workers of window and winning PoSt instead of the sealing ones.

    The first of a worker's tasks decides; one that did not tell its tasks belongs to both (as in Lotus).
    """
    chosen = [
        worker_row(session, stats[session])
        for session in sorted(stats)
        if is_wanted(stats[session].get("Tasks") or (), post)
    ]
    return Workers(tuple(chosen), tuple(absent_row(entry) for entry in absent))


def is_wanted(tasks: Any, post: bool) -> bool:
    return not tasks or str(tasks[0]).startswith("post/") == post


def worker_row(session: str, entry: Mapping[str, Any]) -> Worker:
    info = entry["Info"]
    has = info["Resources"]
    return Worker(
        session=session,
        hostname=info["Hostname"],
        enabled=entry["Enabled"],
        tasks=task_counts(entry.get("TaskCounts") or {}, has.get("Resources") or {}),
        cpus=has["CPUs"],
        cpu_use=entry["CpuUse"],
        mem_physical=has["MemPhysical"],
        mem_swap=has["MemSwap"],
        mem_used=has["MemUsed"],
        mem_swap_used=has["MemSwapUsed"],
        mem_used_min=entry["MemUsedMin"],
        mem_used_max=entry["MemUsedMax"],
        gpus=tuple(has.get("GPUs") or ()),
        gpu_used=float(entry["GpuUsed"]),
        sched=sched_of(entry),
    )


def task_counts(counts: Mapping[str, int], table: Mapping[str, Any]) -> tuple[TaskCount, ...]:
    """Counts above zero, most urgent first; the limit is ``MaxConcurrent`` of the worker's own resource table."""
    rows = []
    for key, count in counts.items():
        if count > 0:
            proof, _, task = key.partition(":")
            limits = (table.get(task) or {}).get(proof) or {}
            rows.append((order(task), key, TaskCount(short(task), count, limits.get("MaxConcurrent", 0))))
    return tuple(row for _, _, row in sorted(rows, key=lambda r: r[:2]))


def sched_of(entry: Mapping[str, Any]) -> Sched | None:
    """Our miner's own words about the worker (``WorkerStats.Sched``)."""
    sched = entry.get("Sched")
    if not sched:
        return None
    caps = sched.get("Caps") or {}
    return Sched(
        caps=Caps(
            caps.get("PreCommit1Max", 0),
            caps.get("PreCommit1HoldMax", 0),
            caps.get("PreCommit2Max", 0),
            caps.get("Commit2Max", 0),
            caps.get("ForceP2FromLocalP1", False),
        ),
        running=by_type(sched.get("Running") or {}),
        preparing=by_type(sched.get("Preparing") or {}),
        prefetching=sched.get("Prefetching", 0),
        held=sched.get("Held", 0),
        held_failed=sched.get("HeldFailed", 0),
        rests=tuple(
            Rest(short(r["Task"]), unix(r.get("Until")), r.get("LastError", ""))
            for r in sched.get("Rests") or ()
        ),
        last_seen=unix(sched.get("LastSeen")),
        drain=sched.get("DrainLevel") or ("tasks" if sched.get("Drain") else ""),
        types=tuple(
            task.removeprefix("seal/v0/").removeprefix("post/v0/")
            for task in sorted(entry.get("Tasks") or (), key=lambda t: (order(t), t))
        ),
        number=sched.get("Number", 0),
    )


def by_type(counts: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """(short type, count) above zero, in the order of the pipeline's stages (last stage first)."""
    rows = sorted((order(task), short(task), count) for task, count in counts.items() if count > 0)
    return tuple((name, count) for _, name, count in rows)
