"""What all parts of dispatch share: the flights, who waits for which call, and the ends that a flight can have."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import msgspec

from lotus_sched_cli.core.events import Event, Outcome, TaskEnded, TaskQueued
from lotus_sched_cli.core.tasks import SectorId, TaskType
from lotus_sched_cli.lotus.logs import get
from lotus_sched_cli.lotus.rpc.errors import RpcError
from lotus_sched_cli.lotus.types import REQUEST_REMOVED, TASK_ABORTED, CallError
from lotus_sched_cli.miner.clock import Clock
from lotus_sched_cli.miner.known_workers import Worker
from lotus_sched_cli.miner.leftovers import remember
from lotus_sched_cli.miner.locks import SectorLockTable
from lotus_sched_cli.miner.measured import Measured
from lotus_sched_cli.miner.records import UNBOUND, Phase, TaskRow
from lotus_sched_cli.miner.store import Store, Writes
from lotus_sched_cli.miner.workers import Registry

from .flight import Flight, Pipeline
from .wire import outcome_of

log = get("advmgr")

Part = Literal["fetch", "main"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: until a silent worker's call is lost (0: never), until a restarted worker's call is, between asks."""

    lost_after: float = 6 * 3600.0
    restart_grace: float = 60.0
    ask_again: float = 5.0
    hand_over: float = 5.0


class Desk:
    """The flights and their books. Everything here happens on the event loop; what is awaited is named so."""

    def __init__(
        self,
        store: Store,
        workers: Registry,
        locks: SectorLockTable,
        *,
        clock: Clock,
        post: Callable[..., None],
        patience: Patience,
    ) -> None:
        self.store = store
        self.workers = workers
        self.locks = locks
        self.clock = clock
        self._post = post
        self.patience = patience
        self.pipeline: Pipeline
        #: Called when a PreCommit1 is done, with the worker that did it.
        self.made: Callable[[SectorId, str], Coroutine[Any, Any, None]] | None = None
        #: Called when a PreCommit2 begins with a copy of the files on this worker, which counts from now on.
        self.adopted: Callable[[SectorId, str], Coroutine[Any, Any, None]] | None = None
        #: Called when a copy of a sector's files on this worker counts no more, and when it is to be deleted.
        self.disown: Callable[[SectorId, str], Coroutine[Any, Any, None]] | None = None
        self.unwanted: Callable[[SectorId, str], Coroutine[Any, Any, None]] | None = None
        #: Called while a good end is being stored: what its task should have deleted is remembered with it.
        self.done: Callable[[Writes, TaskRow], None] | None = None
        #: Called with a new task that is stored, when a cancelled one has ended, and before anything is sent to a worker.
        self.submitted: Callable[[TaskRow], None] | None = None
        self.cancelled: Callable[[SectorId], None] | None = None
        self.clear: Callable[[SectorId], Coroutine[Any, Any, None]] | None = None
        #: Called when a worker answers again.
        self.online: Callable[[], None] | None = None
        self.measured = Measured()
        self.flights: dict[str, Flight] = {}
        self.by_sector: dict[SectorId, tuple[Flight, ...]] = {}
        self.by_worker: dict[str, set[Flight]] = defaultdict(set)
        self._jobs_so_far: Counter[str] = Counter()
        self.calls: dict[str, tuple[Flight, Part]] = {}
        #: Calls that were given up while their task goes on: a result is still welcome until it runs elsewhere.
        self.old_calls: dict[str, Flight] = {}
        self._woken: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._spawned: set[asyncio.Task[Any]] = set()

    # -- books -------------------------------------------------------------------------------------------------------

    def post(self, *events: Event) -> None:
        self._post(*events)

    def add(self, flight: Flight) -> None:
        self.flights[flight.row.id] = flight
        self.by_sector[flight.sector] = (*self.by_sector.get(flight.sector, ()), flight)

    def forget(self, flight: Flight) -> None:
        """It is over: nothing of it is remembered."""
        self.detach(flight)
        self.flights.pop(flight.row.id, None)
        rest = tuple(f for f in self.by_sector.get(flight.sector, ()) if f is not flight)
        if rest:
            self.by_sector[flight.sector] = rest
        else:
            self.by_sector.pop(flight.sector, None)
        for call in flight.old_calls:
            self.old_calls.pop(call, None)

    def attach(self, flight: Flight, *, lock: bool = True) -> None:
        """Count it on its worker's books; ``lock``: its task works on the sector's files."""
        assert flight.row.worker_id is not None
        if flight not in self.by_worker[flight.row.worker_id]:
            flight.number = self._jobs_so_far[flight.row.worker_id]
            self._jobs_so_far[flight.row.worker_id] += 1
        self.by_worker[flight.row.worker_id].add(flight)
        if lock and flight.lock is None:
            flight.lock = self.locks.show(flight.sector, flight.row.type)

    def detach(self, flight: Flight, asker: asyncio.Task[Any] | None = None) -> None:
        """It no longer waits for anything on its worker; its courier ends, unless that is who asks."""
        flight.attempt += 1
        if flight.row.worker_id is not None:
            self.by_worker[flight.row.worker_id].discard(flight)
            self._counted(flight)
            flight.last_worker = flight.row.worker_id
        for call in [c for c in (flight.row.fetch_call_id, flight.row.call_id, *flight.calls) if c]:
            self.calls.pop(call, None)
        flight.calls = ()
        flight.open_call = flight.asking = ""
        flight.waits, flight.turn = False, None
        if flight.answered is not None:
            flight.answered.set()
            flight.answered = None
        self.locks.release(flight.lock)
        flight.lock = None
        courier, flight.courier = flight.courier, None
        if courier is not None and courier is not (asker or asyncio.current_task()):
            courier.cancel()

    def _counted(self, flight: Flight) -> None:
        worker = self.worker_of(flight)
        if worker is not None and flight.row.session == worker.session:
            row = flight.row
            types = (TaskType.FETCH, row.type) if row.fetch else (row.type,)
            worker.counted.update(f"{row.proof}:{task.value}" for task in types)

    def known_call(self, flight: Flight, call: str, part: Part) -> None:
        self.calls[call] = (flight, part)
        flight.calls = (*flight.calls, call)

    def worker_of(self, flight: Flight) -> Worker | None:
        return self.workers.by_id.get(flight.row.worker_id or "")

    def makers(self, sector: SectorId) -> frozenset[str]:
        """Workers that have a task of this sector just now, or to which its files are fetched."""
        return frozenset(
            f.row.worker_id
            for f in self.by_sector.get(sector, ())
            if (f.on_worker or f.ahead) and f.row.worker_id
        )

    def drop_copy(self, flight: Flight) -> None:
        """It ends without its result: a copy that its PreCommit2 did not begin with is not wanted any more."""
        if flight.copied and flight.row.worker_id:
            self.spawn(self.remove_copy(flight.sector, flight.row.worker_id), "files fetched ahead")

    async def remove_copy(self, sector: SectorId, worker_id: str) -> None:
        if self.unwanted is not None and worker_id not in self.makers(sector):
            await self.unwanted(sector, worker_id)

    # -- waiting for workers -----------------------------------------------------------------------------------------

    def wake(self, worker_id: str) -> None:
        """It has registered or answers again."""
        self._woken.pop(worker_id, asyncio.Event()).set()

    async def await_worker(self, worker_id: str, seconds: float) -> None:
        """Until it is heard of, or the time is over."""
        try:
            await asyncio.wait_for(self._woken[worker_id].wait(), seconds)
        except TimeoutError:
            pass

    def spawn(self, work: Coroutine[Any, Any, Any], what: str) -> asyncio.Task[Any]:
        """Run beside everything else; a failure is logged and stops nobody."""

        async def guarded() -> None:
            try:
                await work
            except asyncio.CancelledError:
                raise
            except Exception as e:
                log.error(f"{what}: {e!r}", exc=e)

        return self._begun(guarded(), what)

    async def to_its_end(self, work: Coroutine[Any, Any, T], what: str) -> T:
        """Do it, also if whoever asks for it goes away meanwhile: what has begun comes to its end."""
        task = self._begun(work, what)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_unheard)
            raise

    def _begun(self, work: Coroutine[Any, Any, T], what: str) -> asyncio.Task[T]:
        task = asyncio.create_task(work, name=what)
        self._spawned.add(task)
        task.add_done_callback(self._spawned.discard)
        return task

    async def stop(self) -> None:
        tasks = [*self._spawned, *(f.courier for f in self.flights.values() if f.courier is not None)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- ends --------------------------------------------------------------------------------------------------------

    async def settle(
        self,
        flight: Flight,
        result: bytes | None,
        error: CallError | None,
        *,
        outcome: Outcome | None = None,
        lost: bool = False,
        elsewhere: bool = False,
    ) -> None:
        """Store what came of a flight, then tell scheduler and pipeline. Raises RpcError if it cannot be stored.

        ``lost``: the call was given up, its result is taken if it comes before the task starts elsewhere.
        ``elsewhere``: nothing was started; with AGAIN, the task is queued as if it had never been bound, without delay.
        A caller that is cancelled meanwhile leaves no half end.
        """
        if flight.settling is not None:
            await asyncio.shield(flight.settling)
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        flight.settling = done
        end = self._end(flight, result, error, outcome, lost, elsewhere, done, asyncio.current_task())
        await self.to_its_end(end, f"end of {flight.row.type} {flight.sector}")

    async def _end(
        self,
        flight: Flight,
        result: bytes | None,
        error: CallError | None,
        outcome: Outcome | None,
        lost: bool,
        elsewhere: bool,
        done: asyncio.Future[None],
        asker: asyncio.Task[Any] | None,
    ) -> None:
        if outcome is None:
            aborted = error is not None and error.Message.endswith(TASK_ABORTED)
            outcome = Outcome.CANCELLED if aborted else outcome_of(error)
        again = outcome in (Outcome.AGAIN, Outcome.NO_SPACE)
        try:
            await self._store_end(flight, result, error, again)
        except Exception as e:
            flight.settling = None
            failure = RpcError(
                1, f"the result of {flight.row.type} of sector {flight.sector} is not stored: {e}"
            )
            done.set_exception(failure)
            done.exception()
            raise failure from e
        except BaseException:
            flight.settling = None
            done.cancel()
            raise
        calls = tuple(c for c in flight.calls if self.calls.get(c, (None, ""))[1] == "main")
        was_bound = flight.on_worker
        self.detach(flight, asker)
        text = "" if error is None else str(error)
        flight.error = text
        if error is not None:
            self.drop_copy(flight)
        if flight.cancelling:
            if was_bound:
                self.post(TaskEnded(flight.row.id, Outcome.CANCELLED, text))
            self.forget(flight)
        elif again:
            self._requeued(flight)
            if lost:
                flight.old_calls = (*flight.old_calls, *calls)
                self.old_calls |= dict.fromkeys(calls, flight)
            if elsewhere:
                self.post(TaskEnded(flight.row.id, Outcome.CANCELLED, text))
                self.post(TaskQueued(flight.row.spec, flight.row.queued_at))
            else:
                self.post(TaskEnded(flight.row.id, outcome, text))
        else:
            flight.set(phase=Phase.RETURNED, has_result=result is not None)
            if was_bound:
                self.post(TaskEnded(flight.row.id, outcome, text))
            if error is None and flight.row.type is TaskType.PRECOMMIT1 and self.made is not None:
                self.spawn(self.made(flight.sector, flight.row.worker_id or ""), "leftovers")
            self.spawn(self.hand_over(flight, result, error), f"result of {flight.row.type} {flight.sector}")
        flight.settling = None
        done.set_result(None)

    async def _store_end(
        self, flight: Flight, result: bytes | None, error: CallError | None, again: bool
    ) -> None:
        writes = self.store.writes()
        if flight.cancelling:
            writes.delete_task(flight.row.id)
        elif again:
            writes.task(flight.row.id, **UNBOUND)
        else:
            body = None if error is None else msgspec.json.encode(error)
            writes.task(flight.row.id, phase=Phase.RETURNED, result=result, error=body)
            worker = self.worker_of(flight)
            by_hand = error is not None and error.Message.endswith((TASK_ABORTED, REQUEST_REMOVED))
            if worker is not None and not by_hand:
                self.measured.ended(writes, worker.number, flight.row, self.clock(), failed=error is not None)
            if error is None and flight.row.type is TaskType.PRECOMMIT1 and flight.row.worker_id:
                remember(writes, flight.sector, flight.row.worker_id)
            if error is None and self.done is not None:
                self.done(writes, flight.row)
        await writes.commit()

    def _requeued(self, flight: Flight) -> None:
        changes = {k: v for k, v in UNBOUND.items() if k != "result"}
        flight.set(**changes)
        flight.restored = False
        flight.ahead = ""
        flight.fetched = None

    async def hand_over(self, flight: Flight, result: bytes | None, error: CallError | None) -> None:
        """Give the pipeline what came, until it has taken it."""
        pause = self.patience.hand_over
        while True:
            try:
                await self.pipeline.task_done(flight.row, result, error)
            except asyncio.CancelledError:
                raise
            except Exception as e:
                log.error(
                    f"{flight.row.type} of sector {flight.sector}: its result is not taken, tried again in {pause:g}s: {e}",
                    exc=e,
                )
                await asyncio.sleep(pause)
                pause = min(pause * 2, 300.0)
                continue
            if self.flights.get(flight.row.id) is flight:
                self.forget(flight)
            return


def _unheard(task: asyncio.Task[Any]) -> None:
    """Who asked for it is not there any more to be told."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error(f"{task.get_name()}: {error}")
