"""POST over a plain socket: what ``http.client`` does for a command, without the 30 ms that importing it takes.

Only what an RPC server of Lotus's answers: HTTP/1.1, a body by Content-Length, in chunks, or up to the end of the
connection. Anything else (TLS, proxies) is ``http.client``'s, see `oneshot`.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import BinaryIO

from .goclient import KEEPALIVE


class Disconnected(OSError):
    """The other side closed the connection before the answer was complete."""

    def __str__(self) -> str:
        return "EOF"


class BadAnswer(OSError):
    """What came is no HTTP answer."""


class Connection:
    """One connection, kept while the server keeps it. Raises OSError (a time limit: TimeoutError)."""

    def __init__(self, host: str, port: int, timeout: float | None) -> None:
        self._host, self._port = host, port
        self._host_header = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.sock: socket.socket | None = None
        self._file: BinaryIO | None = None
        self._dial_timeout = timeout

    def connect(self) -> None:
        self.sock = socket.create_connection((self._host, self._port), self._dial_timeout)
        for option in ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), *KEEPALIVE):
            self.sock.setsockopt(*option)
        self._file = self.sock.makefile("rb")

    def close(self) -> None:
        for part in (self._file, self.sock):
            if part is not None:
                part.close()
        self.sock = self._file = None

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, str, bytes]:
        """(status, reason, body) of the answer."""
        assert self.sock is not None and self._file is not None
        lines = [f"POST {path} HTTP/1.1", f"Host: {self._host_header}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        try:
            head = "\r\n".join([*lines, "", ""]).encode("ascii")
        except UnicodeEncodeError:
            raise BadAnswer("token or address hold characters that a request may not hold") from None
        self.sock.sendall(head + body)
        status, reason, answered = self._head(self._file)
        data = self._body(self._file, answered)
        if answered.get("connection", "").lower() == "close":
            self.close()
        return status, reason, data

    def _head(self, file: BinaryIO) -> tuple[int, str, dict[str, str]]:
        first = line_of(file)
        version, _, rest = first.partition(" ")
        code, _, reason = rest.partition(" ")
        if not version.startswith("HTTP/1.") or not code.isdigit():
            raise BadAnswer(f"malformed HTTP response {first[:60]!r}")
        headers = {}
        while line := line_of(file):
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        return int(code), reason, headers

    def _body(self, file: BinaryIO, headers: Mapping[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return b"".join(chunks(file))
        length = headers.get("content-length")
        if length is None:
            data = file.read()
            self.close()
            return data
        if not length.isdigit():
            raise BadAnswer(f"malformed HTTP response: Content-Length {length!r}")
        return exactly(file, int(length))


def chunks(file: BinaryIO) -> list[bytes]:
    """The parts of a chunked body."""
    parts: list[bytes] = []
    while True:
        text = line_of(file).partition(";")[0].strip()
        try:
            size = int(text, 16)
        except ValueError:
            raise BadAnswer(f"malformed HTTP response: chunk size {text[:20]!r}") from None
        if size == 0:
            while line_of(file):
                pass
            return parts
        parts.append(exactly(file, size))
        line_of(file)


def exactly(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise Disconnected
    return data


def line_of(file: BinaryIO) -> str:
    """A line without its end; an empty one ends the headers."""
    line = file.readline(65537)
    if not line.endswith(b"\n"):
        raise Disconnected
    return line.decode("latin-1").rstrip("\r\n")
