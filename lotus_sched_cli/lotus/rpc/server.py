"""Lotus's JSON-RPC over HTTP and WebSocket, on aiohttp: one read, one decode, one write for each call.

    server = RpcServer(methods.MINER, impl, verify, aliases=methods.MINER_ALIASES)
    app = web.Application(); server.attach(app)

``impl``'s methods carry Lotus's names (``async def StorageFindSector(self, sector, types, size, allow_fetch)``) and raise
`RpcError` for a Go error; any other exception is what a panic is in Go. `caller()` tells who called.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, Protocol
from urllib.parse import parse_qs

from aiohttp import WSCloseCode, WSMsgType, web

from lotus_sched_cli.lotus import logs
from lotus_sched_cli.lotus.methods import MethodSpec

from . import gohttp
from .engine import (
    ALL_PERMS,
    DEFAULT_PERMS,
    MAX_BODY,
    PARSE,
    Answer,
    CallerInfo,
    Engine,
    EnvelopeFault,
    Fault,
    Request,
    caller,
    id_text,
    protocol_answer,
)  # fmt: skip
from .errors import RpcConnectError, RpcError
from .streams import StreamHub

__all__ = [
    "ALL_PERMS", "DEFAULT_PERMS", "CallerInfo", "Fault", "RpcConnectError", "RpcError", "RpcServer", "Verify", "caller", "not_found",
]  # fmt: skip

log = logs.get("rpc")
_auth_log = logs.get("auth")

RPC_PATH: Final = "/rpc/v0"
PING_SECONDS: Final = 5.0
_JSON: Final = {"Content-Type": "application/json"}

#: Token text → permissions; raises any exception for a bad token. A ``cached(token)`` attribute, giving a set or
#: None at once, is used first: that is how a local verifier saves the work, and a remote one decides for itself.
Verify = Callable[[str], Awaitable[list[str]]]


class _Cached(Protocol):
    def __call__(self, token: str) -> frozenset[str] | None: ...


class RpcServer:
    """The methods of one program on the wire."""

    def __init__(
        self,
        table: Mapping[str, MethodSpec],
        impl: object,
        verify: Verify,
        aliases: Mapping[str, str] | None = None,
        *,
        default_perms: frozenset[str] = DEFAULT_PERMS,
        max_body: int = MAX_BODY,
        streams: StreamHub | None = None,
        ping_seconds: float = PING_SECONDS,
    ) -> None:
        self.engine = Engine(table, impl, aliases=aliases)
        self.streams = streams or StreamHub()
        self._verify = verify
        self._cached: _Cached | None = getattr(verify, "cached", None)
        self._default = default_perms
        self._max_body = max_body
        self._ping_seconds = ping_seconds
        self._sockets: set[_Socket] = set()
        self._posts: set[asyncio.Task[Any]] = set()
        self._idle: asyncio.Event | None = None

    def routes(self) -> list[web.RouteDef]:
        """``/rpc/v0`` (POST and WebSocket) and ``/rpc/streams/v0/push/{uuid}`` (HEAD and POST)."""
        return [
            web.route("*", RPC_PATH, self._handle),
            *(web.route(r.method, r.path, self._guarded(r.handler)) for r in self.streams.routes()),
        ]

    def rest(self) -> list[web.RouteDef]:
        """Whatever else is asked for: 404, but a bad token is refused first. Add it last."""
        return [web.route("*", "/{path:.*}", self._guarded(not_found))]

    def attach(self, app: web.Application, *, grace: float = 3.0) -> None:
        """Add the routes to an app, and `close` with it."""
        app.add_routes(self.routes())

        async def stop(_: web.Application) -> None:
            await self.close(grace)

        app.on_shutdown.append(stop)

    async def close(self, grace: float = 3.0) -> None:
        """Close every WebSocket and held stream; calls by POST get ``grace`` seconds to end, then are cancelled."""
        self.streams.close()
        await asyncio.gather(*(s.close() for s in list(self._sockets)), return_exceptions=True)
        self._idle = asyncio.Event()
        if self._posts:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await self._idle.wait()
        for task in list(self._posts):
            task.cancel()

    async def authorize(self, request: web.Request) -> CallerInfo | None:
        """Who sent this request; None for a bad token, to be answered by `unauthorized`.

        Token: header ``Authorization: Bearer …``, else ``?token=``. None given: the default permissions.
        """
        token = request.headers.get("Authorization", "")
        if token:
            if not token.startswith("Bearer "):
                _auth_log.warn("missing Bearer prefix in auth header", place="auth/handler.go:29")
                return None
            token = token[7:]
        else:
            token = request.query.get("token", "") if request.query_string else ""
            if not token:
                return CallerInfo(self._default, _remote(request))
        perms = self._cached(token) if self._cached is not None else None
        if perms is None:
            try:
                perms = frozenset(await self._verify(token))
            except Exception as error:
                text = f"JWT Verification failed (originating from {_remote(request)}): {error}"
                _auth_log.warn(text, place="auth/handler.go:39")
                return None
        return CallerInfo(perms, _remote(request), token)

    def _guarded(self, handler: Any) -> Any:
        async def guarded(request: web.Request) -> web.StreamResponse:
            if await self.authorize(request) is None:
                return unauthorized()
            answer: web.StreamResponse = await handler(request)
            return answer

        return guarded

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        who = await self.authorize(request)
        if who is None:
            return unauthorized()
        if "upgrade" in request.headers.get("Connection", "").lower():
            return await self._websocket(request, who)
        try:
            body = await self._read(request)
        except ConnectionError:
            # Killed in the middle of a request; the answer reaches nobody.
            return web.Response(status=400)
        if body is None:
            answer = protocol_answer(PARSE, f"request bigger than maximum {self._max_body} allowed", None)
            response = web.Response(status=500, body=answer.body, headers=_JSON)
            response.force_close()
            return response
        if not who.token and body and _is_form(request):
            # Go looked for the token in the form and has eaten the body by now.
            token = parse_qs(body.decode("latin-1")).get("token", [""])[0]
            if token and (perms := await self._try(token)) is None:
                return unauthorized()
            elif token and perms is not None:
                who = CallerInfo(perms, who.remote, token)
            body = b""
        answer = await self._run(body, who)
        return web.Response(status=answer.status, body=answer.body, headers=_JSON)

    async def _run(self, body: bytes, who: CallerInfo) -> Answer:
        task = asyncio.current_task()
        assert task is not None
        self._posts.add(task)
        try:
            return await self.engine.handle_body(body, who, self.streams.decode)
        finally:
            self._posts.discard(task)
            if self._idle is not None and not self._posts:
                self._idle.set()

    async def _try(self, token: str) -> frozenset[str] | None:
        try:
            return frozenset(await self._verify(token))
        except Exception:
            return None

    async def _read(self, request: web.Request) -> bytes | None:
        """The body, or None if it is too big. Not aiohttp's ``read()``, whose limit belongs to the app."""
        if not request.body_exists:
            return b""
        content = request.content
        chunk = await content.readany()
        if content.at_eof():
            return chunk if len(chunk) <= self._max_body else None
        parts, total = [chunk], len(chunk)
        too_big = (request.content_length or 0) > self._max_body
        while chunk := await content.readany():
            total += len(chunk)
            if total > self._max_body:
                return None
            # Go takes in as much as it allows before it refuses; of what is refused nothing need be kept.
            if not too_big:
                parts.append(chunk)
        return b"".join(parts)

    async def _websocket(self, request: web.Request, who: CallerInfo) -> web.StreamResponse:
        socket = _Socket(self, who)
        self._sockets.add(socket)
        try:
            return await socket.run(request, self._ping_seconds)
        finally:
            self._sockets.discard(socket)


def unauthorized() -> web.Response:
    """401 without body, Go's answer to a bad token."""
    return web.Response(status=HTTPStatus.UNAUTHORIZED)


async def not_found(request: web.Request) -> web.Response:
    """Go's answer to a path that nobody serves."""
    return gohttp.refusal(404, "404 page not found")


class _Socket:
    """One WebSocket connection: calls run side by side, answers come as they are ready."""

    def __init__(self, server: RpcServer, who: CallerInfo) -> None:
        self._server = server
        self._who = who
        # Go's has no limit. Here whoever shows no token has that of a POST: one message could take all memory.
        most = 0 if who.token else server._max_body
        self._ws = web.WebSocketResponse(
            autoping=True, autoclose=True, heartbeat=None, compress=False, max_msg_size=most
        )
        self._running: dict[str | int | float, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._channels = 0

    async def run(self, request: web.Request, ping_seconds: float) -> web.StreamResponse:
        await self._ws.prepare(request)
        pings = asyncio.create_task(self._ping(ping_seconds))
        try:
            async for message in self._ws:
                if message.type is WSMsgType.TEXT:
                    self._take(message.data.encode())
                elif message.type is WSMsgType.BINARY:
                    self._take(message.data)
        finally:
            pings.cancel()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(pings, *self._tasks, return_exceptions=True)
        return self._ws

    async def close(self) -> None:
        with contextlib.suppress(ConnectionError, RuntimeError):
            await self._ws.close(code=WSCloseCode.GOING_AWAY)

    async def _ping(self, seconds: float) -> None:
        # An older Go node never answers these, so nothing is concluded from a missing pong.
        with contextlib.suppress(ConnectionError, RuntimeError):
            while not self._ws.closed:
                await asyncio.sleep(seconds)
                await self._ws.ping()

    def _take(self, data: bytes) -> None:
        """One frame; what cannot be read, batches included, gets silence as in Lotus."""
        try:
            request = self._server.engine.parse(data)
        except (EnvelopeFault, ValueError):
            log.warn("failed to unmarshal frame", place="go-jsonrpc@v0.10.2/websocket.go:885")
            return
        if request.method == "xrpc.cancel":
            self._cancel(request)
        elif request.method and not request.method.startswith("xrpc."):
            task = asyncio.create_task(self._call(request))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            if request.id is not None:
                self._running[request.id] = task

    def _cancel(self, request: Request) -> None:
        try:
            ids = self._server.engine.decode_ids(request.params)
        except ValueError:
            return
        for id_ in ids[:1]:
            task = self._running.get(id_)
            if task is not None:
                task.cancel("xrpc.cancel")

    async def _call(self, request: Request) -> None:
        id_ = request.id
        try:
            answer = await self._server.engine.handle(
                request, self._who, self._server.streams.decode, self._open_channel
            )
        except asyncio.CancelledError as cancelled:
            if cancelled.args != ("xrpc.cancel",) or id_ is None:
                raise
            answer = Answer(200, _cancelled(id_))
        finally:
            if id_ is not None and self._running.get(id_) is asyncio.current_task():
                del self._running[id_]
        if id_ is not None and answer.body:
            await self._write(answer.body)

    async def _open_channel(self, request: Request, _: Any) -> None:
        """A method's channel: answered by its number; `Closing`, the only one, never yields."""
        if request.id is None:
            return
        self._channels += 1
        await self._write(
            b'{"id":' + id_text(request.id) + b',"jsonrpc":"2.0","result":%d}\n' % self._channels
        )

    async def _write(self, body: bytes) -> None:
        with contextlib.suppress(ConnectionError, RuntimeError):
            await self._ws.send_str(body.decode())


def _cancelled(id_: Any) -> bytes:
    return b'{"error":{"code":1,"message":"context canceled"},"id":' + id_text(id_) + b',"jsonrpc":"2.0"}\n'


def _is_form(request: web.Request) -> bool:
    return request.content_type in (
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    ) and request.method in (
        "POST",
        "PUT",
        "PATCH",
    )


def _remote(request: web.Request) -> str:
    peer = request.transport.get_extra_info("peername") if request.transport is not None else None
    if not isinstance(peer, tuple):
        return ""
    return f"[{peer[0]}]:{peer[1]}" if ":" in str(peer[0]) else f"{peer[0]}:{peer[1]}"
