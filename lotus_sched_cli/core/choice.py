"""Among the workers that may: which one (scheduling.md A6). Smaller ranks go first."""

from __future__ import annotations

from typing import Any

from . import space
from .eligibility import binds, free_slots, ready
from .needs import P1_OUTPUT, SELECT_EXISTING, SELECT_MOVE
from .records import Sector, Task, Worker
from .tasks import TaskType

#: Rules 2, 3 and 5: what a worker is worth for a task type, whatever the task.
Rank = tuple[Any, Any, tuple[int, int, int, str, str]]

_P1, _P2, _C1, _C2 = TaskType.PRECOMMIT1, TaskType.PRECOMMIT2, TaskType.COMMIT1, TaskType.COMMIT2
_AP = TaskType.ADD_PIECE


def rank(
    worker: Worker, kind: TaskType, proof: int, now: float, share: bool, sector: Sector | None = None
) -> Rank | None:
    """None if it has no free slot for the type or is not enabled.

    ``share``: carried / cap instead of carried. ``sector`` is left out of its hold.
    """
    if not ready(worker, kind, now):
        return None
    free = free_slots(worker, kind, proof, sector)
    if free <= 0:
        return None
    spec = worker.spec
    carried: Any
    crowd: Any = 0
    if kind is _P1:
        carried = worker.p1 / spec.caps.precommit1_max if share else worker.p1
        crowd = _hold_fill(worker, sector)
    elif kind is _P2 or kind is _C2:
        carried = worker.p2 if kind is _P2 else worker.c2
        if share:
            carried /= spec.caps.precommit2_max if kind is _P2 else spec.caps.commit2_max
        crowd = (worker.p2 + worker.c2) / (spec.gpus or 1)
    elif kind is _AP:
        carried, free = _piece_load(worker, share)
        crowd = _hold_fill(worker, sector)
    elif kind is _C1:
        carried = worker.c2
    else:
        carried = worker.by_type.get(kind, 0)
    return carried, crowd, (-free, len(spec.tasks), worker.last_bound, spec.name, worker.id)


def _hold_fill(worker: Worker, sector: Sector | None) -> float:
    cap = worker.spec.caps.precommit1_hold_max
    if not cap:
        return 0.0
    held = worker.hold
    if sector is not None and sector.held and sector.id in worker.hold_refs:
        held -= 1
    return held / cap


def _piece_load(worker: Worker, share: bool) -> tuple[tuple[bool, float], int]:
    """For AP: (no P1 slot is left for it, pieces that wait + P1 carried), and the P1 slots free of both."""
    load = worker.pieces + worker.p1
    cap = worker.spec.caps.precommit1_max if _P1 in worker.spec.tasks else 0
    free = free_slots(worker, _P1, 0) - worker.pieces if cap else -load
    return (free <= 0, load / cap if share and cap else load), free


def preference(task: Task, worker: Worker) -> int:
    """Rule 1, smaller first."""
    kind, selector = task.spec.type, task.needs.selector
    if kind is _P2:
        bound = worker.spec.caps.force_p2_from_local_p1
        return 0 if bound and not P1_OUTPUT & ~worker.own(task.sector) else 1
    if selector is SELECT_EXISTING:
        if worker.id == task.sector.last_worker and worker.own(task.sector) & task.needs.key:
            return 0
        return 1 if _has_primary(task, worker) else 2
    if selector is SELECT_MOVE:
        for path_id, path in worker.paths.items():
            there = task.sector.files.get(path_id)
            if there is not None and path.spec.can_store and there.types & task.needs.key:
                return 0
        return 1
    if (lies := binds(worker, kind)) and not lies & ~worker.own(task.sector):
        return -1
    return 0


def _has_primary(task: Task, worker: Worker) -> bool:
    for path_id, placement in task.sector.files.items():
        if placement.primary and placement.types & task.needs.key and path_id in worker.paths:
            return True
    return False


def to_fetch(task: Task, worker: Worker) -> int:
    """Rule 4: bytes that would have to be copied to the worker."""
    needs = task.needs
    if needs.selector is SELECT_MOVE:
        lack = needs.key & task.sector.declared() & ~worker.own(task.sector)
        return space.bytes_of(lack, task.spec.proof, True) if lack else 0
    if not needs.inputs:
        return 0
    lack = needs.inputs & ~worker.own(task.sector)
    return space.bytes_of(lack, task.spec.proof) if lack else 0


def full_rank(task: Task, worker: Worker, part: Rank) -> tuple[Any, ...]:
    """Rules 0 to 5 together."""
    failed = task.memory.failed_on == worker.id
    return failed, preference(task, worker), part[0], part[1], to_fetch(task, worker), part[2]
