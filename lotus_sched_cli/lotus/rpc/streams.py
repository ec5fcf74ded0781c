"""Reader parameters (Lotus ``lib/rpcenc/reader.go``): streams of bytes beside a JSON-RPC call, both ways.

On the wire such a parameter is ``{"Type": "null"|"http"|"push", "Info": …}``. `StreamHub` is the receiving side: it
lets the parameter and its request on ``/rpc/streams/v0/push/<uuid>`` meet. `send` is the sending side.
"""

from __future__ import annotations

import asyncio
import contextlib
import posixpath
import uuid
from collections import deque
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Final, Protocol, runtime_checkable
from urllib.parse import urljoin, urlsplit, urlunsplit

import httpx
import msgspec
from aiohttp import web

from lotus_sched_cli.lotus import gojson, logs

from . import gohttp
from .goclient import as_go, go_transport

log = logs.get("rpcenc")

#: Seconds that a parameter and its stream request wait for each other.
RENDEZVOUS: Final = 30.0
PUSH_PATH: Final = "/rpc/streams/v0/push"
_CHUNK: Final = 1 << 20
#: A reader may wait for hours for the next byte.
_TIMEOUT: Final = httpx.Timeout(None, connect=30)


@runtime_checkable
class Reader(Protocol):
    """A stream of raw bytes. ``read`` gives at most n bytes (any number for −1), ``b""`` at the end; always close it."""

    async def read(self, n: int = -1) -> bytes: ...

    async def close(self) -> None: ...


class ReaderStream(msgspec.Struct, frozen=True):
    """The JSON of a reader parameter."""

    Type: str = ""
    Info: str = ""


class NullReader:
    """So many zero bytes: filler pieces. Travels as a number, no stream is opened."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._left = size

    async def read(self, n: int = -1) -> bytes:
        take = min(self._left, _CHUNK if n < 0 else n)
        self._left -= take
        return bytes(take)

    async def close(self) -> None:
        self._left = 0


class BytesReader:
    """Bytes at hand."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)

    async def read(self, n: int = -1) -> bytes:
        take = len(self._data) if n < 0 else n
        out, self._data = bytes(self._data[:take]), self._data[take:]
        return out

    async def close(self) -> None:
        self._data = self._data[:0]


class FileReader:
    """A local file, read in a thread."""

    def __init__(self, path: str) -> None:
        self._file = Path(path).open("rb")  # noqa: SIM115

    async def read(self, n: int = -1) -> bytes:
        return await asyncio.to_thread(self._file.read, _CHUNK if n < 0 else n)

    async def close(self) -> None:
        self._file.close()


class HttpReader:
    """What a URL gives: a plain GET without a token at the first read; anything but 200 is an error."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client: httpx.AsyncClient | None = None
        self._chunks: AsyncIterator[bytes] | None = None
        self._response: httpx.Response | None = None
        self._rest = b""

    async def read(self, n: int = -1) -> bytes:
        if self._chunks is None:
            self._client = as_go(
                httpx.AsyncClient(transport=go_transport(), timeout=_TIMEOUT, follow_redirects=True)
            )
            try:
                request = self._client.build_request("GET", self.url)
                self._response = await self._client.send(request, stream=True)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise OSError(f"http reader {self.url}: {error}") from error
            if self._response.status_code != 200:
                raise OSError(f"non-200 status code '{self._response.status_code}' from {self.url}")
            self._chunks = self._response.aiter_bytes(_CHUNK)
        while not self._rest:
            try:
                self._rest = await anext(self._chunks)
            except StopAsyncIteration:
                return b""
            except httpx.HTTPError as error:
                raise OSError(f"http reader {self.url}: {error}") from error
        if n < 0:
            out, self._rest = self._rest, b""
        else:
            out, self._rest = self._rest[:n], self._rest[n:]
        return out

    async def close(self) -> None:
        if self._response is not None:
            await self._response.aclose()
        if self._client is not None:
            await self._client.aclose()


class PushReader:
    """Data that the caller pushes. Nothing flows until the first read; unread, it can be passed on by `redirect`."""

    def __init__(self, hub: StreamHub, id_: uuid.UUID, first: _Arrival) -> None:
        self._hub = hub
        self._id = id_
        self._head: _Arrival | None = None if first.has_body else first
        self._body: _Arrival | None = first if first.has_body else None
        self._closed = False

    @property
    def can_redirect(self) -> bool:
        """Whether the sender still waits to be told where to send."""
        return self._head is not None and self._body is None and not self._closed

    def redirect(self, url: str) -> None:
        """Send the sender elsewhere (HEAD answered 302). Raises RuntimeError once read or closed."""
        if not self.can_redirect or self._head is None:
            raise RuntimeError("the stream's data is on its way here already")
        self._closed = True
        self._head.answer(302, url)

    async def read(self, n: int = -1) -> bytes:
        if self._closed:
            return b""
        if self._body is None:
            if self._head is not None:
                self._head.answer(200)
            self._body = await self._hub.meet(self._id)
        try:
            content = self._body.request.content
            data = await (content.readany() if n < 0 else content.read(n))
        except (web.HTTPException, ConnectionError, asyncio.IncompleteReadError, OSError) as error:
            self._body.answer(200)
            raise OSError(f"stream broke off: {error}") from error
        except Exception as error:
            self._body.answer(200)
            raise OSError(f"stream broke off: {error!r}") from error
        if not data and n != 0:
            self._closed = True
            self._body.answer(200)
        return data

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._body is not None:
            self._body.answer(200)
        elif self._head is not None:
            self._head.answer(204)


class _Arrival:
    """A stream request that is held open until the receiver has decided."""

    def __init__(self, request: web.Request) -> None:
        self.request = request
        self.has_body = request.method == "POST"
        self.taken = asyncio.Event()
        self.decided: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()

    def answer(self, status: int, location: str = "") -> None:
        if not self.decided.done():
            self.decided.set_result((status, location))


class StreamHub:
    """Where reader parameters and their stream requests meet, by UUID."""

    def __init__(self, timeout: float = RENDEZVOUS) -> None:
        self._timeout = timeout
        self._slots: dict[uuid.UUID, _Slot] = {}
        self._open: set[_Arrival] = set()

    def routes(self) -> list[web.RouteDef]:
        return [web.route("*", PUSH_PATH + "/{uuid}", self.handle)]

    async def decode(self, data: bytes) -> Reader:
        """The reader of a parameter. Raises ValueError (no such parameter) or TimeoutError (nobody came)."""
        try:
            stream = gojson.decoder(ReaderStream)(data)
        except msgspec.DecodeError as error:
            raise ValueError(f"unmarshaling reader id: {error}") from None
        if stream.Type == "null":
            try:
                return NullReader(int(stream.Info, 10))
            except ValueError:
                raise ValueError(
                    f'parsing null byte count: strconv.ParseInt: parsing "{stream.Info}": invalid syntax'
                ) from None
        if stream.Type == "http":
            return HttpReader(stream.Info)
        try:
            id_ = uuid.UUID(stream.Info)
        except ValueError:
            raise ValueError(f"parsing reader UUID: {_uuid_error(stream.Info)}") from None
        return PushReader(self, id_, await self.meet(id_))

    async def meet(self, id_: uuid.UUID) -> _Arrival:
        """The next stream request with this UUID. Raises TimeoutError after the rendezvous time."""
        slot = self._slots.setdefault(id_, _Slot())
        if slot.arrivals:
            arrival = slot.arrivals.popleft()
            arrival.taken.set()
            self._tidy(id_)
            return arrival
        taker: asyncio.Future[_Arrival] = asyncio.get_running_loop().create_future()
        slot.takers.append(taker)
        try:
            async with asyncio.timeout(self._timeout):
                return await taker
        except TimeoutError:
            raise TimeoutError("handler timed out") from None
        finally:
            with contextlib.suppress(ValueError):
                slot.takers.remove(taker)
            self._tidy(id_)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """HEAD and POST on ``/rpc/streams/v0/push/<uuid>``."""
        try:
            id_ = uuid.UUID(request.match_info["uuid"])
        except ValueError:
            return gohttp.refusal(400, f"parsing reader uuid: {_uuid_error(request.match_info['uuid'])}")
        if request.method not in ("HEAD", "POST"):
            return gohttp.refusal(405, "unsupported method")
        arrival = _Arrival(request)
        self._open.add(arrival)
        try:
            if not await self._offer(id_, arrival):
                log.error("context error in reader stream handler (1): context deadline exceeded")
                return web.Response(status=500)
            status, location = await arrival.decided
        finally:
            self._open.discard(arrival)
        if not location:
            return web.Response(status=status)
        # as http.Redirect does, for which a HEAD is what a browser asked
        return web.Response(
            status=status, headers={"Location": location, "Content-Type": "text/html; charset=utf-8"}
        )

    def close(self) -> None:
        """End every stream that is held open (500), for shutdown."""
        for arrival in list(self._open):
            arrival.answer(500)

    async def _offer(self, id_: uuid.UUID, arrival: _Arrival) -> bool:
        """Hand a stream request to who waits for it; False when nobody came in time."""
        slot = self._slots.setdefault(id_, _Slot())
        while slot.takers:
            taker = slot.takers.popleft()
            if not taker.done():
                taker.set_result(arrival)
                return True
        slot.arrivals.append(arrival)
        try:
            async with asyncio.timeout(self._timeout):
                await arrival.taken.wait()
                return True
        except TimeoutError:
            return False
        finally:
            with contextlib.suppress(ValueError):
                slot.arrivals.remove(arrival)
            self._tidy(id_)

    def _tidy(self, id_: uuid.UUID) -> None:
        slot = self._slots.get(id_)
        if slot is not None and not slot.arrivals and not slot.takers:
            del self._slots[id_]


class _Slot:
    """Who waits at one UUID: requests for a taker, takers for a request."""

    def __init__(self) -> None:
        self.arrivals: deque[_Arrival] = deque()
        self.takers: deque[asyncio.Future[_Arrival]] = deque()


async def describe(reader: Reader, rpc_url: str) -> tuple[ReaderStream, Awaitable[None] | None]:
    """The JSON of a reader parameter for a call to ``rpc_url``, and what must run beside the call to feed it.

    An unread `PushReader` is passed on: its sender is redirected, and its data never comes through here.
    """
    if isinstance(reader, NullReader):
        return ReaderStream("null", str(reader.size)), None
    if isinstance(reader, HttpReader):
        return ReaderStream("http", reader.url), None
    id_ = str(uuid.uuid4())
    url = f"{push_url(rpc_url)}/{id_}"
    if isinstance(reader, PushReader) and reader.can_redirect:
        reader.redirect(url)
        return ReaderStream("push", id_), None
    return ReaderStream("push", id_), send(reader, url)


def push_url(rpc_url: str) -> str:
    """Where to push data for a server with this RPC URL: ``http://h:p/rpc/v0`` → ``http://h:p/rpc/streams/v0/push``."""
    parts = urlsplit(rpc_url)
    scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
    path = posixpath.normpath(posixpath.join(parts.path or "/", "../streams/v0/push"))
    return urlunsplit((scheme, parts.netloc, path, "", ""))


async def send(reader: Reader, url: str) -> None:
    """Push a reader's bytes: HEAD until told where (302 any number of times), then one chunked POST; closes the reader.

    Raises OSError when the receiver cannot be reached or refuses.
    """
    headers = {"Content-Type": "application/octet-stream"}
    try:
        client = as_go(httpx.AsyncClient(transport=go_transport(), timeout=_TIMEOUT, headers=headers))
        async with client:
            while True:
                answer = await client.head(url, follow_redirects=False)
                if answer.status_code != 302:
                    break
                url = urljoin(url, answer.headers.get("Location", ""))
            if answer.status_code == 204:
                return
            if answer.status_code != 200:
                raise OSError(f"non-200 status ({answer.status_code}) from {url}")
            answer = await client.post(url, content=_chunks(reader))
            if answer.status_code != 200:
                raise OSError(f"non-200 status ({answer.status_code}) from {url}")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise OSError(f"pushing data to {url}: {error}") from error
    finally:
        await reader.close()


async def _chunks(reader: Reader) -> AsyncIterator[bytes]:
    while data := await reader.read(_CHUNK):
        yield data


def _uuid_error(text: str) -> str:
    return f"invalid UUID length: {len(text)}" if len(text) not in (32, 36, 38, 45) else "invalid UUID format"
