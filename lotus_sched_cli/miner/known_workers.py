"""A worker as the miner knows it, and how it looks to the scheduler."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from lotus_sched_cli.core.caps import Caps
from lotus_sched_cli.core.events import WorkerSpec
from lotus_sched_cli.core.tasks import TaskType
from lotus_sched_cli.lotus.rpc.client import Caller
from lotus_sched_cli.lotus.said import Said
from lotus_sched_cli.lotus.types import WorkerInfo

from .kept import Kept
from .specs import SEAL_PROOFS, demands_of, limits_of


@dataclass(slots=True)
class Worker:
    """A worker as the miner knows it. ``caller`` is None for one that has not registered since the miner started."""

    id: str
    number: int
    name: str
    url: str
    session: str
    info: WorkerInfo = field(default_factory=WorkerInfo)
    tasks: frozenset[TaskType] = frozenset()
    caps: Caps = field(default_factory=Caps)
    caps_source: str = ""
    #: The caps as the worker, its resource table or the configuration state them, before those that the miner keeps.
    stated: Caps = field(default_factory=Caps)
    kept: Kept = field(default_factory=Kept)
    stock: bool = True
    builtin: bool = False
    caller: Caller | None = None
    online: bool = False
    last_seen: float = 0.0
    #: `last_seen` as it is stored: what the next run of the miner will tell of a worker that is gone by then.
    seen_stored: float = 0.0
    #: Ids of the paths that it says are its own; None until it has told.
    paths: frozenset[str] | None = None
    #: Registered since the miner started.
    registered: bool = False
    beat: asyncio.Task[None] | None = None
    hurry: asyncio.Event = field(default_factory=asyncio.Event)
    said: Said = field(default_factory=Said)
    #: What this process of it has worked on, ``proof:task``: Lotus goes on to count what is down to none.
    counted: set[str] = field(default_factory=set)

    @property
    def label(self) -> str:
        return f"{self.session[:8]}@{self.name}"

    @property
    def netloc(self) -> str:
        return urlsplit(self.url).netloc


def limits(worker: Worker) -> dict[tuple[TaskType, int], int]:
    """Its caps of task types without a kind, by seal proof."""
    most_of = limits_of(worker.info)
    for task, most in worker.caps.task_max:
        most_of.update({(task, proof): most for proof in SEAL_PROOFS})
    return most_of


def spec(worker: Worker) -> WorkerSpec:
    resources = worker.info.Resources
    return WorkerSpec(
        id=worker.id,
        session=worker.session,
        name=worker.name,
        tasks=worker.tasks,
        caps=worker.caps,
        cpus=resources.CPUs,
        gpus=len(resources.GPUs or ()),
        mem_physical=resources.MemPhysical,
        mem_swap=resources.MemSwap,
        mem_used=resources.MemUsed,
        mem_swap_used=resources.MemSwapUsed,
        limits=limits(worker),
        demands=demands_of(worker.info),
        cap_aware=worker.caps_source == "worker",
        ignore_resources=worker.info.IgnoreResources,
        builtin=worker.builtin,
    )
