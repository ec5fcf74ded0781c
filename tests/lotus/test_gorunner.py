"""A client that begins a request and does not go on is shown the door; one that is slow otherwise is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from lotus_sched_cli.lotus.rpc.gorunner import GoRunner

SECONDS = 0.2
BEGUN = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Le"


@pytest.fixture
async def port() -> AsyncIterator[int]:
    async def echo(request: web.Request) -> web.Response:
        body = await request.read()
        await asyncio.sleep(2 * SECONDS)  # answers may take their time
        return web.Response(body=body)

    app = web.Application()
    app.router.add_post("/", echo)
    runner = GoRunner(app, header_seconds=SECONDS)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


async def closed(reader: asyncio.StreamReader) -> bytes:
    """What still came before the end."""
    return await asyncio.wait_for(reader.read(), 10)


@pytest.mark.parametrize("sent", [b"", b"POS", BEGUN])
async def test_headers_that_never_end_end_the_connection(port: int, sent: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    loop = asyncio.get_running_loop()
    begin = loop.time()
    writer.write(sent)
    assert await closed(reader) == b"", "as Go, without a word"
    assert loop.time() - begin >= SECONDS * 0.9
    writer.close()


async def test_a_slow_body_and_a_pause_between_requests_are_nobodys_business(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(2):
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab")
        await asyncio.sleep(2 * SECONDS)
        writer.write(b"cd")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        assert head.startswith(b"HTTP/1.1 200")
        assert await reader.readexactly(4) == b"abcd"
        await asyncio.sleep(2 * SECONDS)
    writer.write(BEGUN)
    assert await closed(reader) == b"", "the third request has its limit too"
    writer.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_refused_and_no_error_of_ours(
    port: int, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "aiohttp.server")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    assert b" 400 " in (await closed(reader)).split(b"\r\n")[0]
    writer.close()
    (said,) = [record for record in caplog.records if record.name == "aiohttp.server"]
    assert said.levelname == "DEBUG" and said.exc_info is None
    assert said.getMessage().startswith("a request is no HTTP: 400") and "\n" not in said.getMessage()
