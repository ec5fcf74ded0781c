"""Numbers as Lotus prints and reads them: sizes, durations, ages, sector ranges, epochs, times.

Standard library only, for the commands' start. Sources: Lotus ``chain/types/fil.go``, ``types.SizeStr``, ``lib/strle/human.go``,
``cli/util/epoch.go``; docker go-units ``size.go``; Go ``time.Duration``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Final

__all__ = [
    "bytes_size", "deci_str", "fil", "fil_short", "format_runs", "go_age", "go_duration",
    "go_time", "parse_duration", "parse_ranges", "parse_size", "rle_encode", "rle_of_runs",
    "runs_of_rle", "size_str",
]  # fmt: skip

US: Final = 1000
MS: Final = 1_000_000
SECOND: Final = 1_000_000_000

_IEC: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB")
_DECI: Final = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi")


def size_str(size: float) -> str:
    """Bytes as Lotus's ``types.SizeStr``: ``2 KiB``, ``1.324 TiB``, ``0 B``."""
    value, unit = _scaled(size, _IEC)
    return f"{value:.4g} {unit}"


def deci_str(size: float) -> str:
    """Bytes as Lotus's ``types.DeciStr``: ``32 Gi``, ``512 `` (the blank stays), ``0 B``."""
    if not size:
        return "0 B"
    value, unit = _scaled(size, _DECI)
    return f"{value:.3g} {unit}"


def bytes_size(size: float) -> str:
    """Bytes as docker's ``units.BytesSize``: ``32GiB``, ``0B``."""
    value, unit = _scaled(size, (*_IEC, "YiB"))
    return f"{value:.4g}{unit}"


def _scaled(size: float, units: tuple[str, ...]) -> tuple[float, str]:
    value, i = float(size), 0
    while value >= 1024 and i < len(units) - 1:
        value /= 1024
        i += 1
    return value, units[i]


_SIZE_TEXT: Final = re.compile(r"^(\d+(?:\.\d+)?) ?([kKmMgGtTpP])?i?[bB]?$")
_POWER: Final = {"k": 1, "m": 2, "g": 3, "t": 4, "p": 5}


def parse_size(text: str) -> int:
    """Bytes of ``2KiB``, ``512MiB``, ``32GiB``, ``32G``, ``2048``: 1024 a step. Raises ValueError in Lotus's words."""
    match = _SIZE_TEXT.match(text.strip())
    if match is None:
        raise ValueError(f"invalid size: '{text}'")
    number, unit = match.groups()
    from decimal import Decimal  # here: most commands never read a size

    return int(Decimal(number) * 1024 ** _POWER.get((unit or "").lower(), 0))


# --- durations -------------------------------------------------------------------------------------------------

_DURATION_UNITS: Final = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": SECOND,
    "m": 60 * SECOND,
    "h": 3600 * SECOND,
}
_MAX_NS: Final = (1 << 63) - 1


def go_duration(nanoseconds: int) -> str:
    """Go's text of a duration: ``1h52m49.6s``, ``900ms``, ``0s``."""
    if nanoseconds == 0:
        return "0s"
    sign, ns = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    if ns < US:
        return f"{sign}{ns}ns"
    if ns < MS:
        return f"{sign}{_fraction(ns, US)}µs"
    if ns < SECOND:
        return f"{sign}{_fraction(ns, MS)}ms"
    minutes, rest = divmod(ns, 60 * SECOND)
    hours, minutes = divmod(minutes, 60)
    seconds = _fraction(rest, SECOND)
    if hours:
        return f"{sign}{hours}h{minutes}m{seconds}s"
    return f"{sign}{minutes}m{seconds}s" if minutes else f"{sign}{seconds}s"


def _fraction(value: int, unit: int) -> str:
    whole, part = divmod(value, unit)
    digits = str(part).rjust(len(str(unit)) - 1, "0").rstrip("0") if part else ""
    return f"{whole}.{digits}" if digits else str(whole)


def go_age(seconds: float) -> str:
    """An age in ``sealing jobs``: Go's text, cut toward zero to 100 ms."""
    return go_duration(int(seconds * 10) * 100 * MS)


def parse_duration(text: str) -> int:
    """Nanoseconds of a Go duration (``1h30m``, ``1.5s``, ``-2ms``, ``0``). Raises ValueError with Go's text."""
    rest = text
    negative = False
    if rest and rest[0] in "+-":
        negative = rest[0] == "-"
        rest = rest[1:]
    if rest == "0":
        return 0
    if not rest:
        raise ValueError(f"time: invalid duration {_quoted(text)}")
    total = 0
    while rest:
        match = re.match(r"(\d*)(?:\.(\d*))?", rest, re.ASCII)
        whole, part = match.groups() if match else ("", None)
        if not whole and not part:
            raise ValueError(f"time: invalid duration {_quoted(text)}")
        rest = rest[match.end() if match else 0 :]
        unit_match = re.match(r"[^0-9.]*", rest)
        unit = unit_match.group() if unit_match else ""
        if not unit:
            raise ValueError(f"time: missing unit in duration {_quoted(text)}")
        scale = _DURATION_UNITS.get(unit)
        if scale is None:
            raise ValueError(f"time: unknown unit {_quoted(unit)} in duration {_quoted(text)}")
        rest = rest[len(unit) :]
        total += int(whole or "0") * scale
        if part:
            total += int(part) * scale // 10 ** len(part)
        if total > _MAX_NS + (1 if negative else 0):
            raise ValueError(f"time: invalid duration {_quoted(text)}")
    return -total if negative else total


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


# --- times -----------------------------------------------------------------------------------------------------


def go_time(seconds: float | None = None, *, ns: int | None = None) -> str:
    """RFC 3339 in UTC with as many fraction digits as needed; from unix seconds or nanoseconds."""
    total = ns if ns is not None else round((seconds or 0) * 1_000_000) * 1000
    whole, part = divmod(total, SECOND)
    head = datetime.fromtimestamp(whole, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")  # noqa: UP017
    digits = f"{part:09d}".rstrip("0")
    return f"{head}.{digits}Z" if digits else f"{head}Z"


# --- money -----------------------------------------------------------------------------------------------------

_SI: Final = (
    ("a", 0),
    ("f", 3),
    ("p", 6),
    ("n", 9),
    ("μ", 12),
    ("m", 15),
    ("", 18),
)


def fil(atto: int | str) -> str:
    """``types.FIL``: ``0.05 FIL``."""
    return f"{_decimal(int(atto), 18)} FIL"


def fil_short(atto: int | str) -> str:
    """``FIL.Short()``: ``1.5 FIL``, ``50 mFIL``, ``0``."""
    amount = int(atto)
    if amount == 0:
        return "0"
    prefix, power = next((p for p in reversed(_SI) if abs(amount) >= 10 ** p[1]), _SI[0])
    # Half away from zero, as Go's big.Rat.FloatString.
    whole = (abs(amount) * 2000 + 10**power) // (2 * 10**power)
    return f"{'-' if amount < 0 else ''}{_decimal(whole, 3)} {prefix}FIL"


def _decimal(value: int, digits: int) -> str:
    sign, value = ("-", -value) if value < 0 else ("", value)
    whole, part = divmod(value, 10**digits)
    text = str(part).rjust(digits, "0").rstrip("0") if part else ""
    return f"{sign}{whole}.{text}" if text else f"{sign}{whole}"


# --- sets of numbers -------------------------------------------------------------------------------------------


def parse_ranges(text: str) -> list[tuple[int, int]]:
    """``1-3,7`` → [(1, 3), (7, 7)]: ascending, not touching. Raises ValueError in Lotus's words."""
    runs: list[tuple[int, int]] = []
    for i, part in enumerate(text.split(",")):
        first, dash, last = part.strip().partition("-")
        start, end = _run_number(first), _run_number(last) if dash else _run_number(first)
        if start > end:
            raise ValueError(f"run start({start}) can't be greater than run end({end}) (run {i})")
        if runs and start <= runs[-1][1] + 1:
            how = "equal to" if start == runs[-1][1] + 1 else "less than"
            raise ValueError(f"run {i} start({start}) was {how} last run end({runs[-1][1] + 1})")
        runs.append((start, end))
    return runs


def _run_number(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError(f'parsing run bound: strconv.ParseUint: parsing "{text}": invalid syntax')
    return int(text)


def format_runs(runs: Iterable[tuple[int, int]]) -> str:
    """Runs, ascending and not touching, as ``1-3,7``; none at all prints ``0``, as in Lotus."""
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs) or "0"


def rle_of_runs(runs: Iterable[tuple[int, int]]) -> list[int]:
    """Runs as a bit field in Lotus's JSON, however long they are."""
    out: list[int] = []
    at = 0
    for first, last in runs:
        out += [first - at, last - first + 1]
        at = last + 1
    return out or [0]


def runs_of_rle(rle: Iterable[int] | None) -> list[tuple[int, int]]:
    """The runs of a bit field, first and last number of each."""
    out: list[tuple[int, int]] = []
    at = 0
    for i, length in enumerate(rle or ()):
        if i % 2 and length:
            out.append((at, at + length - 1))
        at += length
    return out


def rle_encode(numbers: Iterable[int]) -> list[int]:
    """A bit field as Lotus's JSON: run lengths, the first of zeros; empty is ``[0]``."""
    out: list[int] = []
    at = 0
    for n in sorted(set(numbers)):
        if out and n == at:
            out[-1] += 1
        else:
            out += [n - at, 1]
        at = n + 1
    return out or [0]
