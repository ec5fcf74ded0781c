"""``SealingRecord``, a method of ours: the live farm as the simulator wants it (see `extras` for what else we add)."""

from __future__ import annotations

from msgspec import Struct, field

from .extras import CapExtras


class RecordedTask(Struct, frozen=True):
    """A task type on one worker: median seconds of those that succeeded last, and how many ended so or so in all."""

    Seconds: float = 0.0
    Done: int = 0
    Failed: int = 0


class RecordedWorker(Struct, frozen=True):
    """A worker. Task types by their short names, bytes, ``Rate`` in bytes per second of its fetches (0: none yet).

    ``Storage`` is of paths that only store, ``Both`` of those that do so and are part of ``Disk``.
    """

    Name: str = ""
    Number: int = 0
    Tasks: list[str] = field(default_factory=list)
    CPUs: int = 0
    GPUs: int = 0
    Memory: int = 0
    Disk: int = 0
    Storage: int = 0
    Both: int = 0
    PreCommit1Max: int = 0
    PreCommit1HoldMax: int = 0
    PreCommit2Max: int = 0
    Commit2Max: int = 0
    ForceP2FromLocalP1: bool = False
    Extras: CapExtras = CapExtras()
    Limits: dict[str, int] = field(default_factory=dict)
    Rate: float = 0.0
    Measured: dict[str, RecordedTask] = field(default_factory=dict)


class FarmRecord(Struct, frozen=True):
    """Settings and chain waits in seconds; ``Sealing`` counts the sectors on their way."""

    SectorSize: int = 0
    Policy: str = ""
    SpreadBy: str = ""
    RetryDelay: float = 0.0
    RetryDelayMax: float = 0.0
    WaitSeed: float = 0.0
    CommitWait: float = 0.0
    Sealing: int = 0
    Workers: list[RecordedWorker] = field(default_factory=list)
