"""Why tasks wait, or stand where they stand (``SealingExplain``)."""

from __future__ import annotations

import datetime

from lotus_sched_cli.core.explain import Against, Explained
from lotus_sched_cli.core.needs import Selector, needs_of
from lotus_sched_cli.core.tasks import FILE_TYPE_NAMES, FileType, SectorId
from lotus_sched_cli.lotus import units
from lotus_sched_cli.lotus.explained import (
    ExplainedAbsent,
    ExplainedPrefetch,
    ExplainedRival,
    ExplainedTask,
    ExplainedWorker,
)
from lotus_sched_cli.lotus.rpc.errors import RpcError
from lotus_sched_cli.miner.context import Miner
from lotus_sched_cli.miner.known_paths import Files, Path
from lotus_sched_cli.miner.known_workers import Worker


def explain(miner: Miner, what: str) -> list[ExplainedTask]:
    """``what`` is a sector's number or name (``s-t01000-15``), or a task's id or the beginning of one.

    Raises RpcError where nothing waits or runs for it.
    """
    scheduler, now = miner.dispatch.scheduler, miner.clock()
    number = _sector_number(what)
    if number is None:
        ids = [_task_named(miner, what)]
    else:
        ids = scheduler.tasks_of(SectorId(miner.facts.actor, number))
        if not ids:
            raise RpcError(
                1,
                f"no task of sector {number} waits or runs; 'sectors status --log {number}' tells where it is",
            )
    told = []
    for task_id in ids:
        try:
            told.append(_task(miner, scheduler.explained(task_id, now, _clock)))
        except KeyError:
            raise RpcError(1, f'no task "{what}"; see sealing jobs --queued, or name its sector') from None
    return told


def _sector_number(what: str) -> int | None:
    """A number alone may also begin a task's id; sectors are asked for far more often."""
    text = what.rpartition("-")[2] if what.startswith("s-t0") else what
    return int(text) if text.isdecimal() and len(text) < 19 else None


def _task_named(miner: Miner, what: str) -> str:
    flights = miner.dispatch.desk.flights
    found = [task_id for task_id in flights if what and task_id.startswith(what.lower())]
    if len(found) > 1 and what.lower() not in found:
        raise RpcError(1, f"{what}: {len(found)} tasks have ids that begin so; give more of the id")
    return found[0] if len(found) == 1 else what.lower()


def _clock(at: float) -> str:
    """Local time as the log has it, to the second."""
    return datetime.datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def _task(miner: Miner, told: Explained) -> ExplainedTask:
    spec = told.task
    session, name = _names(miner, told.worker_id)
    return ExplainedTask(
        TaskID=spec.id,
        Miner=spec.sector.miner,
        Sector=spec.sector.number,
        Task=spec.type.value,
        State=told.state,
        Policy=told.policy,
        Priority=spec.priority,
        Queued=units.go_time(told.queued_at),
        NotBefore=units.go_time(told.not_before) if told.not_before > miner.clock() else "",
        Ahead=told.ahead,
        Attempts=told.attempts,
        FailedOn=_names(miner, told.failed_on)[1],
        LastError=told.last_error,
        Workers=[_worker(miner, one) for one in told.workers] if told.state == "queued" else None,
        WorkerID=told.worker_id or "",
        Session=session,
        Worker=name,
        Placed=units.go_time(told.placed_at) if told.placed_at is not None else "",
        Reasons=dict(told.reasons),
        Rivals=[
            ExplainedRival(r.worker_id, *_names(miner, r.worker_id), r.carried, r.crowd, r.free_slots)
            for r in told.rivals
        ]
        or None,
        Prefetch=_prefetch(miner, told),
        Absent=_absent(miner, told) or None,
        LastSeen=_last_seen(miner, told),
    )


def _last_seen(miner: Miner, told: Explained) -> str:
    """Of the worker that has the task, where it does not answer."""
    worker = miner.workers.by_id.get(told.worker_id or "")
    away = worker is not None and not worker.online and told.state != "over"
    return units.go_time(worker.last_seen) if worker is not None and away else ""


def _absent(miner: Miner, told: Explained) -> list[ExplainedAbsent]:
    """Workers out of reach that alone hold what a waiting task needs."""
    if told.state != "queued":
        return []
    held: dict[str, FileType] = {}
    detached: set[str] = set()
    for one in _needed(miner, told).each():
        here = [
            (f, miner.index.paths.get(f.path_id))
            for f in miner.index.on(told.task.sector)
            if f.types & ~f.stale & one
        ]
        holders = [w for files, path in here if path is not None for w in _serving(miner, files, path)]
        if any(worker.online for worker in holders):
            continue
        for away in miner.index.away.values():
            worker = miner.workers.by_id.get(away.worker_id or "")
            if worker is not None and away.files.get(told.task.sector, FileType.NONE) & one:
                holders.append(worker)
                detached.add(worker.id)
        for worker in holders:
            held[worker.id] = held.get(worker.id, FileType.NONE) | one
    return [_away(miner.workers.by_id[w], types, w in detached) for w, types in held.items()]


def _needed(miner: Miner, told: Explained) -> FileType:
    declared = FileType.NONE
    for files in miner.index.on(told.task.sector):
        declared |= files.types & ~files.stale
    needs = needs_of(told.task, int(declared))
    return FileType(needs.key if needs.selector is Selector.MOVE else needs.inputs)


def _serving(miner: Miner, files: Files, path: Path) -> list[Worker]:
    """Who serves a path, or did before the miner's restart."""
    known = miner.workers.by_id
    if path.owners:
        return [known[w] for w in sorted(path.owners) if w in known]
    return [w for w in known.values() if w.id == files.by or w.netloc in path.netlocs]


def _away(worker: Worker, types: FileType, detached: bool) -> ExplainedAbsent:
    change = f"if it is gone for good, lotus-miner sealing forget {worker.name} sends the sector back"
    if not worker.online:
        change = f"start it again; {change}"
    elif detached:
        change = f"attach its path again (lotus-worker storage attach); {change}"
    names = [FILE_TYPE_NAMES[t] for t in types.each()]
    return ExplainedAbsent(
        worker.id, worker.session, worker.name, names, units.go_time(worker.last_seen), change
    )


def _prefetch(miner: Miner, told: Explained) -> ExplainedPrefetch | None:
    promised = told.prefetch
    if promised is None:
        return None
    session, name = _names(miner, told.prefetched_to)
    since = units.go_time(promised.since)
    return ExplainedPrefetch(told.prefetched_to or "", session, name, since, promised.bytes, promised.done)


def _worker(miner: Miner, one: Against) -> ExplainedWorker:
    session, name = _names(miner, one.worker_id)
    if one.refusal is None:
        return ExplainedWorker(one.worker_id, session, name, Change=one.change)
    refusal = one.refusal
    figures = dict(refusal.figures)
    return ExplainedWorker(
        one.worker_id, session, name, refusal.why.value, figures, _worded(refusal.text, figures), one.change
    )


def _worded(text: str, figures: dict[str, object]) -> str:
    """The log's text with its times worded for people."""
    until = figures.get("until")
    return text.replace(str(until), _clock(until)) if isinstance(until, float) else text


def _names(miner: Miner, worker_id: str | None) -> tuple[str, str]:
    worker = miner.workers.by_id.get(worker_id or "")
    return (worker.session, worker.name) if worker is not None else ("", worker_id or "")
