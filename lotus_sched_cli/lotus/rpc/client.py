"""Calling Lotus's methods: over HTTP (`HttpCaller`), or in the same process (`LocalCaller`)."""

# ruff: noqa: ASYNC109, E402 — a call has its own time limit, as an option of the call; see the first import

from __future__ import annotations

import asyncio
import itertools
import sys
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

# httpx brings its own command line along where it finds rich and click; a daemon needs neither (5 MiB resident).
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]

import httpx
import msgspec
from msgspec import Raw, Struct

from lotus_sched_cli.lotus import gojson, logs

from .engine import ALL_PERMS, PREFIX, CallerInfo, Engine, Fault
from .errors import RpcConnectError, RpcError
from .goclient import as_go, go_transport, span_context
from .streams import Reader, describe

__all__ = ["Caller", "HttpCaller", "LocalCaller", "RpcConnectError", "RpcError"]

log = logs.get("rpc")
_CONNECT_SECONDS: Final = 30.0
_LIMITS: Final = httpx.Limits(max_connections=100, max_keepalive_connections=100, keepalive_expiry=60)


class Caller(Protocol):
    """Whatever calls Lotus's methods, by their names without ``Filecoin.``.

    Raises RpcError (the other side said no) or RpcConnectError (no answer).
    ``result``: the type to decode to; a JSON null gives its zero value (an empty list for ``list[X]``), as in Go.
    """

    async def call(
        self, method: str, *params: Any, result: Any = Any, timeout: float | None = None
    ) -> Any: ...

    async def close(self) -> None: ...


class HttpCaller:
    """A peer's API by POST, connections kept. ``url`` as in ``http://10.0.0.5:3456/rpc/v0`` (ws:// is taken as http://)."""

    def __init__(
        self,
        url: str,
        token: str = "",
        *,
        timeout: float | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.url = _http(url)
        self.token = token
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self._client = as_go(
            httpx.AsyncClient(
                headers=headers,
                timeout=httpx.Timeout(timeout, connect=_CONNECT_SECONDS, pool=None),
                transport=transport or go_transport(limits=_LIMITS, trust_env=False),
                trust_env=False,
            )
        )
        self._timeout = timeout
        self._ids = itertools.count(1)
        self._feeding: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> HttpCaller:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        for task in list(self._feeding):
            task.cancel()
        await asyncio.gather(*self._feeding, return_exceptions=True)
        await self._client.aclose()

    async def call(self, method: str, *params: Any, result: Any = Any, timeout: float | None = None) -> Any:
        """One call; ``timeout`` in seconds for the whole of it. See `Caller`."""
        id_ = next(self._ids)
        sent = [await self._param(p) for p in params]
        body = b'{"jsonrpc":"2.0","id":%d,"method":"%s","params":%s,"meta":{"SpanContext":"%s"}}' % (
            id_,
            (PREFIX + method).encode(),
            gojson.encode(sent),
            span_context().encode(),
        )
        try:
            async with asyncio.timeout(timeout):
                response = await self._client.post(self.url, content=body)
        except TimeoutError:
            raise self._failed("context deadline exceeded", sent=True) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._connect_error(error) from error
        return _answer(response.status_code, response.content, id_, result)

    async def _param(self, value: Any) -> Any:
        if not isinstance(value, Reader) or isinstance(value, Struct):
            return value
        stream, feed = await describe(value, self.url)
        if feed is not None:
            task: asyncio.Task[None] = asyncio.ensure_future(self._feed(feed))
            self._feeding.add(task)
            task.add_done_callback(self._feeding.discard)
        return stream

    async def _feed(self, feed: Any) -> None:
        try:
            await feed
        except OSError as error:
            log.error(f"reader stream failed: {error}", place="rpcenc/reader.go:95")

    def _connect_error(self, error: Exception) -> RpcConnectError:
        """Go's text for a failed request, so that whoever greps or compares it finds the same."""
        where = _host_port(self.url)
        if isinstance(error, httpx.ConnectTimeout):
            return self._failed(f"dial tcp {where}: i/o timeout", sent=False)
        if isinstance(error, httpx.ConnectError):
            return self._failed(f"dial tcp {where}: {_dial_text(error)}", sent=False)
        if isinstance(error, httpx.TimeoutException):
            return self._failed("context deadline exceeded", sent=True)
        if isinstance(error, httpx.RemoteProtocolError):
            return self._failed("EOF", sent=True)
        if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
            return self._failed(str(error), sent=False)
        return self._failed(str(error) or type(error).__name__, sent=True)

    def _failed(self, why: str, *, sent: bool) -> RpcConnectError:
        return RpcConnectError(f'RPC client error: sendRequest failed: Post "{self.url}": {why}', sent=sent)


class LocalCaller:
    """A program's own methods, in process: the same table, permissions and JSON, no HTTP.

    ``server`` is an `RpcServer` or an `Engine`. Readers are passed as they are.
    """

    def __init__(self, server: Any, perms: frozenset[str] = ALL_PERMS, *, remote: str = "") -> None:
        self._engine: Engine = getattr(server, "engine", server)
        self._who = CallerInfo(frozenset(perms), remote)

    async def close(self) -> None:
        """Nothing is held."""

    async def call(self, method: str, *params: Any, result: Any = Any, timeout: float | None = None) -> Any:
        """One call; see `Caller`. A failure that is no RpcError comes as code 0, as over HTTP."""
        bound = self._engine.methods.get(PREFIX + method)
        if bound is None or bound.spec.channel:
            raise RpcError(-32601, f"method '{PREFIX}{method}' not found")
        readers = {i: params[i] for i in bound.readers if i < len(params)}
        plain = [None if i in readers else p for i, p in enumerate(params)]
        waiting = iter(readers.values())

        async def hand_over(_: bytes) -> Any:
            return next(waiting)

        try:
            async with asyncio.timeout(timeout):
                values = await bound.decode(Raw(gojson.encode(plain)), hand_over)
                value = await self._engine.invoke(bound, values, self._who)
        except Fault as fault:
            raise RpcError(fault.code, fault.message) from None
        except RpcError:
            raise
        except TimeoutError as error:
            raise RpcConnectError("RPC client error: context deadline exceeded") from error
        except Exception as error:
            name = PREFIX + method
            log.error(f"panic in rpc method '{name}': {error!r}", exc=error)
            text = (
                f"fatal error calling '{name}': panic in rpc method '{name}': {error or type(error).__name__}"
            )
            raise RpcError(0, text) from error
        return _decode(gojson.encode(value), result)


class _Error(Struct):
    code: int = 0
    message: str = ""
    data: Any = None


class _Response(Struct):
    id: Any = None
    result: Raw = Raw(b"null")
    error: _Error | None = None


_decode_response: Final = gojson.decoder(_Response)


def _answer(status: int, body: bytes, id_: int, result: Any) -> Any:
    if status > 400 and status != 500:
        phrase = httpx.codes.get_reason_phrase(status)
        text = f"request failed, http status {status} {phrase}".rstrip()
        raise RpcConnectError(f"RPC client error: sendRequest failed: {text}", sent=False)
    try:
        response = _decode_response(body)
    except msgspec.DecodeError as error:
        text = f"http status {status} {httpx.codes.get_reason_phrase(status)} unmarshaling response: {error}"
        raise RpcConnectError(f"RPC client error: sendRequest failed: {text}") from None
    if response.error is not None:
        raise RpcError(response.error.code, response.error.message, response.error.data)
    if response.id != id_:
        raise RpcConnectError("RPC client error: request and response id didn't match")
    return _decode(bytes(response.result), result)


def _decode(data: bytes, result: Any) -> Any:
    if result is None or result is type(None):
        return None
    if data == b"null":
        return gojson.zero(result)
    try:
        return gojson.decoder(result)(data)
    except msgspec.DecodeError as error:
        raise RpcConnectError(f"RPC client error: unmarshaling result: {error}") from None


def _http(url: str) -> str:
    for ws, http in (("ws://", "http://"), ("wss://", "https://")):
        if url.startswith(ws):
            return http + url.removeprefix(ws)
    return url


def _host_port(url: str) -> str:
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _dial_text(error: BaseException) -> str:
    """``connect: connection refused`` and its like, from the OSError underneath."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ConnectionRefusedError):
            return "connect: connection refused"
        if isinstance(seen, OSError) and seen.errno == 113:
            return "connect: no route to host"
        seen = seen.__cause__ or seen.__context__
    text = str(error)
    if "refused" in text or "All connection attempts failed" in text:
        return "connect: connection refused"
    if "Name or service not known" in text or "getaddrinfo" in text or "name resolution" in text:
        return "no such host"
    return f"connect: {text}"
