"""The one list of what we add to Lotus's wire. Go ignores members that it does not know; absent means a stock peer.

Members: ``WorkerInfo.WorkerID``; ``WorkerInfo.Resources.{PreCommit1Max, PreCommit1HoldMax, PreCommit2Max, Commit2Max,
ForceP2FromLocalP1}``, and ``CapExtras`` there (`CapExtras`, where any is set); ``WorkerStats.Sched`` (`WorkerSched`);
``WorkerJob.Sched`` (`JobSched`).
Methods: see `METHODS`; a stock peer answers them with -32601.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

#: Struct name → members of ours in it.
MEMBERS: Final[dict[str, frozenset[str]]] = {
    "WorkerInfo": frozenset({"WorkerID"}),
    "WorkerResources": frozenset(
        {
            "PreCommit1Max",
            "PreCommit1HoldMax",
            "PreCommit2Max",
            "Commit2Max",
            "ForceP2FromLocalP1",
            "CapExtras",
        }
    ),
    "WorkerStats": frozenset({"Sched"}),
    "WorkerJob": frozenset({"Sched"}),
}

#: Methods of ours: on the worker, on the miner (``Filecoin.`` before each).
METHODS: Final[dict[str, frozenset[str]]] = {
    "worker": frozenset({"AbortCall", "CapsList", "CapsReset", "CapsSet", "StorageOpening"}),
    "miner": frozenset(
        {
            "ConfigReload",
            "PledgeFreeSlots",
            "SealingAbortForce",
            "SealingAssign",
            "SealingCapsList",
            "SealingCapsReset",
            "SealingCapsSet",
            "SealingDrain",
            "SealingEndRest",
            "SealingExplain",
            "SealingForget",
            "SealingLoad",
            "SealingQueue",
            "SealingRecord",
            "SectorsTable",
            "SimulatedChain",
            "StorageOpening",
            "TaskUsed",
            "WorkerChanged",
            "WorkerKnown",
            "WorkersAbsent",
        }
    ),
}


class CapExtras(Struct, frozen=True, omit_defaults=True):
    """The operator's extras among a worker's caps; a member that is absent is off. ``PreCommit1Interval`` in ns.

    Caps of other task types are told as ``MaxConcurrent`` of the resource table, which a stock miner respects too.
    """

    ForceP1FromLocalAP: bool = False
    ForceC2FromLocalP2: bool = False
    ForbidP2C2Parallel: bool = False
    PreCommit1Interval: int = 0
    PreCommit2Prefetch: int = 0


class CapRow(Struct, frozen=True):
    """One cap as text: what counts, where it comes from, since when (RFC 3339, live values only).

    ``Source`` is ``live``, ``flag``, a variable's name, ``default``, ``MaxConcurrent`` or ``config``. ``Started`` and
    ``StartedSource`` are what a live value stands in for.
    """

    Name: str = ""
    Value: str = ""
    Source: str = ""
    Since: str = ""
    Started: str = ""
    StartedSource: str = ""


class WorkerCapRows(Struct, frozen=True):
    """A worker's caps (``SealingCapsList``); ``Owner`` is ``worker``, or ``miner`` where the miner keeps them.

    ``Error``: why the worker could not be asked; the rows are then what it told last.
    """

    ID: str = ""
    Session: str = ""
    Name: str = ""
    Number: int = 0
    Owner: str = ""
    Caps: list[CapRow] = msgspec.field(default_factory=list)
    Error: str = ""


class WireCaps(Struct, frozen=True):
    """A worker's caps as they count now, and where they come from (``flags``, ``MaxConcurrent``, ``config``)."""

    PreCommit1Max: int = 0
    PreCommit1HoldMax: int = 0
    PreCommit2Max: int = 0
    Commit2Max: int = 0
    ForceP2FromLocalP1: bool = False
    Source: str = ""
    PreCommit2Prefetch: int = 0


class WorkerLoad(Struct, frozen=True):
    """What a worker carries by task type, and its drain (``SealingDrain``): empty, ``sectors`` or ``tasks``."""

    ID: str = ""
    Session: str = ""
    Name: str = ""
    Drain: str = ""
    Carried: dict[str, int] = msgspec.field(default_factory=dict)


class AbsentWorker(Struct, frozen=True):
    """A worker of an earlier run that has not registered since the miner started; ``LastSeen`` RFC 3339."""

    ID: str = ""
    Session: str = ""
    Name: str = ""
    Number: int = 0
    LastSeen: str = ""
    Carried: dict[str, int] = msgspec.field(default_factory=dict)


class EndedJob(Struct, frozen=True):
    """A job of a forgotten worker; its sector goes on elsewhere."""

    Task: str = ""
    Sector: int = 0


class LostSector(Struct, frozen=True):
    """A sector of which file types lie nowhere any more.

    ``Next`` is the state to which it went back, ``later`` where no task needs the files yet, empty where nothing is done.
    """

    Sector: int = 0
    State: str = ""
    Types: list[str] = msgspec.field(default_factory=list)
    Next: str = ""


class Forgotten(Struct, frozen=True):
    """What came of ``SealingForget``."""

    ID: str = ""
    Session: str = ""
    Name: str = ""
    Jobs: list[EndedJob] = msgspec.field(default_factory=list)
    Paths: list[str] = msgspec.field(default_factory=list)
    Lost: list[LostSector] = msgspec.field(default_factory=list)


class PledgedFree(Struct, frozen=True):
    """What came of ``PledgeFreeSlots``: the new sectors, how many were wanted, and what stopped it early."""

    Sectors: list[int] = msgspec.field(default_factory=list)
    Wanted: int = 0
    Stopped: str = ""


class Rest(Struct, frozen=True):
    """A task type that a worker rests from: next trial (RFC 3339) and why."""

    Task: str = ""
    Until: str = ""
    LastError: str = ""


class WorkerSched(Struct, frozen=True):
    """How our scheduler sees a worker (``WorkerStats.Sched``).

    ``Carried`` = bound + preparing + running, by task type; ``Preparing`` and ``Running`` are parts of it. ``Prefetching``
    counts the PreCommit2 whose files are fetched there ahead, or lie there by that. ``Held`` counts the
    sectors of the P1 hold, ``HeldFailed`` those of them that failed for good. ``LastSeen`` RFC 3339.
    """

    ID: str = ""
    Number: int = 0
    URL: str = ""
    BuiltIn: bool = False
    Stock: bool = False
    Carried: dict[str, int] = msgspec.field(default_factory=dict)
    Preparing: dict[str, int] = msgspec.field(default_factory=dict)
    Running: dict[str, int] = msgspec.field(default_factory=dict)
    Prefetching: int = 0
    Held: int = 0
    HeldFailed: int = 0
    Caps: WireCaps = WireCaps()
    Rests: list[Rest] = msgspec.field(default_factory=list)
    Drain: bool = False
    DrainLevel: str = ""
    Online: bool = True
    LastSeen: str = ""


class TaskUsage(Struct, frozen=True):
    """What a task's process took so far (``JobSched.Usage``): seconds of clock, of processors, peak memory in bytes."""

    Seconds: float = 0.0
    CPUSeconds: float = 0.0
    MaxRSS: int = 0


#: ``JobSched.Prefetch`` while a waiting PreCommit2's files are fetched ahead, and once they are there.
PREFETCHING: Final = "prefetching"
PREFETCHED: Final = "prefetched"


class JobSched(Struct, frozen=True):
    """How our scheduler sees a job (``WorkerJob.Sched``): its task, the worker's lasting id, times RFC 3339.

    ``WorkerNumber`` and ``Number``, the worker's and the worker's count of jobs, are what the tables of 2020 show.
    ``Usage`` where the sealer runs programs. ``Prefetch``: no job of the worker yet, files are fetched ahead.
    """

    TaskID: str = ""
    WorkerID: str = ""
    MainTask: str = ""
    Queued: str = ""
    Bound: str = ""
    Attempts: int = 0
    Usage: TaskUsage | None = None
    Prefetch: str = ""
    WorkerNumber: int = 0
    Number: int = 0


class QueuedJob(Struct, frozen=True):
    """A task that waits (``SealingQueue``): in queue order, ``NotBefore`` empty if it may start now."""

    TaskID: str = ""
    Miner: int = 0
    Sector: int = 0
    Task: str = ""
    Priority: int = 0
    Queued: str = ""
    NotBefore: str = ""
    Attempts: int = 0
    LastError: str = ""
    Reason: str = ""


class ConfigChange(Struct, frozen=True):
    """A key of config.toml with another value than the one that was in force (TOML texts), and when the new one counts."""

    Key: str = ""
    Old: str = ""
    New: str = ""
    Effect: str = ""


class ConfigChanges(Struct, frozen=True):
    """What ``ConfigReload`` found."""

    Changes: list[ConfigChange] = msgspec.field(default_factory=list)
    Warnings: list[str] = msgspec.field(default_factory=list)


class OpeningPath(Struct, frozen=True):
    """A path whose files are being declared (``StorageOpening``): how many so far, and in all."""

    Path: str = ""
    Done: int = 0
    Total: int = 0


class ChainFacts(Struct, frozen=True):
    """The miner's own chain (``SimulatedChain``): where it stands, its pace, and what it takes as a proof."""

    Head: int = 0
    BlockDelaySecs: float = 30.0
    PreCommitChallengeDelay: int = 150
    MessageConfidence: int = 5
    Proofs: str = ""


class SectorBrief(Struct, frozen=True, omit_defaults=True):
    """A row of ``sectors list`` (``SectorsTable``), all sectors in one answer. Epochs, 0 for none.

    ``Events`` and ``SealTime`` (seconds, -1 until Proving) only where the log was asked for.
    """

    Number: int
    State: str
    Pieces: int = 0
    TicketEpoch: int = 0
    SeedEpoch: int = 0
    PreCommit1Done: bool = False
    Activation: int = 0
    Expiration: int = 0
    Events: int = 0
    SealTime: int = -1
