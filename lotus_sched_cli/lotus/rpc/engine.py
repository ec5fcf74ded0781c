"""JSON-RPC as Lotus speaks it, without any transport: bytes of a request in, bytes of the answer out.

Follows go-jsonrpc ``handler.go``: its order of checks, its texts, its error codes. The transports (``server``, and
``client.LocalCaller`` in process) share it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from lotus_sched_cli.lotus import gojson, logs
from lotus_sched_cli.lotus.errors import UserError
from lotus_sched_cli.lotus.methods import MethodSpec, Param, ReaderParam

from .errors import RpcError

log = logs.get("rpc")

PREFIX: Final = "Filecoin."
MAX_BODY: Final = 104857600
#: Permissions of a caller without a token (Lotus ``api/permissioned.go``); each side may set its own.
DEFAULT_PERMS: Final = frozenset({"read"})
ALL_PERMS: Final = frozenset({"read", "write", "sign", "admin"})

PARSE, INVALID_REQUEST, NO_METHOD, INVALID_PARAMS = -32700, -32600, -32601, -32602

ReaderDecoder = Callable[[bytes], Awaitable[Any]]
ChannelOpener = Callable[["Request", Any], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class CallerInfo:
    """Who calls: permissions, address (``10.9.0.2:41234``, empty in process), token text."""

    perms: frozenset[str] = DEFAULT_PERMS
    remote: str = ""
    token: str = ""


_caller: Final[ContextVar[CallerInfo]] = ContextVar("rpc_caller", default=CallerInfo())  # noqa: B039


def caller() -> CallerInfo:
    """Who called the method that is running now."""
    return _caller.get()


class Request(Struct):
    """The envelope; ``id`` None is a notification, ``params`` is left undecoded."""

    id: str | int | float | None = None
    method: str = ""
    params: Raw = Raw(b"")
    meta: dict[str, str] | None = None


class Answer(Struct, frozen=True):
    """What to write: an HTTP status for a plain POST, and the body (empty for a notification)."""

    status: int
    body: bytes


class Fault(Exception):
    """A protocol error: HTTP 400 or 500."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Bound:
    """One method made ready: its decoders and the function that does it."""

    __slots__ = ("_each", "_names", "_whole", "call", "count", "readers", "spec", "wire_name")

    def __init__(self, spec: MethodSpec, call: Callable[..., Awaitable[Any]] | None) -> None:
        self.spec = spec
        self.wire_name = PREFIX + spec.name
        self.call = call
        self.count = len(spec.params)
        self.readers = tuple(i for i, p in enumerate(spec.params) if p.type is ReaderParam)
        types = tuple(Raw if p.type is ReaderParam else p.type for p in spec.params)
        self._each = types
        self._names = gojson.names(*types)
        self._whole = msgspec.json.Decoder(tuple[types] if types else tuple[()]).decode  # type: ignore[valid-type]

    async def decode(self, params: Raw, reader: ReaderDecoder | None) -> list[Any]:
        """Parameters from a JSON array. Raises Fault with Lotus's text."""
        values: list[Any]
        try:
            values = list(self._whole(params)) if self.count or len(params) else []
            if gojson.misspelt(params, self._names):
                values = self._decode_each(bytes(params))
        except (ValueError, RecursionError):
            values = self._decode_each(bytes(params))
        for i in self.readers:
            if reader is None:
                raise Fault(
                    PARSE,
                    f"decoding params for '{self.wire_name}' (param: {i}; custom decoder): no streams here",
                )
            try:
                values[i] = await reader(bytes(values[i]))
            except (ValueError, TimeoutError) as error:
                text = f"decoding params for '{self.wire_name}' (param: {i}; custom decoder): {error}"
                raise Fault(PARSE, text) from None
        return values

    def _decode_each(self, params: bytes) -> list[Any]:
        """Go's lenience and Go's texts, one parameter after another."""
        try:
            whole = gojson.skip_value(params) if params else None
        except msgspec.DecodeError as error:
            raise Fault(PARSE, f"unmarshaling param array: {error}") from None
        if whole is None:
            whole = []
        if not isinstance(whole, list):
            text = f"json: cannot unmarshal {gojson.kind(whole)} into Go value of type []jsonrpc.param"
            raise Fault(PARSE, f"unmarshaling param array: {text}")
        if len(whole) != self.count:
            text = f"wrong param count (method '{self.wire_name}'): {len(whole)} != {self.count}"
            raise Fault(INVALID_PARAMS, text)
        raws = msgspec.json.decode(gojson.encode(whole), type=list[Raw])
        out = []
        for raw, type_, param in zip(raws, self._each, self.spec.params, strict=True):
            try:
                out.append(Raw(bytes(raw)) if type_ is Raw else gojson.decode_lenient(raw, type_))
            except (msgspec.DecodeError, ValueError, TypeError, OverflowError) as error:
                text = f"unmarshaling params for '{self.wire_name}' (param: *{param.go}): {_go_text(raw, param, error)}"
                raise Fault(PARSE, text) from None
        return out


def _go_text(raw: Raw, param: Param, error: Exception) -> str:
    value = gojson.skip_value(bytes(raw))
    # A struct or list of the right kind has the fault somewhere inside; msgspec says where.
    if isinstance(value, dict | list) and "$" in str(error):
        return f"json: {error}"
    got = (
        f"number {gojson.encode(value).decode()}"
        if isinstance(value, int | float) and not isinstance(value, bool)
        else gojson.kind(value)
    )
    return f"json: cannot unmarshal {got} into Go value of type {param.go.removeprefix('*')}"


class Engine:
    """The methods of one program, ready to be called."""

    def __init__(
        self,
        table: Mapping[str, MethodSpec],
        impl: object,
        *,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self.methods: dict[str, Bound] = {}
        for spec in table.values():
            bound = Bound(spec, getattr(impl, spec.name, None))
            self.methods[bound.wire_name] = bound
        for alias, name in (aliases or {}).items():
            if PREFIX + name in self.methods:
                self.methods[alias] = self.methods[PREFIX + name]
        self._decode_request = msgspec.json.Decoder(Request).decode

    def decode_ids(self, params: Raw) -> list[str | int | float]:
        """The ids that ``xrpc.cancel`` names. Raises msgspec.DecodeError."""
        return msgspec.json.decode(params, type=list[str | int | float])

    def parse(self, body: bytes) -> Request:
        """One envelope. Raises EnvelopeFault."""
        try:
            request = self._decode_request(body)
        except (ValueError, RecursionError):
            return _parse_lenient(body)
        if not request.method or request.id is None or not request.params:
            # nothing there, or spelt in another case
            return _parse_lenient(body)
        return request

    async def handle_body(self, body: bytes, who: CallerInfo, reader: ReaderDecoder | None) -> Answer:
        """A whole HTTP body, a batch included."""
        if body[:1] != b"{":
            body = body.strip(b" \t\r\n\v\f\x85\xa0")
            if not body:
                return protocol_answer(INVALID_REQUEST, "Invalid request", None)
            if body[:1] == b"[" and body[-1:] == b"]":
                return await self._handle_batch(body, who, reader)
        try:
            request = self.parse(body)
        except EnvelopeFault as fault:
            return protocol_answer(fault.code, fault.message, fault.id)
        return await self.handle(request, who, reader)

    async def _handle_batch(self, body: bytes, who: CallerInfo, reader: ReaderDecoder | None) -> Answer:
        try:
            items = gojson.skip_value(body)
        except msgspec.DecodeError:
            return protocol_answer(PARSE, "Parse error", None)
        if not items:
            return protocol_answer(INVALID_REQUEST, "Invalid request", None)
        try:
            requests = [_envelope({} if item is None else item) for item in items]
        except EnvelopeFault as fault:
            if fault.message == "Parse error":
                return protocol_answer(PARSE, "Parse error", None)
            requests = None
        answers: list[bytes] = []
        for i, item in enumerate(items):
            try:
                request = requests[i] if requests is not None else _envelope({} if item is None else item)
            except EnvelopeFault as fault:
                answers.append(protocol_answer(fault.code, fault.message, fault.id).body)
                break
            answers.append((await self.handle(request, who, reader)).body)
        # A notification leaves nothing (go-jsonrpc before 0.10.2 left its comma, which is no JSON).
        answers = [a for a in answers if a]
        return Answer(200, b"[" + b",".join(answers) + b"]" if answers else b"")

    async def handle(
        self,
        request: Request,
        who: CallerInfo,
        reader: ReaderDecoder | None,
        channel: ChannelOpener | None = None,
    ) -> Answer:
        """One call. Never raises but CancelledError."""
        id_ = request.id
        bound = self.methods.get(request.method)
        if bound is None:
            return protocol_answer(NO_METHOD, f"method '{request.method}' not found", id_)
        spec = bound.spec
        if spec.channel and channel is None:
            text = f"method '{request.method}' not supported in this mode (no out channel support)"
            return protocol_answer(NO_METHOD, text, id_)
        try:
            values = await bound.decode(request.params, reader)
            result = await self.invoke(bound, values, who)
            if spec.channel and channel is not None:
                await channel(request, result)
                return Answer(200, b"")
            if id_ is None:
                return Answer(200, b"")
            return Answer(
                200, b'{"id":' + id_text(id_) + b',"jsonrpc":"2.0","result":' + gojson.encode(result) + b"}\n"
            )
        except RpcError as error:
            if id_ is None:
                return Answer(200, b"")
            log.debug(f"error in RPC call to '{request.method}': {error.message}")
            return Answer(200, _error_body(error.code, error.message, id_, error.data))
        except Fault as fault:
            return protocol_answer(fault.code, fault.message, id_)
        except Exception as error:
            log.error(f"panic in rpc method '{request.method}': {error!r}", exc=error)
            text = f"panic in rpc method '{request.method}': {error or type(error).__name__}"
            return protocol_answer(0, f"fatal error calling '{request.method}': {text}", id_)

    async def invoke(self, bound: Bound, values: list[Any], who: CallerInfo) -> Any:
        """Check the permission and run the method. Raises what the method raises."""
        spec = bound.spec
        if spec.perm not in who.perms:
            await _close_readers(bound, values)
            raise RpcError(1, f"missing permission to invoke '{spec.name}' (need '{spec.perm}')")
        if bound.call is None:
            await _close_readers(bound, values)
            raise RpcError(1, "method not supported")
        before = _caller.set(who)
        try:
            return await bound.call(*values)
        except UserError as error:
            await _close_readers(bound, values)
            raise RpcError(1, error.text) from error
        except BaseException:
            await _close_readers(bound, values)
            raise
        finally:
            _caller.reset(before)


class EnvelopeFault(Fault):
    """A fault of the envelope, with the id to echo."""

    def __init__(self, code: int, message: str, id_: Any) -> None:
        super().__init__(code, message)
        self.id = id_


async def _close_readers(bound: Bound, values: list[Any]) -> None:
    for i in bound.readers:
        close = getattr(values[i], "close", None)
        if close is not None:
            await asyncio.shield(close())


def _parse_lenient(body: bytes) -> Request:
    try:
        value = gojson.skip_value(body)
    except msgspec.DecodeError:
        raise EnvelopeFault(PARSE, "Parse error", None) from None
    if value is None:
        value = {}
    return _envelope(value)


def _envelope(value: Any) -> Request:
    """Go's reading of an envelope: names in any case, later ones win, wrong types are a parse error with the id."""
    if not isinstance(value, dict):
        raise EnvelopeFault(PARSE, "Parse error", None)
    got = {k.lower(): v for k, v in value.items()}
    id_, method, meta = got.get("id"), got.get("method"), got.get("meta")
    good = (
        (method is None or isinstance(method, str))
        and isinstance(got.get("jsonrpc", ""), str | None)
        and (
            meta is None or (isinstance(meta, dict) and all(isinstance(v, str | None) for v in meta.values()))
        )
    )
    if not good:
        raise EnvelopeFault(PARSE, "Parse error", id_)
    if isinstance(id_, bool | list | dict):
        name = {bool: "bool", list: "[]interface {}", dict: "map[string]interface {}"}[type(id_)]
        raise EnvelopeFault(PARSE, f"failed to parse ID: invalid id type: {name}", None)
    params = Raw(gojson.encode(got["params"])) if got.get("params") is not None else Raw(b"")
    return Request(id_, method or "", params, None)


def id_text(value: Any) -> bytes:
    """An id echoed as Go does: numbers by way of float64."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return gojson.encode(value)
    if isinstance(value, int) and -(1 << 53) < value < (1 << 53):
        return b"%d" % value
    try:
        return gojson.format_float(float(value)).encode()
    except (OverflowError, ValueError):
        return b"null"


def _error_body(code: int, message: str, id_: Any, data: Any = None) -> bytes:
    error: dict[str, Any] = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return b'{"error":' + gojson.encode(error) + b',"id":' + id_text(id_) + b',"jsonrpc":"2.0"}\n'


def protocol_answer(code: int, message: str, id_: Any) -> Answer:
    return Answer(400 if code == INVALID_REQUEST else 500, _error_body(code, message, id_))
