"""A farm as FARM.toml describes it: groups of workers, what they are and how long they take, and the sectors to seal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from lotus_sched_cli.core.caps import Caps
from lotus_sched_cli.core.tasks import Kind, TaskType

AP, P1, P2 = TaskType.ADD_PIECE, TaskType.PRECOMMIT1, TaskType.PRECOMMIT2
C1, C2 = TaskType.COMMIT1, TaskType.COMMIT2
FUS, FIN, GET = TaskType.FINALIZE_UNSEALED, TaskType.FINALIZE, TaskType.FETCH

#: The steps of a sector without deals, in their order; the seed is waited for between PC2 and C1.
STAGES: Final = (AP, P1, P2, C1, C2, FUS, FIN, GET)
#: A Lotus worker offers these whatever its flags say; a farm file names the others.
ALWAYS: Final = frozenset({C1, FUS, FIN, GET})
CHOSEN: Final = (AP, P1, P2, C2)

MINUTE: Final = 60.0
HOUR: Final = 60 * MINUTE
#: Seconds of a task that has its worker (and its GPU, for PC2 and C2) for itself, 32 GiB on usual machines.
DURATIONS: Final[Mapping[TaskType, float]] = {
    AP: 10 * MINUTE,
    P1: 4.5 * HOUR,
    P2: 25 * MINUTE,
    C1: 1 * MINUTE,
    C2: 25 * MINUTE,
    FUS: 10.0,
    FIN: 5 * MINUTE,
}


class FarmError(ValueError):
    """A farm that cannot be: one line with file, key and remedy."""


@dataclass(frozen=True, slots=True)
class Group:
    """``count`` workers that are alike. Bytes, bytes per second, seconds.

    ``durations`` hold for a task that has the machine for itself. Up to ``p1_full_speed`` PC1 run side by side without
    slowing each other; more share the memory's bandwidth. Of tasks on one GPU each runs at (1 + ``gpu_overlap`` × (n − 1)) / n
    of its speed: 0 takes turns, 1 does not notice. ``failures`` are shares of tasks that fail. A worker restarts every
    ``restart_every`` (0: never) and is away for ``restart_lasts``.
    """

    name: str
    count: int = 1
    tasks: frozenset[TaskType] = frozenset(CHOSEN) | ALWAYS
    caps: Caps = field(default_factory=Caps)
    limits: Mapping[TaskType, int] = field(default_factory=dict)
    cpus: int = 32
    gpus: int = 1
    memory: int = 1 << 40
    disk: int = 14 << 40
    storage: int = 0
    network: float = 1.25e9
    durations: Mapping[TaskType, float] = field(default_factory=lambda: dict(DURATIONS))
    p1_full_speed: int = 0
    p1_memory: int = 64 << 30
    gpu_overlap: float = 0.0
    failures: Mapping[TaskType, float] = field(default_factory=dict)
    restart_every: float = 0.0
    restart_lasts: float = 5 * MINUTE

    def offers(self, task: TaskType) -> bool:
        return task in self.tasks and (task.kind is None or self.caps.of(task.kind) > 0)

    def slots(self, task: TaskType) -> int | None:
        """Tasks of the type that all workers of the group may carry together; None: without limit."""
        if not self.offers(task):
            return 0
        if task.kind is not None:
            own = self.caps.of(task.kind)
            if task.kind is Kind.P1 and self.caps.precommit1_hold_max:
                own = min(own, self.caps.precommit1_hold_max)
            return own * self.count
        limit = self.limits.get(task)
        return None if limit is None else limit * self.count


@dataclass(frozen=True, slots=True)
class Batch:
    """``count`` sectors that come in one each ``every`` seconds from ``first`` on, with the stages ``start`` to ``stop``.

    Where ``start`` is not AP, their files lie on the workers of the group ``on``, in turns. ``keep`` > 0: the next one is
    pledged whenever fewer than so many pieces wait for their PC1.
    """

    count: int
    every: float = 0.0
    first: float = 0.0
    start: TaskType = AP
    stop: TaskType = GET
    on: str = ""
    priority: int = 0
    keep: int = 0

    @property
    def stages(self) -> tuple[TaskType, ...]:
        return STAGES[STAGES.index(self.start) : STAGES.index(self.stop) + 1]


@dataclass(frozen=True, slots=True)
class Switch:
    """At this time (seconds) the miner goes over to another policy, as ``AllowMyScheduler`` does."""

    at: float
    policy: str


@dataclass(frozen=True, slots=True)
class FarmSpec:
    """A whole farm. ``wait_seed`` and ``commit_wait`` are seconds on the chain, ``run_for`` 0: until all is sealed."""

    name: str
    groups: tuple[Group, ...]
    batches: tuple[Batch, ...]
    note: str = ""
    sector_size: int = 32 << 30
    proof: int = 8
    seed: int = 1
    jitter: float = 0.0
    wait_seed: float = 75 * MINUTE
    commit_wait: float = 5 * MINUTE
    run_for: float = 0.0
    policies: tuple[str, ...] = ("balanced", "windowed")
    switches: tuple[Switch, ...] = ()
    spread_by: str = "count"
    retry_delay: float = 60.0
    retry_delay_max: float = 1800.0

    @property
    def sectors(self) -> int:
        return sum(batch.count for batch in self.batches)

    @property
    def prefetches(self) -> bool:
        """Whether some worker may fetch files ahead."""
        return any(group.caps.prefetches for group in self.groups)

    @property
    def workers(self) -> int:
        return sum(group.count for group in self.groups)

    def group(self, name: str) -> Group:
        return next(group for group in self.groups if group.name == name)
