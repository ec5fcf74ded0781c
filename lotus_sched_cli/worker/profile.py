"""What a worker tells about itself: its name, its lasting id, its machine, its caps, the task types it offers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from lotus_sched_cli.core.caps import Caps
from lotus_sched_cli.core.tasks import Kind, TaskType
from lotus_sched_cli.lotus.cap_extras import extras_of
from lotus_sched_cli.lotus.extras import CapExtras
from lotus_sched_cli.lotus.types import Resources, WorkerInfo, WorkerResources

from . import resources
from .gpus import Gpu
from .hardware import count_cpus, measure_memory

#: Tasks that run on a card where there is one.
ON_GPU = frozenset(
    {
        TaskType.PRECOMMIT2,
        TaskType.COMMIT2,
        TaskType.REPLICA_UPDATE,
        TaskType.PROVE_REPLICA_UPDATE2,
        TaskType.REGEN_SECTOR_KEY,
    }
)


class Profile:
    """Facts of one worker. Processors, cards and the resource table are taken once, memory anew at each `info`.

    ``id`` is the lasting id of scheduling.md A7, empty for a worker without one of its own. ``cap_aware`` False leaves
    the caps out of what is told (the miner's built-in worker, whose caps are the miner's). ``tasks`` are those that it
    may do; one with a cap of 0 is not offered while that stands.
    """

    def __init__(
        self,
        *,
        name: str,
        id: str,
        tasks: frozenset[TaskType],
        caps: Caps,
        gpus: tuple[Gpu, ...] = (),
        environ: Mapping[str, str] | None = None,
        no_swap: bool = False,
        cap_aware: bool = True,
        root: Path = Path("/"),
    ) -> None:
        self.name = name
        self.id = id
        self.gpus = gpus
        self.offered = tasks
        self._environ = environ or {}
        self._disabled: set[TaskType] = set()
        self._cap_aware = cap_aware
        self._no_swap = no_swap
        self._root = root
        self._cpus = count_cpus()
        self.caps = caps
        self._table = _on_the_wire(self._environ, caps, cap_aware)
        self._load: Counter[int] = Counter()

    def info(self) -> WorkerInfo:
        """``WorkerInfo``, with memory as it is now and, where it has them, the members that are ours."""
        memory = measure_memory(no_swap=self._no_swap, root=self._root)
        told = WorkerResources(
            MemPhysical=memory.physical,
            MemUsed=memory.used,
            MemSwap=memory.swap,
            MemSwapUsed=memory.swap_used,
            CPUs=self._cpus,
            GPUs=[gpu.name for gpu in self.gpus],
            Resources=self._table,
        )
        if self._cap_aware:
            told = msgspec.structs.replace(told, **_caps(self.caps))
        if not self.id:
            return WorkerInfo(Hostname=self.name, Resources=told)
        return WorkerInfo(Hostname=self.name, Resources=told, WorkerID=self.id)

    def tasks(self) -> frozenset[TaskType]:
        """The task types that are on offer now."""
        return frozenset(t for t in self.offered - self._disabled if self.caps.most(t) != 0)

    def recap(self, caps: Caps) -> None:
        """Other caps count from now on."""
        self.caps = caps
        self._table = _on_the_wire(self._environ, caps, self._cap_aware)

    def enable(self, task: TaskType) -> None:
        """Also one that its flags left out at the start, as Lotus's ``TaskEnable`` does."""
        self.offered |= {task}
        self._disabled.discard(task)

    def disable(self, task: TaskType) -> None:
        self._disabled.add(task)

    # -- cards --------------------------------------------------------------------------------------------------------

    def take_card(self, task: TaskType) -> int | None:
        """NVML's index of the card that carries the fewest tasks, for a task that runs on one; None without."""
        if task not in ON_GPU or not self.gpus:
            return None
        card = min((gpu.index for gpu in self.gpus), key=lambda index: (self._load[index], index))
        self._load[card] += 1
        return card

    def free_card(self, card: int | None) -> None:
        if card is not None:
            self._load[card] -= 1


def _caps(caps: Caps) -> dict[str, Any]:
    extras = extras_of(caps)
    more = {} if extras == CapExtras() else {"CapExtras": extras}
    return {
        **more,
        "PreCommit1Max": caps.precommit1_max,
        "PreCommit1HoldMax": caps.precommit1_hold_max,
        "PreCommit2Max": caps.precommit2_max,
        "Commit2Max": caps.commit2_max,
        "ForceP2FromLocalP1": caps.force_p2_from_local_p1,
    }


def _on_the_wire(environ: Mapping[str, str], caps: Caps, cap_aware: bool) -> dict[str, dict[str, Resources]]:
    table = resources.table(environ)
    if cap_aware:
        stated = {resources.TASK_OF[kind]: caps.of(kind) for kind in Kind}
        table = resources.capped(table, {**stated, **dict(caps.task_max)})
    return {
        task.value: {
            str(proof): Resources(
                MinMemory=needs.min_memory,
                MaxMemory=needs.max_memory,
                GPUUtilization=needs.gpu_utilization,
                MaxParallelism=needs.max_parallelism,
                MaxParallelismGPU=needs.max_parallelism_gpu,
                BaseMinMemory=needs.base_min_memory,
                MaxConcurrent=needs.max_concurrent,
            )
            for proof, needs in rows.items()
        }
        for task, rows in table.items()
    }
