"""What a simulated farm is made of: disks, workers, sectors, jobs. ``labour``, ``line`` and ``shelves`` change them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lotus_sched_cli.core.events import PathSpec, TaskSpec, WorkerSpec
from lotus_sched_cli.core.needs import CACHE, SEALED, UNSEALED
from lotus_sched_cli.core.tasks import SectorId, TaskType

from .farm import Batch, Group
from .sharing import Card, Share, Transfer, gpu_of, memory_of

#: The miner actor of every simulation.
MINER: Final = 1000
BITS: Final = (UNSEALED, SEALED, CACHE)


class Disk:
    """A storage path. ``used`` are the files on it, ``reserved`` what its running jobs will still write; bytes."""

    __slots__ = ("capacity", "changed", "id", "peak", "reported", "reserved", "seals", "used", "worker")

    def __init__(self, worker: Host, capacity: int, seals: bool) -> None:
        self.id = f"{worker.id}:{'disk' if seals else 'storage'}"
        self.worker = worker
        self.capacity = capacity
        self.seals = seals
        self.used = self.reserved = self.peak = 0
        #: When its last report was.
        self.reported = 0.0
        #: Time of the last change.
        self.changed = float("-inf")

    @property
    def available(self) -> int:
        return self.capacity - self.used - self.reserved

    def change(self, now: float, used: int = 0, reserved: int = 0) -> None:
        self.used += used
        self.reserved += reserved
        self.peak = max(self.peak, self.used + self.reserved)
        self.changed = now

    def spec(self) -> PathSpec:
        return PathSpec(self.id, frozenset({self.worker.id}), self.seals, not self.seals, steady=True)


class Host:
    """One worker. ``carried`` counts its jobs by type; ``sectors`` are those with files on its disks."""

    __slots__ = (
        "card", "carried", "disks", "gpus", "group", "held", "id", "jobs", "memory", "number", "online",
        "p1_started", "resting", "sectors", "session", "slots", "tasks",
    )  # fmt: skip

    def __init__(self, group: Group, number: int) -> None:
        self.group = group
        self.number = 0
        self.id = f"{group.name}-{number:0{len(str(group.count))}}" if group.count > 1 else group.name
        self.session = 1
        self.online = True
        self.jobs: dict[str, Job] = {}
        self.carried: dict[TaskType, int] = dict.fromkeys(group.tasks, 0)
        self.tasks = frozenset(task for task in group.tasks if group.offers(task))
        self.slots = {task: _slots(group, task) for task in group.tasks}
        self.card = Card(group.network)
        self.memory = memory_of(group)
        self.gpus: list[Share] = [gpu_of(group) for _ in range(group.gpus)]
        self.disks: dict[str, Disk] = {}
        if group.disk:
            self._add(Disk(self, group.disk, True))
        if group.storage:
            self._add(Disk(self, group.storage, False))
        self.sectors: dict[int, Sector] = {}
        self.held: dict[int, set[object]] = {}
        self.resting: set[TaskType] = set()
        self.p1_started = float("-inf")

    def _add(self, disk: Disk) -> None:
        self.disks[disk.id] = disk

    def spec(self) -> WorkerSpec:
        """As it registers. Its caps stand in MaxConcurrent too, as a cap-aware worker states them."""
        group = self.group
        limits: dict[tuple[TaskType, int], int] = {}
        for task, slots in self.slots.items():
            if slots:
                limits |= {(task, proof): slots for proof in range(20)}
        return WorkerSpec(
            self.id,
            f"{self.session:08x}-{self.number:04x}",
            self.id,
            group.tasks,
            group.caps,
            cpus=group.cpus,
            gpus=group.gpus,
            mem_physical=group.memory,
            limits=limits,
        )


def _slots(group: Group, task: TaskType) -> int | None:
    return group.caps.of(task.kind) if task.kind is not None else group.limits.get(task)


class Sector:
    """A sector on its way. ``files`` are bytes by disk and file type; ``step`` counts its batch's stages."""

    __slots__ = ("again", "batch", "came", "files", "id", "index", "number", "step", "task", "tries")

    def __init__(self, number: int, batch: Batch, now: float) -> None:
        self.number = number
        self.id = SectorId(MINER, number)
        self.batch = batch
        self.came = now
        self.index = 0
        self.step = 0
        self.tries = 0
        self.again = 0
        self.files: dict[Disk, dict[int, int]] = {}
        self.task: Waiting | None = None

    @property
    def stage(self) -> TaskType:
        return self.batch.stages[self.step]

    def on(self, host: Host) -> int:
        """Its file types that lie on the host."""
        types = 0
        for disk, files in self.files.items():
            if disk.worker is host:
                for bit in files:
                    types |= bit
        return types


class Waiting:
    """A task that wants a worker: queued at ``since``, not to be taken before ``after``."""

    __slots__ = ("after", "sector", "since", "spec")

    def __init__(self, spec: TaskSpec, sector: Sector, now: float) -> None:
        self.spec, self.sector, self.since, self.after = spec, sector, now, now


class Job:
    """A task on a worker. ``reserved`` are the bytes kept on disks until it is over; ``waits``: for its turn there.

    ``ahead``: it waits, and its files are only fetched there; ``there``: they have come.
    """

    __slots__ = (
        "ahead", "bound", "fails", "host", "laid", "moving", "ran", "reserved", "share", "task", "there", "token", "waits",
        "work",
    )  # fmt: skip

    def __init__(self, task: Waiting, host: Host, now: float, laid: Mapping[int, Disk], waits: bool) -> None:
        self.task = task
        self.host = host
        self.bound = now
        self.ran: float | None = None
        self.laid = laid
        self.waits = waits
        self.reserved: dict[Disk, int] = {}
        self.moving: list[Transfer] = []
        self.share: Share | None = None
        self.token = 0
        self.work = 0.0
        self.fails = False
        self.ahead = self.there = False


#: Set of file types → the single ones in it.
_BITS_OF: Final = tuple(tuple(bit for bit in BITS if types & bit) for types in range(sum(BITS) + 1))


def bits(types: int) -> tuple[int, ...]:
    return _BITS_OF[types]
