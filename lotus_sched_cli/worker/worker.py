"""The worker itself: takes calls, runs them, keeps and returns their results. Usable in process, without HTTP.

Source: Lotus ``storage/sealer/worker_local.go``.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from lotus_sched_cli.core.caps import Caps
from lotus_sched_cli.core.tasks import SectorId, TaskType
from lotus_sched_cli.lotus import logs, units
from lotus_sched_cli.lotus.extras import TaskUsage
from lotus_sched_cli.lotus.rpc.client import Caller
from lotus_sched_cli.lotus.rpc.errors import RpcConnectError, RpcError
from lotus_sched_cli.lotus.rpc.streams import Reader
from lotus_sched_cli.lotus.types import NIL_UUID, TASK_ABORTED, CallError, CallID, SectorRef
from lotus_sched_cli.sealers.base import Job, Sealer, SealError, Usage
from lotus_sched_cli.storage.errors import StorageError
from lotus_sched_cli.storage.store import Store

from .calls import Call, Calls
from .profile import Profile
from .returns import RETURNS

log: Final = logs.get("advmgr")

#: What a job does: sealing and its storage steps. Its value is the Return's result.
Work = Callable[[Job], Awaitable[Any]]

#: Seconds that a change of caps waits for the miner to have heard of it.
_TOLD: Final = 5.0
#: Seconds that an equal call waits for the answer to an offer under way.
_SETTLE: Final = 30.0

#: What makes two calls equal: method, miner and sector number, digest of the parameters.
_Key = tuple[str, tuple[int, int], bytes]


class Worker:
    """One worker. ``miner`` is where results go; its calls live in ``calls`` (already open).

    ``return_retry``: seconds between attempts to hand a result over.
    """

    def __init__(
        self,
        *,
        miner: Caller,
        store: Store,
        sealer: Sealer,
        profile: Profile,
        calls: Calls,
        return_retry: float = 5.0,
    ) -> None:
        self.miner = miner
        self.store = store
        self.sealer = sealer
        self.profile = profile
        #: Whether the miner is a stock one, which knows no caps and hears only what Lotus's methods say.
        self.stock_miner = False
        self.enabled = True
        self.closing = asyncio.Event()
        #: Set once a caller has been told that this worker is closing.
        self.said_closing = asyncio.Event()
        self.process_session = str(uuid.uuid4())
        self._calls = calls
        self._retry = return_retry
        self._held: dict[str, _Held] = {}
        self._by_key: dict[_Key, _Held] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._poke = asyncio.Event()
        self._changes = 0

    # -- sessions -----------------------------------------------------------------------------------------------------

    def session(self) -> str:
        """The session id; all zeros while closing. Raises RpcError while disabled."""
        if self.closing.is_set():
            self.said_closing.set()
            return NIL_UUID
        if not self.enabled:
            raise RpcError(1, "worker disabled")
        return self.process_session

    async def wait_quiet(self) -> None:
        """Until no call runs or waits to be returned."""
        await self._quiet.wait()

    @property
    def quiet(self) -> bool:
        return self._quiet.is_set()

    def running(self, task: TaskType) -> set[SectorId]:
        """Sectors with a call of this type whose work has not ended."""
        return {
            held.id.Sector.id
            for held in self._held.values()
            if RETURNS[held.method].task is task and held.returns is None
        }

    # -- caps ---------------------------------------------------------------------------------------------------------

    async def recap(self, caps: Caps) -> None:
        """Other caps count from now on. A miner of ours hears of it at once, or as soon as it can be reached."""
        self.profile.recap(caps)
        if self.stock_miner:
            log.warn(
                "this miner is a stock lotus-miner: it reads caps only when a worker registers, so restart this one"
            )
            return
        await self.tell_change()

    async def tell_change(self, within: float = _TOLD) -> None:
        """Caps or task types are others now; waits so many seconds for a miner of ours to have heard of it.

        A stock miner asks for the types itself, at each look at its queue.
        """
        if self.stock_miner:
            return
        self._changes += 1
        telling = self._start(self._tell_change(self._changes), "telling the miner of other caps or tasks")
        await asyncio.wait({telling}, timeout=within)

    async def _tell_change(self, change: int) -> None:
        while change == self._changes:
            try:
                await self.miner.call("WorkerChanged", self.process_session, result=None)
                return
            except (RpcError, RpcConnectError) as why:
                if isinstance(why, RpcError) and why.unknown_method:
                    return
                log.debug(f"the miner has not heard of the other caps or tasks yet: {why}")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._poke.wait(), self._retry)

    # -- calls --------------------------------------------------------------------------------------------------------

    async def call(
        self, method: str, sector: SectorRef, params: bytes, work: Work, data: Reader | None = None
    ) -> CallID:
        """Take a call: on disk, then started, then answered. ``params`` is a digest of all its parameters.

        ``data`` is what the work would read; it is closed where the work is not started.

        A call that equals one still held (running, or its result not taken yet) is answered with that one's CallID.
        Raises RpcError with a temporary code (100–199, as in CallError) where it cannot be kept or this worker is closing.
        """
        if self.closing.is_set():
            raise RpcError(101, f"worker [name: {self.profile.name}] is shutting down")
        key = (method, (sector.ID.Miner, sector.ID.Number), params)
        while (held := self._by_key.get(key)) is not None:
            await held.settled()
            if self._by_key.get(key) is held:
                log.info(f"{method} of sector {sector.ID} is held already, call {held.id.ID}")
                if data is not None:
                    await data.close()
                return held.id
        held = _Held(CallID(sector.ID, str(uuid.uuid4())), method, key)
        self._by_key[key] = self._held[held.id.ID] = held
        self._quiet.clear()
        try:
            await self._calls.accept(Call(held.id, method, params))
        except BaseException as why:
            self._let_go(held)
            held.stored.set()
            if isinstance(why, Exception):
                raise RpcError(
                    1, f"this worker cannot keep the call: {why}; look at the disk of its repo"
                ) from why
            raise
        held.stored.set()
        task = RETURNS[method].task
        job = Job(held.id.ID, task, sector, self.profile.take_card(task), partial(self._used, held))
        held.work = self._start(self._run(held, job, work), f"{method} {sector.ID}")
        return held.id

    async def abort(self, call: str) -> None:
        """End a call's work; returns when it is dead. Its Return says ``task aborted``. An unknown call is dead already."""
        held = self._held.get(call)
        if held is None:
            return
        await held.stored.wait()
        # a task that was made in this turn of the loop must have begun before it can clean up after itself
        await asyncio.sleep(0)
        if held.work is None or held.finishing:
            return
        held.aborted = True
        self._unkey(held)
        held.work.cancel()
        await asyncio.wait({held.work})

    async def return_leftovers(self) -> None:
        """What the last process left: results are sent, unfinished calls come back with code 101.

        Each has been offered to the miner once when this returns; what was not taken goes on being offered.
        """
        first: list[asyncio.Event] = []
        for call in await self._calls.held():
            held = _Held(call.id, call.method, None if call.returns is None else _key(call))
            held.stored.set()
            returns = call.returns
            if returns is None:
                restarted = CallError(101, f"worker [name: {self.profile.name}] restarted")
                returns = RETURNS[call.method].encode(None, restarted)
                await self._calls.finish(call.id, returns)
            held.returns = returns
            self._held[call.id.ID] = held
            if held.key is not None:
                self._by_key[held.key] = held
            self._quiet.clear()
            self._start(self._return(held), f"return {call.method} {call.id}")
            first.append(held.offered)
        await asyncio.gather(*(event.wait() for event in first))

    def poke(self) -> None:
        """The miner is there again: offer what waits now."""
        self._poke.set()
        self._poke = asyncio.Event()

    async def cancel_work(self) -> None:
        """End the running work; its calls stay held and come back with code 101 after the next start."""
        works = {held.work for held in self._held.values() if held.work is not None and not held.finishing}
        for work in works:
            work.cancel()
        if works:
            await asyncio.wait(works)

    async def close(self) -> None:
        """End everything; what is unfinished stays held for the next process."""
        self.closing.set()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._held.clear()
        self._by_key.clear()
        await self._calls.close()

    # -- running and returning ----------------------------------------------------------------------------------------

    async def _run(self, held: _Held, job: Job, work: Work) -> None:
        what = f"{job.task} of sector {job.sector.ID}, call {held.id.ID}"
        simulated = " (simulated)" if self.sealer.simulated else ""
        result, error = None, None
        try:
            try:
                result = await work(job)
            finally:
                self.profile.free_card(job.gpu)
        except asyncio.CancelledError:
            if not held.aborted:
                raise
            error = CallError(0, TASK_ABORTED)
        except Exception as why:
            error = self._call_error(why, what)
        held.finishing = True
        returns = RETURNS[held.method].encode(result, error)
        await self._keep(held, returns, what)
        if error is None:
            log.info(f"finished {what}{simulated}{_took(held.usage)}")
        elif error.Message != TASK_ABORTED:
            log.error(f"failed {what}{simulated}: {error.Message}")
        else:
            log.warn(f"aborted {what}{simulated}")
        # in a task of its own: an abort waits for the work only
        self._start(self._return(held), f"return {held.method} {held.id}")

    def _used(self, held: _Held, usage: Usage) -> None:
        """What a task's process took: remembered, and told to a miner of ours, which shows it."""
        held.usage = usage
        if not self.stock_miner and not held.telling:
            held.telling = True
            self._start(self._tell(held), f"usage {held.id}")

    async def _tell(self, held: _Held) -> None:
        told = None
        try:
            while (usage := held.usage) is not None and usage is not told:
                message = TaskUsage(usage.seconds, usage.cpu_seconds, usage.max_rss)
                await self.miner.call("TaskUsed", held.id, message, result=None)
                told = usage
        except (RpcError, RpcConnectError) as why:
            log.debug(f"the miner does not take what {held.id} used: {why}")
        finally:
            held.telling = False

    async def _keep(self, held: _Held, returns: bytes, what: str) -> None:
        """The result goes to disk before anybody hears of it; a disk that is full now may have room later."""
        said = False
        while True:
            try:
                await self._calls.finish(held.id, returns)
                held.returns = returns
                return
            except Exception as why:
                if not said:
                    log.error(f"cannot keep the result of {what}, trying again: {why}")
                said = True
                await asyncio.sleep(self._retry)

    async def _return(self, held: _Held) -> None:
        """Offer the result until the miner has taken it, then let the call go."""
        spec = RETURNS[held.method]
        assert held.returns is not None
        params = spec.decode(held.returns)
        said = 0
        while True:
            held.begin_offer()
            taken = False
            try:
                await self.miner.call(spec.method, held.id, *params, result=None)
                taken = True
            except (RpcError, RpcConnectError) as why:
                # Lotus says it each time; once and then every twelfth is enough to see it
                say = log.error if said % 12 == 0 else log.debug
                say(f"return error, will retry in {self._retry:g}s: {held.method}: {why}")
                said += 1
            finally:
                if taken:
                    self._unkey(held)
                held.end_offer()
            if taken:
                break
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._poke.wait(), self._retry)
        try:
            await self._calls.forget(held.id)
        except Exception as why:
            # at worst it is offered once more by the next process, and the miner answers null again
            log.warn(f"cannot delete the returned call {held.id}: {why}")
        self._let_go(held)

    def _call_error(self, why: Exception, what: str) -> CallError:
        if isinstance(why, SealError | StorageError) and why.code:
            return CallError(why.code, _sayable(why.text))
        if not isinstance(why, SealError | StorageError | RpcError | RpcConnectError | OSError):
            log.error(f"unexpected {type(why).__name__} in {what}: {why!r}", exc=why)
        return CallError(0, _sayable(f"{why} [name: {self.profile.name}]"))

    def _let_go(self, held: _Held) -> None:
        self._held.pop(held.id.ID, None)
        self._unkey(held)
        if not self._held:
            self._quiet.set()

    def _unkey(self, held: _Held) -> None:
        """From now on an equal call is a new one."""
        if held.key is not None and self._by_key.get(held.key) is held:
            del self._by_key[held.key]

    def _start(self, work: Any, name: str) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (why := task.exception()) is not None:
            log.error(f"{task.get_name()} broke: {why!r}", exc=why)


class _Held:
    """A call between its acceptance and the miner's taking its Return."""

    def __init__(self, id: CallID, method: str, key: _Key | None) -> None:
        self.id = id
        self.method = method
        self.key = key
        self.stored = asyncio.Event()
        self.work: asyncio.Task[None] | None = None
        self.returns: bytes | None = None
        self.aborted = False
        self.usage: Usage | None = None
        #: The miner is being told of it just now.
        self.telling = False
        #: The work has ended; what is left is keeping and returning its result.
        self.finishing = False
        #: Set when the result has been offered once.
        self.offered = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def begin_offer(self) -> None:
        self._idle.clear()

    def end_offer(self) -> None:
        self._idle.set()
        self.offered.set()

    async def settled(self) -> None:
        """Until the call is on disk and no offer of its result is under way: only then it is known whether it is held."""
        await self.stored.wait()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), _SETTLE)


def _took(usage: Usage | None) -> str:
    """For the log: what the task's process took, where it had one."""
    if usage is None:
        return ""
    memory = units.size_str(usage.max_rss)
    return f"; took {usage.seconds:.2f} s, {usage.cpu_seconds:.2f} s of processors, {memory} of memory"


def _key(call: Call) -> _Key:
    return (call.method, (call.id.Sector.Miner, call.id.Sector.Number), call.params)


def _sayable(text: str) -> str:
    """A path need not be UTF-8, the wire's texts are: what it cannot say is written out."""
    return text.encode("utf-8", "backslashreplace").decode()
