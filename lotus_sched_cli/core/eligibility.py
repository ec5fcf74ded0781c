"""May this worker take this task, and if not: why (scheduling.md A4)? Exact, in that order; the first reason counts.

``judge`` is the law; the policies have shortcuts to the same answer.
"""

from __future__ import annotations

from typing import Final

from . import space
from .decisions import Refusal, Why
from .needs import P1_OUTPUT, SELECT_EXISTING, SELECT_FETCH, SELECT_MOVE, SELECT_TASK, UNSEALED, Needs
from .records import Sector, Task, Worker
from .tasks import FILE_TYPE_NAMES, FileType, Kind, TaskType

#: Free slots of a worker without a limit.
UNLIMITED: Final = 1 << 30

_AP, _P1, _P2, _C2 = TaskType.ADD_PIECE, TaskType.PRECOMMIT1, TaskType.PRECOMMIT2, TaskType.COMMIT2
_BOUND_REASON: Final = {_P1: Why.BOUND_P1, _P2: Why.BOUND_P2, _C2: Why.BOUND_C2}
_CAP_REASON: Final = {
    Kind.P1: Why.PRECOMMIT1_MAX,
    Kind.P2: Why.PRECOMMIT2_MAX,
    Kind.C2: Why.COMMIT2_MAX,
}


def judge(task: Task, worker: Worker, now: float, local_moves_only: bool = False) -> Refusal | None:
    """The first reason why ``worker`` does not take the queued ``task`` now; None if it would.

    ``local_moves_only`` is the miner's DisallowRemoteFinalize.
    """
    return (
        judge_without_caps(task, worker, now, local_moves_only)
        or _cap(task, worker)
        or _hold(task, worker)
        or _bound(task, worker)
        or _extras(task, worker, now)
    )


def judge_without_caps(
    task: Task, worker: Worker, now: float, local_moves_only: bool = False
) -> Refusal | None:
    """The part of ``judge`` that holds under every policy: enabled, offers the type, has or may take the files."""
    if task.not_before > now:
        return Refusal(Why.RETRY_LATER, {"until": task.not_before})
    return (
        _enabled(task, worker, now) or _offers(task, worker) or _storage(task, worker, now, local_moves_only)
    )


def _enabled(task: Task, worker: Worker, now: float) -> Refusal | None:
    if not worker.online:
        return Refusal(Why.OFFLINE)
    if worker.draining or (worker.no_sectors and begins(task, worker)):
        return Refusal(Why.DRAINING, {"level": "tasks" if worker.draining else "sectors"})
    rest = worker.rests.get(task.spec.type)
    if rest is None or rest.until is None or (rest.until <= now and rest.trial is None):
        return None
    return Refusal(
        Why.RESTING,
        {
            "task": task.spec.type.value,
            "failures": rest.failures,
            "until": rest.until,
            "trial": rest.trial,
            "error": rest.error,
        },
    )


def _offers(task: Task, worker: Worker) -> Refusal | None:
    return None if offers(worker, task.spec.type) else Refusal(Why.TASK_TYPE, {"task": task.spec.type.value})


def _storage(task: Task, worker: Worker, now: float, local_moves_only: bool) -> Refusal | None:
    if task.missing:
        return Refusal(Why.NO_FILES, {"types": names(task.missing)})
    if not may_hold(task, worker, local_moves_only):
        return Refusal(Why.STORAGE, {"types": names(task.needs.touched)})
    if task.spec.type in worker.no_space or space.lay(task, worker, now) is None:
        need = space.bytes_of(space.lacks(task, worker), task.spec.proof, task.needs.selector is SELECT_MOVE)
        after = space.bytes_of(space.piece_room(task, worker), task.spec.proof)
        figures: dict[str, object] = {"need": need + after, "free": space.largest_room(task, worker, now)}
        if task.spec.type in worker.no_space:
            figures["refused_until_report"] = True
        return Refusal(Why.SPACE, figures)
    return None


def _cap(task: Task, worker: Worker) -> Refusal | None:
    kind = task.spec.type.kind
    if kind is not None:
        used, cap = worker.of(kind), worker.spec.caps.of(kind)
        if used >= cap:
            return Refusal(_CAP_REASON[kind], {"need": 1, "in_use": used, "max": cap})
        return None
    limit = worker.spec.limits.get((task.spec.type, task.spec.proof))
    used = worker.by_proof.get((task.spec.type, task.spec.proof), 0)
    if limit is None or used < limit:
        return None
    return Refusal(Why.TASK_LIMIT, {"task": task.spec.type.value, "in_use": used, "max": limit})


def _hold(task: Task, worker: Worker) -> Refusal | None:
    cap = worker.spec.caps.precommit1_hold_max
    if task.spec.type is not _P1 or not cap:
        return None
    held = hold_without(worker, task.sector)
    return None if held < cap else Refusal(Why.PRECOMMIT1_HOLD, {"in_use": held, "max": cap})


def _bound(task: Task, worker: Worker) -> Refusal | None:
    return Refusal(_BOUND_REASON[task.spec.type]) if bound_away(task, worker) else None


def _extras(task: Task, worker: Worker, now: float) -> Refusal | None:
    """The operator's extras that are no caps."""
    kind, caps = task.spec.type, worker.spec.caps
    if kind is _P1 and (until := paced_until(worker)) > now:
        return Refusal(Why.PRECOMMIT1_INTERVAL, {"until": until, "interval": caps.precommit1_interval})
    if caps.allow_p2_c2_parallel:
        return None
    if kind is _P2 and worker.c2:
        return Refusal(Why.P2_BESIDE_C2, {"in_use": worker.c2})
    if kind is _C2 and worker.p2:
        return Refusal(Why.C2_BESIDE_P2, {"in_use": worker.p2})
    return None


# -- the parts, for the policies' shortcuts ---------------------------------------------------------------------------


def offers(worker: Worker, kind: TaskType) -> bool:
    """Whether it takes this type at all; a cap of 0 means no."""
    if kind not in worker.spec.tasks:
        return False
    return kind.kind is None or worker.spec.caps.of(kind.kind) > 0


def ready(worker: Worker, kind: TaskType, now: float) -> bool:
    """Enabled, not resting from the type, and not without room by its own word."""
    if not worker.online or worker.draining:
        return False
    if worker.no_space and kind in worker.no_space:
        return False
    if worker.rests:
        rest = worker.rests.get(kind)
        if rest is not None and rest.until is not None:
            return rest.until <= now and rest.trial is None
    return kind is not _P1 or not worker.spec.caps.precommit1_interval or paced_until(worker) <= now


def paced_until(worker: Worker) -> float:
    """When its next P1 may start by ``precommit1_interval``; a time in the past without one."""
    return worker.p1_started + worker.spec.caps.precommit1_interval


def begins(task: Task, worker: Worker) -> bool:
    """Whether the task would bring a new sector to the worker: an AP or P1 of one whose data is not there."""
    return task.spec.type in (_AP, _P1) and not UNSEALED & worker.own(task.sector)


def hold_without(worker: Worker, sector: Sector) -> int:
    """Sectors in the worker's hold, this one left aside."""
    return worker.hold - (sector.held and sector.id in worker.hold_refs)


def bound_away(task: Task, worker: Worker) -> bool:
    """A worker bound to what lies on its own paths, and what this task builds on does not."""
    lies = binds(worker, task.spec.type)
    return bool(lies) and bool(lies & ~worker.own(task.sector))


def binds(worker: Worker, kind: TaskType) -> int:
    """The file types that must lie on its own paths before it takes a task of this type; 0 where it is not bound."""
    caps = worker.spec.caps
    if kind is _P2:
        return P1_OUTPUT if caps.force_p2_from_local_p1 else 0
    if kind is _P1:
        return UNSEALED if caps.force_p1_from_local_ap else 0
    return P1_OUTPUT if kind is _C2 and caps.force_c2_from_local_p2 else 0


def free_slots(worker: Worker, kind: TaskType, proof: int, sector: Sector | None = None) -> int:
    """Tasks of the type that it could take more, by caps, limits and hold (without ``sector``); never below 0."""
    spec = worker.spec
    if kind is _P1:
        caps = spec.caps
        free = caps.precommit1_max - worker.p1
        if caps.precommit1_hold_max:
            held = worker.hold if sector is None else hold_without(worker, sector)
            free = min(free, caps.precommit1_hold_max - held)
    elif kind is _P2:
        if worker.c2 and not spec.caps.allow_p2_c2_parallel:
            return 0
        free = spec.caps.precommit2_max - worker.p2
    elif kind is _C2:
        if worker.p2 and not spec.caps.allow_p2_c2_parallel:
            return 0
        free = spec.caps.commit2_max - worker.c2
    else:
        limit = spec.limits.get((kind, proof)) if spec.limits else None
        if limit is None:
            return UNLIMITED
        free = limit - worker.by_proof.get((kind, proof), 0)
    return max(free, 0)


def may_hold(task: Task, worker: Worker, local_moves_only: bool) -> bool:
    """Storage groups, allowed types and selectors; room is left aside."""
    selector = task.needs.selector
    if selector is SELECT_TASK:
        return True
    if selector is SELECT_MOVE:
        return _may_move(task, worker, local_moves_only)
    return allows(worker, task.needs, task.spec.sector.miner, task.groups, task.sector)


def _may_move(task: Task, worker: Worker, local_only: bool) -> bool:
    for path in worker.paths.values():
        if path.spec.can_store and space.takes_miner(path, task.spec.sector.miner):
            if not local_only:
                return True
            there = task.sector.files.get(path.spec.id)
            if there is not None and there.types & task.needs.key:
                return True
    return False


def allows(
    worker: Worker, needs: Needs, miner: int, groups: frozenset[str] | None, sector: Sector | None
) -> bool:
    """Whether the worker's paths may take, or have, what the task needs. ``sector`` None: it has nothing of it."""
    own = made = brought = holding = 0
    for path in worker.paths.values():
        spec = path.spec
        there = sector.files.get(spec.id) if sector is not None else None
        if there is not None:
            own |= there.types
            if there.types & needs.key:
                holding |= int(spec.allow_types)
        if spec.can_seal and space.takes_miner(path, miner):
            made |= int(spec.allow_types)
            if groups is None or not groups.isdisjoint(spec.groups):
                brought |= int(spec.allow_types)
    if needs.makes & ~own & ~made or needs.inputs & ~own & ~brought:
        return False
    if needs.selector is SELECT_EXISTING:
        return bool(own & needs.key)
    if needs.selector is SELECT_FETCH:
        return not needs.key & ~(holding | brought)
    return True


def names(types: int) -> str:
    """``sealed+cache``."""
    return "+".join(FILE_TYPE_NAMES[t] for t in FileType(types).each())
