"""Downloading a sector file or folder from another store, and asking one to delete its copy.

Source: Lotus ``storage/paths/fetch.go``, ``storage/paths/remote.go`` (deleteFromRemote).
"""

from __future__ import annotations

import http.client
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from lotus_sched_cli.lotus.rpc.goclient import GO_HEADERS

from .body import Body
from .errors import StorageError, os_error
from .extents import preallocate
from .tars import sync_folder, unpack

CONNECT_TIMEOUT = 30.0
#: Seconds without a byte after which a transfer is given up.
STALL = 300.0


class Download:
    """One transfer, run in a thread of its own, cancelled from anywhere.

    ``done`` bytes have come in of ``total`` (None for a folder). A failure leaves what came in at ``dest``: the caller
    removes it.
    """

    def __init__(
        self, url: str, dest: Path, headers: Mapping[str, str], *, durable: bool = False, stall: float = STALL
    ) -> None:
        self.url = url
        self.dest = dest
        self.total: int | None = None
        self._headers = headers
        self._durable = durable
        self._stall = stall
        self._body: Body | None = None
        self._sock: socket.socket | None = None
        self._cancelled = threading.Event()

    @property
    def done(self) -> int:
        return self._body.done if self._body is not None else 0

    def cancel(self) -> None:
        """Ends the transfer; `run` raises at once."""
        self._cancelled.set()
        if self._sock is not None:
            try:
                self._sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # over already

    def run(self) -> int:
        """Gives the bytes written. Raises StorageError."""
        connection = _connect(self.url, self._stall)
        sock = self._sock = connection.sock
        try:
            if self._cancelled.is_set():
                raise StorageError("cancelled")
            answer = _request(connection, "GET", self.url, self._headers)
            if answer.status != 200:
                raise StorageError(f"non-200 code: {answer.status}")
            kind = (answer.getheader("Content-Type") or "").split(";")[0].strip().lower()
            with Body(sock, answer, self._stall) as body:
                self._body = body
                self.total = body.length
                if kind == "application/x-tar":
                    return unpack(body, self.dest, durable=self._durable)
                if kind == "application/octet-stream":
                    return self._file(body)
            raise StorageError(f"unknown content type: '{kind}'")
        except (OSError, http.client.HTTPException) as err:
            raise StorageError(f"{type(err).__name__}: {err}") from None
        finally:
            connection.close()

    def _file(self, body: Body) -> int:
        try:
            out = os.open(self.dest, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            try:
                preallocate(out, body.length or 0)
                got = body.pour(out)
                if self._durable:
                    os.fsync(out)
            finally:
                os.close(out)
            if self._durable:
                sync_folder(self.dest.parent)
        except OSError as err:
            raise os_error(f"writing {self.dest}", err) from None
        return got


def delete(url: str, headers: Mapping[str, str], timeout: float = 60.0) -> None:
    """Asks another store to remove a file (``keep`` and all in the URL). Blocks. Raises StorageError."""
    with _answered("DELETE", url, headers, timeout, (200,)) as answer:
        answer.read()


def look(url: str, headers: Mapping[str, str], timeout: float = 60.0) -> None:
    """Whether another store would send this file or folder; nothing of it is read. Blocks. Raises StorageError if not."""
    with _answered("GET", url, headers, timeout, (200, 206)):
        pass


@contextmanager
def _answered(
    method: str, url: str, headers: Mapping[str, str], timeout: float, good: tuple[int, ...]
) -> Iterator[http.client.HTTPResponse]:
    """The answer to a question that has no body. Raises StorageError for a status that is not ``good``, too."""
    connection = _connect(url, timeout)
    try:
        answer = _request(connection, method, url, headers)
        if answer.status not in good:
            raise StorageError(f"non-200 code: {answer.status}")
        yield answer
    except (OSError, http.client.HTTPException) as err:
        raise StorageError(f"{method} {url}: {err}") from None
    finally:
        connection.close()


def _connect(url: str, timeout: float) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise StorageError(f"no address to fetch from: {url}")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=min(CONNECT_TIMEOUT, timeout))
    try:
        connection.connect()
    except OSError as err:
        raise StorageError(f"dial tcp {parts.hostname}:{parts.port}: {err.strerror or err}") from None
    connection.sock.settimeout(timeout)
    return connection


def _request(
    connection: http.client.HTTPConnection, method: str, url: str, headers: Mapping[str, str]
) -> http.client.HTTPResponse:
    connection.auto_open = 0  # a lost connection is an error here, not a second try
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    # as Go's client, but never compressed: what comes in is written as it is
    connection.request(method, target, headers={**GO_HEADERS, "Accept-Encoding": "identity", **headers})
    return connection.getresponse()
