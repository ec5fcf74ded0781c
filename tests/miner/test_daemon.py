"""``lotus-miner run`` as a whole: from pledge to Proving over real HTTP, and starts that cannot be."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from lotus_sched_cli.lotus.errors import UserError
from lotus_sched_cli.lotus.rpc.client import HttpCaller
from lotus_sched_cli.lotus.rpc.errors import RpcError
from lotus_sched_cli.miner import builtin
from lotus_sched_cli.miner.daemon import run
from lotus_sched_cli.miner.init import init
from lotus_sched_cli.miner.options import MinerInitOptions, MinerRunOptions
from lotus_sched_cli.worker.options import RunOptions
from lotus_sched_cli.worker.run import run as run_worker

FAST = """
[API]
ListenAddress = "/ip4/127.0.0.1/tcp/0/http"
[Storage]
AllowAddPiece = false
AllowPreCommit1 = false
AllowPreCommit2 = false
AllowCommit = false
AllowUnseal = false
[Chain]
BlockDelaySecs = 0.01
PreCommitChallengeDelay = 5
"""
QUICK = "speed = 1.0\njitter = 0.0\n[durations]\n" + "".join(
    f'{task} = "0.02s"\n' for task in ("AP", "PC1", "PC2", "C1", "C2", "FIN")
)


async def repo(tmp_path: Path, config: str = FAST) -> Path:
    path = tmp_path / "miner"
    await asyncio.to_thread(init, MinerInitOptions(miner_repo=path, sector_size="2KiB", environ={}))
    (path / "config.toml").write_text(config)
    return path


@asynccontextmanager
async def miner(path: Path, **options: Any) -> AsyncIterator[HttpCaller]:
    (path / "api").unlink(missing_ok=True)
    daemon = asyncio.create_task(run(MinerRunOptions(miner_repo=path, environ={}, heartbeat=0.3, **options)))
    await answered(daemon, lambda: (path / "api").exists())
    parts = (path / "api").read_text().split("/")
    caller = HttpCaller(f"http://{parts[2]}:{parts[4]}/rpc/v0", (path / "token").read_text())
    try:
        yield caller
    finally:
        await caller.call("Shutdown", result=None)
        await caller.close()
        await asyncio.wait_for(daemon, 20)


async def answered(task: asyncio.Task[None], ready: Any) -> None:
    async with asyncio.timeout(20):
        while not ready():
            if task.done():
                task.result()
            await asyncio.sleep(0.01)


@asynccontextmanager
async def worker(tmp_path: Path, name: str) -> AsyncIterator[asyncio.Task[None]]:
    settings = tmp_path / "sim.toml"
    settings.write_text(QUICK)
    options = RunOptions(
        worker_repo=tmp_path / name,
        miner_repo=tmp_path / "miner",
        listen="127.0.0.1:0",
        name=name,
        sealer="simulated",
        sealer_config=settings,
        environ={},
        heartbeat=0.3,
    )
    task = asyncio.create_task(run_worker(options))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(caller: HttpCaller, method: str, good: Any, *params: Any) -> Any:
    async with asyncio.timeout(30):
        while not good(answer := await caller.call(method, *params)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return answer


async def test_a_pledged_sector_reaches_proving_and_its_files_the_miner(tmp_path: Path) -> None:
    path = await repo(tmp_path)
    async with miner(path) as api, worker(tmp_path, "worker-1"):
        await until(api, "WorkerStats", lambda stats: len(stats) == 2)
        assert await api.call("PledgeSector") == {"Miner": 1000, "Number": 0}
        await until(api, "SectorsSummary", lambda states: states == {"Proving": 1})
        status = await api.call("SectorsStatus", 0, True)
        assert [entry["Kind"] for entry in status["Log"]] == [
            f"event;sealing.Sector{name}"
            for name in (
                "StartCC", "Packed", "Ticket", "PreCommit1", "PreCommit2", "PreCommitted",
                "PreCommitLanded", "SeedReady", "Committed", "CommitSubmitted", "Proving", "Finalized",
            )
        ]  # fmt: skip
        own = await api.call("StorageLocal")
        found = await api.call("StorageFindSector", {"Miner": 1000, "Number": 0}, 2, 0, False)
        assert [(f["ID"] in own, f["Primary"]) for f in found] == [(True, True)]
        assert await api.call("WorkerJobs") == {}
        with pytest.raises(RpcError, match="sector 0 is in state Proving: there is nothing to start"):
            await api.call("SectorStartSealing", 0)
        assert await api.call("SectorStartSealing", 77) is None, "as recorded of Lotus"
        assert (path / "sealed/s-t01000-0").exists() and not (
            tmp_path / "worker-1/sealed/s-t01000-0"
        ).exists()


async def test_sectors_go_on_after_the_miner_was_away(tmp_path: Path) -> None:
    path = await repo(tmp_path)
    async with worker_later(tmp_path) as start:
        async with miner(path) as api:
            await start()
            await until(api, "WorkerStats", lambda stats: len(stats) == 2)
            for _ in range(3):
                await api.call("PledgeSector")
        async with miner(path) as api:
            await until(api, "SectorsSummary", lambda states: states == {"Proving": 3})


@asynccontextmanager
async def worker_later(tmp_path: Path) -> AsyncIterator[Any]:
    """A worker that is started inside the first miner's life and outlives it."""
    entered = []

    async def start() -> None:
        entered.append(worker(tmp_path, "worker-1"))
        await entered[0].__aenter__()

    try:
        yield start
    finally:
        for context in entered:
            await context.__aexit__(None, None, None)


async def test_what_lotus_s_commands_and_dashboards_read_is_answered(tmp_path: Path) -> None:
    async with miner(await repo(tmp_path)) as api:
        version = await api.call("Version")
        assert version == {
            "Version": "v1.36.2-dev+simulated",
            "APIVersion": 66816,
            "BlockDelay": 1,
            "Agent": "lotus",
        }
        assert await api.call("ActorAddress") == "t01000"
        assert await api.call("ActorSectorSize", "f01000") == 2048
        assert await api.call("SectorsList") == []
        assert await api.call("SectorsListInStates", ["Proving"]) is None
        assert await api.call("SectorsSummary") == {}
        assert await api.call("RuntimeSubsystems") == ["Mining", "Sealing", "SectorStorage"]
        assert await api.call("StorageGetLocks") == {"Locks": []}
        assert await api.call("SectorGetSealDelay") == 21600000000000
        assert await api.call("SealingQueue") == []
        diag = await api.call("SealingSchedDiag", True)
        assert diag["SchedInfo"]["Requests"] is None and diag["CallToWork"] == {}
        assert await api.call("StorageTryLock", {"Miner": 1000, "Number": 3}, 0, 2) is True
        assert (
            await api.call(
                "SealingAbort",
                {"Sector": {"Miner": 1, "Number": 1}, "ID": "0" * 8 + "-0000-0000-0000-000000000000"},
            )
            is None
        )
        with pytest.raises(RpcError, match="No state for /99: datastore: key not found"):
            await api.call("SectorsStatus", 99, False)
        with pytest.raises(RpcError, match="getting remote storage info: sector store not found"):
            await api.call("StorageStat", "nope")
        with pytest.raises(RpcError, match="JWT Verification failed"):
            await api.call("AuthVerify", "x.y.z")
        stats = await api.call("WorkerStats")
        [builtin] = stats.values()
        assert builtin["Tasks"] == [
            "seal/v0/commit/1",
            "seal/v0/fetch",
            "seal/v0/finalize",
            "seal/v0/finalizeunsealed",
        ]
        own = await api.call("StorageLocal")
        assert list((await api.call("StorageList")).items()) == [(next(iter(own)), [])]
        assert (await api.call("StorageStat", next(iter(own))))["Capacity"] > 0


async def test_a_second_run_on_the_same_repo_is_refused(tmp_path: Path) -> None:
    path = await repo(tmp_path)
    async with miner(path):
        with pytest.raises(UserError, match=r"repo is already locked \(process is already running\)"):
            await run(MinerRunOptions(miner_repo=path, environ={}))


async def test_an_occupied_port_is_named_with_the_remedy(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            UserError, match=f"listen tcp 127.0.0.1:{port}: bind: address already in use; stop"
        ):
            await run(MinerRunOptions(miner_repo=await repo(tmp_path), miner_api=str(port), environ={}))


async def test_a_repo_that_is_none_is_named_as_it_was_given(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"repo at '~/.lotusminer' is not initialized, run 'lotus-miner init'"
    ):
        await run(MinerRunOptions(miner_repo=tmp_path / "none", repo_text="~/.lotusminer", environ={}))


async def test_a_repo_that_lotus_made_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "lotus" / "datastore").mkdir(parents=True)
    with pytest.raises(UserError, match="made by Lotus itself"):
        await run(MinerRunOptions(miner_repo=tmp_path / "lotus", environ={}))
    assert [p.name for p in (tmp_path / "lotus").iterdir()] == ["datastore"]


async def test_a_wrong_setting_ends_the_start(tmp_path: Path) -> None:
    path = await repo(tmp_path, FAST + "PreCommit1Max = -1\n")
    (path / "config.toml").write_text(FAST.replace("AllowCommit = false", "PreCommit1Max = -1"))
    with pytest.raises(UserError, match=r"Storage\.PreCommit1Max = -1"):
        await run(MinerRunOptions(miner_repo=path, environ={}))
    assert not (path / "api").exists()


async def test_a_broken_store_is_named(tmp_path: Path) -> None:
    path = await repo(tmp_path)
    (path / "lotus-sched.db").write_bytes(b"this is no database, and long enough to be looked at" * 40)
    with pytest.raises(UserError) as refused:
        await run(MinerRunOptions(miner_repo=path, environ={}))
    assert "lotus-sched.db" in refused.value.text and "\n" not in refused.value.text


async def test_a_path_can_be_attached_and_detached_while_it_runs(tmp_path: Path) -> None:
    from lotus_sched_cli.storage.meta import init_path

    extra = tmp_path / "extra"
    init_path(extra, seal=False, store=True)
    path = await repo(tmp_path)
    async with miner(path) as api:
        await api.call("StorageAddLocal", str(extra), result=None)
        assert str(extra) in (await api.call("StorageLocal")).values()
        assert str(extra) in (path / "storage.json").read_text()
        with pytest.raises(RpcError, match=r"opening local path: path with ID .* already opened"):
            await api.call("StorageAddLocal", str(extra), result=None)
        await api.call("StorageDetachLocal", str(extra), result=None)
        assert str(extra) not in (path / "storage.json").read_text()
        with pytest.raises(RpcError, match="no local paths match"):
            await api.call("StorageDetachLocal", str(extra), result=None)


async def test_the_miners_own_worker_keeps_off_the_gpus_where_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ: list[Mapping[str, str]] = []
    make = builtin.make
    monkeypatch.setattr(builtin, "make", lambda *given: environ.append(given[-1]) or make(*given))
    async with miner(await repo(tmp_path), enable_gpu_proving=False):
        assert [one.get("BELLMAN_NO_GPU") for one in environ] == ["true"]
    assert "BELLMAN_NO_GPU" not in os.environ
