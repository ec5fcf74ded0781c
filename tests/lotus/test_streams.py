"""Reader parameters: data beside a call, pushed, fetched, made of zeros, or sent straight on to another node."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from lotus_sched_cli.lotus import types
from lotus_sched_cli.lotus.rpc.client import HttpCaller, RpcError
from lotus_sched_cli.lotus.rpc.streams import (
    BytesReader,
    FileReader,
    HttpReader,
    NullReader,
    Reader,
    StreamHub,
    push_url,
    send,
)

from .conftest import FakeMiner, Running, start

DATA = bytes(range(254)) * 8


@pytest.fixture
async def caller(running: Running) -> AsyncIterator[HttpCaller]:
    async with HttpCaller(running.url, running.token) as got:
        yield got


async def compute(caller: HttpCaller, size: int, reader: Reader) -> int:
    piece: types.PieceInfo = await caller.call("ComputeDataCid", size, reader, result=types.PieceInfo)
    return piece.Size


async def test_a_filler_piece_is_a_number_and_opens_no_stream(running: Running, caller: HttpCaller) -> None:
    assert await compute(caller, 2032, NullReader(2032)) == 2032
    assert running.miner.seen == [bytes(2032)]


async def test_pushed_data_arrives_whole(running: Running, caller: HttpCaller, tmp_path: Any) -> None:
    assert await compute(caller, len(DATA), BytesReader(DATA)) == len(DATA)
    file = tmp_path / "piece"
    file.write_bytes(DATA * 1000)
    assert await compute(caller, len(DATA) * 1000, FileReader(str(file))) == len(DATA) * 1000
    assert running.miner.seen == [DATA, DATA * 1000]


async def test_a_receiver_that_wants_less_still_lets_the_sender_go(
    running: Running, caller: HttpCaller
) -> None:
    assert await compute(caller, 100, BytesReader(DATA)) == 100
    await asyncio.gather(*caller._feeding)


async def test_an_unread_stream_is_closed_with_204(running: Running) -> None:
    async def unread(size: int, reader: Reader) -> types.PieceInfo:
        await reader.close()
        return types.PieceInfo()

    running.server.engine.methods["Filecoin.ComputeDataCid"].call = unread
    id_ = str(uuid.uuid4())
    async with aiohttp.ClientSession() as session:
        head = asyncio.create_task(session.head(f"{push_url(running.url)}/{id_}"))
        async with HttpCaller(running.url, running.token) as caller:
            await caller.call("ComputeDataCid", 5, {"Type": "push", "Info": id_})
        assert (await head).status == 204


async def test_a_method_that_fails_or_is_refused_lets_the_sender_go(running: Running) -> None:
    async def fails(size: int, reader: Reader) -> types.PieceInfo:
        raise RpcError(1, "no good path found")

    running.server.engine.methods["Filecoin.ComputeDataCid"].call = fails
    for token in (running.token, ""):
        async with HttpCaller(running.url, token) as caller:
            with pytest.raises(RpcError):
                await compute(caller, 5, BytesReader(DATA))
            await asyncio.gather(*caller._feeding)


async def test_old_clients_post_at_once_without_asking(running: Running) -> None:
    id_ = str(uuid.uuid4())
    body = json.dumps(
        {"id": 1, "method": "Filecoin.ComputeDataCid", "params": [len(DATA), {"Type": "push", "Info": id_}]}
    )
    async with aiohttp.ClientSession() as session:
        call = asyncio.create_task(
            session.post(running.url, data=body, headers={"Authorization": f"Bearer {running.token}"})
        )
        async with session.post(f"{push_url(running.url)}/{id_}", data=DATA) as pushed:
            assert pushed.status == 200
        assert (await (await call).json())["result"]["Size"] == len(DATA)


async def test_the_miner_sends_the_data_straight_on_to_the_worker(running: Running) -> None:
    """Nothing of it is read at the miner: its HEAD is answered 302 and the client pushes to the worker."""
    worker = FakeMiner()
    worker_running, runner = await start(worker)
    onward = HttpCaller(worker_running.url, worker_running.token)

    async def pass_on(size: int, reader: Reader) -> types.PieceInfo:
        got: types.PieceInfo = await onward.call("ComputeDataCid", size, reader, result=types.PieceInfo)
        return got

    running.server.engine.methods["Filecoin.ComputeDataCid"].call = pass_on
    async with HttpCaller(running.url, running.token) as caller:
        assert await compute(caller, len(DATA), BytesReader(DATA)) == len(DATA)
    assert worker.seen == [DATA]
    await onward.close()
    await runner.cleanup()


async def test_data_behind_a_url_is_fetched_when_read(running: Running, caller: HttpCaller) -> None:
    served = aiohttp.web.Application()

    async def give(request: aiohttp.web.Request) -> aiohttp.web.Response:
        assert "Authorization" not in request.headers
        if request.path == "/nothing":
            return aiohttp.web.Response(status=404)
        answer = aiohttp.web.Response(body=DATA)
        if request.path == "/zipped":  # a web server that packs whatever it may
            answer.enable_compression()
        return answer

    served.router.add_get("/{name}", give)
    runner = aiohttp.web.AppRunner(served)
    await runner.setup()
    await aiohttp.web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    for name in ("data", "zipped"):
        assert await compute(caller, len(DATA), HttpReader(f"{base}/{name}")) == len(DATA)
        assert running.miner.seen[-1] == DATA
    with pytest.raises(RpcError, match="non-200 status code '404'"):
        await compute(caller, len(DATA), HttpReader(f"{base}/nothing"))
    await runner.cleanup()


@pytest.mark.parametrize(
    ("param", "text"),
    [
        (
            {"Type": "null", "Info": "x"},
            'parsing null byte count: strconv.ParseInt: parsing "x": invalid syntax',
        ),
        ({"Type": "push", "Info": "x"}, "parsing reader UUID: invalid UUID length: 1"),
        (5, "unmarshaling reader id"),
        ({"Type": "push", "Info": "5f0d5f5c-6f1e-4b0b-9d57-0d7d5b4f2b7a"}, "handler timed out"),
    ],
)
async def test_a_reader_that_is_none_is_a_parse_error(param: object, text: str) -> None:
    running, runner = await start(FakeMiner(), streams=StreamHub(timeout=0.01))
    async with HttpCaller(running.url, running.token) as caller:
        with pytest.raises(RpcError) as refused:
            await caller.call("ComputeDataCid", 5, param)
    assert refused.value.code == -32700
    assert refused.value.message.startswith(
        "decoding params for 'Filecoin.ComputeDataCid' (param: 1; custom decoder): " + text
    )
    await runner.cleanup()


async def test_stream_requests_that_nobody_wants_or_nobody_knows() -> None:
    running, runner = await start(FakeMiner(), streams=StreamHub(timeout=0.01))
    url = push_url(running.url)
    id_ = uuid.uuid4()
    async with aiohttp.ClientSession() as session:
        for method, path, status in (
            ("HEAD", f"{url}/{id_}", 500),
            ("POST", f"{url}/{id_}", 500),
            ("HEAD", f"{url}/xyz", 400),
            ("GET", f"{url}/{id_}", 405),
        ):
            async with session.request(method, path) as answer:
                assert answer.status == status, method
        async with session.head(f"{url}/{id_}", headers={"Authorization": "Bearer abc"}) as answer:
            assert answer.status == 401
    with pytest.raises(OSError, match="non-200 status"):
        await send(BytesReader(DATA), f"{url}/{id_}")
    assert not running.server.streams._slots
    await runner.cleanup()


def test_push_urls_stand_beside_the_rpc_url() -> None:
    assert push_url("http://10.0.0.5:3456/rpc/v0") == "http://10.0.0.5:3456/rpc/streams/v0/push"
    assert push_url("wss://h/x/rpc/v0") == "https://h/x/rpc/streams/v0/push"
