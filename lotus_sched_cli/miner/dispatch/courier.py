"""Carrying one bound task to its worker: store, fetch what is missing, store, call, store.

A row is written before each call and with the CallID after it, so that a miner that dies in between knows what it may
have started. Our own worker is simply asked again: it answers a call that it holds with that one's CallID. A stock worker
is not: what may have reached it is waited for (scheduling.md A7).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec

from lotus_sched_cli.core.events import Outcome, TaskPrepared, TaskPreparing, TaskRunning
from lotus_sched_cli.core.scheduler import StoryLine
from lotus_sched_cli.core.tasks import AcquireMode
from lotus_sched_cli.lotus.logs import get
from lotus_sched_cli.lotus.methods import RETURN_OF
from lotus_sched_cli.lotus.rpc.errors import RpcConnectError, RpcError
from lotus_sched_cli.lotus.rpc.streams import NullReader
from lotus_sched_cli.lotus.types import CallError, CallID, SectorID, SectorRef
from lotus_sched_cli.miner.known_workers import Worker
from lotus_sched_cli.miner.records import Phase

from .ahead import Aheads
from .desk import Desk, Part
from .flight import Flight
from .wire import fetch_kind, source_away

log = get("advmgr")

#: A worker answers a call at once with its CallID; after this long the answer counts as lost.
ASK_TIMEOUT: Final = 60.0
#: So often in a row a refused connection sends a task elsewhere at once; then the usual delays apply.
REFUSALS: Final = 3
_RAWS: Final = msgspec.json.Decoder(list[msgspec.Raw])


class Over(Exception):
    """The flight ends here."""

    def __init__(self, error: CallError, outcome: Outcome | None = None, *, elsewhere: bool = False) -> None:
        super().__init__(error.Message)
        self.error = error
        self.outcome = outcome
        self.elsewhere = elsewhere


class Couriers:
    """One asyncio task per flight, from its binding until its worker has accepted it."""

    def __init__(
        self, desk: Desk, watch_open: Callable[[Flight], None], story: Callable[[str], list[StoryLine]]
    ) -> None:
        self._desk = desk
        self._watch_open = watch_open
        self._story = story
        self._aheads = Aheads(desk, self.start)

    @property
    def aheads(self) -> Aheads:
        return self._aheads

    def start(self, flight: Flight) -> None:
        if flight.courier is None or flight.courier.done():
            name = f"{flight.row.type} {flight.sector}"
            flight.courier = asyncio.create_task(self._carry(flight), name=name)

    async def _carry(self, flight: Flight) -> None:
        try:
            if self._desk.clear is not None:
                await self._desk.clear(flight.sector)
            if flight.ahead and flight.row.phase is Phase.QUEUED:
                await self._fetch_ahead(flight)
            if flight.row.phase is not Phase.QUEUED:
                await self._steps(flight)
        except asyncio.CancelledError:
            raise
        except Over as over:
            if flight.row.phase is Phase.QUEUED:
                await self._aheads.failed(flight, over.error.Message)
                return
            await self._end(flight, over.error, over.outcome, over.elsewhere)
        except Exception as e:
            log.error(
                f"{flight.row.type} of sector {flight.sector} broke on its way to a worker",
                exc=e,
                story=[f"{line.time:.3f} {line.data}" for line in self._story(flight.row.id)[-10:]],
            )
            if flight.row.phase is Phase.QUEUED:
                await self._aheads.failed(flight, f"miner: {e}")
                return
            await self._end(flight, CallError(100, f"miner: {e}"), Outcome.AGAIN)

    async def _end(
        self, flight: Flight, error: CallError, outcome: Outcome | None, elsewhere: bool = False
    ) -> None:
        pause = self._desk.patience.hand_over
        while True:
            try:
                await self._desk.settle(flight, None, error, outcome=outcome, elsewhere=elsewhere)
                return
            except RpcError as e:
                log.error(f"{flight.row.type} of sector {flight.sector}: {e}; tried again in {pause:g}s")
            await asyncio.sleep(pause)
            pause = min(pause * 2, 60.0)

    async def _steps(self, flight: Flight) -> None:
        desk, row = self._desk, flight.row
        fetch = bool(row.fetch) and row.fetched_at is None
        if not flight.restored:
            now = desk.clock()
            if fetch:
                flight.set(fetch_sent_at=now)
            elif not flight.waits:
                flight.set(sent_at=now)
            row = flight.row
            writes = desk.store.writes()
            writes.task(
                row.id,
                phase=Phase.BOUND,
                worker_id=row.worker_id,
                session=row.session,
                bound_at=row.bound_at,
                fetch=row.fetch,
                fetch_sent_at=row.fetch_sent_at,
                fetch_call_id=row.fetch_call_id,
                fetched_at=row.fetched_at,
                sent_at=row.sent_at,
            )
            await writes.commit()
        if fetch:
            await self._prepare(flight)
        if flight.waits:
            await self._turn(flight)
        if flight.copied and self._desk.adopted is not None:
            await self._desk.adopted(flight.sector, flight.row.worker_id or "")
        await self._main(flight)

    async def _turn(self, flight: Flight) -> None:
        """Wait until the scheduler says that its resources are free."""
        turn = flight.turn = asyncio.Event()
        self._desk.post(TaskPrepared(flight.row.id))
        await turn.wait()
        flight.waits, flight.turn = False, None

    async def _fetch_ahead(self, flight: Flight) -> None:
        """Have the worker fetch what its paths lack while the task waits; it may be bound there meanwhile."""
        row = flight.row
        if not flight.restored:
            writes = self._desk.store.writes()
            writes.task(
                row.id,
                worker_id=row.worker_id,
                session=row.session,
                fetch=row.fetch,
                fetch_sent_at=row.fetch_sent_at,
                fetch_call_id=None,
                fetched_at=None,
            )
            await writes.commit()
        await self._prepare(flight)
        flight.restored = False
        if flight.row.phase is Phase.QUEUED:
            self._aheads.came(flight)

    async def _prepare(self, flight: Flight) -> None:
        """The prepare step: have the worker fetch what its own paths lack."""
        desk, row = self._desk, flight.row
        flight.fetched = asyncio.get_running_loop().create_future()
        repeated = flight.restored and row.fetch_sent_at is not None
        path_type, mode = fetch_kind(row.type)
        if flight.copied:
            mode = AcquireMode.COPY
        params = [_ref(flight), int(row.fetch), path_type.value, mode.value]
        call = await self._ask(flight, "Fetch", params, "fetch", repeated)
        if call is not None:
            phase = Phase.QUEUED if flight.row.phase is Phase.QUEUED else Phase.PREPARING
            writes = desk.store.writes()
            writes.task(row.id, phase=phase, fetch_call_id=call, session=flight.row.session)
            flight.set(phase=phase, fetch_call_id=call)
            await writes.commit()
            desk.post(TaskPreparing(row.id))
        error = await flight.fetched
        if error is not None:
            raise Over(error, Outcome.AGAIN if source_away(error) else None)

    async def _main(self, flight: Flight) -> None:
        desk, row = self._desk, flight.row
        repeated = flight.restored and row.sent_at is not None
        if row.sent_at is None:
            flight.set(sent_at=desk.clock())
            writes = desk.store.writes()
            writes.task(row.id, sent_at=flight.row.sent_at)
            await writes.commit()
        stored = await desk.store.task_params(row.id)
        if stored is None:
            raise Over(CallError(0, "the task is gone from the store"), Outcome.CANCELLED)
        call = await self._ask(flight, flight.main, _RAWS.decode(stored), "main", repeated)
        if call is None:
            return
        now = desk.clock()
        flight.set(phase=Phase.RUNNING, call_id=call, accepted_at=now)
        writes = desk.store.writes()
        writes.task(row.id, phase=Phase.RUNNING, call_id=call, accepted_at=now, session=flight.row.session)
        await writes.commit()
        if flight.row.phase is Phase.RUNNING:
            desk.post(TaskRunning(row.id))

    async def _ask(
        self, flight: Flight, method: str, params: list[Any], part: Part, repeated: bool
    ) -> str | None:
        """One call; the uuid of its CallID, or None where a stock worker may have it and its Return is waited for."""
        desk = self._desk
        flight.asking, flight.repeated = RETURN_OF[method], repeated
        answered = flight.answered = asyncio.Event()
        try:
            while True:
                worker = desk.worker_of(flight)
                if worker is None or worker.caller is None:
                    await desk.await_worker(flight.row.worker_id or "", 3600.0)
                    continue
                if repeated and worker.stock and not worker.builtin:
                    self._leave_open(flight, method)
                    return None
                try:
                    call = await self._call(worker, method, params)
                except RpcError as e:
                    raise Over(CallError(e.code if 100 <= e.code < 200 else 0, str(e))) from e
                except RpcConnectError as e:
                    if not e.sent:
                        desk.workers.unreachable(worker, str(e))
                    if not e.sent and not repeated:
                        flight.refused += 1
                        again = flight.refused < REFUSALS
                        raise Over(CallError(100, str(e)), Outcome.AGAIN, elsewhere=again) from e
                    flight.repeated = repeated = True
                    log.debug(f"{method} of sector {flight.sector}: {worker.label} did not answer: {e}")
                    if not worker.stock:
                        await desk.await_worker(worker.id, desk.patience.ask_again)
                    continue
                flight.refused = 0
                flight.set(session=worker.session)
                desk.known_call(flight, call.ID, part)
                return call.ID
        finally:
            answered.set()
            if flight.answered is answered:
                flight.asking, flight.repeated, flight.answered = "", False, None

    def _leave_open(self, flight: Flight, method: str) -> None:
        flight.open_call = RETURN_OF[method]
        self._watch_open(flight)

    async def _call(self, worker: Worker, method: str, params: list[Any]) -> CallID:
        assert worker.caller is not None
        if worker.builtin and method == TASK_WITH_DATA:
            params = [*params[:3], _null_reader(params[3])]
        call: CallID = await worker.caller.call(method, *params, result=CallID, timeout=ASK_TIMEOUT)
        return call


#: In process, a reader is handed over as it is.
TASK_WITH_DATA: Final = "AddPiece"


def _null_reader(param: Any) -> Any:
    described = msgspec.json.decode(param) if isinstance(param, msgspec.Raw) else param
    return NullReader(int(described["Info"])) if described.get("Type") == "null" else param


def _ref(flight: Flight) -> SectorRef:
    return SectorRef(SectorID(*flight.sector), flight.row.proof)
