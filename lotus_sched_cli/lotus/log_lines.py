"""How a log line looks: Lotus's layout (go-log on zap) in text, colour and JSON."""

from __future__ import annotations

import json
import logging
import time
import traceback
from collections.abc import Mapping
from typing import Any, Final

DPANIC, PANIC, FATAL = 43, 46, 50
#: Level names as variables and ``log set-level`` take them.
LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "dpanic": DPANIC,
    "panic": PANIC,
    "fatal": FATAL,
}
_NAMES: Final = {number: name.upper() for name, number in LEVELS.items()}
_COLOURS: Final = {logging.DEBUG: 35, logging.INFO: 34, logging.WARNING: 33}


class TextFormatter(logging.Formatter):
    """``2026-08-06T19:02:39.123+1200␉INFO␉advmgr␉sealer/sched.go:97␉message␉{"field": "value"}``."""

    def __init__(self, labels: Mapping[str, str] | None = None, *, colour: bool = False) -> None:
        super().__init__()
        self._labels = dict(labels or {})
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        name, place, message, fields = _parts(record)
        level = _NAMES.get(record.levelno, "INFO")
        if self._colour:
            level = f"\x1b[{_COLOURS.get(record.levelno, 31)}m{level}\x1b[0m"
        line = f"{_stamp(record.created)}\t{level}\t{name}\t{place}\t{message}"
        if self._labels:
            fields = {**self._labels, **fields}
        return f"{line}\t{_json(fields, spaced=True)}" if fields else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line, Lotus's member order, fields last."""

    def __init__(self, labels: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._labels = dict(labels or {})

    def format(self, record: logging.LogRecord) -> str:
        name, place, message, fields = _parts(record)
        level = _NAMES.get(record.levelno, "INFO").lower()
        head = {"level": level, "ts": _stamp(record.created), "logger": name, "caller": place, "msg": message}
        return _json({**head, **self._labels, **fields}, spaced=False)


_stamp_second: int = -1
_stamp_head: str = ""
_stamp_zone: str = ""


def _stamp(created: float) -> str:
    """Local time with milliseconds and zone; the part up to the second is kept between calls."""
    global _stamp_second, _stamp_head, _stamp_zone
    second, millis = divmod(int(created * 1000), 1000)
    if second != _stamp_second:
        local = time.localtime(second)
        offset = local.tm_gmtoff // 60
        sign = "-" if offset < 0 else "+"
        _stamp_zone = f"{sign}{abs(offset) // 60:02d}{abs(offset) % 60:02d}" if offset else "Z"
        _stamp_head = time.strftime("%Y-%m-%dT%H:%M:%S", local)
        _stamp_second = second
    return f"{_stamp_head}.{millis:03d}{_stamp_zone}"


_places: Final[dict[str, str]] = {}


def short_place(path: str) -> str:
    """Last folder and file of a source path."""
    short = _places.get(path)
    if short is None:
        short = _places[path] = "/".join(path.replace("\\", "/").rsplit("/", 2)[-2:])
    return short


def _parts(record: logging.LogRecord) -> tuple[str, str, str, dict[str, Any]]:
    name = getattr(record, "go_name", None)
    if name is not None:
        return name, record.go_place, record.msg, record.go_fields  # type: ignore[attr-defined]
    message = record.getMessage()
    if record.exc_info:
        message += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
    return record.name, f"{short_place(record.pathname)}:{record.lineno}", message, {}


def _json(fields: Mapping[str, Any], *, spaced: bool) -> str:
    """Fields as zap writes them: blanks after ``:`` and ``,`` in text lines, but not inside nested objects."""
    if not spaced:
        return _dump(fields)
    return "{" + ", ".join(f"{_dump(name)}: {_value(value)}" for name, value in fields.items()) + "}"


def _value(value: Any) -> str:
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return "[" + ", ".join(map(_dump, value)) + "]"
    return _dump(value)


_dump: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode
