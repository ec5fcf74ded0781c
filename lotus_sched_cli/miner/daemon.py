"""``lotus-miner run``: the daemon put together, and taken apart again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from aiohttp import web

from lotus_sched_cli.lotus import auth, logs, service
from lotus_sched_cli.lotus.errors import UserError
from lotus_sched_cli.lotus.repo import Repo, RepoError
from lotus_sched_cli.lotus.rpc import gohttp
from lotus_sched_cli.lotus.rpc.client import LocalCaller
from lotus_sched_cli.lotus.rpc.gorunner import GoRunner
from lotus_sched_cli.lotus.rpc.server import RpcServer
from lotus_sched_cli.sealers import child, prover
from lotus_sched_cli.sealers.base import Sealer
from lotus_sched_cli.sealers.proofs import ProofsSealer
from lotus_sched_cli.sealers.simconfig import SimConfig
from lotus_sched_cli.sealers.simulated import SimulatedSealer
from lotus_sched_cli.sealers.vanilla import SealersVanilla
from lotus_sched_cli.storage import serve
from lotus_sched_cli.storage.errors import StorageError
from lotus_sched_cli.storage.store import Store as LocalStore
from lotus_sched_cli.worker import gpus

from . import builtin, endpoint
from .alerts import Alerts
from .assembly import Given, assemble
from .clock import steady
from .config import Config, load
from .context import Facts, Miner
from .init import STORE
from .options import MinerRunOptions
from .signals import Hangup, stop_signals
from .store import Store, StoreError

__all__ = ["MinerRunOptions", "run"]

log: Final = logs.get("lotus-miner")
_builder: Final = logs.get("builder")
_modules: Final = logs.get("modules")
_config_log: Final = logs.get("config")

#: The text of ``Version``: Lotus's release whose wire this speaks, and the build type of a simulated chain.
VERSION: Final = "v1.36.2-dev+simulated"
#: Soft limit of open files that is asked for, and that Lotus wants.
FILES: Final = 100_000


async def run(options: MinerRunOptions) -> None:
    """Run until SIGINT, SIGTERM or ``Shutdown``. Raises ``lotus.errors.UserError`` for a start that fails."""
    environ = dict(os.environ if options.environ is None else options.environ)
    repo = open_repo(options.miner_repo, options.repo_text)
    async with AsyncExitStack() as stack:
        hangup = stack.enter_context(Hangup())
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
        stack.enter_context(stop_signals(stop, caught))
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
        environ: dict[str, str],
        repo: Repo,
        config: Config,
        stop: asyncio.Event,
        hangup: Hangup,
    ) -> None:
        self._options = options
        self._environ = environ
        self._repo = repo
        self._config = config
        self._stop = stop
        self._hangup = hangup
        self._alerts = Alerts()

    async def up(self, stack: AsyncExitStack) -> None:
        config, repo = self._config, self._repo
        sock, address = endpoint.bind(config, self._options.miner_api)
        stack.callback(sock.close)
        if self._options.manage_fdlimit:
            _raise_file_limit(self._alerts)
        if not self._options.enable_gpu_proving:
            self._environ["BELLMAN_NO_GPU"] = "true"
        settings = builtin.sim_config(repo.path)
        if left := await asyncio.to_thread(child.end_leftovers, repo.path):
            log.warn(f"ended {left} sealing processes that an earlier run of this miner had left")
        store = await self._open_store()
        stack.push_async_callback(store.close)
        facts = await self._facts(store)
        given = Given(
            repo=repo,
            config=config,
            environ=self._environ,
            store=store,
            facts=facts,
            settings=settings,
            address=address,
            clock=steady(),
            alerts=self._alerts,
            heartbeat=self._options.heartbeat,
            stop=self._stop,
        )
        miner, server = await assemble(given, stack)
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
        await stack.enter_async_context(_http(server, miner.local, sock, sealer))
        await self._open_paths(stack, miner)
        await miner.workers.add_builtin(await builtin.lasting_id(store), local.caller, address.rpc_url)
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


def _set_levels(levels: Mapping[str, str]) -> None:
    """``[Logging.SubsystemLevels]``; bad levels are left out, as in Lotus."""
    for system, level in levels.items():
        with contextlib.suppress(logs.LogConfigError):
            logs.set_level(system, level)


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
async def _http(
    server: RpcServer, local: LocalStore, sock: endpoint.Socket, sealer: Sealer
) -> AsyncIterator[None]:
    app = web.Application()
    gohttp.like_go(app)
    server.attach(app)
    proofs = SealersVanilla(sealer)
    app.add_routes(serve.routes(local, server.authorize, missing="write", prover=proofs))
    app.add_routes(server.rest())
    runner = GoRunner(app)
    await runner.setup()
    try:
        await web.SockSite(runner, sock, backlog=1024).start()
        yield
    finally:
        await runner.cleanup()
