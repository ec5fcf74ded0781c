"""Sending files out of an aiohttp answer by ``sendfile`` in a thread of its own.

The event loop's own sendfile would read the disk in the loop's thread: one slow or dead disk would hold up every call
of the process. So a thread writes to the socket while the answer's handler waits.
"""

from __future__ import annotations

import os
import select
import socket
import threading
from collections.abc import Callable, Sequence

from aiohttp import web

from .disk import DiskThreads
from .errors import StorageError, os_error
from .tars import CLOSING, Member

_PIECE = 16 << 20
#: Seconds without the receiver taking a byte, after which a transfer is given up.
STALL = 300.0


async def send_file(
    request: web.Request, answer: web.StreamResponse, disk: DiskThreads, file: int, start: int, count: int
) -> None:
    """The answer with ``count`` bytes of an open file, which is closed. Its Content-Length is set already."""

    def body(out: _Out) -> None:
        out.file(file, start, count)

    try:
        await _run(request, answer, disk, body)
    finally:
        await disk.run(os.close, file)


async def send_tar(
    request: web.Request, answer: web.StreamResponse, disk: DiskThreads, files: Sequence[Member]
) -> None:
    """The answer with an archive, in HTTP chunks."""

    def body(out: _Out) -> None:
        for member in files:
            out.chunk(member.header)
            _send_member(out, member)
        out.chunk(CLOSING)

    answer.enable_chunked_encoding()
    await _run(request, answer, disk, body)


def _send_member(out: _Out, member: Member) -> None:
    try:
        file = os.open(member.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as err:
        raise os_error(f"reading {member.path}", err) from None
    try:
        at = 0
        while at < member.size:
            piece = min(_PIECE, member.size - at)
            out.bytes(b"%x\r\n" % piece)
            out.file(file, at, piece)
            out.bytes(b"\r\n")
            at += piece
        out.chunk(member.padding)
    finally:
        os.close(file)


class _Out:
    """The blocking end: a copy of the connection's socket, which stays non-blocking for the loop's sake."""

    def __init__(self, fd: int, stop: threading.Event) -> None:
        self._socket = socket.socket(fileno=fd)
        self._fd = fd
        self._stop = stop
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)

    def close(self) -> None:
        self._socket.close()

    def chunk(self, data: bytes) -> None:
        if data:
            self.bytes(b"%x\r\n%b\r\n" % (len(data), data))

    def bytes(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                # More follows at once: small pieces travel with what comes after them.
                view = view[self._socket.send(view, socket.MSG_MORE) :]
            except BlockingIOError:
                self._wait()

    def file(self, file: int, start: int, count: int) -> None:
        """Raises StorageError if the file is shorter than it was: the answer cannot be completed."""
        at, end = start, start + count
        while at < end:
            try:
                sent = os.sendfile(self._fd, file, at, min(end - at, _PIECE))
            except BlockingIOError:
                self._wait()
                continue
            if sent == 0:
                raise StorageError(f"the file has shrunk to {at} bytes while it was sent")
            at += sent

    def _wait(self) -> None:
        waited = 0.0
        while not self._poll.poll(500):
            waited += 0.5
            if self._stop.is_set() or waited >= STALL:
                raise StorageError(f"the receiver takes nothing (waited {waited:g} s)")
        if self._stop.is_set():
            raise StorageError("stopped")


async def _run(
    request: web.Request, answer: web.StreamResponse, disk: DiskThreads, body: Callable[[_Out], None]
) -> None:
    writer = await answer.prepare(request)
    transport = request.transport
    raw = transport.get_extra_info("socket") if transport is not None else None
    if (
        writer is None
        or transport is None
        or raw is None
        or transport.get_extra_info("ssl_object") is not None
    ):
        raise StorageError("this connection cannot carry files")  # we serve plain HTTP only, as Lotus does
    writer.send_headers()
    # The thread may write only once the loop has nothing left to write.
    transport.set_write_buffer_limits(0)
    await writer.drain()
    stop = threading.Event()
    out = _Out(os.dup(raw.fileno()), stop)

    def work() -> None:
        try:
            body(out)
        finally:
            out.close()

    try:
        await disk.long(work)
    except BaseException:
        stop.set()
        transport.abort()  # an answer cut short must be seen as cut short
        raise
    transport.set_write_buffer_limits()
    await answer.write_eof()
