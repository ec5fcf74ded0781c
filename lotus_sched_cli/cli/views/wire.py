"""Reading single values of the wire (lotus-wire §4.1)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from lotus_sched_cli.core.tasks import TaskType

NIL_UUID: Final = "00000000-0000-0000-0000-000000000000"
#: What Go sorts and prints for tasks that it does not know.
UNKNOWN_TASK: Final = "UNK"


def unix(text: str | None) -> float | None:
    """Seconds since 1970 of an RFC 3339 time; None for Go's zero time or none at all."""
    if not text or text.startswith("0001-01-01T00:00:00"):
        return None
    return datetime.fromisoformat(text).timestamp()


def short(task: str) -> str:
    """``PC1`` for ``seal/v0/precommit/1``."""
    try:
        return TaskType(task).short
    except ValueError:
        return UNKNOWN_TASK


def order(task: str) -> int:
    """Lotus's rank of a task type; 0 for what it has no rank for."""
    try:
        return TaskType(task).order
    except ValueError:
        return 0


def cid(value: Any) -> str | None:
    """The text of a cid object, None where there is none."""
    return value["/"] if isinstance(value, dict) and value.get("/") else None
