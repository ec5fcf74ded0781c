"""The workers of this miner: registration, heartbeats, who is who.

A worker is known by its lasting id (``WorkerInfo.WorkerID``; a stock one by the URL that it registers with), never by
session or host name. Registration calls it back before it is answered (Lotus ``node/impl/storminer.go``
WorkerConnect, ``storage/sealer/manager.go`` AddWorker); from then on its session is asked for every 10 s
(``storage/sealer/sched_worker.go``). What this means for its tasks is the listener's business (dispatch).
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

import msgspec

from lotus_sched_cli.core.tasks import TaskType
from lotus_sched_cli.lotus.logs import get
from lotus_sched_cli.lotus.rpc.client import Caller
from lotus_sched_cli.lotus.rpc.errors import RpcConnectError, RpcError
from lotus_sched_cli.lotus.said import Said
from lotus_sched_cli.lotus.types import NIL_UUID, WORKER_API_VERSION, StoragePath, WorkerInfo

from .clock import Clock
from .kept import Kept, decode
from .known_workers import Worker
from .records import WorkerRow
from .specs import Defaults, caps_of, shared
from .store import Store, StoreError

log = get("advmgr")
_node = get("node")

#: Seconds that a session check may take: half a heartbeat.
SESSION_TIMEOUT: Final = 5.0
#: A worker that registers is given this long per question.
CONNECT_TIMEOUT: Final = 30.0
#: Heartbeats from one question for the task types to the next.
TASKS_EVERY: Final = 3
#: While a worker answers, how old the stored time of its last heartbeat may get, for a miner that is killed.
SEEN_EVERY: Final = 600.0

Dial = Callable[[str], Caller]


class Fleet(Protocol):
    """Who listens to what happens to workers (dispatch)."""

    async def worker_joined(self, worker: Worker) -> None: ...

    def worker_online(self, worker: Worker, online: bool) -> None: ...

    def worker_tasks(self, worker: Worker) -> None: ...

    def worker_caps(self, worker: Worker) -> None: ...


class Registry:
    """All workers, those of earlier runs included. Reads are plain lookups."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock,
        dial: Dial,
        defaults: Defaults,
        proof: int,
        heartbeat: float = 10.0,
    ) -> None:
        self._store = store
        self._clock = clock
        self._dial = dial
        self._defaults = defaults
        self._proof = proof
        self._heartbeat = heartbeat
        self._fleet: Fleet | None = None
        self._reown: Callable[[], None] = lambda: None
        self._moved: Callable[[Iterable[str], str], Any] | None = None
        self._connecting: dict[str, asyncio.Lock] = {}
        #: By URL: a worker that restarts all the time is not said all the time.
        self._said: dict[str, Said] = {}
        self._closed = False
        self.by_id: dict[str, Worker] = {}
        self.by_session: dict[str, Worker] = {}

    def listen(
        self,
        fleet: Fleet,
        *,
        reown: Callable[[], None],
        moved: Callable[[Iterable[str], str], Any] | None = None,
    ) -> None:
        """Who hears of workers, and how the index is told that owners or addresses of paths changed."""
        self._fleet, self._reown, self._moved = fleet, reown, moved

    async def restore(self) -> None:
        """Workers of earlier runs: known by name and number, offline until they register."""
        for row in await self._store.workers():
            kept = decode(row.extras)
            self.by_id[row.id] = Worker(
                row.id,
                row.number,
                row.name,
                row.url,
                row.session,
                kept=kept,
                stock=not kept.aware,
                last_seen=row.last_seen,
                seen_stored=row.last_seen,
            )

    async def close(self) -> None:
        """No more heartbeats, the time of each worker's last one stored; connections closed."""
        self._closed = True
        beats = [w.beat for w in self.by_id.values() if w.beat is not None]
        for beat in beats:
            beat.cancel()
        await asyncio.gather(*beats, return_exceptions=True)
        with contextlib.suppress(StoreError):
            await self._keep(*(w for w in self.by_id.values() if w.last_seen > w.seen_stored))
        for worker in self.by_id.values():
            if worker.caller is not None and not worker.builtin:
                with contextlib.suppress(Exception):
                    await worker.caller.close()

    # -- lookups -------------------------------------------------------------------------------------------------

    def owners(self, path_id: str, netlocs: frozenset[str]) -> frozenset[str]:
        """Ids of the workers that serve a path: what they say themselves, else whose address stands in its URLs."""
        return frozenset(
            w.id
            for w in self.by_id.values()
            if w.registered and (path_id in w.paths if w.paths is not None else w.netloc in netlocs)
        )

    def live(self) -> list[Worker]:
        """Workers that registered since the miner started, in the order of their numbers."""
        return sorted((w for w in self.by_id.values() if w.registered), key=lambda w: w.number)

    # -- registration ----------------------------------------------------------------------------------------------

    async def connect(self, url: str) -> None:
        """`WorkerConnect`. Raises RpcError with Lotus's texts."""
        lock = self._connecting.setdefault(url, asyncio.Lock())
        async with lock:
            caller = self._dial(url)
            try:
                await self._check_version(caller)
                if self._said.setdefault(url, Said()).may(self._clock()):
                    _node.info(f"Connected to a remote worker at {url}", place="impl/storminer.go:476")
                await self._add(url, caller)
            except BaseException as e:
                await caller.close()
                if isinstance(e, RpcError):
                    log.warn(f"the worker at {url} is not taken: {e.message}; {_remedy(e.message)}")
                raise

    async def _check_version(self, caller: Caller) -> None:
        try:
            version = await caller.call("Version", result=int, timeout=CONNECT_TIMEOUT)
        except (RpcError, RpcConnectError) as e:
            raise RpcError(1, f"connecting remote storage failed: {e}") from e
        if version >> 8 != WORKER_API_VERSION >> 8:
            raise RpcError(
                1,
                f"connecting remote storage failed: unsupported worker api version: {_version(version)} "
                f"(expected {_version(WORKER_API_VERSION)})",
            )

    async def _ask(self, caller: Caller, method: str, result: Any, what: str) -> Any:
        try:
            return await caller.call(method, result=result, timeout=CONNECT_TIMEOUT)
        except (RpcError, RpcConnectError) as e:
            raise RpcError(1, f"getting worker {what}: {e}") from e

    async def _add(self, url: str, caller: Caller, *, builtin: str = "") -> Worker:
        session = await self._ask(caller, "Session", str, "session")
        if session == NIL_UUID:
            raise RpcError(1, "worker already closed")
        info = shared(await self._ask(caller, "Info", WorkerInfo, "info"))
        offered = await self._ask(caller, "TaskTypes", dict[str, Any], "tasks")
        lasting = info.WorkerID if isinstance(info.WorkerID, str) and info.WorkerID else ""
        worker_id = builtin or lasting or url
        known = self.by_id.get(worker_id)
        if known is not None and known.registered and known.session == session and known.url == url:
            log.warn("duplicated worker added", place="sealer/manager.go:288", id=session)
        elif known is not None and known.url != url and not builtin:
            await self._refuse_copy(known, session, url)
        old_netloc = known.netloc if known is not None and known.url != url else ""
        new_session = known is not None and known.session != session
        worker = known or Worker(worker_id, self._free_number(bool(builtin)), "", url, session)
        if worker.caller is not None and worker.caller is not caller and not worker.builtin:
            stale = worker.caller
            worker.caller = caller
            await stale.close()
        self.by_session.pop(worker.session, None)
        if new_session:
            worker.counted.clear()
        worker.name, worker.url, worker.session = info.Hostname, url, session
        worker.info, worker.caller = info, caller
        worker.tasks = _known_tasks(offered)
        worker.stock, worker.builtin = not (lasting or builtin), bool(builtin)
        if info.Resources.MemPhysical <= 0:
            log.warn(
                f"worker {worker.label} tells that it has no memory; Lotus's scheduler would give it nothing: "
                "look at /proc/meminfo on its host and start it again"
            )
        self._recap(worker)
        worker.online, worker.last_seen, worker.registered = True, self._clock(), True
        self.by_id[worker_id] = self.by_session[session] = worker
        await self._keep(worker)
        await self._learn_paths(worker)
        if old_netloc and worker.paths and self._moved is not None:
            await self._moved(worker.paths, old_netloc)
        self._reown()
        if self._fleet is not None:
            await self._fleet.worker_joined(worker)
        if worker.beat is None and not builtin and not self._closed:
            worker.beat = asyncio.create_task(self._beats(worker), name=f"heartbeat {worker.label}")
        return worker

    async def add_builtin(self, worker_id: str, caller: Caller, url: str) -> Worker:
        """The miner's own worker: number 0, never out of reach."""
        return await self._add(url, caller, builtin=worker_id)

    def _free_number(self, builtin: bool) -> int:
        return 0 if builtin else max((w.number for w in self.by_id.values()), default=0) + 1

    async def _refuse_copy(self, known: Worker, session: str, url: str) -> None:
        """One id at two addresses: if the first one still answers, the second is a copied repo."""
        if known.caller is None or known.session == session:
            return
        try:
            answer = await known.caller.call("Session", result=str, timeout=SESSION_TIMEOUT)
        except (RpcError, RpcConnectError):
            return
        if answer == known.session:
            raise RpcError(
                1,
                f"worker id {known.id} is already in use by the worker at {known.url}, which still answers: "
                f"the repo of the worker at {url} is a copy; give it a repo of its own",
            )

    def use_defaults(self, defaults: Defaults) -> None:
        """Other caps from now on for the workers that state none."""
        self._defaults = defaults
        for worker in self.by_id.values():
            if not worker.registered or worker.info is None:
                continue
            before = worker.caps
            self._recap(worker)
            if worker.caps != before and self._fleet is not None:
                self._fleet.worker_caps(worker)

    def _recap(self, worker: Worker) -> None:
        """Its caps from what it says of itself, and from what is kept here for one that has none of its own."""
        worker.stated, worker.caps_source = caps_of(worker.info, self._proof, self._defaults)
        kept = msgspec.structs.replace(worker.kept, aware=not worker.stock)
        worker.kept = kept if worker.caps_source != "worker" else msgspec.structs.replace(kept, caps={})
        worker.kept = worker.kept.valid(worker.stated).in_session(worker.session)
        worker.caps = worker.kept.over(worker.stated)

    async def keep(self, worker: Worker, kept: Kept) -> None:
        """Other things are kept for it; stored when this returns. Raises StoreError: nothing is changed then."""
        before, worker.kept = worker.kept, kept
        try:
            await self._keep(worker)
        except BaseException:
            worker.kept = before
            raise
        if worker.registered:
            self._recap(worker)
            if self._fleet is not None:
                self._fleet.worker_caps(worker)

    async def refresh(self, worker: Worker) -> None:
        """Its caps changed: ask for its info and task types again. Raises RpcError, RpcConnectError."""
        caller, session = worker.caller, worker.session
        if caller is None:
            raise RpcConnectError("it has not registered since the miner started", sent=False)
        info = shared(await caller.call("Info", result=WorkerInfo, timeout=SESSION_TIMEOUT))
        offered = await caller.call("TaskTypes", result=dict[str, Any], timeout=SESSION_TIMEOUT)
        if worker.caller is not caller or worker.session != session:
            return
        worker.info, worker.tasks = info, _known_tasks(offered)
        self._recap(worker)
        if self._fleet is not None:
            self._fleet.worker_caps(worker)
            self._fleet.worker_tasks(worker)

    async def _keep(self, *workers: Worker) -> None:
        if not workers:
            return
        writes = self._store.writes()
        for worker in workers:
            worker.seen_stored = worker.last_seen
            writes.worker(
                WorkerRow(
                    worker.id,
                    worker.number,
                    worker.name,
                    worker.url,
                    worker.session,
                    worker.last_seen,
                    msgspec.json.encode(worker.kept),
                )
            )
        await writes.commit()

    async def _learn_paths(self, worker: Worker) -> None:
        """Which paths are its own; it asks this miner about each, so nothing may be locked here."""
        if worker.caller is None:
            return
        try:
            paths = await worker.caller.call("Paths", result=list[StoragePath], timeout=CONNECT_TIMEOUT)
        except (RpcError, RpcConnectError) as e:
            log.warn(f"worker {worker.label} does not tell its paths: {e}")
            worker.paths = worker.paths
            return
        worker.paths = frozenset(p.ID for p in paths or ())

    async def refresh_paths(self, netlocs: frozenset[str]) -> None:
        """A path was attached: ask the workers at its addresses which paths are theirs."""
        for worker in [w for w in self.by_id.values() if w.registered and w.netloc in netlocs]:
            await self._learn_paths(worker)
        self._reown()

    async def _tasks_changed(self, worker: Worker) -> bool:
        """Ask for its task types again: a stock worker tells nobody of ``tasks enable`` and ``disable``."""
        if worker.caller is None:
            return False
        try:
            offered = await worker.caller.call("TaskTypes", result=dict[str, Any], timeout=SESSION_TIMEOUT)
        except (RpcError, RpcConnectError):
            return False
        before, worker.tasks = worker.tasks, _known_tasks(offered)
        return worker.tasks != before

    async def answers(self, worker: Worker) -> bool:
        """Whether somebody is still there."""
        caller = worker.caller or self._dial(worker.url)
        try:
            session = await caller.call("Session", result=str, timeout=SESSION_TIMEOUT)
        except (RpcError, RpcConnectError):
            return False
        finally:
            if caller is not worker.caller:
                await caller.close()
        return bool(session != NIL_UUID)

    async def forget(self, worker: Worker) -> None:
        """It is known no more; stored when this returns. Raises StoreError."""
        worker.seen_stored = math.inf  # no heartbeat stores it again meanwhile
        writes = self._store.writes()
        writes.delete_worker(worker.id)
        await writes.commit()
        if worker.beat is not None:
            worker.beat.cancel()
        self.by_id.pop(worker.id, None)
        self.by_session.pop(worker.session, None)
        worker.registered = worker.online = False
        if worker.caller is not None:
            await worker.caller.close()
        self._reown()

    # -- heartbeats ------------------------------------------------------------------------------------------------

    def unreachable(self, worker: Worker, why: str) -> None:
        """A call found nobody at its address: out at once, and asked for its session now."""
        if not worker.builtin:
            self._set_online(worker, False, why)
            worker.hurry.set()

    async def _beats(self, worker: Worker) -> None:
        count = 0
        while not self._closed:
            try:
                await asyncio.wait_for(worker.hurry.wait(), self._heartbeat)
            except TimeoutError:
                pass
            worker.hurry.clear()
            count += 1
            try:
                await self._beat(worker)
                if worker.last_seen - worker.seen_stored > (SEEN_EVERY if worker.online else 0.0):
                    await self._keep(worker)
                if worker.online and count % TASKS_EVERY == 0 and await self._tasks_changed(worker):
                    log.info(
                        f"worker {worker.label} now offers {', '.join(sorted(t.short for t in worker.tasks))}"
                    )
                    if self._fleet is not None:
                        self._fleet.worker_tasks(worker)
            except asyncio.CancelledError:
                raise
            except Exception as e:
                log.error(f"heartbeat of worker {worker.label} failed: {e!r}", exc=e)

    async def _beat(self, worker: Worker) -> None:
        caller, session = worker.caller, worker.session
        if caller is None:
            return
        try:
            answer = await caller.call("Session", result=str, timeout=SESSION_TIMEOUT)
        except (RpcError, RpcConnectError) as e:
            if worker.caller is caller:
                self._set_online(worker, False, f"failed to check worker session: {e}")
            return
        if worker.caller is not caller or worker.session != session:
            return
        if answer == session:
            worker.last_seen = self._clock()
            self._set_online(worker, True, "")
        elif answer == NIL_UUID:
            self._set_online(worker, False, "it is shutting down")
        else:
            self._set_online(worker, False, f"worker session changed to {answer} (worker restarted?)")

    def _set_online(self, worker: Worker, online: bool, why: str) -> None:
        if worker.online == online:
            return
        worker.online = online
        if worker.said.may(self._clock()):
            if online:
                log.info(f"worker {worker.label} answers again")
            else:
                log.warn(
                    f"worker {worker.label} is out of reach, asked again every {self._heartbeat:g}s: {why}"
                )
        if self._fleet is not None:
            self._fleet.worker_online(worker, online)


_TASK_TEXTS: Final = frozenset(t.value for t in TaskType)


def _known_tasks(offered: Iterable[str]) -> frozenset[TaskType]:
    return frozenset(TaskType(t) for t in offered if t in _TASK_TEXTS)


def _version(number: int) -> str:
    return f"{number >> 16}.{number >> 8 & 255}.{number & 255}"


def _remedy(why: str) -> str:
    """What the operator of a refused worker is to do."""
    if "api version" in why:
        return "run a worker of the same release as this miner"
    if "already in use" in why or "already closed" in why:
        return "start it anew once the other one is stopped"
    return "make sure that this address of it can be reached from here (lotus-worker run --listen HOST:PORT)"
