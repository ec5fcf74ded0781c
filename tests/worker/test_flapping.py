"""A miner that comes and goes all night does not fill the worker's log."""

from __future__ import annotations

import asyncio
import io
import itertools
from typing import Any, cast

from lotus_sched_cli.lotus import logs
from lotus_sched_cli.lotus.rpc.errors import RpcConnectError
from lotus_sched_cli.worker.connection import MinerConnection
from lotus_sched_cli.worker.registration import Registration
from lotus_sched_cli.worker.worker import Worker


class Flapping:
    """Every third session check is of another process, the one before gets no answer."""

    class Info:
        address = "10.0.0.1:2345"

    info = Info()

    def __init__(self) -> None:
        self.asked = itertools.count()
        self.registered = 0
        self.enough = asyncio.Event()

    def refresh(self) -> bool:
        return False

    async def call(self, method: str, *params: Any, **how: Any) -> Any:
        await asyncio.sleep(0)
        if method == "WorkerKnown":
            return True
        if method == "WorkerConnect":
            self.registered += 1
            if self.registered == 1000:
                self.enough.set()
            return None
        number = next(self.asked)
        if number % 3 == 2:
            raise RpcConnectError("RPC client error: sendRequest failed: refused", sent=False)
        return f"session {number // 3}"


class Idle:
    stock_miner = False
    process_session = "x"
    closing = asyncio.Event()

    async def wait_quiet(self) -> None:
        return None

    def poke(self) -> None:
        return None


async def test_a_miner_that_restarts_a_thousand_times_is_a_few_lines() -> None:
    out = io.StringIO()
    logs.setup({}, stderr=out)
    miner = Flapping()

    async def redeclare() -> None:
        return None

    registration = Registration(
        cast(MinerConnection, miner), cast(Worker, Idle()), "http://w", redeclare, heartbeat=0.0
    )
    task = asyncio.create_task(registration.run())
    try:
        async with asyncio.timeout(60):
            await miner.enough.wait()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        logs.shutdown()
    lines = out.getvalue().splitlines()
    assert any("LOTUS-MINER CONNECTION LOST" in line for line in lines)
    assert any("Worker registered successfully, waiting for tasks" in line for line in lines)
    assert len(lines) < 100
