"""``lotus-miner run``: the daemon put together, and taken apart again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from aiohttp import web

from lotus_sched_cli.core.proofs import seal_proof
from lotus_sched_cli.core.scheduler import Scheduler
from lotus_sched_cli.core.tasks import FileType, SectorId
from lotus_sched_cli.lotus import auth, logs, methods, service
from lotus_sched_cli.lotus.errors import UserError
from lotus_sched_cli.lotus.repo import Repo, RepoError
from lotus_sched_cli.lotus.rpc import gohttp
from lotus_sched_cli.lotus.rpc.client import LocalCaller
from lotus_sched_cli.lotus.rpc.server import RpcServer
from lotus_sched_cli.sealers import child, prover
from lotus_sched_cli.sealers.base import Sealer
from lotus_sched_cli.sealers.proofs import ProofsSealer
from lotus_sched_cli.sealers.simconfig import SimConfig
from lotus_sched_cli.sealers.simulated import SimulatedSealer
from lotus_sched_cli.sealers.verify import RealVerifier, StandInVerifier
from lotus_sched_cli.storage import serve
from lotus_sched_cli.storage.errors import StorageError
from lotus_sched_cli.storage.index import RpcIndex
from lotus_sched_cli.storage.store import Store as LocalStore
from lotus_sched_cli.worker import gpus

from . import builtin, endpoint
from .alerts import Alerts
from .api import MinerAPI
from .chain import Chain, ChainSettings
from .clock import Clock, steady
from .config import Config, load
from .context import Facts, Miner
from .dial import Dialer
from .dispatch import Dispatch
from .dispatch.desk import Patience
from .index import SectorIndex
from .init import STORE
from .leftovers import Leftovers
from .options import MinerRunOptions
from .reload import default_caps, reload
from .sectors import Sectors
from .store import Store, StoreError
from .workers import Registry

__all__ = ["MinerRunOptions", "run"]

log: Final = logs.get("lotus-miner")
_builder: Final = logs.get("builder")
_modules: Final = logs.get("modules")
_config_log: Final = logs.get("config")

#: The text of ``Version``: Lotus's release whose wire this speaks, and the build type of a simulated chain.
VERSION: Final = "v1.36.2-dev+simulated"
#: Soft limit of open files that is asked for, and that Lotus wants.
FILES: Final = 100_000
_ALL_FILES: Final = FileType(63)


async def run(options: MinerRunOptions) -> None:
    """Run until SIGINT, SIGTERM or ``Shutdown``. Raises ``lotus.errors.UserError`` for a start that fails."""
    environ = dict(os.environ if options.environ is None else options.environ)
    repo = open_repo(options.miner_repo, options.repo_text)
    async with AsyncExitStack() as stack:
        hangup = stack.enter_context(_Hangup())
        try:
            repo.acquire()
        except RepoError as e:
            raise UserError(f"{e}: {repo.path}") from e
        stack.callback(repo.release)
        config = load(repo.path / "config.toml", environ)
        _set_levels(config.levels)
        for warning in config.warnings:
            _config_log.warn(warning)
        stop = asyncio.Event()
        caught: list[str] = []
        stack.enter_context(_signals(stop, caught))
        start = _Start(options, environ, repo, config, stop, hangup)
        await start.up(stack)
        service.ready(f"serving at {(repo.path / 'api').read_text()}")
        await stop.wait()
        service.stopping()
        _builder.warn("received shutdown", signal=caught[0] if caught else "api")
        _builder.warn("Shutting down...")
    _builder.info("rpc server shut down successfully ")
    _builder.info("miner shut down successfully ")
    _builder.warn("Graceful shutdown successful")


def open_repo(path: Path, shown: str = "") -> Repo:
    """The repo, if it is one of ours. Raises UserError."""
    repo = Repo(path, "miner")
    try:
        repo.check_writable()
    except RepoError as e:
        raise UserError(str(e)) from e
    if not repo.is_ours():
        raise UserError(f"repo at '{shown or path}' is not initialized, run 'lotus-miner init' to set it up")
    return repo


class _Start:
    """One start, part after part. What is put on the stack is taken down in the reverse order."""

    def __init__(
        self,
        options: MinerRunOptions,
        environ: Mapping[str, str],
        repo: Repo,
        config: Config,
        stop: asyncio.Event,
        hangup: _Hangup,
    ) -> None:
        self._options = options
        self._environ = environ
        self._repo = repo
        self._config = config
        self._stop = stop
        self._hangup = hangup
        self._clock: Clock = steady()
        self._alerts = Alerts()

    async def up(self, stack: AsyncExitStack) -> None:
        config, repo = self._config, self._repo
        sock, address = endpoint.bind(config, self._options.miner_api)
        stack.callback(sock.close)
        if self._options.manage_fdlimit:
            _raise_file_limit(self._alerts)
        if not self._options.enable_gpu_proving:
            os.environ["BELLMAN_NO_GPU"] = "true"
        settings = builtin.sim_config(repo.path)
        if left := await asyncio.to_thread(child.end_leftovers, repo.path):
            log.warn(f"ended {left} sealing processes that an earlier run of this miner had left")
        store = await self._open_store()
        stack.push_async_callback(store.close)
        facts = await self._facts(store)
        miner, server = await self._parts(stack, store, facts, settings, address)
        cards = await asyncio.to_thread(gpus.detect, self._environ)
        if cards.warning:
            logs.get("advmgr").warn(cards.warning)
        logs.get("advmgr").info("Detected GPU devices.", count=len(cards.gpus))
        sealer = self._sealer(miner.chain.proofs, settings)
        local = builtin.make(LocalCaller(server), miner.local, config, sealer, cards.gpus, self._environ)
        stack.push_async_callback(local.close)
        await miner.workers.restore()
        await miner.index.restore()
        await miner.sectors.load()
        await miner.dispatch.restore(miner.sectors)
        miner.dispatch.start()
        stack.push_async_callback(miner.dispatch.stop)
        stack.push_async_callback(miner.workers.close)
        await stack.enter_async_context(_http(server, miner.local, sock))
        await self._open_paths(stack, miner)
        await miner.workers.add_builtin(await _builtin_id(store), local.caller, address.rpc_url)
        await miner.sectors.start()
        stack.push_async_callback(miner.sectors.stop)
        repo.set_token(auth.sign(facts.secret, auth.ALL))
        repo.set_api(address.multiaddr)
        stack.callback(repo.clear_api)
        stack.callback(self._hangup.ends)
        _modules.info(
            f"starting up miner {facts.address}, simulated chain, proofs: {miner.chain.proofs}, "
            f"API at {address.multiaddr}"
        )
        self._hangup.serves(miner)

    def _sealer(self, proofs: str, settings: SimConfig) -> Sealer:
        """The built-in worker's: what it makes must be what the chain takes."""
        if proofs != "real":
            return SimulatedSealer(settings)
        program = prover.need(self._environ, "a chain that verifies real proofs")
        return ProofsSealer(program, self._environ, repo=self._repo.path)

    async def _open_store(self) -> Store:
        try:
            return await Store.open(self._repo.path / STORE)
        except StoreError as e:
            raise UserError(str(e)) from e

    async def _facts(self, store: Store) -> Facts:
        if self._repo.key("auth-jwt-private") is None:
            _modules.warn("Generating new API secret", place="modules/core.go:147")
        try:
            secret = self._repo.secret()
        except RepoError as e:
            raise UserError(str(e)) from e
        actor, size = await store.meta("actor"), await store.meta("sector_size")
        if actor is None or size is None:
            raise UserError(
                f"{self._repo.path / STORE} does not say which miner this is; make a new repo with lotus-miner init"
            )
        return Facts(
            actor=actor,
            sector_size=size,
            secret=secret,
            session=str(uuid.uuid4()),
            started=time.time(),
            version=VERSION,
        )

    async def _parts(
        self,
        stack: AsyncExitStack,
        store: Store,
        facts: Facts,
        settings: SimConfig,
        address: endpoint.Address,
    ) -> tuple[Miner, RpcServer]:
        config, clock = self._config, self._clock
        proof = seal_proof(facts.sector_size)
        try:
            real = await store.meta("chain.proofs") == "real"
            program = prover.need(self._environ, "a chain that verifies real proofs") if real else None
            verifier = StandInVerifier() if program is None else RealVerifier(program, self._environ)
            chain = await Chain.open(store, _chain_settings(config), verifier, clock)
        except ValueError as e:
            raise UserError(f"{self._repo.path / STORE}: {e}") from e
        workers = Registry(
            store,
            clock=clock,
            dial=Dialer(auth.sign(facts.secret, ["admin"])),
            defaults=default_caps(config),
            proof=proof,
            heartbeat=self._options.heartbeat,
        )
        api = MinerAPI()
        server = RpcServer(
            methods.MINER, api, auth.LocalVerifier(facts.secret), aliases=methods.MINER_ALIASES
        )
        local = LocalStore(
            RpcIndex(LocalCaller(server)),
            address.remote_url,
            headers={"Authorization": f"Bearer {auth.sign(facts.secret, ['admin'])}"},
            space=builtin.space_model(settings, facts.sector_size),
            parallel_fetch=config.number("Storage.ParallelFetchLimit"),
        )
        stack.push_async_callback(local.close)

        async def remove_files(sector: SectorId) -> None:
            await local.remove(sector, _ALL_FILES)

        async def confirm(worker_id: str) -> None:
            await index.drop_unconfirmed(worker_id)
            await leftovers.joined(worker_id)

        dispatch = Dispatch(
            store,
            Scheduler(config.scheduler()),
            workers,
            clock=clock,
            patience=Patience(lost_after=config.seconds("Storage.LostAfter")),
            confirm=confirm,
            remove_files=remove_files,
            lacking=lambda sector, types, worker_id: index.lacking(sector, types, worker_id),
        )
        index = SectorIndex(
            store,
            clock=clock,
            emit=dispatch.post,
            owners=workers,
            makers=dispatch.desk.makers,
            alerts=self._alerts,
        )
        leftovers = Leftovers(
            store,
            index,
            lambda sector, types, keep: local.remove(sector, types, keep=keep),
            dispatch.desk.spawn,
        )
        index.judge, dispatch.desk.made = leftovers.judge, leftovers.made
        workers.listen(dispatch, reown=index.reown, moved=index.moved)
        sectors = Sectors(
            store,
            chain,
            dispatch,
            config.pipeline(),
            miner=facts.actor,
            proof=proof,
            max_sealing=config.number("Sealing.MaxSealingSectors"),
            first_number=await store.meta("first_sector") or 0,
            clock=clock,
        )
        miner = Miner(
            facts=facts,
            repo=self._repo,
            config=config,
            clock=clock,
            store=store,
            chain=chain,
            alerts=self._alerts,
            index=index,
            workers=workers,
            dispatch=dispatch,
            sectors=sectors,
            local=local,
            stop=self._stop,
            environ=self._environ,
        )
        api.bind(miner)
        return miner, server

    async def _open_paths(self, stack: AsyncExitStack, miner: Miner) -> None:
        try:
            await miner.local.open_all(Path(p) for p in self._repo.storage_paths())
        except (StorageError, RepoError) as e:
            raise UserError(str(e)) from e
        health = asyncio.create_task(miner.local.run_health(self._options.heartbeat), name="health reports")

        async def end() -> None:
            health.cancel()
            await asyncio.gather(health, return_exceptions=True)

        stack.push_async_callback(end)


def _chain_settings(config: Config) -> ChainSettings:
    return ChainSettings(
        config.seconds("Chain.BlockDelaySecs"),
        config.number("Chain.PreCommitChallengeDelay"),
        config.number("Chain.MessageConfidence"),
    )


async def _builtin_id(store: Store) -> str:
    """The lasting id of the built-in worker."""
    known = await store.meta("builtin_worker")
    if known is None:
        known = str(uuid.uuid4())
        await store.set_meta("builtin_worker", known)
    return str(known)


def _set_levels(levels: Mapping[str, str]) -> None:
    """``[Logging.SubsystemLevels]``; bad levels are left out, as in Lotus."""
    for system, level in levels.items():
        with contextlib.suppress(logs.LogConfigError):
            logs.set_level(system, level)


@contextlib.contextmanager
def _signals(stop: asyncio.Event, caught: list[str]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    names = {signal.SIGINT: "interrupt", signal.SIGTERM: "terminated"}

    def on(name: str) -> None:
        caught.append(name)
        stop.set()

    for number, name in names.items():
        loop.add_signal_handler(number, on, name)
    try:
        yield
    finally:
        for number in names:
            loop.remove_signal_handler(number)


class _Hangup:
    """SIGHUP reads config.toml again. Before the miner serves it waits for that, and when it stops it does nothing:
    a reload that comes too early or too late must not end the process, as an unhandled SIGHUP would."""

    def __init__(self) -> None:
        self._miner: Miner | None = None
        self._waits = False

    def __enter__(self) -> _Hangup:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._on)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)

    def serves(self, miner: Miner) -> None:
        self._miner = miner
        if self._waits:
            self._on()

    def ends(self) -> None:
        self._miner, self._waits = None, False

    def _on(self) -> None:
        if self._miner is None:
            self._waits = True
            return
        try:
            reload(self._miner, self._miner.environ)
        except UserError as e:
            _config_log.error(f"config.toml read again, nothing changed: {e}")


def _raise_file_limit(alerts: Alerts) -> None:
    """As Lotus does with ``--manage-fdlimit``; too few is an alert, no error."""
    key = alerts.kind("process", "fd-limit")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = FILES if hard == resource.RLIM_INFINITY else min(hard, FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
    if soft != resource.RLIM_INFINITY and soft < FILES:
        message = {"message": "soft FD limit is low", "recommended_min": FILES, "soft_limit": soft}
        alerts.raise_(key, message)


@contextlib.asynccontextmanager
async def _http(server: RpcServer, local: LocalStore, sock: endpoint.Socket) -> AsyncIterator[None]:
    app = web.Application()
    gohttp.like_go(app)
    server.attach(app)
    app.add_routes(serve.routes(local, server.authorize, missing="write"))
    app.add_routes(server.rest())
    runner = web.AppRunner(
        app, access_log=None, handle_signals=False, keepalive_timeout=90, shutdown_timeout=1
    )
    await runner.setup()
    try:
        await web.SockSite(runner, sock, backlog=1024).start()
        yield
    finally:
        await runner.cleanup()
