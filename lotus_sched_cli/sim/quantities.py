"""Durations, sizes and rates as operators write them: ``"4h30m"``, ``"14TiB"``, ``"10Gbit"``."""

from __future__ import annotations

import re
from typing import Final

_DURATION: Final = re.compile(r"([0-9]*\.?[0-9]+)(ms|d|h|m|s)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE: Final = re.compile(r"([0-9]*\.?[0-9]+)\s*([KMGTP]?i?)B?")
_RATE: Final = re.compile(r"([0-9]*\.?[0-9]+)\s*([KMGT]i?)?(bit|B)(?:/s)?")
_POWER: Final = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}


def seconds(text: str) -> float:
    """``"1d2h30m5s"``; a bare ``"0"`` too. Raises ValueError."""
    if text == "0":
        return 0.0
    total, end = 0.0, 0
    for part in _DURATION.finditer(text):
        if part.start() != end:
            break
        total += float(part[1]) * _SECONDS[part[2]]
        end = part.end()
    if not end or end != len(text):
        raise ValueError(text)
    return total


def size(text: str) -> int:
    """Bytes of ``"14TiB"``, ``"2TB"``, ``"512"``. Raises ValueError."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError(text)
    return int(float(found[1]) * _unit(found[2]))


def rate(text: str) -> float:
    """Bytes per second of ``"10Gbit"`` or ``"1.2GiB"``. Raises ValueError."""
    found = _RATE.fullmatch(text)
    if found is None:
        raise ValueError(text)
    return float(found[1]) * _unit(found[2] or "") / (8 if found[3] == "bit" else 1)


def _unit(prefix: str) -> int:
    base = 1024 if prefix.endswith("i") else 1000
    return int(base ** _POWER[prefix.rstrip("i")])


def duration(value: float) -> str:
    """``4h30m``, ``25m10s``, ``3d4h``, ``1.5s``: readable here and by `seconds`."""
    if value < 60:
        return f"{value:.3g}s"
    rest = round(value)
    parts = []
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        number, rest = divmod(rest, length)
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts[:3])


def bytes_text(value: float) -> str:
    """``1.42 TiB``."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(value) < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.2f} {unit}"
        value /= 1024
    return f"{value:.2f} PiB"
