"""JSON as Go's ``encoding/json`` writes and reads it.

Writing: maps sorted by key, ``<``, ``>``, ``&``, U+2028 and U+2029 in strings escaped. Reading (`decode_lenient`): member
names without regard to case, ``null`` leaves the zero value, bytes after the first value ignored. The fast way
is msgspec alone; lenience is tried only where that fails, or where a name is spelt in another case (`misspelt`).
"""

from __future__ import annotations

import json
import math
import re
import types
from collections.abc import Callable
from functools import cache
from typing import Any, Final, NamedTuple, Union, get_args, get_origin

import msgspec

__all__ = [
    "Names", "decode_lenient", "decoder", "encode", "format_float", "kind", "misspelt", "names", "skip_value", "zero",
]  # fmt: skip

_ENCODER: Final = msgspec.json.Encoder(order="deterministic")
_PLAIN: Final = msgspec.json.Encoder()


def encode(value: Any) -> bytes:
    """One value as Go writes it, without a newline. Raises TypeError for what is no JSON."""
    try:
        out = _ENCODER.encode(value)
    except TypeError:
        # A map with int keys: Go sorts them as text, which msgspec does only after making them text.
        out = _PLAIN.encode(msgspec.to_builtins(value, str_keys=True, order="deterministic"))
    # These characters can stand in strings only, so that replacing them anywhere is right.
    if b"<" in out:
        out = out.replace(b"<", b"\\u003c")
    if b">" in out:
        out = out.replace(b">", b"\\u003e")
    if b"&" in out:
        out = out.replace(b"&", b"\\u0026")
    if b"\xe2\x80" in out:
        out = out.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")
    return out


@cache
def decoder(type_: Any) -> Callable[[bytes], Any]:
    """A cached decoder of this type: strict first, Go's lenience where that fails.

    Raises msgspec.ValidationError (wrong type) or msgspec.DecodeError (no JSON).
    """
    strict = msgspec.json.Decoder(type_).decode
    known = names(type_)

    def decode(data: bytes) -> Any:
        try:
            value = strict(data)
        except (ValueError, RecursionError):
            return decode_lenient(data, type_)
        return decode_lenient(data, type_) if misspelt(data, known) else value

    return decode


class Names(NamedTuple):
    """Member names of all structs in a type, as they are spelt and in lower case."""

    exact: frozenset[bytes]
    lower: frozenset[bytes]


_NAME: Final = re.compile(rb'"(\w+)"\s*:')
#: Of a big value only its ends are looked at: what is big is one string in it.
_ENDS: Final = 1 << 16


def misspelt(data: bytes | bytearray | memoryview, known: Names) -> bool:
    """Whether a member is spelt in another case than ours, which Go takes and msgspec would pass over."""
    if not known.lower:
        return False
    text = bytes(data)
    if len(text) > 2 * _ENDS:
        text = text[:_ENDS] + text[-_ENDS:]
    odd = set(_NAME.findall(text)) - known.exact
    return any(name.lower() in known.lower for name in odd)


@cache
def names(*types_: Any) -> Names:
    """The member names that these types know, however deep; none for an envelope, whose inside is left as it is."""
    exact: set[bytes] = set()
    raw = False
    seen: set[Any] = set()

    def walk(type_: Any) -> None:
        nonlocal raw
        raw = raw or type_ is msgspec.Raw
        for inner in get_args(type_):
            walk(inner)
        if isinstance(type_, type) and issubclass(type_, msgspec.Struct) and type_ not in seen:
            seen.add(type_)
            for field in msgspec.structs.fields(type_):
                exact.add(field.encode_name.encode())
                walk(field.type)

    for type_ in types_:
        # a parameter of its own that is left undecoded is no envelope
        if type_ is not msgspec.Raw:
            walk(type_)
    if raw:
        exact.clear()
    return Names(frozenset(exact), frozenset(name.lower() for name in exact))


def decode_lenient(data: bytes | bytearray | memoryview | str, type_: Any) -> Any:
    """Read the first JSON value as Go would; slow. Raises msgspec.ValidationError or msgspec.DecodeError."""
    text = data if isinstance(data, str) else bytes(data).decode("utf-8", "replace")
    value, _ = parse_first(text)
    try:
        return msgspec.convert(_fit(value, type_), type_, str_keys=True)
    except (OverflowError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from None


def parse_first(text: str) -> tuple[Any, int]:
    """The first JSON value in a text and where it ends. Raises msgspec.DecodeError."""
    start = len(text) - len(text.lstrip(" \t\r\n"))
    try:
        value, end = _raw_decode(text, start)
    except (ValueError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from None
    # A lone half of a surrogate pair is a replacement character in Go; Python could not even write it again.
    return (_clean(value) if "\\u" in text else value), end


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {_clean(name): _clean(item) for name, item in value.items()}
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is out of range")
    return number


_raw_decode: Final = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite).raw_decode


def skip_value(data: bytes) -> Any:
    """Alias of `parse_first` for bytes, the value alone."""
    return parse_first(data.decode("utf-8", "replace"))[0]


def zero(type_: Any) -> Any:
    """Go's zero value of a type: None where it may be null, else 0, "", an empty list, a struct of defaults."""
    origin = get_origin(type_)
    if origin in (Union, types.UnionType):
        args = get_args(type_)
        return None if type(None) in args else zero(args[0])
    if hasattr(type_, "__metadata__"):
        return zero(get_args(type_)[0])
    if type_ is Any or type_ is None or type_ is type(None):
        return None
    if origin is not None:
        return origin()
    return type_()


def kind(value: Any) -> str:
    """What Go calls this JSON value in its errors."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def format_float(number: float) -> str:
    """A JSON number as Go writes a float64: ``1``, ``1.5``, ``1e+21``."""
    if number == int(number) and abs(number) < 1e21:
        return str(int(number)) if number or math.copysign(1, number) > 0 else "-0"
    if 1e-6 <= abs(number) < 1e21:
        return f"{number:.20f}".rstrip("0") if "e" in repr(number) else repr(number)
    mantissa, _, exponent = repr(number).partition("e")
    if not exponent:
        return repr(number)
    sign = exponent[0] if exponent[0] in "+-" else "+"
    return f"{mantissa.removesuffix('.0')}e{sign}{exponent.lstrip('+-').lstrip('0').rjust(1 if sign == '-' else 2, '0')}"


def _fit(value: Any, type_: Any) -> Any:
    """Rename members to their exact spelling and put zero values for nulls, as far as the type tells."""
    origin = get_origin(type_)
    if origin in (Union, types.UnionType):
        if value is None:
            return None if type(None) in get_args(type_) else zero(type_)
        inner = [a for a in get_args(type_) if a is not type(None) and a is not msgspec.UnsetType]
        return _fit(value, inner[0]) if len(inner) == 1 else value
    if hasattr(type_, "__metadata__"):
        return _fit(value, get_args(type_)[0])
    if value is None:
        return zero(type_)
    if isinstance(value, list) and origin in (list, tuple, set, frozenset):
        args = get_args(type_)
        if origin is tuple and Ellipsis not in args:
            return (
                [_fit(v, t) for v, t in zip(value, args, strict=False)] if len(value) == len(args) else value
            )
        return [_fit(v, args[0]) for v in value]
    if isinstance(value, dict) and origin is dict:
        return {k: _fit(v, get_args(type_)[1]) for k, v in value.items()}
    if isinstance(value, dict) and isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        return _fit_struct(value, type_)
    return value


def _fit_struct(value: dict[str, Any], type_: type[msgspec.Struct]) -> dict[str, Any]:
    fields = _fields(type_)
    out: dict[str, Any] = {}
    for name, member in value.items():
        found = fields.get(name) or fields.get(name.lower())
        if found is None or (member is None and not found[1]):
            continue
        out[found[0]] = _fit(member, found[2])
    return out


@cache
def _fields(type_: type[msgspec.Struct]) -> dict[str, tuple[str, bool, Any]]:
    """Exact and lower-case names → (exact name, null allowed, type)."""
    out: dict[str, tuple[str, bool, Any]] = {}
    for field in msgspec.structs.fields(type_):
        entry = (field.encode_name, field.type is Any or type(None) in get_args(field.type), field.type)
        out.setdefault(field.encode_name.lower(), entry)
        out[field.encode_name] = entry
    return out
