"""The sole owner of the scheduler: events in, decisions out, nothing waits for anything in between."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from lotus_sched_cli.core.decisions import (
    Assigned,
    Decision,
    FilesMissing,
    HandRefused,
    Prefetch,
    PrefetchOver,
    Refused,
    RestBegan,
    RestEnded,
    Start,
)
from lotus_sched_cli.core.events import (
    AssignByHand,
    Event,
    Outcome,
    SectorHeld,
    Settings,
    SettingsChanged,
    TaskEnded,
    TaskQueued,
    TaskRestored,
    WorkerCaps,
    WorkerDrain,
    WorkerJoined,
    WorkerOnline,
    WorkerTasks,
)
from lotus_sched_cli.core.policies import checked
from lotus_sched_cli.core.scheduler import Scheduler
from lotus_sched_cli.core.tasks import FileType, SectorId, TaskType
from lotus_sched_cli.lotus.logs import get
from lotus_sched_cli.lotus.methods import RETURN_OF
from lotus_sched_cli.lotus.rpc.errors import RpcConnectError, RpcError
from lotus_sched_cli.lotus.types import CallError, CallID
from lotus_sched_cli.miner.clock import Clock
from lotus_sched_cli.miner.known_workers import Worker, limits, spec
from lotus_sched_cli.miner.locks import SectorLockTable
from lotus_sched_cli.miner.records import UNBOUND, Phase, TaskRow
from lotus_sched_cli.miner.store import Store
from lotus_sched_cli.miner.workers import Registry

from . import lines
from .courier import Couriers
from .desk import Desk, Patience
from .ends import Ends
from .flight import Flight, Pipeline
from .returns import Returns

log = get("advmgr")


class Dispatch:
    """Runs what the scheduler decides. ``confirm`` drops what a worker did not declare again when it registered.

    ``lacking`` says which of some types lie elsewhere but on no path of a worker.
    """

    def __init__(
        self,
        store: Store,
        scheduler: Scheduler,
        workers: Registry,
        *,
        clock: Clock,
        locks: SectorLockTable | None = None,
        patience: Patience | None = None,
        confirm: Callable[[str], Awaitable[Any]] | None = None,
        remove_files: Callable[[SectorId], Awaitable[None]] | None = None,
        lacking: Callable[[SectorId, FileType, str], FileType] | None = None,
    ) -> None:
        self.scheduler = scheduler
        self.locks = locks or SectorLockTable()
        self._clock = clock
        self._workers = workers
        self._confirm = confirm
        self._remove_files = remove_files
        self._lacking = lacking
        self._inbox: deque[Event] = deque()
        #: Operators who wait for what comes of giving a task to a worker.
        self._by_hand: list[tuple[str, str, asyncio.Future[HandRefused | None]]] = []
        self._wake = asyncio.Event()
        self._stopping = False
        self._due: float | None = None
        self._task: asyncio.Task[None] | None = None
        self.desk = Desk(
            store, workers, self.locks, clock=clock, post=self.post, patience=patience or Patience()
        )
        self._couriers = Couriers(self.desk, lambda flight: self._ends.open_call(flight), scheduler.story)
        self._aheads = self._couriers.aheads
        self._ends = Ends(self.desk, self._aheads)
        self._returns = Returns(self.desk, self._aheads)
        self._to_hand_over: list[Flight] = []
        self._to_cancel: list[Flight] = []

    # -- life --------------------------------------------------------------------------------------------------------

    async def restore(self, pipeline: Pipeline) -> None:
        """Take up the stored tasks: what workers carry counts before anything new is bound."""
        self.desk.pipeline = pipeline
        builtin = {w.id for w in self._workers.by_id.values() if w.number == 0}
        silent: set[str] = set()
        await self.desk.measured.load(self.desk.store, [w.number for w in self._workers.by_id.values()])
        for row in await self.desk.store.tasks():
            flight = Flight(row)
            self.desk.add(flight)
            if row.worker_id in builtin and flight.on_worker:
                # The built-in worker's calls died with the last process.
                writes = self.desk.store.writes()
                writes.task(row.id, **UNBOUND)
                await writes.commit()
                flight.set(**{k: v for k, v in UNBOUND.items() if k != "result"})
            match flight.row.phase:
                case Phase.QUEUED:
                    self.post(TaskQueued(row.spec, row.queued_at))
                    if flight.row.worker_id is not None:
                        self._restore_ahead(flight, builtin)
                case Phase.RETURNED:
                    self._to_hand_over.append(flight)
                case Phase.CANCELLED:
                    self._to_cancel.append(flight)
                case _:
                    self._restore_bound(flight)
                    silent.add(row.worker_id or "")
        for worker_id in silent:
            self._ends.silent(worker_id, self._clock())

    def _restore_ahead(self, flight: Flight, builtin: set[str]) -> None:
        self._aheads.restore(flight)
        if flight.ahead in builtin:
            # The built-in worker's calls died with the last process.
            self._aheads.end(flight)

    def _restore_bound(self, flight: Flight) -> None:
        row = flight.row
        assert row.worker_id is not None
        flight.restored = True
        flight.waits = row.sent_at is None
        self.desk.attach(flight)
        if row.fetch_call_id and row.fetched_at is None:
            self.desk.known_call(flight, row.fetch_call_id, "fetch")
        if row.call_id:
            self.desk.known_call(flight, row.call_id, "main")
        worker = self._workers.by_id.get(row.worker_id)
        if worker is None or worker.stock:
            if flight.fetching and row.fetch_sent_at and not row.fetch_call_id:
                flight.open_call = "ReturnFetch"
            elif row.sent_at and not row.call_id:
                flight.open_call = RETURN_OF[flight.main]
            if flight.open_call:
                self._ends.open_call(flight)
        self.post(TaskRestored(row.spec, row.worker_id, row.queued_at, row.accepted_at))

    def start(self) -> None:
        """Begin to decide; the pipeline has loaded its sectors."""
        self._task = asyncio.create_task(self._run(), name="scheduler")
        for flight in self._to_hand_over:
            self.desk.spawn(self._hand_over_stored(flight), f"stored result of {flight.row.type}")
        for flight in self._to_cancel:
            self.desk.spawn(self._cancel_stored(flight), f"stored cancel of {flight.row.type}")
        self._to_hand_over, self._to_cancel = [], []

    async def _hand_over_stored(self, flight: Flight) -> None:
        import msgspec

        result = await self.desk.store.task_result(flight.row.id)
        error = None if flight.row.error is None else msgspec.json.decode(flight.row.error, type=CallError)
        await self.desk.hand_over(flight, result, error)

    async def _cancel_stored(self, flight: Flight) -> None:
        row = flight.row
        if row.worker_id and (row.call_id or row.fetch_call_id):
            # What it was before it was cancelled: its work may go on.
            flight.set(phase=Phase.RUNNING)
            for call in (row.fetch_call_id, row.call_id):
                if call:
                    self.desk.known_call(flight, call, "main")
            self.desk.attach(flight)
        else:
            flight.set(phase=Phase.RETURNED)
        await self._ends.cancel(row.id)

    async def stop(self) -> None:
        """Decide nothing more; what is stored goes on after the next start."""
        # wait_for may swallow a cancellation that comes in the very turn in which it is woken
        self._stopping = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._ends.stop()
        await self.desk.stop()

    # -- the loop ----------------------------------------------------------------------------------------------------

    def post(self, *events: Event) -> None:
        """Tell the scheduler; it decides in the next turn of the event loop."""
        self._inbox.extend(events)
        self._wake.set()

    async def _run(self) -> None:
        while not self._stopping:
            await self._until_due()
            self._wake.clear()
            events = tuple(self._inbox)
            self._inbox.clear()
            now = self._clock()
            try:
                plan = self.scheduler.handle(now, *events)
            except Exception as e:
                log.error(
                    "scheduler: a batch of events was not understood",
                    exc=e,
                    events=[repr(x) for x in events[:20]],
                )
                self._due = now + 1.0
                continue
            self._due = plan.wake
            for decision in plan.decisions:
                try:
                    self._carry_out(decision)
                except Exception as e:
                    log.error(f"scheduler: {decision!r} could not be carried out", exc=e)

    async def _until_due(self) -> None:
        if self._inbox:
            await asyncio.sleep(0)
            return
        timeout = None if self._due is None else max(0.0, self._due - self._clock())
        try:
            await asyncio.wait_for(self._wake.wait(), timeout)
        except TimeoutError:
            pass
        # Whatever happens in the same turn belongs to the same batch.
        await asyncio.sleep(0)

    def _carry_out(self, decision: Decision) -> None:
        match decision:
            case Assigned():
                self._bind(decision)
                if self._by_hand:
                    self._answer_by_hand(decision.task.id, decision.worker_id, None)
            case HandRefused():
                self._answer_by_hand(decision.task_id, decision.worker_id, decision)
            case Start():
                self._start(decision)
            case Refused():
                lines.refused(decision)
            case RestBegan():
                lines.rest_began(decision, self._label(decision.worker_id))
            case RestEnded():
                lines.rest_ended(decision, self._label(decision.worker_id))
            case FilesMissing():
                self._files_missing(decision)
            case Prefetch():
                self._aheads.begin(decision, self._label(decision.worker_id))
            case PrefetchOver():
                self._prefetch_over(decision)

    def _bind(self, decision: Assigned) -> None:
        flight = self.desk.flights.get(decision.task.id)
        worker = self._workers.by_id.get(decision.worker_id)
        if flight is None or flight.row.phase is not Phase.QUEUED or flight.settling or flight.cancelling:
            self.post(TaskEnded(decision.task.id, Outcome.CANCELLED))
            return
        if worker is None:
            self.post(TaskEnded(decision.task.id, Outcome.AGAIN, "the worker is gone"))
            return
        if flight.ahead != worker.id:
            self._aheads.end(flight)
        # What was fetched ahead, or is being fetched, counts as the prepare step.
        fetch = flight.row.fetch if flight.ahead else decision.fetch | self._to_move(decision)
        coming = flight.ahead and flight.row.fetched_at is None
        flight.set(
            phase=Phase.BOUND,
            worker_id=worker.id,
            # What is still coming was asked of that process; if it is another by now, the fetch is lost.
            session=flight.row.session if coming else worker.session,
            bound_at=self._clock(),
            fetch=fetch,
        )
        flight.ahead = ""
        for call in flight.old_calls:
            self.desk.old_calls.pop(call, None)
        flight.old_calls = ()
        flight.waits = decision.waits
        self.desk.attach(flight)
        lines.assigned(decision, worker.label)
        self._couriers.start(flight)

    def _prefetch_over(self, decision: PrefetchOver) -> None:
        flight = self.desk.flights.get(decision.task.id)
        if flight is not None and flight.ahead == decision.worker_id:
            log.info(f"sector {flight.sector}: its files are not fetched ahead any more: {decision.why}")
            self._aheads.end(flight)

    def _start(self, decision: Start) -> None:
        flight = self.desk.flights.get(decision.task.id)
        if flight is not None and flight.row.worker_id == decision.worker_id and flight.turn is not None:
            flight.turn.set()

    def _to_move(self, decision: Assigned) -> FileType:
        """A move brings what its worker lacks as Lotus does: by a Fetch before the MoveStorage."""
        task = decision.task
        if task.type is not TaskType.FETCH or self._lacking is None:
            return FileType.NONE
        return self._lacking(task.sector, task.files, decision.worker_id)

    def _files_missing(self, decision: FilesMissing) -> None:
        lines.files_missing(decision)
        flight = self.desk.flights.get(decision.task.id)
        if flight is None:
            return
        if decision.lost:
            self.desk.spawn(self.desk.pipeline.files_lost(flight.row, decision.types), "files lost")
        else:
            self.desk.spawn(self._declare_again(), "declare again")

    async def _declare_again(self) -> None:
        """Ask the workers to declare what lies on their paths; nothing is dropped by it."""
        for worker in self._workers.live():
            if not worker.online or worker.caller is None:
                continue
            try:
                await worker.caller.call("StorageRedeclareLocal", None, False, result=None, timeout=60.0)
            except (RpcError, RpcConnectError) as e:
                log.debug(f"worker {worker.label} does not declare again: {e}")

    def _label(self, worker_id: str) -> str:
        worker = self._workers.by_id.get(worker_id)
        return worker.label if worker is not None else worker_id

    # -- workers (Fleet) ---------------------------------------------------------------------------------------------

    async def worker_joined(self, worker: Worker) -> None:
        if self._confirm is not None:
            await self._confirm(worker.id)
        self.post(WorkerJoined(spec(worker)), self._drain(worker))
        self.desk.wake(worker.id)
        self._aheads.joined(worker.id)
        for flight in list(self.desk.by_worker.get(worker.id, ())):
            if flight.on_worker and flight.restored and flight.row.call_id is None and not flight.open_call:
                self._couriers.start(flight)
        self._ends.session_changed(worker)

    def worker_online(self, worker: Worker, online: bool) -> None:
        self.post(WorkerOnline(worker.id, online))
        if online:
            self.desk.wake(worker.id)
            if self.desk.online is not None:
                self.desk.online()
        else:
            self._ends.silent(worker.id, worker.last_seen)

    def worker_tasks(self, worker: Worker) -> None:
        self.post(WorkerTasks(worker.id, worker.tasks))

    def worker_caps(self, worker: Worker) -> None:
        self.post(WorkerCaps(worker.id, worker.caps, limits(worker)), self._drain(worker))

    @staticmethod
    def _drain(worker: Worker) -> WorkerDrain:
        return WorkerDrain(worker.id, bool(worker.kept.drain), worker.kept.drain == "sectors")

    # -- the pipeline ------------------------------------------------------------------------------------------------

    def submit(self, row: TaskRow) -> None:
        """A stored task wants a worker."""
        if row.id in self.desk.flights:
            return
        if self.desk.submitted is not None:
            self.desk.submitted(row)
        self.desk.add(Flight(row))
        self.post(TaskQueued(row.spec, row.queued_at))

    async def cancel(self, task_id: str) -> None:
        """A task is no longer wanted; returns when its work is dead."""
        await self._ends.cancel(task_id)

    def sector_held(self, sector: SectorId, held: bool) -> None:
        self.post(SectorHeld(sector, held))

    def change_settings(self, settings: Settings) -> None:
        """New settings while running: what workers carry goes on, what waits is planned anew.

        Raises ValueError, one line, for settings that the scheduler does not take; then nothing has changed.
        """
        self.post(SettingsChanged(checked(settings)))

    async def remove_files(self, sector: SectorId) -> None:
        if self._remove_files is None:
            raise RuntimeError("this miner has no way to remove files")
        await self._remove_files(sector)

    # -- the API -----------------------------------------------------------------------------------------------------

    async def returned(self, method: str, call: CallID, result: Any, error: CallError | None) -> None:
        """``Return…`` of the wire."""
        await self._returns.take(method, call, result, error)

    async def assign(self, task_id: str, worker_id: str, force: bool) -> None:
        """Give a queued task to a worker by hand. Raises RpcError with what stands against it."""
        done: asyncio.Future[HandRefused | None] = asyncio.get_running_loop().create_future()
        self._by_hand.append((task_id, worker_id, done))
        self.post(AssignByHand(task_id, worker_id, force))
        refused = await done
        if refused is None:
            return
        if refused.refusal is None:
            raise RpcError(1, f"task {task_id} does not wait for a worker any more")
        hint = "" if force else "; --force helps against caps, holds, drain, rest and delays"
        raise RpcError(1, f"worker {self._label(worker_id)} does not take it: {refused.refusal.text}{hint}")

    def _answer_by_hand(self, task_id: str, worker_id: str, refused: HandRefused | None) -> None:
        for entry in [e for e in self._by_hand if e[:2] == (task_id, worker_id)]:
            self._by_hand.remove(entry)
            if not entry[2].done():
                entry[2].set_result(refused)

    async def forget(self, worker_id: str) -> list[Flight]:
        """All that the worker carries is lost (code 101): queued again, for others. Returns it."""
        return await self._ends.lose_all(worker_id, "its worker was forgotten")

    async def abort(self, call: CallID) -> None:
        await self._ends.abort(call)

    async def give_up(self, call: CallID) -> None:
        await self._ends.give_up(call)

    async def remove_request(self, task_id: str) -> None:
        await self._ends.remove_request(task_id)
