"""What a task takes of a machine, and Lotus's table of it.

Source: Lotus ``storage/sealer/storiface/resources.go``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from .proofs import GIB, KIB, MIB
from .tasks import TaskType

K, M, G = KIB, MIB, GIB


@dataclass(frozen=True, slots=True)
class Demand:
    """What one task needs. Memory in bytes; ``max_concurrent`` 0 is no limit, parallelism -1 nearly all processors."""

    min_memory: int = 0
    max_memory: int = 0
    gpu_utilization: float = 0
    max_parallelism: int = 0
    max_parallelism_gpu: int = 0
    base_min_memory: int = 0
    max_concurrent: int = 0

    def threads(self, cpus: int, gpus: int) -> int:
        """Threads of the task on such a machine (Lotus ``Resources.Threads``)."""
        wanted = self.max_parallelism
        if gpus and self.gpu_utilization and self.max_parallelism_gpu:
            wanted = self.max_parallelism_gpu
        if wanted != -1:
            return wanted
        return cpus * 92 // 100 or cpus


Demands = Mapping[tuple[TaskType, int], Demand]


def demand_of(stated: Demands, task: TaskType, proof: int) -> Demand:
    """What the worker states for the task, else Lotus's default; tasks without a row need nothing."""
    found = stated.get((task, proof))
    if found is not None:
        return found
    rows = DEFAULTS.get(task)
    # NI-PoRep (from 15 up) has no rows, as in Lotus.
    return rows[proof % 5] if rows is not None and proof < 15 else NOTHING


NOTHING: Final = Demand()

# -- the defaults, one Demand per sector size -------------------------------------------------------------------------

_Memory = tuple[int, int, int]


def _rows(
    memory: tuple[_Memory, _Memory, _Memory, _Memory, _Memory],
    *,
    threads: tuple[int, int] = (1, 1),
    threads_gpu: int = 0,
    gpu: tuple[float, float] = (0, 0),
) -> list[Demand]:
    """Rows from (min, max, base) memory; pairs give the value of the small and of the two big sector sizes."""
    return [
        Demand(low, high, gpu[big], threads[big], threads_gpu if big else 0, base)
        for column, (low, high, base) in enumerate(memory)
        for big in (1 if column >= 3 else 0,)
    ]


_TINY: Final = ((2 * K, 2 * K, 2 * K), (8 * M, 8 * M, 8 * M))
_P1: Final = (
    *_TINY,
    (768 * M, G, M),
    (56 * G, 64 * G, 10 * M),
    (112 * G, 128 * G, 10 * M),
)
_C2: Final = (
    *_TINY,
    (G, 1536 * M, 10 * G),
    (30 * G, 150 * G, 32 * G),
    (60 * G, 190 * G, 64 * G),
)
_AP: Final = (*_TINY, (G, G, G), (4 * G, 4 * G, G), (8 * G, 8 * G, G))
_C1: Final = (*_TINY, (G, G, G), (G, G, G), (G, G, G))

DEFAULTS: Final[dict[TaskType, list[Demand]]] = {
    TaskType.ADD_PIECE: _rows(_AP),
    TaskType.DATA_CID: _rows(((4 * G, 4 * G, G),) * 5),
    TaskType.PRECOMMIT1: _rows(_P1),
    TaskType.UNSEAL: _rows(_P1),
    TaskType.PRECOMMIT2: _rows(
        (*_TINY, (G, 1536 * M, G), (15 * G, 15 * G, G), (30 * G, 30 * G, G)),
        threads=(-1, -1),
        threads_gpu=6,
        gpu=(0, 1),
    ),
    TaskType.COMMIT1: _rows(_C1, threads=(0, 0)),
    TaskType.PROVE_REPLICA_UPDATE1: _rows(_C1, threads=(0, 0)),
    TaskType.COMMIT2: _rows(_C2, threads=(1, -1), threads_gpu=6, gpu=(1, 1)),
    TaskType.PROVE_REPLICA_UPDATE2: _rows(_C2, threads=(1, -1), threads_gpu=6, gpu=(1, 1)),
    TaskType.FETCH: _rows(((M, M, 0),) * 5, threads=(0, 0)),
    TaskType.REPLICA_UPDATE: _rows(_AP, threads_gpu=6, gpu=(1, 1)),
    TaskType.REGEN_SECTOR_KEY: _rows(_AP, threads_gpu=6, gpu=(1, 1)),
    TaskType.WINDOW_POST: _rows(
        (*_TINY, (G, 1536 * M, 10 * G), (30 * G, 96 * G, 32 * G), (60 * G, 120 * G, 64 * G)),
        threads=(1, -1),
        threads_gpu=6,
        gpu=(1, 1),
    ),
    TaskType.WINNING_POST: _rows(
        (
            (2 * K, 2 * K, 2 * K),
            (8 * M, 8 * M, 8 * M),
            (2 * K, 2 * K, 10 * G),
            (G, G, 32 * G),
            (G, G, 64 * G),
        ),
        threads=(1, -1),
        threads_gpu=6,
        gpu=(1, 1),
    ),
}
