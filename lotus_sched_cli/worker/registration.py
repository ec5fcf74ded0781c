"""Being known to the miner: heartbeats, registering, registering again.

Source: Lotus ``cli/worker/worker.go``. With our own miner a worker registers at once, running calls and all; a stock
one counts a new registration as idle, so there the worker waits until it is.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final

from lotus_sched_cli.lotus import logs, service
from lotus_sched_cli.lotus.errors import UserError
from lotus_sched_cli.lotus.rpc.errors import RpcConnectError, RpcError
from lotus_sched_cli.lotus.said import Said

from .connection import MinerConnection, first_cause
from .worker import Worker

log: Final = logs.get("worker")

#: What our miner's version text has where Lotus names the network.
SIMULATED: Final = "+simulated"

#: With our miner: how often it is looked for while it is away, in seconds.
_SEEK: Final = 1.0


class Registration:
    """The heartbeat loop of a worker. ``url`` is what WorkerConnect gets; ``redeclare`` attaches and declares anew."""

    def __init__(
        self,
        miner: MinerConnection,
        worker: Worker,
        url: str,
        redeclare: Callable[[], Awaitable[None]],
        heartbeat: float = 10.0,
    ) -> None:
        self._miner = miner
        self._worker = worker
        self._url = url
        self._redeclare = redeclare
        self._heartbeat = heartbeat
        self._session = ""
        self._knows_known = True
        self._said: dict[str, Said] = {}
        #: Set while the miner is known to have this worker.
        self.registered = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled. Raises UserError when the miner refuses this worker."""
        self._session = await self._first_session()
        again = False
        while True:
            if again and not await self._redeclared():
                continue
            await self._ready()
            await self._beat_until_lost()
            self.registered.clear()
            self._say("LOTUS-MINER CONNECTION LOST", log.error)
            service.status("the miner was restarted; registering again")
            again = True

    def _say(self, text: str, say: Callable[[str], None], more: str = "") -> None:
        """A miner that comes and goes all night is not said all night."""
        if self._said.setdefault(text, Said()).may(time.monotonic()):
            say(text + more)

    async def _first_session(self) -> str:
        """A miner that went away since it was asked for its version is waited for."""
        while True:
            try:
                session: str = await self._miner.call("Session", result=str)
                return session
            except (RpcError, RpcConnectError) as why:
                log.error(f"getting miner session: {why}")
                await asyncio.sleep(self._pause())
                self._miner.refresh()

    async def _redeclared(self) -> bool:
        self._say("Redeclaring local storage", log.info)
        try:
            await self._redeclare()
        except Exception as why:
            log.error(f"Redeclaring local storage failed: {first_cause(why)}")
            await asyncio.sleep(self._pause())
            self._miner.refresh()
            return False
        return True

    async def _ready(self) -> None:
        """What Lotus does before it registers; with our miner there is nothing to wait for."""
        if self._worker.stock_miner:
            log.info("Making sure no local tasks are running")

    async def _beat_until_lost(self) -> None:
        """Heartbeats, and the registration as soon as it may be; returns when the miner is another process."""
        failing = False
        quiet = asyncio.create_task(self._worker.wait_quiet())
        try:
            while True:
                try:
                    session = await self._miner.call("Session", result=str, timeout=self._heartbeat)
                except (RpcError, RpcConnectError) as why:
                    if self._worker.stock_miner:
                        log.error(f"heartbeat: checking remote session failed: {why}")
                    elif not failing:
                        self._say("heartbeat: checking remote session failed", log.error, f": {why}")
                    failing = True
                    self._miner.refresh()
                    await asyncio.sleep(self._pause())
                    continue
                if failing:
                    self._worker.poke()
                failing = False
                if session != self._session:
                    self._session = session
                    return
                if self.registered.is_set():
                    if not await self._still_known():
                        return
                    await asyncio.sleep(self._heartbeat)
                elif not self._worker.stock_miner or quiet.done():
                    failing = not await self._register()
                    if failing:
                        await asyncio.sleep(self._pause())
                else:
                    await asyncio.wait({quiet}, timeout=self._heartbeat)
        finally:
            quiet.cancel()

    async def _register(self) -> bool:
        """False where the miner went away meanwhile."""
        try:
            await self._miner.call("WorkerConnect", self._url, result=None)
        except RpcConnectError as why:
            log.error(f"Registering worker failed: {why}")
            return False
        except RpcError as why:
            log.error(f"Registering worker failed: {why}")
            raise UserError(f"the miner refused this worker: {why}") from why
        self._say("Worker registered successfully, waiting for tasks", log.info)
        service.ready(f"registered with the miner at {self._miner.info.address}")
        self.registered.set()
        self._worker.poke()
        return True

    async def _still_known(self) -> bool:
        """Ask our miner whether it still has this session; a stock one lacks the method and never loses a worker so."""
        if self._worker.stock_miner or not self._knows_known:
            return True
        try:
            known = await self._miner.call(
                "WorkerKnown", self._worker.process_session, result=bool, timeout=self._heartbeat
            )
        except RpcError as why:
            self._knows_known = not why.unknown_method
            return True
        except RpcConnectError:
            return True
        return bool(known) or self._worker.closing.is_set()

    def _pause(self) -> float:
        """Until the next look for a miner that is away; spread, so that a farm does not come back all at once."""
        if self._worker.stock_miner:
            return self._heartbeat
        return min(self._heartbeat, _SEEK) * random.uniform(0.5, 1.0)
