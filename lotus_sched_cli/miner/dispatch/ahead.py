"""Files fetched ahead of a PreCommit2 (core/promise.py): a plain Fetch to the worker, while the task waits for its turn.

The row of such a task is queued and names the worker; what it says of its Fetch is as for a bound one, so that a miner that
dies goes on with it. The files are copied. When the PreCommit2 is bound there, the copy becomes the good one before its
call is made, and the source goes the way of all leftovers; when the promise is off, the copy goes that way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from lotus_sched_cli.core.decisions import Prefetch
from lotus_sched_cli.core.events import PrefetchDone, PrefetchFailed, PrefetchRestored
from lotus_sched_cli.core.tasks import FileType, SectorId
from lotus_sched_cli.lotus.logs import get
from lotus_sched_cli.lotus.rpc.errors import RpcConnectError, RpcError
from lotus_sched_cli.lotus.types import CallID, SectorID
from lotus_sched_cli.miner.records import Phase, TaskChanges

from .desk import Desk
from .flight import Flight

log = get("advmgr")

#: How long the end of a fetch on its worker is waited for.
ABORT_TIMEOUT: Final = 120.0
#: A queued task's columns when nothing is fetched for it.
NOWHERE: Final[TaskChanges] = {
    "worker_id": None,
    "session": None,
    "fetch": FileType.NONE,
    "fetch_sent_at": None,
    "fetch_call_id": None,
    "fetched_at": None,
}


class Aheads:
    """``carry`` starts a flight's courier."""

    def __init__(self, desk: Desk, carry: Callable[[Flight], None]) -> None:
        self._desk = desk
        self._carry = carry
        #: Fetches that go on where a stock worker cannot be told to end them: what they bring is not wanted.
        self._going_on: dict[str, tuple[SectorId, str]] = {}

    def begin(self, decision: Prefetch, label: str) -> None:
        """Have the files fetched."""
        desk = self._desk
        flight = desk.flights.get(decision.task.id)
        worker = desk.workers.by_id.get(decision.worker_id)
        waits = flight is not None and flight.row.phase is Phase.QUEUED and not flight.ahead
        if flight is None or worker is None or not waits or flight.settling or flight.cancelling:
            desk.post(PrefetchFailed(decision.task.id, "the worker is gone"))
            return
        now = desk.clock()
        flight.set(worker_id=worker.id, session=worker.session, fetch=decision.fetch, fetch_sent_at=now)
        flight.ahead = worker.id
        desk.attach(flight, lock=False)
        log.info(f"files of sector {flight.sector} are fetched to worker {label} ahead of its PC2")
        self._carry(flight)

    def restore(self, flight: Flight) -> None:
        """A stored one, after the miner's restart; it goes on once its worker has registered."""
        row = flight.row
        assert row.worker_id is not None
        flight.ahead, flight.restored = row.worker_id, True
        self._desk.attach(flight, lock=False)
        if row.fetch_call_id and row.fetched_at is None:
            self._desk.known_call(flight, row.fetch_call_id, "fetch")

    def joined(self, worker_id: str) -> None:
        """The worker has registered: what it was fetching before the miner's restart is taken up again."""
        for flight in list(self._desk.by_worker.get(worker_id, ())):
            row = flight.row
            if not flight.ahead or not flight.restored:
                continue
            done = row.fetched_at is not None
            since = row.fetch_sent_at or self._desk.clock()
            self._desk.post(PrefetchRestored(row.id, worker_id, since, done))
            if done:
                flight.restored = False
            else:
                self._carry(flight)

    def came(self, flight: Flight) -> None:
        self._desk.post(PrefetchDone(flight.row.id))

    async def failed(self, flight: Flight, why: str) -> None:
        """The files do not come: the task waits like any other."""
        log.warn(f"files of sector {flight.sector} did not come ahead of its PC2: {why}")
        self._desk.post(PrefetchFailed(flight.row.id, why))
        self.end(flight)

    def end(self, flight: Flight) -> asyncio.Task[Any] | None:
        """The promise is off. Returns what ends the fetch and removes the copy; nothing for a flight without one."""
        worker_id = flight.ahead
        if not worker_id:
            return None
        calls = flight.calls if flight.row.fetched_at is None else ()
        self._desk.detach(flight)
        flight.ahead, flight.restored, flight.fetched = "", False, None
        if flight.row.phase is Phase.QUEUED:
            flight.set(**NOWHERE)
        return self._desk.spawn(self._clear(flight, worker_id, calls), "files fetched ahead")

    async def _clear(self, flight: Flight, worker_id: str, calls: tuple[str, ...]) -> None:
        desk = self._desk
        # First: a miner that dies before the copy is deleted takes it for a leftover when the worker declares it again.
        if desk.disown is not None and worker_id not in desk.makers(flight.sector):
            await desk.disown(flight.sector, worker_id)
        if flight.row.phase is Phase.QUEUED and not flight.ahead:
            writes = desk.store.writes()
            writes.task(flight.row.id, **NOWHERE)
            await writes.commit()
        worker = desk.workers.by_id.get(worker_id)
        for call in calls:
            if worker is None or worker.stock:
                self._going_on[call] = (flight.sector, worker_id)
            elif worker.caller is not None:
                name = CallID(SectorID(*flight.sector), call)
                try:
                    await worker.caller.call("AbortCall", name, result=None, timeout=ABORT_TIMEOUT)
                except (RpcError, RpcConnectError) as e:
                    log.info(f"worker {worker.label} does not end the fetch of sector {flight.sector}: {e}")
        await desk.remove_copy(flight.sector, worker_id)

    def returned(self, call: str) -> bool:
        """A fetch of a stock worker that nobody wanted any more is over; whether it was one."""
        found = self._going_on.pop(call, None)
        if found is not None:
            self._desk.spawn(self._desk.remove_copy(*found), "files fetched ahead")
        return found is not None
