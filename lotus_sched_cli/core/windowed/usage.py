"""One ledger of resources in use on a worker, and whether another task fits into it (scheduling.md B5, B6).

Source: Lotus ``storage/sealer/sched_resources.go``; ``Usage2020`` is that of v0.8.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lotus_sched_cli.core.decisions import Refusal, Why
from lotus_sched_cli.core.events import WorkerSpec
from lotus_sched_cli.core.resources import Demand
from lotus_sched_cli.core.tasks import TaskType

#: What MaxConcurrent counts: a task type (empty: a prepare step that fetches nothing) and a seal proof.
CountKey = tuple[str, int]
Counts = dict[CountKey, int]


@dataclass(frozen=True, slots=True)
class Share:
    """What one task takes of one worker. Memory in bytes, ``limit`` 0 is no limit of ``key``."""

    key: CountKey
    min_memory: int
    max_memory: int
    base_memory: int
    threads: int
    gpu: float
    limit: int


def share_of(key: CountKey, demand: Demand, spec: WorkerSpec, limit: int, modern: bool = True) -> Share:
    """``modern`` False: in v0.8.1 a GPU task takes as many threads with a GPU as without."""
    return Share(
        key,
        demand.min_memory,
        demand.max_memory,
        demand.base_min_memory,
        demand.threads(spec.cpus, spec.gpus if modern else 0),
        demand.gpu_utilization,
        limit,
    )


class Usage:
    """What the tasks of one window, or those that prepare, or those that run, take of their worker.

    ``counts`` may be shared by several ledgers: preparing and active tasks are counted together.
    """

    __slots__ = ("counts", "cpu", "gpu", "max_memory", "min_memory")

    def __init__(self, counts: Counts | None = None) -> None:
        self.min_memory = 0
        self.max_memory = 0
        self.cpu = 0
        self.gpu = 0.0
        self.counts: Counts = {} if counts is None else counts

    def add(self, share: Share) -> None:
        self.min_memory += share.min_memory
        self.max_memory += share.max_memory
        self.cpu += share.threads
        self.gpu += share.gpu
        self.counts[share.key] = self.counts.get(share.key, 0) + 1

    def free(self, share: Share) -> None:
        self.min_memory -= share.min_memory
        self.max_memory -= share.max_memory
        self.cpu -= share.threads
        self.gpu -= share.gpu
        self.counts[share.key] -= 1

    def fits(self, share: Share, spec: WorkerSpec) -> bool:
        """``lack`` without its words: this runs for every task and window."""
        if share.limit and self.counts.get(share.key, 0) >= share.limit:
            return False
        if spec.ignore_resources:
            return True
        if share.min_memory + share.base_memory > spec.mem_physical - self.min_memory:
            return False
        used, outside = self.max_memory, spec.mem_used + spec.mem_swap_used
        total = spec.mem_physical + spec.mem_swap - (max(outside, used))
        if share.max_memory + share.base_memory > total or self.cpu + share.threads > spec.cpus:
            return False
        return not (spec.gpus and share.gpu > 0 and self.gpu + share.gpu > spec.gpus)

    def lack(self, share: Share, spec: WorkerSpec, caller: str) -> Refusal | None:
        """The first thing of which there is not enough; ``caller`` is the part of Lotus's scheduler that asks."""
        refused = self._at_limit(share, caller)
        if refused is not None:
            return refused
        if spec.ignore_resources:
            return None
        need, have = (share.min_memory + share.base_memory, spec.mem_physical - self.min_memory)
        if need > have:
            return _refusal(Why.MEMORY, caller, need=need, have=have)
        used = max(self.max_memory, spec.mem_used + spec.mem_swap_used)
        need, have = (share.max_memory + share.base_memory, spec.mem_physical + spec.mem_swap - used)
        if need > have:
            return _refusal(Why.VIRTUAL_MEMORY, caller, need=need, have=have)
        if self.cpu + share.threads > spec.cpus:
            return _refusal(Why.THREADS, caller, need=share.threads, in_use=self.cpu, max=spec.cpus)
        if spec.gpus and share.gpu > 0 and self.gpu + share.gpu > spec.gpus:
            return _refusal(Why.GPU, caller, need=share.gpu, in_use=self.gpu, max=spec.gpus)
        return None

    def _at_limit(self, share: Share, caller: str) -> Refusal | None:
        count = self.counts.get(share.key, 0)
        if not share.limit or count < share.limit:
            return None
        task, proof = share.key
        return _refusal(Why.TASK_LIMIT, caller, task=f"{proof}:{task}", in_use=count, max=share.limit)

    def utilization(self, spec: WorkerSpec) -> float:
        """The largest of the shares of processors, memory, memory with swap, and GPUs that are in use."""
        used, physical = spec.mem_used, spec.mem_physical
        most = self.cpu / spec.cpus if spec.cpus else 0.0
        if physical:
            memory = self.min_memory
            most = max(most, (memory if memory > used else used) / physical)
        total = physical + spec.mem_swap
        if total:
            used += spec.mem_swap_used
            memory = self.max_memory
            most = max(most, (memory if memory > used else used) / total)
        return max(most, self.gpu / spec.gpus) if spec.gpus else most


class Usage2020(Usage):
    """No MaxConcurrent, no ignored resources, memory of others added, one GPU task at a time.

    Placing any task overwrites the GPU flag, so that a task without GPU, placed next, clears it: as v0.8.1 has it.
    """

    __slots__ = ()

    def add(self, share: Share) -> None:
        super().add(share)
        self.gpu = 1.0 if share.gpu > 0 else 0.0

    def free(self, share: Share) -> None:
        gpu = self.gpu
        super().free(share)
        self.gpu = 0.0 if share.gpu > 0 else gpu

    def fits(self, share: Share, spec: WorkerSpec) -> bool:
        reserved = spec.mem_used + spec.mem_swap_used
        if reserved + self.min_memory + share.min_memory + share.base_memory > spec.mem_physical:
            return False
        total = spec.mem_physical + spec.mem_swap
        if reserved + self.max_memory + share.max_memory + share.base_memory > total:
            return False
        return self.cpu + share.threads <= spec.cpus and not (spec.gpus and share.gpu > 0 and self.gpu)

    def lack(self, share: Share, spec: WorkerSpec, caller: str) -> Refusal | None:
        reserved = spec.mem_used + spec.mem_swap_used
        need = reserved + self.min_memory + share.min_memory + share.base_memory
        if need > spec.mem_physical:
            return _refusal(Why.MEMORY, caller, need=need, have=spec.mem_physical, release=2020)
        need = reserved + self.max_memory + share.max_memory + share.base_memory
        have = spec.mem_physical + spec.mem_swap
        if need > have:
            return _refusal(Why.VIRTUAL_MEMORY, caller, need=need, have=have, release=2020)
        if self.cpu + share.threads > spec.cpus:
            return _refusal(Why.THREADS, caller, need=share.threads, in_use=self.cpu, max=spec.cpus)
        if spec.gpus and share.gpu > 0 and self.gpu:
            return _refusal(Why.GPU, caller, release=2020)
        return None

    def utilization(self, spec: WorkerSpec) -> float:
        reserved = spec.mem_used + spec.mem_swap_used
        return max(
            _part(self.cpu, spec.cpus),
            _part(self.min_memory + reserved, spec.mem_physical),
            _part(self.max_memory + reserved, spec.mem_physical + spec.mem_swap),
        )


def _part(used: float, total: int) -> float:
    return used / total if total else 0.0


def _refusal(why: Why, caller: str, **figures: Any) -> Refusal:
    return Refusal(why, {"caller": caller, **figures})


#: The key of a prepare step: it fetches, or does nothing.
def prepare_key(fetches: bool, proof: int) -> CountKey:
    return (TaskType.FETCH.value if fetches else "", proof)
