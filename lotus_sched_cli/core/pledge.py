"""How many new sectors the farm has room to begin (``sectors mypledge``)."""

from __future__ import annotations

from dataclasses import dataclass

from . import space
from .eligibility import free_slots, offers, ready
from .farm import Farm
from .needs import P1_OUTPUT, UNSEALED
from .records import Path, Worker
from .tasks import TaskType

_AP, _P1 = TaskType.ADD_PIECE, TaskType.PRECOMMIT1


@dataclass(frozen=True, slots=True)
class PieceSlots:
    """Free AP slots by worker id (only those above 0), and the waiting pieces that will take P1 slots of others."""

    free: dict[str, int]
    elsewhere: int

    def for_new(self, pending: int, once: bool) -> int:
        """How many sectors may begin while ``pending`` begun ones still wait for their AP; ``once``: one a worker."""
        slots = max(0, sum(self.free.values()) - self.elsewhere - pending)
        return min(slots, max(0, len(self.free) - pending)) if once else slots


def piece_slots(farm: Farm, miner: int, proof: int) -> PieceSlots:
    """By the AP cap where a worker has one; else its free P1 slots within hold that no piece there will take.

    Either way no more than its paths have room for, piece and P1 together; a shared path's room counts once.
    """
    free: dict[str, int] = {}
    left: dict[str, int] = {}
    elsewhere = 0
    for worker_id in sorted(farm.workers):
        worker = farm.workers[worker_id]
        if not worker.known:
            continue
        p1 = free_slots(worker, _P1, proof) if _takes_p1(worker) else 0
        if not worker.spec.caps.force_p1_from_local_ap:
            elsewhere += max(0, worker.pieces - p1)
        if worker.no_sectors or not offers(worker, _AP) or not ready(worker, _AP, farm.now):
            continue
        limit = worker.spec.limits.get((_AP, proof))
        slots = p1 - worker.pieces if limit is None else free_slots(worker, _AP, proof)
        if slots > 0 and (count := _fit(worker, miner, proof, slots, farm.now, left)):
            free[worker_id] = count
    return PieceSlots(free, elsewhere)


def _takes_p1(worker: Worker) -> bool:
    """Enabled and not at rest; the pace of its starts is left aside, as a piece may wait for that."""
    rest = worker.rests.get(_P1)
    resting = rest is not None and rest.until is not None
    return worker.online and not worker.draining and not resting and offers(worker, _P1)


def _fit(worker: Worker, miner: int, proof: int, most: int, now: float, left: dict[str, int]) -> int:
    """How many new sectors fit, up to ``most``; their room is taken off ``left``."""
    usable = [
        path
        for path in worker.paths.values()
        if path.spec.can_seal and space.healthy(path, now) and space.takes_miner(path, miner)
    ]
    for path in usable:
        left.setdefault(path.spec.id, path.room())
    after = P1_OUTPUT if _P1 in worker.spec.tasks else 0
    whole = UNSEALED | after
    if any(not whole & ~int(path.spec.allow_types) for path in usable):
        return _fill(usable, whole, proof, most, left)
    count = _fill(usable, UNSEALED, proof, most, left)
    return _fill(usable, after, proof, count, left) if after else count


def _fill(paths: list[Path], types: int, proof: int, most: int, left: dict[str, int]) -> int:
    size = space.bytes_of(types, proof)
    count = 0
    for path in sorted(paths, key=lambda p: (-left[p.spec.id], p.spec.id)):
        if not types & ~int(path.spec.allow_types):
            here = min(most - count, max(0, left[path.spec.id]) // size)
            left[path.spec.id] -= here * size
            count += here
    return count
