"""What the store keeps, as values: one frozen record per row of a table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypedDict

from lotus_sched_cli.core.events import TaskSpec
from lotus_sched_cli.core.tasks import FileType, SectorId, TaskType


class Phase(StrEnum):
    """How far a task is, as stored."""

    QUEUED = "queued"
    #: A worker is chosen; its Fetch (the prepare step) may be on the way.
    BOUND = "bound"
    #: The worker has accepted the Fetch that brings the task's files.
    PREPARING = "preparing"
    #: The worker has accepted the task's own call.
    RUNNING = "running"
    #: The result or the failure is stored, the pipeline has not taken it yet.
    RETURNED = "returned"
    #: The pipeline no longer wants it; dispatch ends the work on the worker, then deletes the row.
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task of a sector, from its queueing until the pipeline has taken its result.

    ``id`` is Lotus's SchedId. Calls are identified by the uuid part of Lotus's CallID. Times are unix seconds; each is
    set when the thing happened: ``fetch_sent_at`` and ``sent_at`` *before* the call goes out, ``accepted_at`` on
    learning the CallID. ``fetch`` are the file types that the prepare step brings. ``params`` (a JSON array of the
    call's parameters as they go on the wire) are big for some types and not loaded with the row: ``Store.task_params``.
    """

    id: str
    sector: SectorId
    proof: int
    type: TaskType
    queued_at: float
    priority: int = 0
    files: FileType = FileType.NONE
    first_piece: bool = True
    phase: Phase = Phase.QUEUED
    worker_id: str | None = None
    session: str | None = None
    bound_at: float | None = None
    fetch: FileType = FileType.NONE
    fetch_sent_at: float | None = None
    fetch_call_id: str | None = None
    fetched_at: float | None = None
    sent_at: float | None = None
    call_id: str | None = None
    accepted_at: float | None = None
    has_result: bool = False
    error: bytes | None = None

    @property
    def spec(self) -> TaskSpec:
        """What the scheduler is told of it."""
        return TaskSpec(
            id=self.id,
            sector=self.sector,
            proof=self.proof,
            type=self.type,
            priority=self.priority,
            files=self.files,
            first_piece=self.first_piece,
        )


class TaskChanges(TypedDict, total=False):
    """Columns of a task that ``Writes.task`` may set; what is not named stays."""

    phase: Phase
    priority: int
    queued_at: float
    worker_id: str | None
    session: str | None
    bound_at: float | None
    fetch: FileType
    fetch_sent_at: float | None
    fetch_call_id: str | None
    fetched_at: float | None
    sent_at: float | None
    call_id: str | None
    accepted_at: float | None
    #: JSON of the call's result as it came over the wire.
    result: bytes | None
    #: JSON of Lotus's CallError.
    error: bytes | None


#: ``writes.task(id, **UNBOUND)``: queued again, as if no worker had ever had it.
UNBOUND: TaskChanges = {
    "phase": Phase.QUEUED,
    "worker_id": None,
    "session": None,
    "bound_at": None,
    "fetch": FileType.NONE,
    "fetch_sent_at": None,
    "fetch_call_id": None,
    "fetched_at": None,
    "sent_at": None,
    "call_id": None,
    "accepted_at": None,
    "result": None,
    "error": None,
}


@dataclass(frozen=True, slots=True)
class SectorRow:
    """A sector as stored. ``body`` is JSON (what the pipeline remembers beside the columns)."""

    id: SectorId
    proof: int
    state: str
    created_at: float
    entered_at: float
    retry_at: float | None
    last_error: str
    body: bytes


@dataclass(frozen=True, slots=True)
class LogRow:
    """One line of a sector's log, as Lotus shows it."""

    at: float
    kind: str
    message: str
    trace: str


@dataclass(frozen=True, slots=True)
class PathRow:
    """A storage path. ``info`` is StorageInfo and ``stat`` the last FsStat, both JSON; ``reported_at`` its time."""

    id: str
    info: bytes
    stat: bytes | None
    reported_at: float | None


@dataclass(frozen=True, slots=True)
class DeclarationRow:
    """Files of one single type of a sector on a path."""

    path_id: str
    sector: SectorId
    type: FileType
    primary: bool
    by: str | None


@dataclass(frozen=True, slots=True)
class UncountedRow:
    """Files of one single type of a sector that do not count: of a detached path, or ``doomed``."""

    path_id: str
    sector: SectorId
    type: FileType
    doomed: bool
    can_store: bool
    worker_id: str | None


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """What outlives a worker's session. ``number`` is the classic tables' (0: built in); ``extras`` is JSON."""

    id: str
    number: int
    name: str
    url: str
    session: str
    last_seen: float
    extras: bytes = b"{}"


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A message of the simulated chain; epochs. ``exit_code`` 0 is success; ``body`` is JSON."""

    cid: str
    number: int
    kind: str
    sent_at: int
    included_at: int
    lands_at: int
    exit_code: int
    error: str
    body: bytes
