"""Requests as Go's ``net/http`` client sends them, so that a stock peer, or a proxy before it, sees one of its kind.

    client = as_go(httpx.AsyncClient(...))

Recorded of Lotus: ``Host``, ``User-Agent``, ``Content-Length``, ``Authorization``, ``Content-Type`` and
``Accept-Encoding``, nothing else.
"""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import httpx

__all__ = ["GO_HEADERS", "as_go", "span_context"]

GO_HEADERS: Final = {"User-Agent": "Go-http-client/1.1", "Accept-Encoding": "gzip"}


def as_go(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """Without what httpx says of itself."""
    for name in ("Accept", "Connection"):
        client.headers.pop(name, None)
    client.headers.update(GO_HEADERS)
    return client


def span_context() -> str:
    """A trace context that nobody collects, as every call of a Go client carries in ``meta.SpanContext``."""
    seed = os.urandom(24)
    return base64.b64encode(b"\0\0" + seed[:16] + b"\1" + seed[16:] + b"\2\0").decode()
