"""Promises: while a worker's P2 run, the files of its next P2 are fetched to it. State only; ``prefetch.py`` chooses.

A promise is no binding: the task waits on, holds no slot, and goes elsewhere as soon as it would start sooner there. It keeps
room on the worker's disk and a place in its hold. When a task starts sooner is told from what P2 and fetches have taken so
far; while that is not known, a free slot elsewhere counts as sooner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from . import choice, space
from .decisions import Laid, Prefetch, PrefetchOver, Refusal, Why
from .eligibility import may_hold, offers
from .records import Promise, Task, Worker
from .tasks import FILE_TYPE_SETS, TaskType

if TYPE_CHECKING:
    from .farm import Farm

_P2: Final = TaskType.PRECOMMIT2


# -- life -------------------------------------------------------------------------------------------------------------


def make(farm: Farm, task: Task, worker: Worker, laid: tuple[Laid, ...], now: float) -> Promise:
    """Keep room and a place in the hold for the task, which waits. Nothing is decided yet (see ``begin``)."""
    promise = task.promise = Promise(worker, now, laid, sum(part.bytes for part in laid))
    promise.reservations = space.keep(laid, farm.paths)
    worker.promised[task.spec.id] = task
    farm.promised[task.spec.id] = task
    farm.hold_add(worker, task.spec.sector)
    farm.policy.task_changed(task)
    farm.worsened(worker)
    return promise


def begin(farm: Farm, task: Task, worker: Worker, laid: tuple[Laid, ...], now: float) -> None:
    """Promise it, and have its files fetched."""
    types = FILE_TYPE_SETS[space.brings(task, worker)]
    make(farm, task, worker, laid, now)
    farm.decisions.append(Prefetch(task.spec, worker.id, types, laid))


def accepted(task: Task, now: float) -> None:
    """The worker has accepted the Fetch."""
    assert task.promise is not None
    for reservation in task.promise.reservations:
        if reservation.accepted is None:
            reservation.accepted = now


def done(farm: Farm, task_id: str, now: float) -> None:
    """The files have come."""
    task = farm.tasks.get(task_id)
    if task is None or task.promise is None or task.promise.took is not None:
        return
    promise = task.promise
    accepted(task, now)
    promise.took = now - promise.since
    promise.worker.promises_broken = 0
    farm.paced(promise.bytes, promise.took)
    farm.worsened(promise.worker)


def failed(farm: Farm, task_id: str, error: str, now: float) -> None:
    """They have not come. The worker is asked for no more until a delay is over that grows with each failure."""
    task = farm.tasks.get(task_id)
    if task is None or task.promise is None:
        return
    worker = task.promise.worker
    task.memory.last_error = error or task.memory.last_error
    worker.promises_from = now + farm.delay(worker.promises_broken)
    worker.promises_broken += 1
    farm.timer(worker.promises_from, "worker", worker.id)
    end(farm, task, error or "the files did not come")


def restored(farm: Farm, task_id: str, worker_id: str, since: float, is_done: bool, now: float) -> None:
    """Take a promise up again after the driver's restart; `PrefetchOver` if nothing can come of it."""
    task, worker = farm.tasks.get(task_id), farm.workers.get(worker_id)
    if task is None or not task.waiting or task.promise is not None:
        return
    sweep(farm)
    laid = None
    if worker is None:
        why = "the worker is gone"
    elif farm.settings.policy != "balanced":
        why = "the policy fetches nothing ahead"
    elif not (why := _off(task, worker)) and (laid := space.lay(task, worker, now)) is None:
        why = "there is no room for it any more"
    if worker is None or laid is None:
        farm.decisions.append(PrefetchOver(task.spec, worker_id, why))
        return
    promise = make(farm, task, worker, laid, since)
    accepted(task, now)
    promise.took, promise.restored = 0.0 if is_done else None, True
    review(farm, worker)


def settle(farm: Farm, task: Task) -> None:
    """The task is bound: where it was promised, the promise becomes the binding's; elsewhere it is off.

    Of one that is off everything is given back with the next batch, which is asked for at once: the pass has placed
    what could be placed, and nothing may become free behind its back.
    """
    promise = task.promise
    if promise is None:
        return
    task.promise = None
    del farm.promised[task.spec.id]
    if task.worker is not promise.worker:
        farm.broken.append((task, promise))
        farm.timer(farm.now, "policy")
        return
    del promise.worker.promised[task.spec.id]
    task.ahead = True
    task.laid = promise.laid
    task.reservations += promise.reservations
    task.reasons = {
        **task.reasons,
        "prefetched": promise.took is not None,
        "prefetching_since": promise.since,
    }


def end(farm: Farm, task: Task, why: str) -> None:
    """The promise is off. What it has kept free stays so until the path's next report, as with an ended task."""
    promise = task.promise
    if promise is None:
        return
    task.promise = None
    del farm.promised[task.spec.id]
    if task.waiting:
        farm.policy.task_changed(task)
    _give_back(farm, task, promise, why)


def sweep(farm: Farm) -> None:
    """Give back what tasks have left behind that were bound elsewhere."""
    broken, farm.broken = farm.broken, []
    for task, promise in broken:
        _give_back(farm, task, promise, "it starts sooner elsewhere")


def _give_back(farm: Farm, task: Task, promise: Promise, why: str) -> None:
    worker = promise.worker
    del worker.promised[task.spec.id]
    farm.hold_remove(worker, task.spec.sector)
    for reservation in promise.reservations:
        reservation.ended = True
    farm.decisions.append(PrefetchOver(task.spec, worker.id, why))
    farm.improved(worker)


def end_all(farm: Farm, why: str) -> None:
    for task in list(farm.promised.values()):
        end(farm, task, why)


def review(farm: Farm, worker: Worker) -> None:
    """Something about the worker changed: promises that it can keep no more are off, the newest first."""
    most = worker.spec.caps.prefetches
    for task in reversed(list(worker.promised.values())):
        if task.promise is None or not task.waiting:
            continue
        why = _off(task, worker)
        if not why and len(worker.promised) > most:
            why = f"it may prefetch {most}"
        if why:
            end(farm, task, why)


def recheck(farm: Farm, task: Task) -> None:
    """Files of the task, or the paths that they lie on, changed."""
    if task.promise is not None and task.waiting and (why := _off(task, task.promise.worker)):
        end(farm, task, why)


def _off(task: Task, worker: Worker) -> str:
    """Why nothing can come of a promise on this worker; empty if it holds."""
    if not worker.known or not worker.online:
        return "the worker does not answer"
    if worker.draining:
        return "the worker is being drained"
    if not offers(worker, _P2) or not worker.spec.caps.prefetches:
        return "the worker does not prefetch any more"
    rest = worker.rests.get(_P2)
    if rest is not None and rest.until is not None:
        return "the worker rests from PC2"
    if task.missing:
        return "no path declares the files"
    if not may_hold(task, worker, False):
        return "its storage may not take the files any more"
    laid = task.promise.laid if task.promise is not None and space.brings(task, worker) else ()
    if any(part.path_id not in worker.paths for part in laid):
        return "the path that was to take the files is gone"
    return ""


# -- when -------------------------------------------------------------------------------------------------------------


def free_at(farm: Farm, worker: Worker, place: int = 0) -> float | None:
    """When the worker's slot number ``place`` to become free is thought to do so; None if that is not known."""
    return None if farm.p2_took is None else turn(farm, worker, place)


def turn(farm: Farm, worker: Worker, place: int = 0) -> float | None:
    """To tell who is free first: as ``free_at``, or since when its P2 runs while nobody knows how long they take."""
    took = farm.p2_took if worker.p2_took is None else worker.p2_took
    runs = sorted(t.since for t in worker.carried.values() if t.spec.type is _P2 and t.state == "running")
    return runs[place] + (took or 0.0) if place < len(runs) else None


def starts_at(farm: Farm, task: Task, now: float) -> float | None:
    """When the task is thought to start where it is promised; None if that is not known, or if it should have by now."""
    promise = task.promise
    assert promise is not None
    place = next(n for n, name in enumerate(promise.worker.promised) if name == task.spec.id)
    free = free_at(farm, promise.worker, place)
    if free is None or free <= now:
        return None
    if promise.took is not None:
        return free
    if farm.fetch_pace is None:
        return None
    return max(free, promise.since + promise.bytes * farm.fetch_pace)


def sooner(farm: Farm, task: Task, size: int, now: float) -> bool:
    """Whether the promised task would start sooner on another worker, free now, to which ``size`` bytes must be fetched."""
    return before(farm, starts_at(farm, task, now), size, now)


def before(farm: Farm, at: float | None, size: int, now: float) -> bool:
    """Whether a fetch of ``size`` bytes that begins now is over before ``at``; what is not known counts as that."""
    if at is None or (size and farm.fetch_pace is None):
        return True
    return now + size * (farm.fetch_pace or 0.0) < at


def refusal(farm: Farm, task: Task, worker: Worker, now: float) -> Refusal | None:
    """What a promise has against another worker that would take the task."""
    promise = task.promise
    if promise is None or promise.worker is worker or sooner(farm, task, choice.to_fetch(task, worker), now):
        return None
    return Refusal(Why.PREFETCHED, {"worker": promise.worker.spec.label, "until": starts_at(farm, task, now)})
