"""Callers of the workers' APIs. All of them share one pool of connections: a thousand workers cost little."""

from __future__ import annotations

import httpx

from lotus_sched_cli.lotus.rpc.client import Caller, HttpCaller


class Dialer:
    """Called with a worker's URL, gives a caller with the miner's own token for workers."""

    def __init__(self, token: str) -> None:
        self._token = token
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=60)
        # Workers speak plain HTTP on a private network; a TLS context per worker would cost a megabyte each.
        self._transport = httpx.AsyncHTTPTransport(limits=limits, trust_env=False)

    def __call__(self, url: str) -> Caller:
        return HttpCaller(url, self._token, transport=_Shared(self._transport))

    async def close(self) -> None:
        await self._transport.aclose()


class _Shared(httpx.AsyncBaseTransport):
    """The shared transport; closing one caller leaves it open for the others."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._transport.handle_async_request(request)

    async def aclose(self) -> None:
        return None
