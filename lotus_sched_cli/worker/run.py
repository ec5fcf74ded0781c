"""``lotus-worker run``: assembled in the order in which Lotus's starts (cli/worker/worker.go)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Final, TypeVar

from aiohttp import web

from lotus_sched_cli.core.proofs import GIB, MIB, seal_proof, space
from lotus_sched_cli.core.tasks import FileType, TaskType
from lotus_sched_cli.lotus import apiinfo, logs, methods, progress, service, units
from lotus_sched_cli.lotus.errors import UserError
from lotus_sched_cli.lotus.extras import ChainFacts
from lotus_sched_cli.lotus.rpc import gohttp
from lotus_sched_cli.lotus.rpc.errors import RpcConnectError, RpcError
from lotus_sched_cli.lotus.rpc.gorunner import GoRunner
from lotus_sched_cli.lotus.rpc.server import RpcServer
from lotus_sched_cli.lotus.types import MINER_API_VERSION, APIVersion
from lotus_sched_cli.sealers import child
from lotus_sched_cli.sealers.base import Sealer
from lotus_sched_cli.sealers.vanilla import SealersVanilla
from lotus_sched_cli.storage import serve
from lotus_sched_cli.storage.errors import StorageError
from lotus_sched_cli.storage.index import RpcIndex
from lotus_sched_cli.storage.store import Store

from . import gpus, listen, repo, resources
from .api import WorkerAPI
from .calls import DiskCalls
from .caps import FILE as CAPS_FILE
from .caps import LiveCaps, resolve
from .choice import SETTINGS, Prepared, choose_sealer, prepare
from .connection import MinerConnection, finder, first_cause
from .listen import Endpoint
from .options import RunOptions
from .profile import Profile
from .registration import SIMULATED, Registration
from .repo import WorkerRepo
from .stopping import end, stop_signals, unless_stopped
from .tasktypes import choose
from .tokens import MinerVerifier
from .worker import Worker

__all__ = ["RunOptions", "run"]

T = TypeVar("T")

log: Final = logs.get("worker")
_main: Final = logs.get("main")
_advmgr: Final = logs.get("advmgr")

#: Soft limit of open files that Lotus demands.
WANTED_FILES: Final = 100_000
#: Sectors up to this many bytes are those of test networks.
TEST_SIZE: Final = 512 * MIB
#: Seconds between a ``Shutdown`` and the end of the server, so that the miner hears of it.
LINGER: Final = 20.0


async def run(options: RunOptions) -> None:
    """Run until SIGINT, SIGTERM, SIGHUP or ``Shutdown``. Raises ``lotus.errors.UserError`` for a start that fails."""
    environ = dict(os.environ if options.environ is None else options.environ)
    environ = resources.unsized_data_cid(environ)
    _check(options, environ)
    prepared = prepare(options, environ)
    async with AsyncExitStack() as stack:
        stop = stack.enter_context(stop_signals())
        log.info("Starting lotus worker")
        miner = MinerConnection(finder(options.miner_api_url, options.miner_repo, environ))
        stack.push_async_callback(miner.close)
        await unless_stopped(_connect(miner), stop)
        start = _Start(options, environ, miner, stop, prepared)
        await unless_stopped(_patiently(start.ask, miner), stop)
        await start.serve(stack)
    log.warn("Graceful shutdown successful")
    _main.warn("http: Server closed")


def _check(options: RunOptions, environ: dict[str, str]) -> None:
    """What is wrong whatever the miner says, before it is asked. Raises UserError."""
    listen.parse(options.listen)
    resolve(options, environ, 32 * GIB)
    resources.table(environ)
    if options.parallel_fetch_limit < 1:
        raise UserError(
            f'invalid value "{options.parallel_fetch_limit}" for --parallel-fetch-limit: give 1 or more'
        )
    repo.check(options.worker_repo)


class _Start:
    """One start, step by step; each step needs what the one before has learnt."""

    def __init__(
        self,
        options: RunOptions,
        environ: dict[str, str],
        miner: MinerConnection,
        stop: asyncio.Event,
        prepared: Prepared,
    ) -> None:
        self._options = options
        self._prepared = prepared
        self._environ = environ
        self._miner = miner
        self._stop = stop

    async def ask(self) -> None:
        """Learn from the miner what it is, and decide what this worker does. Nothing is written yet."""
        version = await _ask(self._miner, "Version", result=APIVersion)
        if version.APIVersion != MINER_API_VERSION:
            raise UserError(
                f"lotus-miner API version doesn't match: expected: +api{_dotted(MINER_API_VERSION)}; the miner at "
                f"{self._miner.info.address} ({version.Version}) has +api{_dotted(version.APIVersion)}"
            )
        log.info(f"Remote version {version.Version}+api{_dotted(version.APIVersion)}")
        actor = await _ask(self._miner, "ActorAddress", result=str)
        size = await _ask(self._miner, "ActorSectorSize", actor, result=int)
        options = self._options
        self._size = size
        self._stock = SIMULATED not in version.Version
        chain = "" if self._stock else await self._proofs_of_chain()
        self._chosen = choose_sealer(
            options, version.Version, self._miner.info.address, size, self._environ, self._prepared, chain
        )
        self._resolved = resolve(options, self._environ, size)
        choice = choose(options, self._chosen.sealer.tasks(), self._chosen.sealer.name)
        self._tasks = choice.tasks
        for note in (*choice.notes, self._chosen.note):
            if note:
                log.warn(note)
        await self._check_parameters()
        _check_files(self._chosen.sealer, size)
        if not options.enable_gpu_proving:
            self._environ["BELLMAN_NO_GPU"] = "true"
        cards = await asyncio.to_thread(gpus.detect, self._environ)
        if cards.warning:
            log.warn(cards.warning)
        _advmgr.info("Detected GPU devices.", count=len(cards.gpus))
        self._cards = cards.gpus

    async def _check_parameters(self) -> None:
        """C2 without its parameters would fail each time; another worker may have them."""
        proves = self._chosen.proves
        if proves is None or TaskType.COMMIT2 not in self._tasks:
            return
        if lacks := await proves.lacks_parameters(seal_proof(self._size)):
            self._tasks -= {TaskType.COMMIT2}
            log.warn(f"C2 is not offered: {lacks}")

    async def _proofs_of_chain(self) -> str:
        """What the simulated chain takes as proof; empty where the miner does not say."""
        try:
            told = await self._miner.call("SimulatedChain", result=ChainFacts)
        except RpcError:
            return ""
        return str(told.Proofs)

    async def serve(self, stack: AsyncExitStack) -> None:
        """Open the repo and its paths, answer, register; returns when this worker is to end."""
        options, miner = self._options, self._miner
        own = repo.open_repo(options.worker_repo, local_storage=not options.no_local_storage)
        stack.callback(own.repo.release)
        if left := await asyncio.to_thread(child.end_leftovers, own.repo.path):
            log.warn(f"ended {left} sealing processes that an earlier run of this worker had left")
        caps = LiveCaps(self._resolved, own.repo.path / CAPS_FILE)
        for note in caps.load():
            log.warn(note)
        self._caps = caps.caps
        profile = Profile(
            name=options.name or socket.gethostname(),
            id=own.id,
            tasks=self._tasks,
            caps=self._caps,
            gpus=self._cards,
            environ=self._environ,
            no_swap=options.no_swap,
        )
        endpoint = await unless_stopped(
            listen.bind(options.listen, apiinfo.host_port(miner.info.address), options.timeout), self._stop
        )
        stack.callback(endpoint.socket.close)
        store = Store(
            RpcIndex(miner),
            endpoint.remote_url,
            headers={"Authorization": f"Bearer {miner.info.token}"},
            space=self._chosen.space,
            parallel_fetch=options.parallel_fetch_limit,
        )
        stack.push_async_callback(store.close)
        calls = DiskCalls(own.calls)
        await calls.open()
        worker = Worker(
            miner=miner,
            store=store,
            sealer=self._chosen.sealer,
            profile=profile,
            calls=calls,
            return_retry=options.return_retry,
        )
        worker.stock_miner = self._stock
        stack.push_async_callback(worker.close)
        self._say_limits_of_stock()
        log.info("Opening local storage; connecting to master")
        await unless_stopped(_open_paths(store, own, miner), self._stop)
        await self._warn_of_room(store)
        health = asyncio.create_task(store.run_health(options.heartbeat), name="health reports")
        stack.push_async_callback(end, health)
        await unless_stopped(worker.return_leftovers(), self._stop)
        await self._answer(stack, endpoint, own, worker, store, caps)

    async def _answer(
        self,
        stack: AsyncExitStack,
        endpoint: Endpoint,
        own: WorkerRepo,
        worker: Worker,
        store: Store,
        caps: LiveCaps,
    ) -> None:
        options, miner = self._options, self._miner
        log.info(f"Setting up control endpoint at {endpoint.address}")
        verify = MinerVerifier(miner, remember=not self._stock)
        api = WorkerAPI(worker, self._chosen.sealer, store, own.repo.path, caps)
        server = RpcServer(methods.WORKER, api, verify, default_perms=frozenset())
        http = _http(server, store, endpoint, self._chosen.sealer, options.http_server_timeout)
        await stack.enter_async_context(http)
        own.repo.set_token(miner.info.token)
        own.repo.set_api(apiinfo.multiaddr(endpoint.host, endpoint.port, http=False))
        stack.callback(own.repo.clear_api)

        async def redeclare() -> None:
            verify.forget()
            if store.headers["Authorization"] != f"Bearer {miner.info.token}":
                store.headers["Authorization"] = f"Bearer {miner.info.token}"
                own.repo.set_token(miner.info.token)
            await store.redeclare()

        registration = Registration(miner, worker, endpoint.rpc_url, redeclare, options.heartbeat)
        registering = asyncio.create_task(registration.run(), name="registration")
        stack.push_async_callback(end, registering)
        await self._until_ended(worker, registering)
        service.stopping()
        log.warn("Shutting down...")

    async def _until_ended(self, worker: Worker, registering: asyncio.Task[None]) -> None:
        """A signal, a ``Shutdown`` call (and then time for the miner to notice), or a refusal, which is raised."""
        signalled = asyncio.create_task(self._stop.wait())
        closing = asyncio.create_task(worker.closing.wait())
        try:
            await asyncio.wait({signalled, closing, registering}, return_when=asyncio.FIRST_COMPLETED)
            if registering.done():
                registering.result()
            if closing.done() and not signalled.done():
                await worker.cancel_work()
                told = asyncio.create_task(worker.said_closing.wait())
                await asyncio.wait({signalled, told}, timeout=LINGER, return_when=asyncio.FIRST_COMPLETED)
                told.cancel()
                await asyncio.sleep(0.1)  # the answer that said so is still on its way
        finally:
            signalled.cancel()
            closing.cancel()

    async def _warn_of_room(self, store: Store) -> None:
        """A rehearsal of big sectors on a small disk would wait for ever; the way out is a pretended capacity."""
        sealing = [path for path in store.paths() if path.meta.CanSeal]
        if TaskType.PRECOMMIT1 not in self._tasks or not sealing or not self._chosen.sealer.simulated:
            return
        need = space(FileType.UNSEALED | FileType.SEALED | FileType.CACHE, self._size)
        with contextlib.suppress(StorageError):
            free = max([(await path.stat()).Available for path in sealing])
            if free < need:
                log.warn(
                    f"no path here has room for one sector of {units.size_str(self._size)}: {units.size_str(need)} are "
                    f"needed, {units.size_str(free)} free; give them a pretended capacity in [paths] of "
                    f"{self._options.sealer_config or self._options.worker_repo / SETTINGS}"
                )

    def _say_limits_of_stock(self) -> None:
        """What a stock miner cannot respect is said once, at start."""
        if not self._stock:
            return
        caps = self._caps
        if caps.force_p2_from_local_p1:
            log.warn(
                "--forcep2fromlocalp1: this miner is a stock lotus-miner, which cannot respect it: it may send PC2 of "
                "sectors that lie elsewhere"
            )
        if caps.precommit1_hold_max and TaskType.PRECOMMIT1 in self._tasks:
            log.info(
                f"this miner is a stock lotus-miner: PC1 is not offered while {caps.precommit1_hold_max} sectors are held here"
            )


#: Neither MINER_API_INFO is set nor is there a miner's repo on this host with an address in it.
NO_ADDRESS: Final = (
    "; set MINER_API_INFO to what 'lotus-miner auth api-info --perm admin' prints on the miner's host, "
    "or start the miner if it lives on this one"
)


async def _connect(miner: MinerConnection) -> None:
    """Until the miner answers, as Lotus: once a second, looking its address up anew. Raises UserError for a bad token."""
    began, due, gap = time.monotonic(), 0.0, progress.EVERY
    while True:
        try:
            miner.refresh()
            await miner.call("Version", timeout=30.0)
            return
        except (apiinfo.ApiError, RpcConnectError, RpcError) as why:
            if "http status 401" in str(why):
                raise UserError(
                    f"the miner at {miner.info.address} does not take this token ({why}); get one there with "
                    "lotus-miner auth api-info --perm admin"
                ) from why
            waited = time.monotonic() - began
            _say_waiting(waited, why)
            if waited >= due:
                service.status(f"waiting for the miner: {why}")
                hint = NO_ADDRESS if isinstance(why, apiinfo.ApiError) else ""
                log.warn(f"Connecting to miner API{_since(waited)}, trying again every second: {why}{hint}")
                due, gap = waited + gap, min(progress.MOST, gap * 2)
        await asyncio.sleep(1)


def _say_waiting(waited: float, why: Exception) -> None:
    """Lotus's line on a terminal, with the time; in a pipe the log says it now and then."""
    if sys.stdout.isatty():
        sys.stdout.write(f"\r\x1b[0KConnecting to miner API...{_since(waited)} ({why})")
        sys.stdout.flush()


def _since(waited: float) -> str:
    return f" for {units.go_duration(int(waited) * 1_000_000_000)}" if waited >= 1 else ""


async def _patiently(step: Callable[[], Awaitable[T]], miner: MinerConnection) -> T:
    """A step of the start, done again when the miner went away in the middle of it."""
    while True:
        try:
            return await step()
        except (RpcConnectError, ExceptionGroup) as why:
            cause = first_cause(why)
            if not isinstance(cause, RpcConnectError):
                raise cause from why
            log.warn(f"the miner went away, waiting for it: {cause}")
            await _connect(miner)


async def _ask(miner: MinerConnection, method: str, *params: str, result: type[T]) -> T:
    """A call whose refusal ends the start. Raises RpcConnectError where there is no answer."""
    try:
        answer: T = await miner.call(method, *params, result=result)
        return answer
    except RpcError as why:
        raise UserError(f"asking the miner at {miner.info.address} for {method}: {why}") from why


async def _open_paths(store: Store, own: WorkerRepo, miner: MinerConnection) -> None:
    """Open, attach and declare each path. Raises UserError."""
    try:
        for root in own.storage_paths():
            await _patiently(partial(store.open_all, [root]), miner)
    except StorageError as why:
        raise UserError(str(why)) from why
    except RpcError as why:
        hint = ""
        if "missing permission" in str(why):
            hint = "; give MINER_API_INFO a token of lotus-miner auth api-info --perm admin"
        raise UserError(f"telling the miner of this worker's paths: {why}{hint}") from why


def _check_files(sealer: Sealer, sector_size: int) -> None:
    """Go raises the soft limit to the hard one at start, so the hard one decides. Test networks get a warning only."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = WANTED_FILES if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY or soft >= WANTED_FILES:
        return
    text = f"soft file descriptor limit (ulimit -n) too low, want {WANTED_FILES}, current {soft}"
    if not sealer.simulated and sector_size > TEST_SIZE:
        raise UserError(f"{text}; raise it (LimitNOFILE= of a systemd unit) and start again")
    log.warn(f"{text}; real sealing of {units.size_str(32 * GIB)} sectors would refuse to start")


@contextlib.asynccontextmanager
async def _http(
    server: RpcServer, store: Store, endpoint: Endpoint, sealer: Sealer, header_seconds: float
) -> AsyncIterator[None]:
    app = web.Application()
    gohttp.like_go(app)
    server.attach(app)
    app.add_routes(serve.routes(store, server.authorize, prover=SealersVanilla(sealer)))
    app.add_routes(server.rest())
    runner = GoRunner(app, header_seconds=header_seconds)
    await runner.setup()
    try:
        await web.SockSite(runner, endpoint.socket, backlog=1024).start()
        yield
    finally:
        await runner.cleanup()


def _dotted(version: int) -> str:
    return f"{version >> 16}.{version >> 8 & 255}.{version & 255}"
