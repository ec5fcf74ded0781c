"""Callers: over HTTP, in process, and the commands' one-shot, with one set of answers and errors."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from lotus_sched_cli.lotus import types
from lotus_sched_cli.lotus.rpc import oneshot
from lotus_sched_cli.lotus.rpc.client import Caller, HttpCaller, LocalCaller, RpcConnectError, RpcError
from lotus_sched_cli.lotus.rpc.streams import BytesReader
from lotus_sched_cli.miner.dial import Dialer

from .conftest import Running


@pytest.fixture(params=["http", "local"])
async def caller(request: pytest.FixtureRequest, running: Running) -> AsyncIterator[Caller]:
    got: Caller = (
        HttpCaller(running.url, running.token) if request.param == "http" else LocalCaller(running.server)
    )
    yield got
    await got.close()


async def test_results_come_as_the_asked_type(caller: Caller) -> None:
    version = await caller.call("Version", result=types.APIVersion)
    assert version == types.APIVersion("v1.36.2-dev+simulated", 66816, 30, "lotus")
    assert await caller.call("ActorAddress") == "t01000"
    assert await caller.call("StorageRedeclareLocal", None, True) is None
    assert await caller.call("StorageRedeclareLocal", None, True, result=list[int]) == []


def timer_of(port: int) -> int:
    """The timer that the kernel keeps for this process's connection to a port of 127.0.0.1: 2 is keepalive, 0 none."""
    for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[2] == f"0100007F:{port:04X}" and fields[3] == "01":
            return int(fields[5].partition(":")[0])
    raise AssertionError(f"no connection to {port}")


@pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="Linux tells a connection's timers")
async def test_a_peer_that_is_cut_off_in_the_middle_of_a_call_is_found_out(running: Running) -> None:
    port = urlsplit(running.url).port
    assert port is not None
    dialled = Dialer(running.token)(running.url)
    for caller in (HttpCaller(running.url, running.token), dialled):
        await caller.call("Version")
        assert timer_of(port) == 2
        await caller.close()
    with oneshot.OneShot(running.url, running.token) as peer:
        await asyncio.to_thread(peer.call, "Version")
        assert timer_of(port) == 2


async def test_structs_and_streams_are_parameters(caller: Caller, running: Running) -> None:
    call = types.CallID(types.SectorID(1000, 1), "6c5b2b3a-0000-0000-0000-000000000000")
    assert await caller.call("ReturnSealCommit1", call, b"abc", types.CallError(101, "restarted")) is None
    assert running.miner.seen == [(call, 3, types.CallError(101, "restarted"))]
    got = await caller.call("ComputeDataCid", 5, BytesReader(b"hello"), result=types.PieceInfo)
    assert got.Size == 5


async def test_errors_keep_code_and_text(caller: Caller) -> None:
    with pytest.raises(RpcError) as refused:
        await caller.call("SectorsStatus", 99, False)
    assert (refused.value.code, str(refused.value)) == (1, "No state for /99: datastore: key not found")
    with pytest.raises(RpcError) as unknown:
        await caller.call("Nope")
    assert unknown.value.unknown_method
    assert str(unknown.value) == "RPC error (-32601): method 'Filecoin.Nope' not found"
    with pytest.raises(RpcError) as panic:
        await caller.call("StorageBestAlloc", 1, 2048, "foo", 1000)
    assert panic.value.code == 0 and panic.value.message.startswith(
        "fatal error calling 'Filecoin.StorageBestAlloc'"
    )
    with pytest.raises(RpcError, match="wrong param count"):
        await caller.call("SectorsStatus", 99)


async def test_a_call_can_have_a_time_limit(caller: Caller) -> None:
    with pytest.raises(RpcConnectError, match="context deadline exceeded"):
        await caller.call("StorageLock", types.SectorID(1000, 1), 0, 1, timeout=0.01)


async def test_the_built_in_worker_has_no_more_rights_than_given(running: Running) -> None:
    reader = LocalCaller(running.server, frozenset({"read"}))
    assert await reader.call("ActorAddress") == "t01000"
    with pytest.raises(RpcError, match=r"missing permission to invoke 'WorkerStats' \(need 'admin'\)"):
        await reader.call("WorkerStats")


async def test_a_refused_connection_has_started_nothing() -> None:
    async with HttpCaller("ws://127.0.0.1:1/rpc/v0") as caller:
        with pytest.raises(RpcConnectError) as refused:
            await caller.call("Version")
    assert refused.value.sent is False
    assert str(refused.value) == (
        'RPC client error: sendRequest failed: Post "http://127.0.0.1:1/rpc/v0": '
        "dial tcp 127.0.0.1:1: connect: connection refused"
    )


async def test_a_peer_that_hangs_up_in_between_may_have_started_something() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/rpc/v0"
        async with HttpCaller(url) as caller:
            with pytest.raises(RpcConnectError) as broken:
                await caller.call("Version")
        assert broken.value.sent is True
        with pytest.raises(RpcConnectError) as broken:
            await asyncio.to_thread(oneshot.call, url, "", "Version")
        assert broken.value.sent is True


def _answering(status: int, body: str) -> httpx.MockTransport:
    return httpx.MockTransport(lambda request: httpx.Response(status, text=body))


@pytest.mark.parametrize(
    ("status", "body", "text"),
    [
        (401, "", "request failed, http status 401 Unauthorized"),
        (404, "404 page not found\n", "request failed, http status 404 Not Found"),
        (200, "<html>", "unmarshaling response"),
        (200, '{"id":77,"result":1}', "request and response id didn't match"),
        (200, '{"id":1,"result":{"APIVersion":"x"}}', "unmarshaling result"),
    ],
)
async def test_answers_that_are_none(status: int, body: str, text: str) -> None:
    async with HttpCaller("http://miner/rpc/v0", transport=_answering(status, body)) as caller:
        with pytest.raises(RpcConnectError, match=text):
            await caller.call("Version", result=types.APIVersion)


async def test_requests_look_like_go_s() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"id": json.loads(request.content)["id"], "result": None})

    async with HttpCaller("http://miner/rpc/v0", "tok", transport=httpx.MockTransport(answer)) as caller:
        await caller.call("Session")
        await caller.call("StorageDropSector", "id", types.SectorID(1000, 1), 2)
    told = json.loads(seen[0].content)
    assert list(told) == ["jsonrpc", "id", "method", "params", "meta"]
    assert (told["id"], told["method"], told["params"]) == (1, "Filecoin.Session", [])
    spans = [base64.b64decode(json.loads(r.content)["meta"]["SpanContext"]) for r in seen]
    assert all((len(span), span[:2], span[18], span[-2:]) == (29, b"\0\0", 1, b"\2\0") for span in spans)
    assert spans[0] != spans[1]
    assert json.loads(seen[1].content)["params"] == ["id", {"Miner": 1000, "Number": 1}, 2]
    assert json.loads(seen[1].content)["id"] == 2
    assert seen[0].headers["Authorization"] == "Bearer tok"
    assert seen[0].headers["Content-Type"] == "application/json"
    go = {"host", "user-agent", "content-length", "authorization", "content-type", "accept-encoding"}
    assert set(seen[0].headers) == go


async def test_the_commands_call_needs_no_event_loop(running: Running) -> None:
    def ask() -> list[Any]:
        with oneshot.OneShot(running.url.replace("http", "ws", 1), running.token, timeout=10) as peer:
            out = [peer.call("ActorAddress"), peer.call("Version")["APIVersion"]]
            with pytest.raises(RpcError, match="No state for /99"):
                peer.call("SectorsStatus", 99, False)
            with pytest.raises(RpcError) as unknown:
                peer.call("Nope")
            assert unknown.value.unknown_method
            return [*out, peer.call("ReturnSealCommit1", {"ID": "x"}, b"abc", None)]

    assert await asyncio.to_thread(ask) == ["t01000", 66816, None]


async def test_the_commands_errors_are_one_line(running: Running) -> None:
    with pytest.raises(RpcConnectError) as refused:
        await asyncio.to_thread(oneshot.call, "http://127.0.0.1:1/rpc/v0", "", "Version")
    assert refused.value.sent is False and "connection refused" in str(refused.value)
    with pytest.raises(RpcConnectError, match="http status 401 Unauthorized"):
        await asyncio.to_thread(oneshot.call, running.url, "bad", "Version")
    with pytest.raises(RpcConnectError, match="http status 404"):
        await asyncio.to_thread(oneshot.call, running.url + "x", "", "Version")


async def test_the_commands_call_gives_up_on_a_silent_peer(running: Running) -> None:
    with pytest.raises(RpcConnectError, match="context deadline exceeded"):
        await asyncio.to_thread(
            oneshot.call,
            running.url,
            running.token,
            "StorageLock",
            {"Miner": 1, "Number": 1},
            0,
            1,
            timeout=0.05,
        )


def test_closing_twice_is_fine() -> None:
    peer = oneshot.OneShot("http://127.0.0.1:1/rpc/v0")
    peer.close()
    peer.close()
