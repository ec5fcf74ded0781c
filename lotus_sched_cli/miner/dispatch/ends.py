"""Calls that end otherwise than by their Return: aborted, cancelled, lost (scheduling.md A7), requests taken out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, Final

from lotus_sched_cli.core.events import Outcome, TaskEnded, TaskQueued, TaskRemoved
from lotus_sched_cli.lotus.logs import get
from lotus_sched_cli.lotus.rpc.errors import RpcConnectError, RpcError
from lotus_sched_cli.lotus.types import REQUEST_REMOVED, TASK_ABORTED, CallError, CallID, SectorID
from lotus_sched_cli.miner.known_workers import Worker
from lotus_sched_cli.miner.records import Phase

from .ahead import Aheads
from .desk import Desk
from .flight import Flight

log = get("advmgr")

#: How long the end of a worker's process is waited for.
ABORT_TIMEOUT: Final = 120.0
#: How long an unanswered question for a CallID is waited for before the call is ended without it.
ASK_WAIT: Final = 10.0


class Ends:
    """Everything here ends in ``Desk.settle``."""

    def __init__(self, desk: Desk, aheads: Aheads) -> None:
        self._desk = desk
        self._aheads = aheads
        self._timers: set[asyncio.TimerHandle] = set()

    def stop(self) -> None:
        for timer in self._timers:
            timer.cancel()

    # -- the operator ------------------------------------------------------------------------------------------------

    async def abort(self, call: CallID) -> None:
        """End a call's work on its worker; returns when it is dead. A call that nobody knows is dead already.

        A stock worker has no such method: as under Lotus, it goes on and its result is dropped.
        """
        await self._desk.to_its_end(self._abort(call), f"abort of call {call}")

    async def _abort(self, call: CallID) -> None:
        flight = self._flight_of(call)
        if flight is None:
            return
        worker, attempt = self._desk.worker_of(flight), flight.attempt
        if worker is not None and not worker.stock:
            try:
                await self._kill(worker, flight, call.ID)
            except (RpcError, RpcConnectError) as e:
                raise RpcError(
                    1,
                    f"worker {worker.label} does not end call {call}: {e}; if it is gone for good, "
                    f"sealing abort --force gives the call up",
                ) from e
        if flight.attempt != attempt:
            return  # its Return has come meanwhile, and the task may be on another worker by now
        if flight.ahead:
            # Only the fetch was aborted; the task waits on.
            await self._aheads.failed(flight, TASK_ABORTED)
        elif flight.on_worker:
            await self._desk.settle(flight, None, CallError(0, TASK_ABORTED), outcome=Outcome.CANCELLED)

    async def give_up(self, call: CallID) -> None:
        """``abort --force``: the call is lost, its task queued again as after a worker's restart."""
        flight = self._flight_of(call)
        if flight is None:
            return
        log.warn(f"{flight.row.type} of sector {flight.sector}: call {call} is given up by hand")
        await self._desk.to_its_end(self._lose(flight, "given up by hand"), f"call {call} given up")

    async def remove_request(self, task_id: str) -> None:
        """Take a queued request out; its step fails.

        Raises Lotus's RpcError for one that is not queued, another when that cannot be stored: it waits on then.
        """
        flight = self._desk.flights.get(task_id)
        if flight is None or flight.row.phase is not Phase.QUEUED or flight.settling is not None:
            raise RpcError(1, "No request with provided details found")
        error = CallError(0, REQUEST_REMOVED)
        await end_waiting(self._desk, self._aheads, flight, None, error, Outcome.CANCELLED)

    def _flight_of(self, call: CallID) -> Flight | None:
        found = self._desk.calls.get(call.ID)
        return None if found is None else found[0]

    async def _kill(self, worker: Worker, flight: Flight, call: str) -> None:
        if worker.caller is None:
            raise RpcConnectError("it has not registered since the miner started", sent=False)
        name = CallID(SectorID(*flight.sector), call)
        await worker.caller.call("AbortCall", name, result=None, timeout=ABORT_TIMEOUT)

    # -- the pipeline ------------------------------------------------------------------------------------------------

    async def cancel(self, task_id: str) -> None:
        """The pipeline no longer wants a task (its stored phase is CANCELLED); returns when its work is dead."""
        desk = self._desk
        flight = desk.flights.get(task_id)
        if flight is None:
            await self._delete(task_id)
            return
        if flight.cancelling:
            return
        flight.cancelling = True
        if flight.asking and not flight.repeated:
            # Nobody could end, on the worker, what has no name yet.
            await flight.answer(ASK_WAIT)
        if flight.settling is not None:
            # What could not be stored left it as it was: still to be ended.
            with contextlib.suppress(RpcError):
                await asyncio.shield(flight.settling)
        if desk.flights.get(task_id) is not flight:
            return
        if flight.row.phase is Phase.QUEUED:
            desk.post(TaskRemoved(task_id))
            if (cleared := self._aheads.end(flight)) is not None:
                await asyncio.shield(cleared)
        elif flight.on_worker:
            await self._end_work(flight)
        if desk.flights.get(task_id) is not flight:
            return
        bound = flight.on_worker
        desk.forget(flight)
        if bound:
            desk.drop_copy(flight)
            desk.post(TaskEnded(task_id, Outcome.CANCELLED, "cancelled"))
            if desk.cancelled is not None:
                desk.cancelled(flight.sector)
        await self._delete(task_id)

    async def _end_work(self, flight: Flight) -> None:
        """Until the worker says that nothing of it runs; a stock one cannot be told."""
        desk, attempt = self._desk, flight.attempt
        while flight.attempt == attempt:
            worker = desk.worker_of(flight)
            if worker is None or worker.stock:
                return
            try:
                for call in list(flight.calls):
                    await self._kill(worker, flight, call)
                return
            except (RpcError, RpcConnectError) as e:
                log.warn(
                    f"{flight.row.type} of sector {flight.sector} is not wanted any more, "
                    f"but worker {worker.label} does not end it: {e}; it is asked again"
                )
            await desk.await_worker(worker.id, desk.patience.restart_grace)

    async def _delete(self, task_id: str) -> None:
        writes = self._desk.store.writes()
        writes.delete_task(task_id)
        await writes.commit()

    # -- lost --------------------------------------------------------------------------------------------------------

    def session_changed(self, worker: Worker) -> None:
        """A new process of the worker has registered: what it does not return within the grace is lost."""
        old = [f for f in self._desk.by_worker.get(worker.id, ()) if f.row.session != worker.session]
        for flight in old:
            if flight.courier is not None and not flight.courier.done() and flight.asking:
                continue  # it is being asked again: the new process makes a new call
            self._after(
                self._desk.patience.restart_grace, self._lose_old, flight, flight.attempt, worker.session
            )

    async def _lose_old(self, flight: Flight, attempt: int, session: str) -> None:
        if flight.attempt == attempt and flight.row.session != session and not flight.asking:
            await self._lose(flight, "its worker was restarted and has not returned it")

    def silent(self, worker_id: str, since: float) -> None:
        """The worker has not answered since then."""
        patience = self._desk.patience.lost_after
        if patience > 0:
            wait = max(0.0, since + patience - self._desk.clock())
            self._after(wait, self._lose_silent, worker_id, since)

    async def _lose_silent(self, worker_id: str, since: float) -> None:
        worker = self._desk.workers.by_id.get(worker_id)
        if worker is not None and (worker.online or worker.last_seen > since):
            return
        for flight in list(self._desk.by_worker.get(worker_id, ())):
            await self._lose(flight, f"its worker has not answered for {self._desk.patience.lost_after:g}s")

    async def lose_all(self, worker_id: str, why: str) -> list[Flight]:
        """Everything that the worker carries; returns it."""
        for flight in [flight for flight in self._desk.by_worker.get(worker_id, ()) if flight.ahead]:
            await self._aheads.failed(flight, f"call lost: {why}")
        flights = [flight for flight in self._desk.by_worker.get(worker_id, ()) if flight.on_worker]
        for flight in flights:
            await self._lose(flight, why)
        return flights

    def open_call(self, flight: Flight) -> None:
        """A stock worker may have taken the call; nobody knows its name."""
        if self._desk.patience.lost_after > 0:
            self._after(self._desk.patience.lost_after, self._lose_open, flight, flight.attempt)

    async def _lose_open(self, flight: Flight, attempt: int) -> None:
        if flight.attempt == attempt and flight.open_call:
            await self._lose(flight, "the worker never said whether it took the call")

    async def _lose(self, flight: Flight, why: str) -> None:
        if flight.ahead and flight.row.fetched_at is None:
            await self._aheads.failed(flight, f"call lost: {why}")
        if not flight.on_worker:
            return
        worker = self._desk.worker_of(flight)
        calls = list(flight.calls)
        label = worker.label if worker is not None else flight.row.worker_id
        log.warn(f"{flight.row.type} of sector {flight.sector} on worker {label} is lost: {why}")
        error = CallError(101, f"call lost: {why}")
        await self._desk.settle(flight, None, error, outcome=Outcome.AGAIN, lost=True)
        if worker is not None and not worker.stock and worker.online:
            self._desk.spawn(self._kill_quietly(worker, flight, calls), "end of a lost call")

    async def _kill_quietly(self, worker: Worker, flight: Flight, calls: list[str]) -> None:
        for call in calls:
            try:
                await self._kill(worker, flight, call)
            except (RpcError, RpcConnectError):
                return

    def _after(self, seconds: float, what: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        loop = asyncio.get_running_loop()

        def due() -> None:
            self._timers.discard(handle)
            self._desk.spawn(self._until_stored(what, *args), "lost call")

        handle = loop.call_later(seconds, due)
        self._timers.add(handle)

    async def _until_stored(self, what: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        pause = self._desk.patience.hand_over
        while True:
            try:
                await what(*args)
                return
            except RpcError as e:
                log.error(f"a call is lost, {e}; tried again in {pause:g}s")
            await asyncio.sleep(pause)
            pause = min(pause * 2, 60.0)


async def end_waiting(
    desk: Desk,
    aheads: Aheads,
    flight: Flight,
    result: bytes | None,
    error: CallError | None,
    outcome: Outcome | None = None,
) -> None:
    """End a task that waits for a worker (see ``Desk.settle``); where that cannot be stored it waits on, and RpcError is raised.

    A caller that is cancelled meanwhile leaves no half end.
    """

    async def end() -> None:
        try:
            await desk.settle(flight, result, error, outcome=outcome)
        except RpcError:
            if not flight.cancelling:  # nobody wants it then: it must not come back
                desk.post(TaskQueued(flight.row.spec, flight.row.queued_at))
            raise

    # First, so that no pass binds it while its end is being stored.
    desk.post(TaskRemoved(flight.row.id))
    aheads.end(flight)
    await desk.to_its_end(end(), f"end of waiting {flight.row.type} {flight.sector}")
