"""Windowed farms for the stories: machines with Lotus's hardware figures, and where each task is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from core.scene import ALL, GIB, TIB, Scene, caps

from lotus_sched_cli.core.caps import Caps
from lotus_sched_cli.core.decisions import Assigned, Start
from lotus_sched_cli.core.events import (
    Event,
    FilesDeclared,
    Settings,
    TaskPrepared,
    TaskPreparing,
    TaskRunning,
    TaskSpec,
    WorkerJoined,
    WorkerSpec,
)
from lotus_sched_cli.core.tasks import FileType, TaskType
from lotus_sched_cli.core.windowed import INIT_WAIT


def windowed(assigner: str = "utilization", **changes: object) -> Settings:
    return Settings(policy="windowed", assigner=assigner, **changes)  # type: ignore[arg-type]


@dataclass
class Windows(Scene):
    """Workers prepare at once where nothing is to be fetched, and run what may start, unless the story holds it up."""

    settings: Settings = field(default_factory=windowed)
    started: set[str] = field(default_factory=set)
    prepared: set[str] = field(default_factory=set)
    #: Fetches that have not ended.
    fetching: set[str] = field(default_factory=set)
    #: Fetching ones that are to wait for their turn once they are prepared.
    waits: set[str] = field(default_factory=set)

    def ready(self) -> Windows:
        """The first three seconds are over."""
        self.wait(INIT_WAIT)
        return self

    def tell(self, *events: Event) -> list[Assigned]:
        bound = super().tell(*events)
        follow: list[Event] = []
        for decision in self.plan.decisions:
            if isinstance(decision, Assigned):
                name = decision.task.id
                if decision.fetch:
                    self.fetching.add(name)
                    (self.waits.add if decision.waits else self.waits.discard)(name)
                    follow.append(TaskPreparing(name))
                elif decision.waits:
                    self.prepared.add(name)
                    follow.append(TaskPrepared(name))
                else:
                    self.started.add(name)
                    follow.append(TaskRunning(name))
            elif isinstance(decision, Start):
                self.prepared.discard(decision.task.id)
                self.started.add(decision.task.id)
                follow.append(TaskRunning(decision.task.id))
        if follow:
            bound += self.tell(*follow)
        return bound

    def fetched(self, spec: TaskSpec) -> None:
        self.fetching.remove(spec.id)
        if spec.id in self.waits:
            self.prepared.add(spec.id)
            self.tell(TaskPrepared(spec.id))
        else:
            self.started.add(spec.id)
            self.tell(TaskRunning(spec.id))

    def machine(
        self,
        name: str,
        tasks: Iterable[TaskType] = ALL,
        *,
        memory: int = 128 * GIB,
        swap: int = 200 * GIB,
        used: int = GIB,
        cpus: int = 32,
        gpus: int = 0,
        room: int = 100 * TIB,
        ignore: bool = False,
        limits: Caps | None = None,
        max_concurrent: dict[tuple[TaskType, int], int] | None = None,
        store: bool = False,
        session: str = "",
    ) -> str:
        """A stock worker with the figures of Lotus's own tests: 128 GiB, 200 GiB swap, 32 processors, no GPU."""
        spec = WorkerSpec(
            name,
            session or f"{name}-session",
            name,
            frozenset(tasks),
            limits or caps(),
            cpus=cpus,
            gpus=gpus,
            mem_physical=memory,
            mem_swap=swap,
            mem_used=used,
            mem_swap_used=used,
            limits=max_concurrent or {},
            cap_aware=limits is not None,
            ignore_resources=ignore,
        )
        self.tell(WorkerJoined(spec), self.path(f"{name}:path", [name], room, store=store))
        return name

    def stored(self, *specs: TaskSpec) -> None:
        """The inputs of these tasks lie on a store that seals nothing: whoever takes them has to fetch."""
        if "store" not in self.paths:
            self.tell(self.path("store", ["nobody"], seal=False, store=True))
        for spec in specs:
            p1 = spec.type is TaskType.PRECOMMIT1
            types = FileType.UNSEALED if p1 else FileType.SEALED | FileType.CACHE
            self.tell(FilesDeclared("store", spec.sector, types))

    def assigned(self) -> dict[str, tuple[str, int]]:
        """Task → worker and window, of those that wait in windows."""
        return {
            q.task.id: (q.worker_id, q.window) for q in self.scheduler.queue() if q.worker_id and q.window
        }

    def row(self, worker: str) -> list[str]:
        """What waits in the worker's windows, first window first."""
        found = [(n, task) for task, (w, n) in self.assigned().items() if w == worker]
        return [task for _, task in sorted(found)]

    def in_queue(self) -> list[str]:
        """What waits in no window."""
        return [q.task.id for q in self.scheduler.queue() if not q.window]
