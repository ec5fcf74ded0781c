"""One blocking call of a method, for the commands: standard library only, so that they start at once."""

from __future__ import annotations

import json
import socket
from typing import Any, Final
from urllib.parse import urlsplit

from .errors import RpcConnectError, RpcError
from .plainhttp import Connection

__all__ = ["OneShot", "call"]

_DIAL_SECONDS: Final = 30.0


def call(url: str, token: str, method: str, *params: Any, timeout: float | None = None) -> Any:
    """Call ``Filecoin.<method>`` by POST and give its result as plain JSON values.

    ``url`` as `apiinfo.ApiInfo.url`. ``timeout``: seconds for each wait on the socket, None for no limit (the
    dial has 30 s). Raises RpcError (the other side's error) or RpcConnectError (no answer).
    """
    with OneShot(url, token, timeout=timeout) as peer:
        return peer.call(method, *params)


class OneShot:
    """A connection kept over a few calls, one after another."""

    def __init__(self, url: str, token: str = "", *, timeout: float | None = None) -> None:
        self.url = (
            url.replace("wss://", "https://", 1)
            if url.startswith("wss://")
            else url.replace("ws://", "http://", 1)
        )
        parts = urlsplit(self.url)
        self._path = parts.path + (f"?{parts.query}" if parts.query else "")
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._secure = parts.scheme == "https"
        self._timeout = timeout
        self._headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._connection: Connection | None = None
        self._id = 0

    def __enter__(self) -> OneShot:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def call(self, method: str, *params: Any) -> Any:
        """One call; see the module's `call`."""
        self._id += 1
        request = {"jsonrpc": "2.0", "id": self._id, "method": f"Filecoin.{method}", "params": list(params)}
        body = json.dumps(request, separators=(",", ":"), default=_plain).encode()
        connection = self._connect()
        try:
            status, reason, answer = connection.post(self._path, body, self._headers)
        except TimeoutError:
            self.close()
            raise self._failed("context deadline exceeded", sent=True) from None
        except OSError as error:
            self.close()
            raise self._failed(str(error) or type(error).__name__, sent=True) from None
        if status > 400 and status != 500:
            raise RpcConnectError(
                f"RPC client error: sendRequest failed: request failed, http status {status} {reason}",
                sent=False,
            )
        return _result(answer, self._id, self.url)

    def _connect(self) -> Connection:
        if self._connection is not None and self._connection.sock is not None:
            return self._connection
        connection = self._new_connection()
        where = f"[{self._host}]:{self._port}" if ":" in self._host else f"{self._host}:{self._port}"
        try:
            connection.connect()
        except TimeoutError:
            raise self._failed(f"dial tcp {where}: i/o timeout", sent=False) from None
        except socket.gaierror:
            raise self._failed(f"dial tcp: lookup {self._host}: no such host", sent=False) from None
        except OSError as error:
            text = (error.strerror or str(error)).lower()
            raise self._failed(f"dial tcp {where}: connect: {text}", sent=False) from None
        if connection.sock is not None:
            connection.sock.settimeout(self._timeout)
        self._connection = connection
        return connection

    def _new_connection(self) -> Connection:
        if not self._secure:
            return Connection(self._host, self._port, _DIAL_SECONDS)
        from .tlshttp import TlsConnection  # its parts take a command's start time

        return TlsConnection(self._host, self._port, _DIAL_SECONDS)

    def _failed(self, why: str, *, sent: bool) -> RpcConnectError:
        return RpcConnectError(f'RPC client error: sendRequest failed: Post "{self.url}": {why}', sent=sent)


def _result(answer: bytes, id_: int, url: str) -> Any:
    try:
        got = json.loads(answer)
        error = got.get("error")
    except (ValueError, AttributeError) as problem:
        text = f"{url} does not answer as an API does: {problem}"
        raise RpcConnectError(
            f"RPC client error: sendRequest failed: unmarshaling response: {text}"
        ) from None
    if error is not None:
        raise RpcError(error.get("code", 1), error.get("message", ""), error.get("data"))
    if got.get("id") != id_:
        raise RpcConnectError("RPC client error: request and response id didn't match")
    return got.get("result")


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | bytearray):
        import base64

        return base64.b64encode(value).decode()
    raise TypeError(f"{type(value).__name__} is no JSON value")
