"""What the scheduler is told. Frozen values; the time of happening comes beside them (seconds, any epoch)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from .caps import Caps
from .resources import Demands
from .tasks import ALL_FILE_TYPES, FileType, SectorId, TaskType

ALL_TYPES = FileType(sum(ALL_FILE_TYPES))


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """A worker as it registered.

    ``id`` lasts over restarts; ``session`` is this process. ``limits`` holds only MaxConcurrent values above 0, by
    task type and seal proof number. ``gpus`` counts cards, memory is in bytes. ``demands`` is what the worker's own table
    states of each task (the windowed policy looks at it); Lotus's default stands for what it leaves out. ``builtin``: the
    miner's own, whose tasks its config allows.
    """

    id: str
    session: str
    name: str
    tasks: frozenset[TaskType]
    caps: Caps
    cpus: int = 1
    gpus: int = 0
    mem_physical: int = 0
    mem_swap: int = 0
    mem_used: int = 0
    mem_swap_used: int = 0
    limits: Mapping[tuple[TaskType, int], int] = field(default_factory=dict)
    demands: Demands = field(default_factory=dict)
    cap_aware: bool = True
    ignore_resources: bool = False
    builtin: bool = False

    @property
    def label(self) -> str:
        """How logs name it: ``76f1988b@host``."""
        return f"{self.session[:8]}@{self.name}"


@dataclass(frozen=True, slots=True)
class PathSpec:
    """A storage path. ``owners`` are the ids of the workers that serve it; several share one over NFS.

    ``steady``: it is reported only when something changes on it, and silence is no bad sign (simulated paths).
    """

    id: str
    owners: frozenset[str]
    can_seal: bool
    can_store: bool
    weight: int = 10
    groups: frozenset[str] = frozenset()
    allow_to: frozenset[str] = frozenset()
    allow_types: FileType = ALL_TYPES
    allow_miners: frozenset[int] = frozenset()
    deny_miners: frozenset[int] = frozenset()
    steady: bool = False


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """A task that wants a worker.

    ``id`` is the scheduler's own (Lotus's SchedId). ``files`` names the file types of a FETCH (a move to long-term
    storage) or DOWNLOAD_SECTOR; the other types know theirs (scheduling.md B4). ``first_piece`` only matters for
    ADD_PIECE: later pieces go where the first one lies.
    """

    id: str
    sector: SectorId
    proof: int
    type: TaskType
    priority: int = 0
    files: FileType = FileType.NONE
    first_piece: bool = True


@dataclass(frozen=True, slots=True)
class Settings:
    """The miner's ``[Storage]`` keys that the scheduler reads. Times in seconds.

    ``assigner`` is the windowed policy's way to choose (its names in Lotus; ``2020`` for that of v0.8.1).
    """

    policy: str = "balanced"
    spread_by: str = "count"
    retry_delay: float = 60.0
    retry_delay_max: float = 1800.0
    disallow_remote_finalize: bool = False
    assigner: str = "utilization"


class Event:
    """Anything that ``Scheduler.handle`` takes."""

    __slots__ = ()


# -- workers ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WorkerJoined(Event):
    """A worker registered; the same id again replaces what was known (new session, caps, task types)."""

    worker: WorkerSpec


@dataclass(frozen=True, slots=True)
class WorkerTasks(Event):
    """The task types that a worker offers changed."""

    worker_id: str
    tasks: frozenset[TaskType]


@dataclass(frozen=True, slots=True)
class WorkerCaps(Event):
    """A worker's caps changed; ``limits`` as in `WorkerSpec`, None: as they were."""

    worker_id: str
    caps: Caps
    limits: Mapping[tuple[TaskType, int], int] | None = None


@dataclass(frozen=True, slots=True)
class WorkerOnline(Event):
    """The session check of the last heartbeat succeeded or failed (``online``)."""

    worker_id: str
    online: bool


@dataclass(frozen=True, slots=True)
class WorkerDrain(Event):
    """Maintenance: takes no new work while draining; its storage keeps serving.

    ``sectors_only``: it takes no new sectors (AP, and P1 whose data lies elsewhere), but goes on with those it has.
    """

    worker_id: str
    draining: bool
    sectors_only: bool = False


@dataclass(frozen=True, slots=True)
class AssignByHand(Event):
    """Bind this queued task to this worker now, out of turn. Answered by `Assigned` or `HandRefused`.

    ``force``: over caps, hold, drain, rest and delays; never where the worker cannot do it.
    """

    task_id: str
    worker_id: str
    force: bool = False


@dataclass(frozen=True, slots=True)
class WorkerLeft(Event):
    """Gone for good. Tasks that it still carries stay counted until each has its TaskEnded."""

    worker_id: str


@dataclass(frozen=True, slots=True)
class RestOver(Event):
    """The operator ends a rest (scheduling.md A4) at once; ``task`` None means all its types."""

    worker_id: str
    task: TaskType | None = None


# -- storage ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PathAttached(Event):
    """A path is known, or known differently. ``available`` and ``capacity`` in bytes; None keeps the last report."""

    path: PathSpec
    available: int | None
    capacity: int | None = None


@dataclass(frozen=True, slots=True)
class PathReported(Event):
    """A health report: bytes available (reservations of its process already taken off), or what is wrong."""

    path_id: str
    available: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class PathDetached(Event):
    path_id: str


@dataclass(frozen=True, slots=True)
class FilesDeclared(Event):
    """Files of a sector lie on a path. ``by`` is the worker that made or fetched them, None if that is not known."""

    path_id: str
    sector: SectorId
    types: FileType
    primary: bool = False
    by: str | None = None


@dataclass(frozen=True, slots=True)
class FilesDropped(Event):
    path_id: str
    sector: SectorId
    types: FileType


@dataclass(frozen=True, slots=True)
class SectorHeld(Event):
    """Whether a sector's files fill holds: true from its start, false once it has left FinalizeSector.

    A sector that was never named counts.
    """

    sector: SectorId
    held: bool


# -- tasks -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TaskQueued(Event):
    """``queued_at`` is the time of first queueing where the caller remembers it, else None (now)."""

    task: TaskSpec
    queued_at: float | None = None


@dataclass(frozen=True, slots=True)
class TaskRestored(Event):
    """After a restart of the driver: the task is already bound; it counts before anything new is bound.

    ``accepted_at`` is None when the worker has not accepted the main call yet (bound or preparing).
    """

    task: TaskSpec
    worker_id: str
    queued_at: float
    accepted_at: float | None


@dataclass(frozen=True, slots=True)
class TaskPreparing(Event):
    """The worker has accepted the Fetch that brings the task's files, ahead of its binding or after it."""

    task_id: str


@dataclass(frozen=True, slots=True)
class TaskPrepared(Event):
    """A task that was assigned with ``waits`` has all it needs; its own call is made once ``Start`` says so."""

    task_id: str


@dataclass(frozen=True, slots=True)
class TaskRunning(Event):
    """The worker has accepted the task's own call."""

    task_id: str


@dataclass(frozen=True, slots=True)
class PrefetchDone(Event):
    """The files that `Prefetch` asked for lie on the worker."""

    task_id: str


@dataclass(frozen=True, slots=True)
class PrefetchFailed(Event):
    """They did not come, or are lost with their worker: the promise is off, the task waits like any other."""

    task_id: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class PrefetchRestored(Event):
    """After a restart of the driver: this queued task's files were being fetched to the worker since then, or (``done``)
    are there. Answered by `PrefetchOver` if nothing can come of it."""

    task_id: str
    worker_id: str
    since: float
    done: bool


class Outcome(StrEnum):
    """How a task ended, as far as the scheduler cares (scheduling.md A7)."""

    SUCCESS = "success"
    #: A failure of the sector's step: counts against the worker (A4, rest), the task leaves the scheduler.
    FAILED = "failed"
    #: Worker restart, lost call, temporary codes, the miner itself was away: queued again at once, then after
    #: growing delays; counts against nobody.
    AGAIN = "again"
    #: No space: queued again, that worker is out for this task until its next space report.
    NO_SPACE = "no-space"
    #: Aborted by the operator: the task leaves the scheduler and counts against nobody.
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class TaskEnded(Event):
    """A bound, preparing or running task is over on its worker; ``error`` is the text to show."""

    task_id: str
    outcome: Outcome
    error: str = ""


@dataclass(frozen=True, slots=True)
class TaskRemoved(Event):
    """A queued request is taken out by hand (``sealing abort --sched``) or because its sector went away."""

    task_id: str


@dataclass(frozen=True, slots=True)
class SettingsChanged(Event):
    settings: Settings
