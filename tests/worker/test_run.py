"""``lotus-worker run`` from its first call to its end, against a miner over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import socket
from dataclasses import replace

import httpx
import pytest

from lotus_sched_cli.core.tasks import FileType
from lotus_sched_cli.lotus.errors import UserError
from lotus_sched_cli.lotus.rpc.errors import RpcConnectError, RpcError
from lotus_sched_cli.lotus.types import NIL_UUID, CallID, SectorID, SectorRef, WorkerInfo
from lotus_sched_cli.worker.run import run

from .workers import Farm, stock

REF = SectorRef(SectorID(1000, 15), 5)
ZEROS = {"Type": "null", "Info": "2032"}


async def test_the_first_start_calls_the_miner_in_lotuss_order_and_leaves_lotuss_files(farm: Farm) -> None:
    task = await farm.start(farm.options(heartbeat=10))
    told = [name for name in farm.miner.calls if name != "AuthVerify"]
    assert told[:8] == [
        "Version", "Version", "ActorAddress", "ActorSectorSize", "StorageAttach", "Session", "Session", "WorkerConnect",
    ]  # fmt: skip
    repo = farm.root / "w1"
    url = farm.miner.connected[0]
    assert url.startswith("http://127.0.0.1:") and url.endswith("/rpc/v0")
    port = url.split(":")[2].split("/")[0]
    assert (repo / "api").read_text() == f"/ip4/127.0.0.1/tcp/{port}"
    assert (repo / "token").read_text() == farm.miner.token
    assert (repo / "token").stat().st_mode & 0o777 == 0o600
    assert json.loads((repo / "storage.json").read_text()) == {"StoragePaths": [{"Path": str(repo)}]}
    meta = json.loads((repo / "sectorstore.json").read_text())
    assert (meta["Weight"], meta["CanSeal"], meta["CanStore"]) == (10, True, False)
    attached = farm.miner.paths[meta["ID"]]
    assert attached.URLs == [f"http://127.0.0.1:{port}/remote"]
    await farm.stop(task)
    assert not (repo / "api").exists()


async def test_it_says_what_lotus_says(farm: Farm, caplog: pytest.LogCaptureFixture) -> None:
    await farm.stop(await farm.start())
    lines = [(r.levelname, r.name.removeprefix("lotus."), r.getMessage()) for r in caplog.records]
    for level, logger, text in [
        ("INFO", "worker", "Starting lotus worker"),
        ("INFO", "worker", "Remote version 0.1.0+simulated+api1.5.0"),
        ("INFO", "repo", f"Initializing repo at '{farm.root / 'w1'}'"),
        ("INFO", "worker", "Opening local storage; connecting to master"),
        ("INFO", "worker", f"Setting up control endpoint at {farm.miner.connected[0].split('/')[2]}"),
        ("INFO", "worker", "Worker registered successfully, waiting for tasks"),
        ("WARNING", "worker", "Shutting down..."),
        ("WARNING", "worker", "Graceful shutdown successful"),
        ("WARNING", "main", "http: Server closed"),
    ]:
        assert (level, logger, text) in lines
    assert any("simulated" in text for level, _, text in lines if level == "WARNING")


async def test_a_caller_who_never_ends_his_headers_is_hung_up_on(farm: Farm) -> None:
    await farm.start(farm.options(http_server_timeout=0.1))
    port = int(farm.miner.connected[0].split(":")[2].split("/")[0])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /rpc/v0 HTTP/1.1\r\nHost: w")
    assert await asyncio.wait_for(reader.read(), 10) == b""
    writer.close()


async def test_the_id_lasts_the_session_does_not(farm: Farm) -> None:
    async def who() -> tuple[object, str]:
        worker = farm.miner.worker()
        info = await worker.call("Info", result=WorkerInfo)
        session = await worker.call("Session", result=str)
        await worker.close()
        return info.WorkerID, session

    task = await farm.start()
    first = await who()
    await farm.stop(task)
    await farm.start()
    second = await who()
    assert first[0] == second[0] and first[1] != second[1]


async def test_a_task_comes_over_http_and_its_result_goes_back(farm: Farm) -> None:
    await farm.start()
    worker = farm.miner.worker()
    call = await worker.call("AddPiece", REF, [], 2032, ZEROS, result=CallID)
    returned = await farm.miner.result_of(call)
    assert returned.error is None and returned.result.Size == 2048
    assert farm.miner.where(1000, 15, FileType.UNSEALED)
    await worker.close()


async def test_only_admin_may_ask_and_the_miner_is_asked_about_tokens(farm: Farm) -> None:
    await farm.start()
    url = farm.miner.connected[0]
    body = '{"jsonrpc":"2.0","id":1,"method":"Filecoin.Version","params":[]}'
    async with httpx.AsyncClient() as client:
        bare = await client.post(url, content=body, headers={"Content-Type": "application/json"})
        bad = await client.post(url, content=body, headers={"Authorization": "Bearer x.y.z"})
        file = await client.get(url.replace("/rpc/v0", "/remote/sealed/s-t01000-15"))
    assert "missing permission to invoke 'Version' (need 'admin')" in bare.text
    assert (bad.status_code, bad.content) == (401, b"")
    assert file.status_code == 401


async def test_two_workers_fetch_from_each_other(farm: Farm) -> None:
    await farm.start(farm.options("w1"))
    await farm.start(farm.options("w2"))
    one, two = (farm.miner.worker(url) for url in farm.miner.connected)
    piece = await farm.miner.result_of(await one.call("AddPiece", REF, [], 2032, ZEROS, result=CallID))
    pc1 = await farm.miner.result_of(
        await one.call("SealPreCommit1", REF, bytes(32), [piece.result], result=CallID)
    )
    fetched = await farm.miner.result_of(await two.call("Fetch", REF, 6, "sealing", "move", result=CallID))
    assert fetched.error is None, fetched.error
    pc2 = await farm.miner.result_of(await two.call("SealPreCommit2", REF, pc1.result, result=CallID))
    assert pc2.error is None, pc2.error
    assert not (farm.root / "w1/cache/s-t01000-15").exists()
    assert (farm.root / "w2/cache/s-t01000-15/p_aux").exists()
    await one.close()
    await two.close()


# -- the other side comes and goes --------------------------------------------------------------------------------------


async def test_our_miners_restart_is_met_by_a_new_registration_at_once_running_calls_and_all(
    farm: Farm, caplog: pytest.LogCaptureFixture
) -> None:
    await farm.start(farm.options(sealer_config=farm.root / "slow.toml"))
    worker = farm.miner.worker()
    await worker.call("SealCommit2", REF, "AAAA", result=CallID)
    await worker.call("AddPiece", REF, [], 2032, ZEROS, result=CallID)
    farm.miner.session = "another-process"
    farm.miner.known.clear()
    await farm.miner.until(lambda: len(farm.miner.connected) == 2, "the second registration")
    assert farm.miner.calls.count("StorageAttach") == 2
    assert "LOTUS-MINER CONNECTION LOST" in caplog.messages
    assert "Redeclaring local storage" in caplog.messages
    assert "Making sure no local tasks are running" not in caplog.messages
    await worker.close()


async def test_a_miner_that_comes_back_at_another_port_is_found_by_its_repo(farm: Farm) -> None:
    repo = farm.root / "miner"
    farm.miner.write_repo(repo)
    await farm.start(farm.options(miner_repo=repo, environ={}))
    await farm.miner.stop()
    await farm.miner.start()
    farm.miner.write_repo(repo)
    await farm.miner.until(lambda: len(farm.miner.connected) == 2, "the second registration")
    worker = farm.miner.worker()
    call = await worker.call("AddPiece", REF, [], 2032, ZEROS, result=CallID)
    assert (await farm.miner.result_of(call)).error is None
    await worker.close()


async def test_our_miner_that_lost_the_registration_gets_it_again(farm: Farm) -> None:
    await farm.start()
    farm.miner.known.clear()
    await farm.miner.until(lambda: len(farm.miner.connected) == 2, "the second registration")


async def test_under_a_stock_miner_the_worker_registers_again_only_when_idle(
    farm: Farm, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock(farm, monkeypatch)
    await farm.start(farm.options(sealer_config=farm.root / "slow.toml"))
    worker = farm.miner.worker()
    call = await worker.call("SealPreCommit2", REF, "AAAA", result=CallID)
    await farm.miner.result_of(call)
    call = await worker.call("AddPiece", REF, [], 2032, ZEROS, result=CallID)
    farm.miner.session = "another-process"
    await farm.miner.until(lambda: farm.miner.calls.count("StorageAttach") == 2, "the redeclaration")
    await asyncio.sleep(0.2)
    assert len(farm.miner.connected) == 1
    await worker.call("AbortCall", call)
    await farm.miner.until(lambda: len(farm.miner.connected) == 2, "the second registration")
    assert "Making sure no local tasks are running" in caplog.messages
    assert "WorkerKnown" not in farm.miner.calls
    await worker.close()


async def test_under_a_stock_miner_pc1_is_not_offered_while_the_hold_is_full(
    farm: Farm, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stock(farm, monkeypatch)
    await farm.start(farm.options(precommit1holdmax=1, forcep2fromlocalp1=True))
    worker = farm.miner.worker()
    assert "seal/v0/precommit/1" in await worker.call("TaskTypes")
    assert any("cannot respect it" in text for text in caplog.messages)
    (farm.root / "w1/sealed/s-t01000-3").write_text("")
    assert "seal/v0/precommit/1" not in await worker.call("TaskTypes")
    await worker.close()


async def test_a_killed_workers_call_comes_back_with_101_before_the_new_registration(farm: Farm) -> None:
    task = await farm.start(farm.options(sealer_config=farm.root / "slow.toml"))
    worker = farm.miner.worker()
    call = await worker.call("AddPiece", REF, [], 2032, ZEROS, result=CallID)
    await worker.close()
    await farm.stop(task)
    before = len(farm.miner.calls)
    await farm.start()
    told = farm.miner.calls[before:]
    assert told.index("ReturnAddPiece") < told.index("WorkerConnect")
    assert (await farm.miner.result_of(call)).error.Code == 101


async def test_a_refused_registration_ends_the_worker(farm: Farm) -> None:
    farm.miner.refuse_connect = "worker id x is already in use"
    assert "refused this worker: worker id x is already in use" in await farm.refused(farm.options())
    assert not (farm.root / "w1/api").exists()


async def test_stop_detaches_the_paths_shuts_down_and_says_so_to_who_asks(farm: Farm) -> None:
    task = await farm.start()
    worker = farm.miner.worker()
    await worker.call("StorageDetachAll")
    assert not farm.miner.paths
    await worker.call("Shutdown")
    assert await worker.call("Session") == NIL_UUID
    await asyncio.wait_for(task, 5)
    with pytest.raises(RpcConnectError):
        await worker.call("Session")
    await worker.close()


async def test_disabled_it_answers_no_session(farm: Farm) -> None:
    await farm.start()
    worker = farm.miner.worker()
    await worker.call("SetEnabled", False)
    assert not await worker.call("Enabled")
    with pytest.raises(RpcError, match="worker disabled"):
        await worker.call("Session")
    assert await worker.call("ProcessSession")
    await worker.call("TaskDisable", "seal/v0/precommit/1")
    assert "seal/v0/precommit/1" not in await worker.call("TaskTypes")
    await worker.call("TaskEnable", "seal/v0/precommit/1")
    assert "seal/v0/precommit/1" in await worker.call("TaskTypes")
    await worker.close()


async def test_a_type_that_a_flag_left_out_can_be_switched_on_and_the_miner_hears_of_it(farm: Farm) -> None:
    await farm.start(farm.options(precommit1=False))
    worker = farm.miner.worker()
    assert "seal/v0/precommit/1" not in await worker.call("TaskTypes")
    assert "WorkerChanged" not in farm.miner.calls
    await worker.call("TaskEnable", "seal/v0/precommit/1")
    assert "seal/v0/precommit/1" in await worker.call("TaskTypes")
    assert farm.miner.calls.count("WorkerChanged") == 1
    await worker.call("TaskDisable", "seal/v0/precommit/1")
    assert farm.miner.calls.count("WorkerChanged") == 2
    await worker.close()


async def test_storage_paths_come_and_go_while_it_runs(farm: Farm) -> None:
    from lotus_sched_cli.storage.meta import init_path

    await farm.start(farm.options(no_local_storage=True))
    worker = farm.miner.worker()
    assert not await worker.call("StorageLocal")
    extra = farm.root / "extra"
    with pytest.raises(RpcError, match="reading storage metadata"):
        await worker.call("StorageAddLocal", str(extra))
    init_path(extra, seal=True, store=False)
    await worker.call("StorageAddLocal", str(extra))
    assert list((await worker.call("StorageLocal")).values()) == [str(extra)]
    assert str(extra) in (farm.root / "w1/storage.json").read_text()
    assert [p["LocalPath"] for p in await worker.call("Paths")] == [str(extra)]
    await worker.call("StorageDetachLocal", str(extra))
    with pytest.raises(RpcError, match="no local paths match"):
        await worker.call("StorageDetachLocal", str(extra))
    assert str(extra) not in (farm.root / "w1/storage.json").read_text()
    await worker.close()


async def test_a_miner_that_dies_in_the_middle_of_the_start_is_waited_for(farm: Farm) -> None:
    repo = farm.root / "miner"
    farm.miner.write_repo(repo)
    await farm.stop(await farm.start())
    (farm.root / "w1/sealed/s-t01000-3").write_text("")
    farm.miner.stall = asyncio.Event()
    starting = asyncio.create_task(farm.start(farm.options(miner_repo=repo, environ={})))
    await asyncio.wait_for(farm.miner.stall.wait(), 10)
    await farm.miner.stop()
    await farm.miner.start()
    farm.miner.write_repo(repo)
    await starting
    assert farm.miner.files[3, FileType.SEALED]


async def test_big_sectors_on_a_small_disk_are_warned_of_with_the_way_out(
    farm: Farm, caplog: pytest.LogCaptureFixture
) -> None:
    farm.miner.size = 32 << 30
    settings = farm.root / "small.toml"
    settings.write_text('speed = 1e9\n[paths]\n"*" = "100GiB"\n')
    task = await farm.start(farm.options(sealer_config=settings))
    assert any(
        "515.2 GiB are needed, 100 GiB free" in text and str(settings) in text for text in caplog.messages
    )
    await farm.stop(task)
    caplog.clear()
    settings.write_text('speed = 1e9\n[paths]\n"*" = "2TiB"\n')
    await farm.start(farm.options(sealer_config=settings))
    assert not any("pretended" in text for text in caplog.messages)


# -- starts that fail ----------------------------------------------------------------------------------------------------


async def test_an_address_or_token_that_is_none_is_told_at_once(farm: Farm) -> None:
    assert "MINER_API_INFO" in await farm.refused(farm.options(environ={"MINER_API_INFO": "tok:nonsense"}))
    wrong = farm.miner.info.replace(farm.miner.token, "a.b.c")
    text = await farm.refused(farm.options(environ={"MINER_API_INFO": wrong}))
    assert "does not take this token" in text and "auth api-info" in text
    text = await farm.refused(farm.options(environ={"MINER_API_INFO": farm.miner.info.split(":", 1)[1]}))
    assert "missing permission" in text and "admin" in text


async def test_a_miner_that_is_not_there_is_waited_for_and_ctrl_c_ends_the_wait(
    farm: Farm, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    info = f"{farm.miner.token}:/ip4/127.0.0.1/tcp/1/http"
    task = asyncio.create_task(run(farm.options(environ={"MINER_API_INFO": info})))
    async with asyncio.timeout(5):
        out = ""
        while "Connecting" not in out:
            await asyncio.sleep(0.02)
            out += capsys.readouterr().out
    assert out.startswith("\r\x1b[0KConnecting to miner API... (RPC client error: sendRequest failed: Post ")
    assert out.endswith("dial tcp 127.0.0.1:1: connect: connection refused)")
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(UserError, match="Interrupted by user"):
        await task
    assert not (farm.root / "w1").exists(), "nothing is written before the miner has answered"


async def test_in_a_pipe_the_wait_is_a_line_now_and_then(
    farm: Farm, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    info = f"{farm.miner.token}:/ip4/127.0.0.1/tcp/1/http"
    task = asyncio.create_task(run(farm.options(environ={"MINER_API_INFO": info})))
    said = "Connecting to miner API, trying again every second: RPC client error: sendRequest failed: Post "
    async with asyncio.timeout(5):
        while not any(text.startswith(said) for text in caplog.messages):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(UserError, match="Interrupted by user"):
        await task
    assert capsys.readouterr().out == "", "nothing but the log, which a pipe can keep"


async def test_a_worker_that_was_not_told_its_miner_says_what_is_missing_while_it_waits(
    farm: Farm, caplog: pytest.LogCaptureFixture
) -> None:
    task = asyncio.create_task(run(farm.options(environ={}, miner_repo=farm.root / "no-miner-here")))
    said = "repo directory does not exist"
    async with asyncio.timeout(5):
        while not any(said in text for text in caplog.messages):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    (line,) = [text for text in caplog.messages if said in text]
    assert line.startswith("Connecting to miner API, trying again every second: could not get API info")
    assert "set MINER_API_INFO to what 'lotus-miner auth api-info --perm admin' prints" in line
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(UserError, match="Interrupted by user"):
        await task


async def test_a_miner_of_another_api_version_is_refused_in_lotuss_words(farm: Farm) -> None:
    farm.miner.api = 0x000F00
    text = await farm.refused(farm.options())
    assert text.startswith("lotus-miner API version doesn't match: expected: +api1.5.0")
    assert "+api0.15.0" in text


async def test_the_simulated_sealer_refuses_a_real_chain(farm: Farm) -> None:
    farm.miner.version = "v1.36.2-dev+mainnet+git.0123abcd"
    text = await farm.refused(farm.options(sealer="simulated"))
    assert "simulated chain only" in text and "+mainnet" in text
    assert "real chain" in await farm.refused(farm.options())
    assert not (farm.root / "w1").exists()


async def test_an_occupied_port_names_the_address_and_the_way_out(farm: Farm) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        text = await farm.refused(farm.options(listen=where))
    assert text.startswith(f"listen tcp {where}: bind: address already in use") and "--listen" in text
    assert "StorageAttach" not in farm.miner.calls
    assert "cannot assign requested address" in await farm.refused(farm.options(listen="192.0.2.1:0"))


@pytest.mark.parametrize("listen", ["nonsense", "1.2.3.4", "1.2.3.4:99999", "::1:80", "h:-1", ":x"])
async def test_a_listen_address_that_is_none(farm: Farm, listen: str) -> None:
    assert f'"{listen}" for --listen' in await farm.refused(farm.options(listen=listen))


async def test_all_addresses_stand_for_the_one_towards_the_miner(farm: Farm) -> None:
    await farm.start(farm.options(listen="0.0.0.0:0"))
    assert farm.miner.connected[0].startswith("http://127.0.0.1:")


async def test_a_second_run_on_the_same_repo_is_refused_and_the_first_goes_on(farm: Farm) -> None:
    await farm.start()
    text = await farm.refused(farm.options())
    assert text.startswith("repo is already locked (process is already running)")
    assert str(farm.root / "w1") in text
    assert (farm.root / "w1/api").exists()


async def test_a_repo_that_lotus_made_is_never_written_to(farm: Farm) -> None:
    repo = farm.root / "w1"
    (repo / "datastore").mkdir(parents=True)
    (repo / "keystore").mkdir()
    (repo / "token").write_text("theirs")
    before = sorted(str(f) for f in repo.rglob("*"))
    text = await farm.refused(farm.options())
    assert str(repo) in text and "--worker-repo" in text
    assert sorted(str(f) for f in repo.rglob("*")) == before


async def test_settings_caps_and_flags_that_cannot_be(farm: Farm) -> None:
    (farm.root / "bad.toml").write_text("speed = 0\n")
    assert "speed = 0" in await farm.refused(farm.options(sealer_config=farm.root / "bad.toml"))
    assert "--precommit2max" in await farm.refused(farm.options(precommit2max=-1))
    assert "--sealer" in await farm.refused(farm.options(sealer="magic"))
    text = await farm.refused(farm.options(sealer="proofs", sealer_config=None))
    assert "--sealer proofs needs the program lotus-proofs" in text and "make proofs" in text
    (farm.root / "none.toml").write_text("")
    none = farm.root / "none.toml"
    assert "no command" in await farm.refused(farm.options(sealer="external", sealer_config=none))
    assert "--external-pc2" in await farm.refused(farm.options(external_pc2="true"))
    assert "--parallel-fetch-limit" in await farm.refused(farm.options(parallel_fetch_limit=0))
    assert "--windowpost" in await farm.refused(farm.options(windowpost=True))
    assert not (farm.root / "w1").exists(), "nothing half-written"


@pytest.mark.parametrize("sealer", ["auto", "simulated", "proofs", "external"])
async def test_wrong_settings_are_told_before_the_miner_is_looked_for(farm: Farm, sealer: str) -> None:
    (farm.root / "bad.toml").write_text("sped = 1\n")
    nowhere = {"MINER_API_INFO": "x:/ip4/127.0.0.1/tcp/1/http"}
    text = await farm.refused(
        farm.options(sealer=sealer, sealer_config=farm.root / "bad.toml", environ=nowhere)
    )
    assert "unknown key sped" in text


async def test_paths_that_are_not_there_or_hold_strangers(farm: Farm) -> None:
    await farm.stop(await farm.start())
    (farm.root / "w1/sealed/README").write_text("")
    text = await farm.refused(farm.options())
    assert text.startswith(f"opening path {farm.root / 'w1'}: ") and "parse sector id README" in text
    (farm.root / "w1/sealed/README").unlink()
    (farm.root / "w1/storage.json").write_text('{"StoragePaths": [{"Path": "/nowhere/at/all"}]}')
    assert "opening path /nowhere/at/all" in await farm.refused(farm.options())
    (farm.root / "w1/storage.json").write_text("{")
    assert "storage.json" in await farm.refused(farm.options())


async def test_a_folder_that_may_not_be_made(farm: Farm) -> None:
    (farm.root / "file").write_text("")
    text = await farm.refused(replace(farm.options(), worker_repo=farm.root / "file" / "repo"))
    assert str(farm.root / "file" / "repo") in text


async def test_too_few_files_are_a_warning_where_sealing_is_simulated(
    farm: Farm, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 1024))
    await farm.start()
    assert any("ulimit -n) too low, want 100000, current 1024" in text for text in caplog.messages)


def test_these_tests_leave_the_environment_alone() -> None:
    assert "BELLMAN_NO_GPU" not in os.environ
