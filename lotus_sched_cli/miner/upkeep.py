"""What operators do to workers by hand: which one is meant, its caps, drain (scheduling.md A2, A7)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from lotus_sched_cli.lotus import caps as names
from lotus_sched_cli.lotus.errors import UserError
from lotus_sched_cli.lotus.extras import AbsentWorker, CapRow, WorkerCapRows, WorkerLoad
from lotus_sched_cli.lotus.logs import get
from lotus_sched_cli.lotus.rpc.errors import RpcConnectError, RpcError
from lotus_sched_cli.lotus.units import go_time

from .context import Miner
from .kept import Kept, text
from .known_workers import Worker, limits
from .records import Phase
from .store import StoreError
from .workers import SESSION_TIMEOUT, Registry

log = get("advmgr")

#: A worker stores its caps before it answers; how long that is waited for.
TELL_TIMEOUT: Final = 3 * SESSION_TIMEOUT


def find(workers: Registry, asked: str) -> Worker:
    """The worker that an operator means: by number, name, or a beginning of session or id.

    Raises RpcError for none, and for several, which are listed.
    """
    known = sorted(workers.by_id.values(), key=lambda w: w.number)
    wanted = asked.strip()
    found = [w for w in known if wanted.isdigit() and str(w.number) == wanted]
    found = found or [w for w in known if w.name == wanted]
    low = wanted.lower()
    found = found or [w for w in known if low and (w.session.startswith(low) or w.id.startswith(low))]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(f"{w.session[:8]} (number {w.number}, {w.name})" for w in found or known)
    if not found:
        raise RpcError(1, f'no worker "{asked}"; known are: {listed or "none"}')
    raise RpcError(1, f'{len(found)} workers match "{asked}": {listed}; name one by more of its session')


# -- caps --------------------------------------------------------------------------------------------------------------


async def caps_list(miner: Miner, asked: str) -> list[WorkerCapRows]:
    """One worker's caps, or those of all that registered since the miner started."""
    chosen = [find(miner.workers, asked)] if asked else miner.workers.live()
    return list(await asyncio.gather(*(_rows(w) for w in chosen)))


async def caps_set(miner: Miner, asked: str, values: Mapping[str, str]) -> WorkerCapRows:
    """Change caps by name: passed on to a worker that knows its caps, kept here for any other.

    Stored before this returns. Raises RpcError: nothing is changed then, unless the worker did not answer in time.
    """
    worker = find(miner.workers, asked)
    for name, value in values.items():
        _checked(name, value)
    _registered(worker)
    if _owns(worker):
        rows = await _told(miner, worker, "CapsSet", dict(values))
    else:
        await _keep(miner, worker, worker.kept.set(worker.stated, values, go_time(int(miner.clock()))))
        rows = _kept_rows(worker)
    log.info(f"caps of worker {worker.label} set by hand: {', '.join(f'{n}={v}' for n, v in values.items())}")
    return _table(worker, rows)


async def caps_reset(miner: Miner, asked: str, which: list[str]) -> WorkerCapRows:
    """Drop live values, all where none are named. Raises RpcError as ``caps_set`` does."""
    worker = find(miner.workers, asked)
    try:
        for name in which:
            names.option_named(name)
    except UserError as e:
        raise RpcError(1, str(e)) from None
    _registered(worker)
    if _owns(worker):
        rows = await _told(miner, worker, "CapsReset", which)
    else:
        await _keep(miner, worker, worker.kept.reset(which))
        rows = _kept_rows(worker)
    log.info(f"caps of worker {worker.label} reset by hand: {', '.join(which) or 'all'}")
    return _table(worker, rows)


async def refresh(miner: Miner, worker: Worker) -> None:
    """A worker says that its caps changed."""
    before = worker.caps, limits(worker)
    try:
        await miner.workers.refresh(worker)
    except RpcConnectError as e:
        raise RpcError(1, f"worker {worker.label} does not answer: {e}") from e
    if (worker.caps, limits(worker)) != before:
        log.info(f"worker {worker.label} has other caps now: {_main(worker)}")


def _main(worker: Worker) -> str:
    return ", ".join(f"{name} {text(worker.caps, name)}" for name in names.MAIN)


def _registered(worker: Worker) -> None:
    if not worker.registered:
        raise RpcError(
            1,
            f"worker {worker.label} has not registered since the miner started; change its caps when it has",
        )


def _owns(worker: Worker) -> bool:
    """Whether the worker keeps its caps itself."""
    if worker.caps_source == "worker":
        return True
    return worker.kept.aware and not worker.registered and not worker.builtin


async def _told(miner: Miner, worker: Worker, method: str, value: Any) -> list[CapRow]:
    try:
        assert worker.caller is not None, "it has registered"
        rows: list[CapRow] = await worker.caller.call(
            method, value, result=list[CapRow], timeout=TELL_TIMEOUT
        )
    except RpcConnectError as e:
        if e.sent:
            raise RpcError(
                1,
                f"worker {worker.label} has not answered (waited up to {TELL_TIMEOUT:g} s) and may still take the change "
                f"when it goes on: see that it runs, then look with 'sealing caps list {worker.name}'",
            ) from e
        raise RpcError(
            1,
            f"worker {worker.label} keeps its caps itself and is out of reach, nothing is changed: start it, or see "
            f"that the miner reaches it, then try again: {e}",
        ) from e
    except RpcError as e:
        if e.unknown_method:
            raise RpcError(
                1, f"worker {worker.label} is too old to change its caps while it runs; update it"
            ) from e
        raise
    try:
        await miner.workers.refresh(worker)
    except RpcConnectError as e:
        # It has them, and tells so itself when it can.
        log.warn(f"worker {worker.label} has changed its caps, but was not asked what it offers now: {e}")
    return rows


# -- drain -------------------------------------------------------------------------------------------------------------

#: Levels of maintenance: no new sectors, no new tasks at all.
LEVELS = ("sectors", "tasks")


async def drain(miner: Miner, asked: str, level: str, until_restart: bool) -> WorkerLoad:
    """Let a worker take no more work of a level; empty: let it again. Stored before this returns.

    ``until_restart``: over as soon as another process of the worker registers. Raises RpcError.
    """
    worker = find(miner.workers, asked)
    if level and level not in LEVELS:
        raise RpcError(1, f'"{level}" is no level of drain; use {" or ".join(LEVELS)}')
    session = worker.session if until_restart and level else ""
    await _keep(miner, worker, msgspec.structs.replace(worker.kept, drain=level, until_restart=session))
    log.info(
        f"worker {worker.label} takes no new {level}, by hand"
        if level
        else f"worker {worker.label} works again"
    )
    return load(miner, worker)


async def assign(miner: Miner, task_id: str, asked: str, force: bool) -> WorkerLoad:
    """Give a waiting task to a worker by hand. Raises RpcError with what stands against it."""
    worker = find(miner.workers, asked)
    flight = miner.dispatch.desk.flights.get(task_id)
    if flight is None or flight.row.phase is not Phase.QUEUED:
        raise RpcError(1, f"no task {task_id} waits for a worker; see 'sealing jobs --queued'")
    await miner.dispatch.assign(task_id, worker.id, force)
    log.info(f"{flight.row.type} of sector {flight.sector} given to worker {worker.label} by hand")
    return load(miner, worker)


def load(miner: Miner, worker: Worker) -> WorkerLoad:
    """What it carries now."""
    flights = miner.dispatch.desk.by_worker.get(worker.id, set())
    carried = Counter(f.row.type.value for f in flights if not f.ahead)
    return WorkerLoad(worker.id, worker.session, worker.name, worker.kept.drain, dict(carried))


def absent(miner: Miner) -> list[AbsentWorker]:
    """Workers of earlier runs that have not registered since the miner started, by number."""
    known = sorted(miner.workers.by_id.values(), key=lambda w: w.number)
    return [
        AbsentWorker(w.id, w.session, w.name, w.number, go_time(w.last_seen), load(miner, w).Carried)
        for w in known
        if not w.registered and w.number
    ]


async def _keep(miner: Miner, worker: Worker, kept: Kept) -> None:
    try:
        await miner.workers.keep(worker, kept)
    except StoreError as e:
        raise RpcError(1, f"what is kept for worker {worker.label} could not be stored: {e}") from e


def _checked(name: str, value: str) -> None:
    try:
        names.parse(name, value)
    except UserError as e:
        raise RpcError(1, str(e)) from None


async def _rows(worker: Worker) -> WorkerCapRows:
    if not worker.registered:
        return _table(worker, _kept_rows(worker), "it has not registered since the miner started")
    if not _owns(worker):
        return _table(worker, _kept_rows(worker))
    try:
        assert worker.caller is not None, "it has registered"
        rows = await worker.caller.call("CapsList", result=list[CapRow], timeout=SESSION_TIMEOUT)
    except RpcConnectError as e:
        why = f"it has not answered (waited up to {SESSION_TIMEOUT:g} s)" if e.sent else str(e)
        return _table(worker, _kept_rows(worker), why)
    except RpcError as e:
        return _table(worker, _kept_rows(worker), str(e))
    return _table(worker, rows)


def _kept_rows(worker: Worker) -> list[CapRow]:
    """What the miner knows: of a worker that has said nothing yet, only what it keeps for it."""
    if not worker.registered:
        kept = worker.kept.caps
        return [
            CapRow(n, kept[n].value, "live", kept[n].since, kept[n].over) for n in names.OPTIONS if n in kept
        ]
    rows = []
    for name in names.OPTIONS:
        stated, cap = text(worker.stated, name), worker.kept.caps.get(name)
        source = worker.caps_source if name in names.MAIN else "default"
        if cap is None:
            rows.append(CapRow(name, stated, source))
        else:
            rows.append(CapRow(name, cap.value, "live", cap.since, stated, source))
    return rows


def _table(worker: Worker, rows: list[CapRow], error: str = "") -> WorkerCapRows:
    owner = "worker" if _owns(worker) else "miner"
    return WorkerCapRows(worker.id, worker.session, worker.name, worker.number, owner, rows, error)
