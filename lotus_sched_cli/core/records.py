"""The farm's mutable records. ``farm.py``, ``files.py``, ``space.py``, ``promise.py`` and ``rest.py`` write what is so, each its
part; a policy writes its own marks on tasks and workers (their pools, stamps, reasons). Everybody else reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from .decisions import Laid
from .events import PathSpec, TaskSpec, WorkerSpec
from .needs import NO_FILES, Needs
from .tasks import Kind, SectorId, TaskType

#: Shared by all tasks that have none; never written to.
NO_REASONS: Final[Mapping[str, Any]] = MappingProxyType({})
#: There is more than one empty set in Python.
NOBODY: Final[frozenset[str]] = frozenset()
#: (File type, the worker that made it).
Makers = tuple[tuple[int, str | None], ...]
QueueKey = tuple[int, int, float, int, int]


@dataclass(slots=True, eq=False)
class Rest:
    """A worker's run of failures of one type; ``until`` is None while it does not rest (one failure only)."""

    failures: int = 0
    until: float | None = None
    error: str = ""
    trial: str | None = None


@dataclass(slots=True, eq=False)
class Reservation:
    """Bytes kept free on a path for a bound task until the worker's own report has them."""

    path: Path
    bytes: int
    types: int
    fetched: bool
    accepted: float | None = None
    ended: bool = False
    live: bool = True


@dataclass(slots=True, eq=False)
class Path:
    """A storage path; ``reserved`` and ``waiting`` (room of pieces that wait for their P1) are bytes."""

    spec: PathSpec
    available: int | None = None
    capacity: int | None = None
    reported_at: float = float("-inf")
    error: str = ""
    reserved: int = 0
    waiting: int = 0
    reservations: dict[int, Reservation] = field(default_factory=dict)
    sectors: set[SectorId] = field(default_factory=set)

    def room(self) -> int:
        """Bytes free of every promise."""
        return (self.available or 0) - self.reserved - self.waiting

    def real_room(self) -> int:
        """Bytes free, the promises to waiting pieces left aside."""
        return (self.available or 0) - self.reserved


@dataclass(slots=True, eq=False)
class Placement:
    """Files of one sector on one path. ``by`` and ``holders`` are shared by all that
    have the same, as ten thousand sectors have a hundred makers."""

    types: int
    primary: bool
    by: Makers = ()
    holders: frozenset[str] = NOBODY

    def maker(self, bit: int) -> str | None:
        """The worker that made the file of this type, as far as it is known."""
        return next((worker for one, worker in self.by if one == bit), None)


@dataclass(slots=True)
class Piece:
    """A value, never changed (a frozen one takes four times as long to make). A sector whose data has been added, or is being added, and whose P1 is still to come.

    ``waits`` is False while its P1 is bound. ``bytes`` are promised on ``path_id`` for that P1. ``guessed``: seen by
    its file only (after a restart), given up as soon as anything says that P1 is over.
    """

    worker_id: str
    path_id: str | None
    bytes: int
    proof: int
    waits: bool = True
    guessed: bool = False


@dataclass(slots=True, eq=False)
class Sector:
    """What the scheduler knows of a sector. Tuples, as a farm has ten thousand of them and each has one task or two."""

    id: SectorId
    files: dict[str, Placement] = field(default_factory=dict)
    held: bool = True
    held_by: tuple[str, ...] = ()
    last_worker: str | None = None
    piece: Piece | None = None
    tasks: tuple[Task, ...] = ()
    memory: tuple[Memory, ...] = ()

    def remembered(self, kind: TaskType) -> Memory | None:
        return next((memory for memory in self.memory if memory.type is kind), None)

    def declared(self) -> int:
        types = 0
        for placement in self.files.values():
            types |= placement.types
        return types


@dataclass(slots=True, eq=False)
class Memory:
    """What outlives one TaskSpec of a sector and type until a success."""

    type: TaskType
    queued_at: float
    seq: int
    attempts: int = 0
    again: int = 0
    failed_on: str | None = None
    no_space_on: frozenset[str] = frozenset()
    last_error: str = ""


@dataclass(slots=True, eq=False)
class Promise:
    """A waiting P2's files are fetched to a worker ahead of its turn. ``laid`` and ``bytes`` are what is to be brought;
    ``took`` is how long that took, None until it is done. ``new``: made in this very pass; ``restored``: before a restart of
    the driver."""

    worker: Worker
    since: float
    laid: tuple[Laid, ...]
    bytes: int
    reservations: tuple[Reservation, ...] = ()
    took: float | None = None
    new: bool = True
    restored: bool = False


@dataclass(slots=True, eq=False)
class Task:
    """A queued or bound task.

    ``groups`` are those to which its inputs may be fetched (None: any path). ``missing`` are the types that no path
    declares. ``waits``: it does not start by itself once it is prepared. ``promise``: while it is queued, and until the end
    of the pass that binds it; ``ahead``: bound where it was promised, its sector fills that worker's hold until it runs. ``pools``, ``specials``, ``tried`` and
    ``reasons`` are the policy's.
    """

    spec: TaskSpec
    sector: Sector
    memory: Memory
    key: QueueKey
    not_before: float = 0.0
    needs: Needs = NO_FILES
    groups: frozenset[str] | None = None
    missing: int = 0
    missing_since: float | None = None
    missing_lost: bool = False
    worker: Worker | None = None
    state: str = "queued"
    waiting: bool = False
    since: float = 0.0
    piece_before: Piece | None = None
    p1_before: float = float("-inf")
    forced: bool = False
    restored: bool = False
    waits: bool = False
    laid: tuple[Laid, ...] = ()
    reservations: tuple[Reservation, ...] = ()
    promise: Promise | None = None
    ahead: bool = False
    pools: tuple[Any, ...] = ()
    specials: tuple[Worker, ...] = ()
    tried: int = 0
    stamp: int = 0
    reasons: Mapping[str, Any] = field(default_factory=lambda: NO_REASONS)


@dataclass(slots=True, eq=False)
class Worker:
    """One worker: what it says of itself, and the ledger of what it carries.

    ``hold_refs`` counts reasons per sector (its P1 here, its files on a path); ``hold`` the sectors that fill the
    hold. ``no_sectors``: drained of new sectors only. ``p1_started``: when its last P1 was bound. ``pieces`` are those added here that wait for P1. ``version`` grows with every change. ``blocked``: for want
    of room a task has passed it by. ``promised`` are the P2 whose files are fetched here ahead, none before ``promises_from``
    after ``promises_broken`` in a row did not come; ``p2_took`` is how long its last P2 ran, in seconds. ``pools`` and
    ``specials`` are the policy's: where it may be drawn from, and the queued tasks whose files it has.
    """

    id: str
    spec: WorkerSpec
    known: bool = True
    online: bool = True
    draining: bool = False
    no_sectors: bool = False
    p1_started: float = float("-inf")
    carried: dict[str, Task] = field(default_factory=dict)
    by_type: dict[TaskType, int] = field(default_factory=dict)
    by_proof: dict[tuple[TaskType, int], int] = field(default_factory=dict)
    p1: int = 0
    p2: int = 0
    c2: int = 0
    hold_refs: dict[SectorId, int] = field(default_factory=dict)
    hold: int = 0
    pieces: int = 0
    rests: dict[TaskType, Rest] = field(default_factory=dict)
    no_space: set[TaskType] = field(default_factory=set)
    promised: dict[str, Task] = field(default_factory=dict)
    promises_from: float = float("-inf")
    promises_broken: int = 0
    p2_took: float | None = None
    paths: dict[str, Path] = field(default_factory=dict)
    last_bound: int = 0
    carried_before: frozenset[str] = frozenset()
    version: int = 0
    blocked: bool = False
    pools: list[Any] = field(default_factory=list)
    specials: dict[TaskType, Any] = field(default_factory=dict)

    def of(self, kind: Kind) -> int:
        """Tasks of this kind carried: bound, preparing and running."""
        if kind is Kind.P1:
            return self.p1
        return self.p2 if kind is Kind.P2 else self.c2

    def own(self, sector: Sector) -> int:
        """The sector's file types that lie on its own paths."""
        types = 0
        mine = self.paths
        for path_id, placement in sector.files.items():
            if path_id in mine:
                types |= placement.types
        return types
