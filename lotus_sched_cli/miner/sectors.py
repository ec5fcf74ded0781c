"""The pipeline's driver: owns the sectors, stores each step, then carries it out.

One sector works on one event at a time; sectors do not wait for each other. A step is tried on a copy, stored in one
transaction with its log, the tasks that it adds and the task that it ends, and only then becomes the sector. If the store
cannot take it (a full disk), the event waits and is tried again.

Order at start, by the daemon: ``load``, then dispatch takes up the stored tasks, then ``start``.
"""

from __future__ import annotations

import asyncio
import time
from collections import ChainMap, Counter, deque
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

from lotus_sched_cli.core.pipeline import (
    Moment,
    PipelineSettings,
    Sector,
    State,
    Step,
    handle,
    resume,
    start,
)
from lotus_sched_cli.core.pipeline import actions as act
from lotus_sched_cli.core.pipeline import events as ev
from lotus_sched_cli.core.pipeline.states import BY_HAND, RETRIED, WORKING, counts_as_sealing, held
from lotus_sched_cli.core.tasks import FileType, SectorId
from lotus_sched_cli.lotus import logs
from lotus_sched_cli.lotus.extras import SectorBrief
from lotus_sched_cli.lotus.rpc.errors import RpcError
from lotus_sched_cli.lotus.types import CallError, SectorInfo

from . import calls, sector_rows
from .asks import Asks
from .chain import Chain
from .numbers import Numbers
from .pool import Pool
from .records import Phase, TaskRow
from .seams import Dispatch
from .sector_steps import StepWriter
from .store import Store, StoreError
from .timers import Timers

__all__ = ["Dispatch", "Sectors"]

log = logs.get("sectors")

T = TypeVar("T")

#: Sectors that take something in at once; their writes share commits.
SECTORS_AT_ONCE: Final = 64
#: A new task of a sector waits this long at most for the end of the work that was cancelled for it.
CANCEL_WAIT: Final = 10.0
#: Seconds before a step that the store refused is tried again: first, and most.
STORE_RETRY: Final = (1.0, 60.0)


@dataclass(slots=True)
class _Item:
    """An event on its way. ``ended``: id of the task that is over with it."""

    event: ev.SectorEvent | None
    ended: str | None = None
    result: tuple[bytes | None, CallError | str | None, TaskRow] | None = None
    stored: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Sectors:
    """All sectors of a miner. ``clock`` gives unix seconds; waits go through ``timers``, so tests can jump."""

    def __init__(
        self,
        store: Store,
        chain: Chain,
        dispatch: Dispatch,
        settings: PipelineSettings,
        *,
        miner: int,
        proof: int,
        max_sealing: int = 0,
        first_number: int = 0,
        clock: Callable[[], float] = time.time,
        timers: Timers | None = None,
    ) -> None:
        self._store = store
        self._chain = chain
        self._dispatch = dispatch
        self.settings = chain.rules(settings)
        self._miner = miner
        self._proof = proof
        self.max_sealing = max_sealing
        self.reserved = Numbers(store, first_number)
        self._clock = clock
        self.timers = Timers(clock) if timers is None else timers
        self._own_timers = timers is None
        self._asks = Asks(store, chain, dispatch.remove_files, self.timers, self._answer)
        #: State of every sector; the sectors themselves only while the pipeline works on them.
        self._states: dict[int, State] = {}
        self._working: dict[int, Sector] = {}
        #: What `sectors list` tells of the others.
        self._resting: dict[int, SectorBrief] = {}
        self._summary: Counter[State] = Counter()
        self._inbox: dict[int, deque[_Item]] = {}
        self._pool = Pool("sectors", SECTORS_AT_ONCE)
        self._aside: set[asyncio.Task[Any]] = set()
        self._claimed: set[int] = set()
        self._steps = StepWriter(store, f"t0{miner}/{chain.id}")

    # -- life --------------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Read the sectors; tells dispatch which ones fill no hold. Nothing is started yet."""
        await self.reserved.load()
        async for row in self._store.each_sector():
            sector = sector_rows.from_row(row)
            self._set_state(sector.id.number, sector.state)
            if sector.state in WORKING:
                self._working[sector.id.number] = sector
            else:
                self._resting[sector.id.number] = sector_rows.brief(sector)
            if not held(sector.state):
                self._dispatch.sector_held(sector.id, False)

    async def start(self) -> None:
        """Go on with every sector where it was. Dispatch has taken up the stored tasks before."""
        alive = {row.id for row in await self._store.tasks() if row.phase is not Phase.CANCELLED}
        for number, sector in list(self._working.items()):
            trial = sector.clone()
            task_alive = sector.task is not None and self.task_id(number, sector.turn) in alive
            step = resume(trial, self._now(), self.settings, task_alive=task_alive)
            if step.log or any(isinstance(action, act.RunTask) for action in step.actions):
                self._post(number, _Item(None))
            elif step.actions:
                # Nothing to store: the same again is asked for after the next restart.
                self._working[number] = trial
                self._carry_out(step)
        if self._own_timers:
            self.timers.start()

    async def stop(self) -> None:
        """Stop where each sector stands; nothing is lost, ``start`` of the next process goes on."""
        if self._own_timers:
            await self.timers.stop()
        await self._pool.stop()
        await self._asks.stop()
        for task in self._aside:
            task.cancel()
        await asyncio.gather(*self._aside, return_exceptions=True)

    async def settled(self) -> None:
        """Until no sector works on an event and nothing asked is on its way (for tests: timers and tasks may be out)."""
        while self._pool.busy or self._asks.busy or self._aside:
            await self._pool.idle()
            await self._asks.idle()
            if self._aside:
                await asyncio.wait(self._aside)
            await asyncio.sleep(0)

    # -- what the API asks for ---------------------------------------------------------------------------------------

    async def pledge(self) -> SectorId:
        """A new committed capacity sector; its number is stored on return. Raises RpcError (too many are sealing)."""
        # Shielded: a client that hangs up must not leave a sector that is stored and that nobody works on.
        return await asyncio.shield(self._beside(self._pledge()))

    async def _pledge(self) -> SectorId:
        sealing = self.sealing + len(self._claimed)
        if self.max_sealing > 0 and sealing >= self.max_sealing:
            raise RpcError(1, f"too many sectors sealing (curSealing: {sealing}, max: {self.max_sealing})")
        number = self.reserved.next(ChainMap(self._states, dict.fromkeys(self._claimed, State.UNDEFINED)))
        self._claimed.add(number)
        try:
            step = start(SectorId(self._miner, number), self._proof, self._now(), self.settings)
            writes = self._store.writes()
            writes.new_sector(sector_rows.to_row(step.sector))
            await self._steps.write(writes, step)
            await writes.commit()
        except StoreError as error:
            self.reserved.give_back(number)
            raise RpcError(1, f"sector {number} could not be stored: {error}") from error
        finally:
            self._claimed.discard(number)
        log.info(f"Creating CC sector {number}")
        self._take(step)
        self._carry_out(step)
        return step.sector.id

    async def update_state(self, number: int, state: str) -> None:
        """``sectors update-state``: force a state, at once. Raises RpcError for a sector or a state that is none."""
        self._known(number)
        try:
            forced = State(state)
        except ValueError:
            raise RpcError(1, f'"{state}" is not a valid state') from None
        await self._post(number, _Item(ev.ForceState(forced)))

    async def remove(self, number: int, *, again: bool = False) -> None:
        """``sectors remove``: stop its work and delete its files. Raises RpcError for a sector that is none.

        ``again``: also of one that is removed already (something was left).
        """
        self._known(number)
        if self._states[number] is not State.REMOVING and (
            again or self._states[number] is not State.REMOVED
        ):
            await self._post(number, _Item(ev.Remove()))

    def numbers(self, states: Iterable[str] | None = None) -> list[int]:
        """Sector numbers, ascending; only those in these states."""
        if states is None:
            return sorted(self._states)
        wanted = set(states)
        return sorted(number for number, state in self._states.items() if state.value in wanted)

    def summary(self) -> dict[str, int]:
        """How many sectors are in each state that occurs."""
        return {state.value: count for state, count in sorted(self._summary.items()) if count}

    def state(self, number: int) -> State | None:
        return self._states.get(number)

    def failed_for_good(self, number: int) -> bool:
        """Whether the sector stays as it is until someone acts (A2's count in ``sealing workers``)."""
        return self._states.get(number) in BY_HAND

    @property
    def sealing(self) -> int:
        """Lotus's curSealing: staging, sealing and failed sectors."""
        early = self.settings.finalize_early
        return sum(count for state, count in self._summary.items() if counts_as_sealing(state, early))

    async def status(self, number: int, on_chain: bool = False) -> SectorInfo:
        """``SectorsStatus``. Raises RpcError for a sector that is none."""
        sector = await self._sector(number)
        return sector_rows.status(
            sector,
            log=await self._store.sector_log(number),
            proof=await self._store.kept(number, "proof") if sector.has_proof else None,
            on_chain=await self._chain.sector(sector.id) if on_chain else None,
        )

    async def briefs(self, with_log: bool) -> list[SectorBrief]:
        """``SectorsTable``: a row per sector, by number."""
        lives = await self._chain.lives()
        logs = await self._store.log_figures(*sector_rows.LOG_FIGURES) if with_log else {}
        rows = self._resting | {number: sector_rows.brief(s) for number, s in self._working.items()}
        return [
            sector_rows.with_figures(rows[number], lives.get(number), logs.get(number))
            for number in sorted(rows)
        ]

    # -- what dispatch tells -----------------------------------------------------------------------------------------

    async def task_done(
        self, row: TaskRow, result: bytes | None = None, error: CallError | str | None = None
    ) -> None:
        """A task is over: ``result`` is the JSON that the worker returned, ``error`` Lotus's CallError or a text.

        On return the sector has taken it and the task's row is deleted, in one transaction. May be called again for the
        same task (after a restart): the second time changes nothing.
        """
        number = row.sector.number
        if number not in self._states:
            await self._delete(row)
            return
        await self._post(number, _Item(None, ended=row.id, result=(result, error, row)))

    async def files_lost(self, row: TaskRow, types: FileType) -> None:
        """For ten minutes no path has declared the files of this queued task (core decision FilesMissing, ``lost``).

        The sector goes back to the step that makes them; the task is cancelled (``Dispatch.cancel``).
        """
        sector = self._working.get(row.sector.number)
        if sector is None or self.task_id(row.sector.number, sector.turn) != row.id:
            return
        log.error(
            f"sector {row.sector} waits for {row.type.short}: no path has its files; it goes back a step",
            sector=str(row.sector.number),
        )
        await self._post(row.sector.number, _Item(ev.FilesLost(sector.turn, types)))

    def task_id(self, number: int, turn: int) -> str:
        """Lotus's SchedId of the task that a sector asked for in this turn."""
        return self._steps.task_id(number, turn)

    # -- one event at a time -----------------------------------------------------------------------------------------

    def _post(self, number: int, item: _Item) -> asyncio.Future[None]:
        inbox = self._inbox.get(number)
        if inbox is not None:
            inbox.append(item)
        else:
            self._inbox[number] = deque([item])
            self._pool.put(partial(self._run, number))
        return item.stored

    def _answer(self, number: int, event: ev.SectorEvent) -> None:
        """What was asked for has come (asks.py, timers)."""
        self._post(number, _Item(event))

    async def _run(self, number: int) -> None:
        """Take in what has come for a sector, one after the other."""
        inbox = self._inbox[number]
        while inbox:
            item = inbox[0]
            step = None
            try:
                step = await self._take_in(number, item)
            except Exception as error:
                # A broken step must not stop the others; the sector stays as it is stored.
                log.error(f"sector {number}: {item.event or item.ended} could not be taken in", exc=error)
                if not item.stored.done():
                    item.stored.set_exception(RpcError(1, f"sector {number}: {error}"))
                    item.stored.exception()  # looked at: not every event has someone who waits for it
            inbox.popleft()
            if not item.stored.done():
                item.stored.set_result(None)
            if step is not None:
                self._carry_out(step)
        del self._inbox[number]

    async def _take_in(self, number: int, item: _Item) -> Step | None:
        """Try the event on a copy, store what comes of it (as long as that takes), make it the sector."""
        pause = STORE_RETRY[0]
        while True:
            try:
                return await self._try(number, item)
            except StoreError as error:
                log.error(f"sector {number} waits, its next step cannot be stored: {error}")
                await self._pause(pause)
                pause = min(pause * 2, STORE_RETRY[1])

    async def _try(self, number: int, item: _Item) -> Step | None:
        sector = self._working.get(number) or await self._sector(number)
        trial = sector.clone()
        now = self._now()
        writes = self._store.writes()
        if item.result is not None:
            result, error, row = item.result
            writes.delete_task(row.id)
            if trial.task is not row.type or self.task_id(number, trial.turn) != row.id:
                # Taken already, or no longer wanted.
                await writes.commit()
                return None
            answer = calls.outcome(trial, row.type, trial.turn, result, error)
            step = handle(trial, answer, now, self.settings)
        elif isinstance(item.event, ev.TicketOld) and not await self._still_queued(number, item.event.turn):
            return None
        elif item.event is not None:
            turn = trial.turn
            step = handle(trial, item.event, now, self.settings)
            if trial.turn == turn and not (step.log or step.actions):
                return None
        else:
            step = resume(trial, now, self.settings, task_alive=False)
        writes.sector(sector_rows.to_row(trial))
        await self._steps.write(writes, step)
        await writes.commit()
        self._take(step)
        return step

    def _take(self, step: Step) -> None:
        """The stored step becomes the sector."""
        sector = step.sector
        number = sector.id.number
        self._set_state(number, sector.state)
        if sector.state in WORKING:
            self._working[number] = sector
            self._resting.pop(number, None)
        else:
            self._working.pop(number, None)
            self._resting[number] = sector_rows.brief(sector)

    def _carry_out(self, step: Step) -> None:
        sector = step.sector
        for at, action in enumerate(step.actions):
            match action:
                case act.RunTask():
                    self._dispatch.submit(self._steps.task_row(sector, action))
                case act.CancelTask(turn):
                    self._cancel_then(sector, turn, Step(sector, (), step.actions[at + 1 :]))
                    return
                case act.Hold(is_held):
                    self._dispatch.sector_held(sector.id, is_held)
                case act.WaitUntil(_, _, why):
                    if sector.state in RETRIED:
                        log.info(why)
                    self._asks.do(sector, action)
                case act.Keep():
                    pass
                case _:
                    self._asks.do(sector, action)

    def _cancel_then(self, sector: Sector, turn: int, rest: Step) -> None:
        """End a task's work; wait a while for its end, so that the next task does not meet it over the same files."""

        async def cancel() -> None:
            try:
                await self._dispatch.cancel(self.task_id(sector.id.number, turn))
            except Exception as error:
                log.error(f"sector {sector.id.number}: its task could not be cancelled", exc=error)

        async def then() -> None:
            cancelling = self._beside(cancel())
            await asyncio.wait({cancelling}, timeout=CANCEL_WAIT)
            now = self._working.get(sector.id.number)
            if now is not None and now.turn == sector.turn:
                self._carry_out(rest)
            else:
                # It has gone on meanwhile; what fills the hold must be told all the same.
                self._carry_out(Step(sector, (), tuple(a for a in rest.actions if isinstance(a, act.Hold))))

        self._beside(then())

    def _beside(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._aside.add(task)
        task.add_done_callback(self._aside.discard)
        return task

    async def _pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    # -- small things ------------------------------------------------------------------------------------------------

    def _now(self) -> Moment:
        now = self._clock()
        return Moment(now, self._chain.head(now))

    def _known(self, number: int) -> None:
        if number not in self._states:
            raise RpcError(1, f"No state for /{number}: datastore: key not found")

    async def _sector(self, number: int) -> Sector:
        self._known(number)
        if (sector := self._working.get(number)) is not None:
            return sector
        row = await self._store.sector(number)
        if row is None:
            raise RpcError(1, f"No state for /{number}: datastore: key not found")
        return sector_rows.from_row(row)

    async def _still_queued(self, number: int, turn: int) -> bool:
        row = await self._store.task(self.task_id(number, turn))
        return row is not None and row.phase is Phase.QUEUED

    def _set_state(self, number: int, state: State) -> None:
        old = self._states.get(number)
        if old is not None:
            self._summary[old] -= 1
        self._states[number] = state
        self._summary[state] += 1

    async def _delete(self, row: TaskRow) -> None:
        writes = self._store.writes()
        writes.delete_task(row.id)
        await writes.commit()
