"""A farm in virtual time for the scheduler's stories: workers with one path each, sectors, what was decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from lotus_sched_cli.core.caps import Caps
from lotus_sched_cli.core.decisions import Assigned, Decision, Plan
from lotus_sched_cli.core.events import (
    Event,
    FilesDeclared,
    FilesDropped,
    Outcome,
    PathAttached,
    PathReported,
    PathSpec,
    Settings,
    TaskEnded,
    TaskQueued,
    TaskRunning,
    TaskSpec,
    WorkerJoined,
    WorkerSpec,
)
from lotus_sched_cli.core.scheduler import Scheduler
from lotus_sched_cli.core.tasks import FileType, SectorId, TaskType

AP, P1, P2 = TaskType.ADD_PIECE, TaskType.PRECOMMIT1, TaskType.PRECOMMIT2
C1, C2, FIN, GET = TaskType.COMMIT1, TaskType.COMMIT2, TaskType.FINALIZE, TaskType.FETCH
UNSEALED, SEALED, CACHE = FileType.UNSEALED, FileType.SEALED, FileType.CACHE
ALL = frozenset({AP, P1, P2, C1, C2, FIN, GET})
GIB = 1 << 30
TIB = 1 << 40
#: 32 GiB sectors.
PROOF = 8
MINER = 1000
#: What a P1 writes, in bytes.
P1_SIZE = 32 * GIB + 141 * 32 * GIB // 10


def sector(number: int) -> SectorId:
    return SectorId(MINER, number)


def task(
    number: int,
    kind: TaskType,
    *,
    priority: int = 0,
    files: FileType = FileType.NONE,
    first_piece: bool = True,
    proof: int = PROOF,
    again: int = 0,
) -> TaskSpec:
    name = f"{kind.short}-{number}" + (f"-{again}" if again else "")
    return TaskSpec(name, sector(number), proof, kind, priority, files, first_piece)


def caps(p1: int = 7, hold: int = 25, p2: int = 1, c2: int = 1, bound: bool = False) -> Caps:
    return Caps(p1, hold, p2, c2, bound)


@dataclass
class Scene:
    """``now`` moves only when a story says so. Every path is reported again before it would be too old."""

    settings: Settings = field(default_factory=Settings)
    validate: bool = True
    now: float = 1000.0
    decisions: list[Decision] = field(default_factory=list)
    record: list[tuple[float, tuple[Event, ...]]] = field(default_factory=list)
    where: dict[str, str] = field(default_factory=dict)
    paths: dict[str, PathSpec] = field(default_factory=dict)
    free: dict[str, int] = field(default_factory=dict)
    plan: Plan = field(default_factory=lambda: Plan((), None))

    def __post_init__(self) -> None:
        self.scheduler = Scheduler(self.settings, validate=self.validate)

    def tell(self, *events: Event) -> list[Assigned]:
        """One batch; what was bound by it."""
        self.record.append((self.now, events))
        self.plan = self.scheduler.handle(self.now, *events)
        self.decisions += self.plan.decisions
        bound = [d for d in self.plan.decisions if isinstance(d, Assigned)]
        self.where.update({d.task.id: d.worker_id for d in bound})
        return bound

    def wait(self, seconds: float) -> list[Assigned]:
        """Time passes, with a report of every path each 10 s and a call whenever the scheduler asked for one."""
        bound: list[Assigned] = []
        end = self.now + seconds
        while self.now < end:
            due = [self.now + 10.0, end]
            if self.plan.wake is not None:
                due.append(max(self.plan.wake, self.now))
            self.now = min(due)
            bound += self.tell(*(PathReported(p, room) for p, room in self.free.items()))
            if self.plan.wake is not None and self.plan.wake <= self.now:
                bound += self.tell()
        return bound

    def worker(
        self,
        name: str,
        tasks: Iterable[TaskType] = ALL,
        limits: Caps | None = None,
        *,
        room: int = 100 * TIB,
        gpus: int = 1,
        store: bool = False,
        group: str = "",
        allow_to: str = "",
        max_concurrent: dict[tuple[TaskType, int], int] | None = None,
    ) -> str:
        """A worker that joins with one path of its own, ``<name>:path``."""
        spec = WorkerSpec(
            name,
            f"{name}-session",
            name,
            frozenset(tasks),
            limits or caps(),
            gpus=gpus,
            limits=max_concurrent or {},
        )
        self.tell(
            WorkerJoined(spec),
            self.path(f"{name}:path", [name], room, store=store, group=group, allow_to=allow_to),
        )
        return name

    def path(
        self,
        name: str,
        owners: Iterable[str],
        room: int = 100 * TIB,
        *,
        seal: bool = True,
        store: bool = False,
        group: str = "",
        allow_to: str = "",
    ) -> PathAttached:
        spec = PathSpec(
            name,
            frozenset(owners),
            seal,
            store,
            groups=frozenset({group} if group else ()),
            allow_to=frozenset({allow_to} if allow_to else ()),
        )
        self.paths[name], self.free[name] = spec, room
        return PathAttached(spec, room, room)

    def files(
        self, number: int, types: FileType, on: str, by: str | None = None, primary: bool = False
    ) -> list[Assigned]:
        return self.tell(self.declared(number, types, on, by, primary))

    @staticmethod
    def declared(
        number: int, types: FileType, on: str, by: str | None = None, primary: bool = False
    ) -> FilesDeclared:
        return FilesDeclared(f"{on}:path" if ":" not in on else on, sector(number), types, primary, by)

    @staticmethod
    def dropped(number: int, types: FileType, on: str) -> FilesDropped:
        return FilesDropped(f"{on}:path", sector(number), types)

    def queue(self, *specs: TaskSpec) -> list[Assigned]:
        return self.tell(*(TaskQueued(spec) for spec in specs))

    def running(self, *specs: TaskSpec) -> None:
        self.tell(*(TaskRunning(spec.id) for spec in specs))

    def end(self, spec: TaskSpec, outcome: Outcome = Outcome.SUCCESS, error: str = "") -> list[Assigned]:
        return self.tell(TaskEnded(spec.id, outcome, error))

    def seal(self, spec: TaskSpec) -> list[Assigned]:
        """The task succeeds; what it made is declared first, as a worker does."""
        made = {AP: UNSEALED, P1: SEALED | CACHE}.get(spec.type, FileType.NONE)
        events: list[Event] = []
        if made:
            on = self.where[spec.id]
            events.append(self.declared(spec.sector.number, made, on, on))
        return self.tell(*events, TaskEnded(spec.id, Outcome.SUCCESS))

    def carried(self, kind: TaskType) -> Counter[str]:
        """Tasks of this type by worker, as the ledgers have it."""
        counts: Counter[str] = Counter()
        for spec in self.scheduler.workers():
            ledger = self.scheduler.ledger(spec.id)
            assert ledger is not None
            counts[spec.id] = ledger.by_type.get(kind, 0)
        return counts

    def waiting(self) -> list[str]:
        return [q.task.id for q in self.scheduler.queue()]

    def why_not(self, spec: TaskSpec, worker: str) -> str:
        refusal = self.scheduler.judge(spec.id, worker, self.now)
        assert refusal is not None
        return refusal.text


def like(spec: WorkerSpec, **changes: object) -> WorkerSpec:
    return replace(spec, **changes)  # type: ignore[arg-type]
