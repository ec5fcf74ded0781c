"""WebSocket, as Lotus's commands and the JavaScript client use it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from .conftest import FakeMiner, Running, start


@pytest.fixture
async def socket(running: Running) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    headers = {"Authorization": f"Bearer {running.token}"}
    async with aiohttp.ClientSession() as session, session.ws_connect(running.url, headers=headers) as ws:
        yield ws


async def say(
    ws: aiohttp.ClientWebSocketResponse, id_: int | str | None, method: str, *params: object
) -> None:
    request = {"jsonrpc": "2.0", "method": method, "params": list(params)}
    await ws.send_str(json.dumps(request if id_ is None else {**request, "id": id_}))


async def hear(ws: aiohttp.ClientWebSocketResponse) -> dict[str, object]:
    got = await ws.receive(timeout=10)
    assert got.type is aiohttp.WSMsgType.TEXT, got
    assert got.data.endswith("\n")
    value: dict[str, object] = json.loads(got.data)
    return value


async def test_answers_come_in_any_order_and_a_long_call_holds_up_nothing(
    running: Running, socket: aiohttp.ClientWebSocketResponse
) -> None:
    await say(socket, 1, "Filecoin.StorageLock", {"Miner": 1000, "Number": 1}, 0, 1)
    await running.miner.running.wait()
    await say(socket, "abc", "Filecoin.ActorAddress")
    assert await hear(socket) == {"id": "abc", "jsonrpc": "2.0", "result": "t01000"}
    await say(socket, None, "xrpc.cancel", 1)
    assert await hear(socket) == {
        "error": {"code": 1, "message": "context canceled"},
        "id": 1,
        "jsonrpc": "2.0",
    }
    assert running.miner.cancelled.is_set()


async def test_closing_is_a_channel_that_never_yields(socket: aiohttp.ClientWebSocketResponse) -> None:
    await say(socket, 1, "Filecoin.Closing")
    assert (await hear(socket))["result"] == 1
    await say(socket, 2, "Filecoin.Closing")
    assert (await hear(socket))["result"] == 2
    await say(socket, None, "xrpc.cancel", 1)
    await say(socket, 3, "Filecoin.ActorAddress")
    assert (await hear(socket))["id"] == 3


async def test_batches_bad_json_and_notifications_get_silence(
    running: Running, socket: aiohttp.ClientWebSocketResponse
) -> None:
    for text in (
        '[{"id":6,"method":"Filecoin.Version"}]',
        "{oops",
        '{"id":true,"method":"Filecoin.Version"}',
        '{"method":"Filecoin.Version","params":[]}',
        '{"method":"Filecoin.Nope"}',
        '{"id":9,"result":5}',
        '{"method":"xrpc.cancel","params":["nobody"]}',
        '{"method":"xrpc.cancel"}',
    ):
        await socket.send_str(text)
    await say(socket, 7, "Filecoin.ActorAddress")
    assert (await hear(socket))["id"] == 7
    assert running.miner.seen == ["Version"]


async def test_errors_and_binary_frames_are_answered_like_posts(
    socket: aiohttp.ClientWebSocketResponse,
) -> None:
    await say(socket, 3, "Filecoin.Nope")
    assert (await hear(socket))["error"] == {"code": -32601, "message": "method 'Filecoin.Nope' not found"}
    await socket.send_bytes(b'{"id":4,"method":"Filecoin.ActorAddress"}')
    assert (await hear(socket))["result"] == "t01000"


async def test_an_offered_subprotocol_or_a_foreign_origin_changes_nothing(running: Running) -> None:
    async with aiohttp.ClientSession() as session:
        headers = {"Origin": "http://evil.example"}
        async with session.ws_connect(running.url, protocols=["foo"], headers=headers) as ws:
            assert ws.protocol is None
            await say(ws, 1, "Filecoin.WorkerStats")
            assert "missing permission" in str((await hear(ws))["error"])


async def test_a_bad_token_is_refused_before_the_upgrade(running: Running) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(running.url, headers={"Authorization": "Bearer abc"})
        assert refused.value.status == 401
        async with session.ws_connect(f"{running.url}?token={running.token}") as ws:
            await say(ws, 1, "Filecoin.WorkerStats")
            assert (await hear(ws))["result"] == {}


async def test_messages_larger_than_a_library_s_default_pass(socket: aiohttp.ClientWebSocketResponse) -> None:
    call = {"Sector": {"Miner": 1000, "Number": 1}, "ID": "6c5b2b3a-0000-0000-0000-000000000000"}
    await say(socket, 1, "Filecoin.ReturnSealCommit1", call, "A" * (8 << 20), None)
    assert (await hear(socket))["result"] is None


async def test_the_server_pings_and_wants_no_pong() -> None:
    running, runner = await start(FakeMiner(), ping_seconds=0.01)
    async with aiohttp.ClientSession() as session, session.ws_connect(running.url, autoping=False) as ws:
        pings = 0
        while pings < 3:
            message = await ws.receive(timeout=10)
            assert message.type is aiohttp.WSMsgType.PING and message.data == b""
            pings += 1
        await say(ws, 1, "Filecoin.ActorAddress")
        while (message := await ws.receive(timeout=10)).type is aiohttp.WSMsgType.PING:
            pass
        assert json.loads(message.data)["result"] == "t01000"
    await runner.cleanup()


async def test_a_stopping_server_closes_its_sockets_and_cancels_their_calls() -> None:
    running, runner = await start(FakeMiner())
    async with aiohttp.ClientSession() as session:
        headers = {"Authorization": f"Bearer {running.token}"}
        async with session.ws_connect(running.url, headers=headers) as ws:
            await say(ws, 1, "Filecoin.StorageLock", {"Miner": 1000, "Number": 1}, 0, 1)
            await running.miner.running.wait()
            stopping = asyncio.create_task(runner.cleanup())
            assert (await ws.receive(timeout=10)).type is aiohttp.WSMsgType.CLOSE
            await stopping
            assert running.miner.cancelled.is_set()


async def test_whoever_shows_no_token_cannot_fill_the_memory() -> None:
    running, runner = await start(FakeMiner(), max_body=1000)
    try:
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(running.url) as stranger:
                await stranger.send_str("x" * 2000)
                got = await stranger.receive(timeout=10)
                assert (got.type, got.data) == (aiohttp.WSMsgType.CLOSE, aiohttp.WSCloseCode.MESSAGE_TOO_BIG)
            headers = {"Authorization": f"Bearer {running.token}"}
            async with session.ws_connect(running.url, headers=headers) as known:
                await known.send_str(" " * 2000)
                await say(known, 1, "Filecoin.ActorAddress")
                assert (await hear(known))["result"] == "t01000"
    finally:
        await runner.cleanup()
