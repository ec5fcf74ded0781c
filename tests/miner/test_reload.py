"""config.toml read again while the miner runs: by SIGHUP, or by ``lotus-miner config reload``."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import socket
from pathlib import Path

import pytest

from lotus_sched_cli.lotus import logs
from lotus_sched_cli.lotus.repo import Repo
from lotus_sched_cli.lotus.rpc.errors import RpcError
from lotus_sched_cli.miner import endpoint
from lotus_sched_cli.miner.config import Config, load
from lotus_sched_cli.miner.config.changes import changes, taken_over

from .test_daemon import FAST, miner, repo


def test_each_change_says_when_it_counts(tmp_path: Path) -> None:
    before = load(None, {})
    file = tmp_path / "config.toml"
    file.write_text(
        '[Storage]\nPreCommit1Max = 3\nAllowCommit = false\nRetryDelay = "90s"\n'
        '[Fees]\nMaxCommitGasFee = "1 FIL"\n[Logging.SubsystemLevels]\nadvmgr = "WARN"\n'
    )
    found = {c.key: (c.old, c.new, c.effect) for c in changes(before, load(file, {}))}
    assert found == {
        "Storage.AllowCommit": ("true", "false", "after a restart of the miner"),
        "Storage.PreCommit1Max": ("7", "3", "in force"),
        "Storage.RetryDelay": ('"1m0s"', '"1m30s"', "in force"),
        "Fees.MaxCommitGasFee": ('"0.05 FIL"', '"1 FIL"', "without effect here"),
        "Logging.SubsystemLevels.advmgr": ("", "WARN", "in force"),
    }


def test_what_waits_for_a_restart_is_named_at_every_reload(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("[Storage]\nPreCommit1Max = 3\nAllowCommit = false\n")
    fresh = load(file, {})
    running = taken_over(load(None, {}), fresh)
    assert [c.key for c in changes(running, fresh)] == ["Storage.AllowCommit"]


async def test_a_reload_puts_into_force_what_can_be_and_names_the_rest(tmp_path: Path) -> None:
    path = await repo(tmp_path)
    async with miner(path) as api:
        assert (await api.call("ConfigReload"))["Changes"] == []
        (path / "config.toml").write_text(
            FAST.replace("[Storage]", "[Storage]\nPreCommit1Max = 3\nPreCommitMax = 4")
        )
        told = await api.call("ConfigReload")
        assert told["Changes"] == [
            {"Key": "Storage.PreCommit1Max", "Old": "7", "New": "3", "Effect": "in force"}
        ]
        assert "did you mean Storage.PreCommit1Max?" in told["Warnings"][0]
        (builtin,) = (await api.call("WorkerStats")).values()
        assert builtin["Sched"]["Caps"]["PreCommit1Max"] == 3


async def test_a_file_that_cannot_be_read_changes_nothing(tmp_path: Path) -> None:
    path = await repo(tmp_path)
    async with miner(path) as api:
        (path / "config.toml").write_text("[Storage]\nPreCommit1Max = 3\nRetryDelay = 5\n")
        with pytest.raises(RpcError, match=r"Storage\.RetryDelay = 5: allowed is a duration"):
            await api.call("ConfigReload")
        (builtin,) = (await api.call("WorkerStats")).values()
        assert builtin["Sched"]["Caps"]["PreCommit1Max"] == 7


async def test_sighup_reads_the_file_again_and_says_so_in_the_log(tmp_path: Path) -> None:
    path = await repo(tmp_path)
    out = io.StringIO()
    logs.setup({}, stderr=out)
    try:
        async with miner(path):
            (path / "config.toml").write_text(FAST.replace("[Storage]", '[Storage]\nLostAfter = "1h"'))
            os.kill(os.getpid(), signal.SIGHUP)
            async with asyncio.timeout(10):
                while "Storage.LostAfter" not in out.getvalue():  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            (path / "config.toml").write_text("[Storage]\nLostAfter = 1\n")
            os.kill(os.getpid(), signal.SIGHUP)
            async with asyncio.timeout(10):
                while "nothing changed" not in out.getvalue():  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
    finally:
        logs.shutdown()
    assert "\tINFO\tconfig\tminer/reload.py" in out.getvalue()
    assert 'Storage.LostAfter = "1h0m0s", was "6h0m0s": in force' in out.getvalue()


async def test_a_sighup_while_the_miner_starts_or_stops_does_not_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await repo(tmp_path)
    bind, clear = endpoint.bind, Repo.clear_api

    def hangup_while_it_starts(config: Config, port: str | None) -> tuple[socket.socket, endpoint.Address]:
        (path / "config.toml").write_text(FAST.replace("[Storage]", "[Storage]\nPreCommit1Max = 3"))
        os.kill(os.getpid(), signal.SIGHUP)
        return bind(config, port)

    def hangup_while_it_stops(self: Repo) -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        clear(self)

    monkeypatch.setattr(endpoint, "bind", hangup_while_it_starts)
    monkeypatch.setattr(Repo, "clear_api", hangup_while_it_stops)
    async with miner(path) as api:
        (builtin,) = (await api.call("WorkerStats")).values()
        assert builtin["Sched"]["Caps"]["PreCommit1Max"] == 3
    assert not (path / "api").exists()
