"""Workers of tests: ``run`` as tasks of this process, against a miner over HTTP."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest

from lotus_sched_cli.lotus.errors import UserError
from lotus_sched_cli.worker import run as run_module
from lotus_sched_cli.worker.options import RunOptions
from lotus_sched_cli.worker.run import run

from .fake_miner import FakeMiner


class Farm:
    """Workers as tasks of this process; ended as an operator ends them."""

    def __init__(self, miner: FakeMiner, root: Path) -> None:
        self.miner = miner
        self.root = root
        self.running: list[asyncio.Task[None]] = []
        (root / "quick.toml").write_text("speed = 1e9\n")
        (root / "slow.toml").write_text("speed = 1.0\n")

    def options(self, name: str = "w1", **flags: Any) -> RunOptions:
        given = {
            "worker_repo": self.root / name,
            "miner_repo": self.root / "no-miner",
            "name": name,
            "listen": "127.0.0.1:0",
            "sealer_config": self.root / "quick.toml",
            "environ": {"MINER_API_INFO": self.miner.info},
            "heartbeat": 0.05,
            "return_retry": 0.05,
        }
        return RunOptions(**given | flags)

    async def start(self, options: RunOptions | None = None) -> asyncio.Task[None]:
        before = len(self.miner.connected)
        task = asyncio.create_task(run(options or self.options()))
        self.running.append(task)
        registered = asyncio.create_task(
            self.miner.until(lambda: len(self.miner.connected) > before, "a worker to register")
        )
        await asyncio.wait({task, registered}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            registered.cancel()
            task.result()
        await registered
        return task

    async def stop(self, task: asyncio.Task[None]) -> None:
        signal.raise_signal(signal.SIGTERM)
        await asyncio.wait_for(task, 10)

    async def refused(self, options: RunOptions) -> str:
        with pytest.raises(UserError) as why:
            await asyncio.wait_for(run(options), 10)
        assert "\n" not in why.value.text
        assert why.value.code == 1
        return why.value.text


def stock(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    """The miner is on a real chain, and the simulated sealer plays a real one."""
    farm.miner.version = "v1.36.2-dev+mainnet+git.0123abcd"
    choose = run_module.choose_sealer

    def pretend(options: RunOptions, version: str, *rest: Any) -> Any:
        return choose(options, version + "+simulated", *rest)

    monkeypatch.setattr(run_module, "choose_sealer", pretend)
