"""Requests as Go's ``net/http`` client sends them, so that a stock peer, or a proxy before it, sees one of its kind.

    client = as_go(httpx.AsyncClient(transport=go_transport(), ...))

Recorded of Lotus: ``Host``, ``User-Agent``, ``Content-Length``, ``Authorization``, ``Content-Type`` and
``Accept-Encoding``, nothing else.
"""

from __future__ import annotations

import base64
import os
import socket
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import httpx

__all__ = ["GO_HEADERS", "KEEPALIVE", "as_go", "go_transport", "span_context"]

GO_HEADERS: Final = {"User-Agent": "Go-http-client/1.1", "Accept-Encoding": "gzip"}
#: Socket options: a peer that went without a word is found out after 15 s idle and nine probes 15 s apart, as in Go's
#: ``net.Dialer``. A call of Lotus's may take hours, so nothing else would tell.
KEEPALIVE: Final = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 9))
        if hasattr(socket, name)
    ),
]


def as_go(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """Without what httpx says of itself."""
    for name in ("Accept", "Connection"):
        client.headers.pop(name, None)
    client.headers.update(GO_HEADERS)
    return client


def go_transport(**options: Any) -> httpx.AsyncHTTPTransport:
    """httpx's own with Go's `KEEPALIVE`; ``options`` as httpx takes them."""
    import httpx

    return httpx.AsyncHTTPTransport(socket_options=KEEPALIVE, **options)


def span_context() -> str:
    """A trace context that nobody collects, as every call of a Go client carries in ``meta.SpanContext``."""
    seed = os.urandom(24)
    return base64.b64encode(b"\0\0" + seed[:16] + b"\1" + seed[16:] + b"\2\0").decode()
