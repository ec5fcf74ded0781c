"""``SealingSchedDiag`` in Lotus's shape; asking forces no scheduling pass."""

from __future__ import annotations

from lotus_sched_cli.lotus.types import CallID, SchedDiag, SchedInfo, SchedRequest, SectorID
from lotus_sched_cli.miner.context import Miner
from lotus_sched_cli.miner.records import Phase


def _open_windows(miner: Miner) -> list[str]:
    """Sessions: one for each open window; without windows, one for each worker that answers."""
    asked = miner.dispatch.scheduler.open_windows()
    if asked is None:
        return [w.session for w in miner.workers.live() if w.online]
    workers = miner.workers.by_id
    return [workers[worker_id].session for worker_id in asked if worker_id in workers]


def sched_diag(miner: Miner) -> SchedDiag:
    """Queue, workers that may take something, calls that are waited for. Lists are null where they are empty."""
    requests = [
        SchedRequest(SectorID(*t.task.sector), t.task.type.value, t.task.priority or 0, t.task.id)
        for t in miner.dispatch.scheduler.queue()
        if not t.window
    ]
    calls: dict[str, str] = {}
    waiting: list[str] = []
    for flight in miner.dispatch.desk.flights.values():
        if flight.row.phase is Phase.RUNNING and flight.row.call_id:
            work = f"{flight.row.type.value}({flight.row.id})"
            waiting.append(work)
            calls[str(CallID(SectorID(*flight.sector), flight.row.call_id))] = work
    windows = _open_windows(miner)
    returned = [
        f"{f.row.type.value}({f.row.id})"
        for f in miner.dispatch.desk.flights.values()
        if f.row.phase is Phase.RETURNED
    ]
    return SchedDiag(
        SchedInfo=SchedInfo(requests or None, windows or None),
        ReturnedWork=returned or None,
        Waiting=waiting or None,
        CallToWork=calls,
        EarlyRet=None,
    )
