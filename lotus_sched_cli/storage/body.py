"""The body of an HTTP answer, read or poured into a file without passing through Python's memory.

Loopback and 10 Gbit links are faster than copying twice: ``splice`` moves pages from the socket through a pipe to the
file. Where that is impossible (TLS, odd file systems) plain reads do.
"""

from __future__ import annotations

import errno
import fcntl
import http.client
import os
import socket
import ssl
import struct
from types import TracebackType

from .errors import StorageError

_PIPE = 1 << 20
#: Extents shorter than this are not worth a splice.
_SMALL = 1 << 16


class Body:
    """Reads one answer's body. Only bodies with a length or in chunks: any other may end early unnoticed.

    ``done`` counts bytes handed out. Raises StorageError when the connection ends early or stalls.
    """

    def __init__(self, sock: socket.socket, answer: http.client.HTTPResponse, stall: float) -> None:
        assert answer.fp is not None
        self.length: int | None = answer.length
        self.done = 0
        self._chunked = bool(answer.chunked)
        if self.length is None and not self._chunked:
            raise StorageError("the answer has neither a length nor chunks: its end cannot be told")
        self._stall = stall
        self._in = answer.fp
        self._sock = sock
        self._left = self.length or 0
        self._over = not self._chunked
        self._first = True
        self._pipe: tuple[int, int] | None = None
        self._splice = not isinstance(self._sock, ssl.SSLSocket) and hasattr(os, "splice")
        # The kernel watches the time, for splice too; a timeout of Python's would make the socket non-blocking.
        self._sock.settimeout(None)
        whole, part = int(stall), int(stall % 1 * 1e6)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", whole, part))

    def __enter__(self) -> Body:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for fd in self._pipe or ():
            os.close(fd)
        self._pipe = None

    def read(self, size: int) -> bytes:
        """``size`` bytes, fewer only at the end of the body."""
        parts: list[bytes] = []
        while size and self._more():
            part = self._in.read(min(size, self._left))
            self._took(len(part or b""))
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def pour(self, out: int, size: int | None = None) -> int:
        """Into the file descriptor: ``size`` bytes or all. Gives how many; fewer only at the end of the body."""
        poured = 0
        while (size is None or poured < size) and self._more():
            want = self._left if size is None else min(self._left, size - poured)
            poured += self._pour_some(out, want)
        return poured

    def _more(self) -> bool:
        """Goes to the next chunk if this one is used up; False at the end of the body."""
        if self._left == 0 and not self._over:
            self._next_chunk()
        return self._left > 0

    def _next_chunk(self) -> None:
        if not self._first and self._in.readline(8).strip():
            raise StorageError("broken chunk in the answer")
        self._first = False
        line = self._in.readline(256)
        try:
            self._left = int(line.split(b";")[0], 16)
        except ValueError:
            raise StorageError(
                "unexpected EOF: the other side broke off" if not line else f"broken chunk size {line!r}"
            ) from None
        if self._left == 0:
            self._over = True
            while self._in.readline(8192).strip():
                pass  # trailers

    def _took(self, size: int) -> None:
        if size == 0:
            raise StorageError(
                f"unexpected EOF: the other side broke off, or sent nothing for {self._stall:g} s"
            )
        self._left -= size
        self.done += size

    def _pour_some(self, out: int, want: int) -> int:
        if not self._splice or want < _SMALL:
            data = self._in.read(min(want, _PIPE))
            self._took(len(data or b""))
            _write_all(out, data)
            return len(data)
        waiting = self._in.peek(1)
        if waiting:
            data = self._in.read(min(len(waiting), want))
            self._took(len(data))
            _write_all(out, data)
            if len(data) == want:
                return want
        return len(waiting[:want]) + self._splice_some(out, want - len(waiting[:want]))

    def _splice_some(self, out: int, want: int) -> int:
        if self._pipe is None:
            self._pipe = os.pipe()
            try:
                fcntl.fcntl(self._pipe[1], fcntl.F_SETPIPE_SZ, _PIPE)
            except OSError:
                pass  # a smaller pipe is only slower
        source, sink = self._pipe
        moved = 0
        while moved < want:
            try:
                got = os.splice(self._sock.fileno(), sink, min(want - moved, _PIPE))
            except BlockingIOError:
                got = 0
            except OSError as err:
                if err.errno != errno.EINVAL:
                    raise StorageError(f"connection lost: {os.strerror(err.errno or 0).lower()}") from None
                self._splice = False
                return moved
            self._took(got)
            moved += got
            self._empty_pipe(source, out, got)
            if not self._splice:
                break
        return moved

    def _empty_pipe(self, source: int, out: int, size: int) -> None:
        while size:
            if self._splice:
                try:
                    size -= os.splice(source, out, size)
                    continue
                except OSError as err:
                    if err.errno != errno.EINVAL:
                        raise
                    self._splice = False  # this file system cannot: what is in the pipe is read out
            data = os.read(source, size)
            _write_all(out, data)
            size -= len(data)


def _write_all(out: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(out, view) :]
