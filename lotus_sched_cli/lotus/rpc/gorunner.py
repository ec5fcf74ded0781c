"""Serving as Go's ``net/http`` server does with connections: headers in time, and no end to an idle one before its client's.

Lotus gives a client 30 s for a request's headers (``ReadHeaderTimeout``), bodies and answers have all the time, and an idle
connection stays. Go's clients give an idle one up after 90 s, and lose a call that crosses with our own end of it; so ours
comes much later.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

__all__ = ["GoRunner"]

_IDLE_SECONDS: Final = 600.0


class _Connection(web.RequestHandler):
    """aiohttp's, with a limit for headers; what it knows of its own state is in private members, a test watches them."""

    __slots__ = ("_header_seconds", "_headers_due")

    def __init__(self, *args: Any, header_seconds: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._header_seconds = header_seconds
        self._headers_due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._await_headers()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        waiting = self._waiter is not None and not self._waiter.done()
        if not waiting:
            self._stop_waiting()
        elif self._headers_due is None:
            self._await_headers()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """What is no HTTP is its sender's fault, and no more than a word to us: anybody may send it, all day."""
        why = kw.get("exc_info")
        if isinstance(why, HttpProcessingError):
            self.logger.debug("a request is no HTTP: %s", " ".join(str(why).split())[:200])
        else:
            super().log_exception(*args, **kw)

    def _await_headers(self) -> None:
        if self._header_seconds > 0:
            loop = asyncio.get_running_loop()
            self._headers_due = loop.call_later(self._header_seconds, self.force_close)

    def _stop_waiting(self) -> None:
        if self._headers_due is not None:
            self._headers_due.cancel()
            self._headers_due = None


class _Server(web.Server):
    header_seconds = 30.0

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, header_seconds=self.header_seconds, **self._kwargs)


class GoRunner(web.AppRunner):
    """Runs an application; ``header_seconds`` from a connection's start, or a request's first byte, to its headers' end.

    0: as long as it takes, as in Go.
    """

    __slots__ = ("_header_seconds",)

    def __init__(self, app: web.Application, *, header_seconds: float = 30.0) -> None:
        super().__init__(
            app, access_log=None, handle_signals=False, keepalive_timeout=_IDLE_SECONDS, shutdown_timeout=1
        )
        self._header_seconds = header_seconds

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        made.__class__ = _Server
        made.header_seconds = self._header_seconds  # type: ignore[attr-defined]
        return made
