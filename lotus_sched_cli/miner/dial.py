"""Callers of the workers' APIs: each worker has a pool of connections of its own.

httpx looks at every connection of a pool for every call, so one pool for all would cost a call at a thousand workers a
thousand times what it costs at one.
"""

from __future__ import annotations

import ssl

import httpx

from lotus_sched_cli.lotus.rpc.client import Caller, HttpCaller
from lotus_sched_cli.lotus.rpc.goclient import go_transport


class Dialer:
    """Called with a worker's URL, gives a caller with the miner's own token for workers."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._limits = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=60)
        # Workers speak plain HTTP on a private network; a TLS context per worker would cost a megabyte each.
        self._context = ssl.create_default_context()

    def __call__(self, url: str) -> Caller:
        transport = go_transport(verify=self._context, limits=self._limits, trust_env=False)
        return HttpCaller(url, self._token, transport=transport)
