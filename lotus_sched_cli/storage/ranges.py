"""The ``Range`` header of a request for a file, read as Go's ``net/http`` reads it (``parseRange`` of ``fs.go``)."""

from __future__ import annotations

import re
from typing import Final

_NUMBER: Final = re.compile(r"[+]?0*([0-9]{0,19})")
_MOST: Final = (1 << 63) - 1


class NoRange(Exception):
    """Its text is the body of a 416."""


class NoOverlap(NoRange):
    """Every range begins behind the file's end: the answer tells the size."""

    def __init__(self) -> None:
        super().__init__("invalid range: failed to overlap")


def wanted(asked: str, size: int) -> tuple[int, int] | None:
    """(start, count) of the one range asked of a file of ``size`` bytes; None for the whole of it.

    Several ranges at once get the whole, where Go sends a multipart: no peer asks for them. Raises NoRange.
    """
    if not asked.startswith("bytes="):
        raise NoRange("invalid range")
    parts = [part for part in (part.strip(" \t") for part in asked[6:].split(",")) if part]
    found = [range_ for range_ in (_range(part, size) for part in parts) if range_ is not None]
    if not found and parts and size:
        raise NoOverlap
    return found[0] if len(found) == 1 else None


def _range(part: str, size: int) -> tuple[int, int] | None:
    """None where it begins behind the end."""
    first, dash, last = part.partition("-")
    first, last = first.strip(" \t"), last.strip(" \t")
    if not dash or not (first or last):
        raise NoRange("invalid range")
    if not first:
        count = min(_number(last), size)
        return size - count, count
    start = _number(first)
    if start >= size:
        return None
    end = _number(last) if last else size - 1
    if start > end:
        raise NoRange("invalid range")
    return start, min(end, size - 1) - start + 1


def _number(text: str) -> int:
    match = _NUMBER.fullmatch(text)
    number = int(match[1] or "0") if match is not None and text not in ("", "+") else _MOST + 1
    if number > _MOST:
        raise NoRange("invalid range")
    return number
