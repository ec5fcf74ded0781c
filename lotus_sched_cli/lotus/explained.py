"""What ``SealingExplain``, a method of ours, answers: why a task waits, or why it stands where it stands.

Times are RFC 3339, empty where there is none. Part of `extras`, in a file of its own.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct


class ExplainedWorker(Struct, frozen=True):
    """One worker and a task that waits: the first reason against it (``Why``, empty for none), with its figures.

    ``Text`` is the reason as the log has it. ``Change`` completes "it takes the task …".
    """

    ID: str = ""
    Session: str = ""
    Name: str = ""
    Why: str = ""
    Figures: dict[str, Any] = msgspec.field(default_factory=dict)
    Text: str = ""
    Change: str = ""


class ExplainedRival(Struct, frozen=True):
    """A worker that was in question, too, when the task was placed. ``Crowd`` and ``FreeSlots`` null: not looked at."""

    ID: str = ""
    Session: str = ""
    Name: str = ""
    Carried: float = 0
    Crowd: float | None = None
    FreeSlots: int | None = None


class ExplainedPrefetch(Struct, frozen=True):
    """A waiting PC2's files, ``Bytes`` of them, are fetched to this worker ahead; ``Done``: they are there."""

    ID: str = ""
    Session: str = ""
    Name: str = ""
    Since: str = ""
    Bytes: int = 0
    Done: bool = False


class ExplainedAbsent(Struct, frozen=True):
    """A worker that does not answer, and files (``Types``) that a waiting task needs and that lie with such workers only.

    ``LastSeen`` is its last heartbeat. ``Change`` is what the operator may do.
    """

    ID: str = ""
    Session: str = ""
    Name: str = ""
    Types: list[str] = msgspec.field(default_factory=list)
    LastSeen: str = ""
    Change: str = ""


class ExplainedTask(Struct, frozen=True):
    """``State`` is queued, bound, preparing, prepared, running or over; ``Policy`` balanced or windowed.

    ``Ahead`` tasks of its type wait before it. ``Workers`` is null for a task that does not wait; ``Worker``, ``Placed``,
    ``Reasons`` and ``Rivals`` belong to its last placement. ``LastSeen`` is the last heartbeat of the worker that has it,
    where that one is out of reach.
    """

    TaskID: str = ""
    Miner: int = 0
    Sector: int = 0
    Task: str = ""
    State: str = ""
    Policy: str = ""
    Priority: int = 0
    Queued: str = ""
    NotBefore: str = ""
    Ahead: int = 0
    Attempts: int = 0
    FailedOn: str = ""
    LastError: str = ""
    Workers: list[ExplainedWorker] | None = None
    WorkerID: str = ""
    Session: str = ""
    Worker: str = ""
    Placed: str = ""
    Reasons: dict[str, Any] = msgspec.field(default_factory=dict)
    Rivals: list[ExplainedRival] | None = None
    Prefetch: ExplainedPrefetch | None = None
    Absent: list[ExplainedAbsent] | None = None
    LastSeen: str = ""
