"""A wire tap: a proxy before a program, which passes each request on as it came and keeps it.

A worker tells its own address in its calls; a tap before the miner puts a tap before the worker into its place, so that
what the miner and other workers ask it is kept too.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

_WORKER = re.compile(rb"http://127\.0\.0\.1:(\d+)")


@dataclass(frozen=True)
class Heard:
    """A request: ``to`` is ``miner`` or a worker's host and port; ``call`` the decoded JSON of an RPC call."""

    to: str
    verb: str
    path: str
    headers: dict[str, str]
    call: dict[str, Any]

    @property
    def method(self) -> str:
        return str(self.call.get("method", "")).removeprefix("Filecoin.")

    @property
    def label(self) -> str:
        """The method, or the verb and the first parts of the path."""
        return self.method or f"{self.verb} {'/'.join(self.path.split('?')[0].split('/')[:3])}"


@dataclass
class Taps:
    """The tap before the miner at ``target`` (``http://HOST:PORT``), and one before each worker that it hears of."""

    target: str
    heard: list[Heard] = field(default_factory=list)
    url: str = ""
    _more: asyncio.Event = field(default_factory=asyncio.Event)
    _workers: dict[str, str] = field(default_factory=dict)
    _runners: list[web.AppRunner] = field(default_factory=list)

    async def __aenter__(self) -> Taps:
        self._session = aiohttp.ClientSession(
            skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(None),
        )
        self.url = await self._open("miner", self.target)
        return self

    async def __aexit__(self, *_: object) -> None:
        for runner in self._runners:
            await runner.cleanup()
        await self._session.close()

    def calls(self, to: str = "") -> list[Heard]:
        """What the miner was asked (``to`` = ``miner``), or else what workers were."""
        return [h for h in self.heard if (h.to == "miner") == (to == "miner")]

    async def until(self, method: str, seconds: float) -> None:
        """Waits for a call of this method."""
        async with asyncio.timeout(seconds):
            while not any(h.method == method for h in self.heard):
                self._more.clear()
                await self._more.wait()

    async def _open(self, to: str, target: str) -> str:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await self._pass(to, target, request)

        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{rest:.*}", handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        self._runners.append(runner)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    async def _pass(self, to: str, target: str, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        call = json.loads(body) if body and request.path == "/rpc/v0" else {}
        headers = {k.decode(): v.decode() for k, v in request.raw_headers}
        self.heard.append(Heard(to, request.method, request.path_qs, headers, call))
        self._more.set()
        if to == "miner":
            for port in _WORKER.findall(body):
                told = b"http://127.0.0.1:" + port
                if told.decode() not in self._workers.values():
                    body = body.replace(told, (await self._before(told.decode())).encode())
        passed = {k: v for k, v in headers.items() if k.lower() not in ("host", "content-length")}
        async with self._session.request(
            request.method, target + request.path_qs, data=body or None, headers=passed
        ) as answer:
            told_headers = {
                k: v
                for k, v in answer.headers.items()
                if k.lower() not in ("content-length", "transfer-encoding")
            }
            return web.Response(status=answer.status, body=await answer.read(), headers=told_headers)

    async def _before(self, worker: str) -> str:
        if worker not in self._workers:
            self._workers[worker] = await self._open(worker.removeprefix("http://"), worker)
        return self._workers[worker]
