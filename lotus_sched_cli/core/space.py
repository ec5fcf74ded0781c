"""Room on paths: what is free, where a task's files would be laid, and the reservations that keep it so (A4)."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from .decisions import Laid
from .needs import CACHE, P1_OUTPUT, SELECT_ALLOC, SELECT_MOVE, SELECT_TASK, UNSEALED
from .proofs import sector_size, space
from .records import Path, Reservation, Sector, Task, Worker
from .tasks import FILE_TYPE_SETS, FileType, PathType, TaskType

#: Seconds after which a path without a new health report is not laid on (Lotus ``storage/paths/index.go``).
HEARTBEAT: Final = 50.0
#: Seconds from a call's acceptance until the worker's own reservation is surely in its reports.
SETTLE: Final = 10.0

_AP, _P1 = TaskType.ADD_PIECE, TaskType.PRECOMMIT1


@lru_cache(maxsize=4096)
def bytes_of(types: int, proof: int, finalized: bool = False) -> int:
    """Bytes that these types of a sector of this proof take on a path."""
    where = PathType.STORAGE if finalized else PathType.SEALING
    return space(FileType(types), sector_size(proof), where)


def needed(task: Task) -> int:
    """Bytes of all files that the task reads."""
    return bytes_of(task.needs.inputs, task.spec.proof)


def healthy(path: Path, now: float) -> bool:
    """Whether something may be laid there: its last report is fresh and without an error."""
    if path.available is None or path.error:
        return False
    return now - path.reported_at < HEARTBEAT or path.spec.steady


def takes_miner(path: Path, miner: int) -> bool:
    spec = path.spec
    if spec.allow_miners and miner not in spec.allow_miners:
        return False
    return miner not in spec.deny_miners


def fetch_groups(paths: dict[str, Path], sector: Sector, types: int) -> frozenset[str] | None:
    """To which groups these types may be fetched: None for any path (also: there is no source)."""
    groups: frozenset[str] = frozenset()
    for path_id, placement in sector.files.items():
        path = paths.get(path_id)
        if path is None or not placement.types & types:
            continue
        if not path.spec.allow_to:
            return None
        groups |= path.spec.allow_to
    return groups or None


def lacks(task: Task, worker: Worker) -> int:
    """File types that the worker would have to find room for."""
    needs = task.needs
    return (needs.inputs | needs.makes) & ~worker.own(task.sector)


def brings(task: Task, worker: Worker) -> int:
    """File types that the prepare step must fetch to the worker."""
    needs = task.needs
    return needs.inputs & ~worker.own(task.sector) if needs.inputs else 0


def is_first_piece(task: Task) -> bool:
    return task.spec.type is _AP and task.needs.selector is SELECT_ALLOC


def piece_room(task: Task, worker: Worker) -> int:
    """Types that an AP must leave room for, because the sector's P1 comes after it."""
    if not is_first_piece(task) or _P1 not in worker.spec.tasks:
        return 0
    return P1_OUTPUT & ~worker.own(task.sector)


def on_real_room(task: Task, worker: Worker) -> bool:
    """A P1 whose piece lies on this worker may use the room that is promised to waiting pieces, its own among them."""
    return task.spec.type is _P1 and bool(worker.own(task.sector) & UNSEALED)


def lay(task: Task, worker: Worker, now: float) -> tuple[Laid, ...] | None:
    """Where the task's files would go on this worker; None if they do not fit. Empty: nothing to lay.

    The order is BestAlloc's: available × weight, largest first. Sizes in bytes.
    """
    selector = task.needs.selector
    if selector is SELECT_TASK:
        return ()
    if task.promise is not None and task.promise.worker is worker:
        # It is kept free already.
        return ()
    if selector is SELECT_MOVE:
        return _lay_move(task, worker, now)
    own = worker.own(task.sector)
    lack = (task.needs.inputs | task.needs.makes) & ~own
    kind = task.spec.type
    after = piece_room(task, worker) if kind is _AP else 0
    if not lack and not after:
        return ()
    proof = task.spec.proof
    total = bytes_of(lack, proof)
    real = kind is _P1 and own & UNSEALED
    miner = task.spec.sector.miner
    rooms: list[tuple[int, Path]] = []
    for path in worker.paths.values():
        if _may_lay(path, now, miner):
            room = path.real_room() if real else path.room()
            if room >= total or after:
                rooms.append((room, path))
    if not rooms:
        return None
    fetched = lack & task.needs.inputs
    if len(rooms) == 1:
        room, path = rooms[0]
        if after and room < total + bytes_of(after, proof):
            return None
        if lack & ~int(path.spec.allow_types) or (fetched and not _in_groups(path, task.groups)):
            return None
        return _laid_on_one(path, lack, fetched, proof)
    return _lay_on_many(task, rooms, lack, after)


def _may_lay(path: Path, now: float, miner: int) -> bool:
    spec = path.spec
    if not spec.can_seal or path.available is None or path.error:
        return False
    if now - path.reported_at >= HEARTBEAT and not spec.steady:
        return False
    return not (spec.allow_miners or spec.deny_miners) or takes_miner(path, miner)


def _laid_on_one(path: Path, lack: int, fetched: int, proof: int) -> tuple[Laid, ...]:
    made = lack & ~fetched
    parts = []
    if fetched:
        parts.append(Laid(path.spec.id, FILE_TYPE_SETS[fetched], bytes_of(fetched, proof)))
    if made:
        parts.append(Laid(path.spec.id, FILE_TYPE_SETS[made], bytes_of(made, proof)))
    return tuple(parts)


def _in_groups(path: Path, groups: frozenset[str] | None) -> bool:
    return groups is None or not groups.isdisjoint(path.spec.groups)


def _lay_on_many(task: Task, rooms: list[tuple[int, Path]], lack: int, after: int) -> tuple[Laid, ...] | None:
    proof = task.spec.proof
    total = bytes_of(lack, proof)
    left = {path.spec.id: room for room, path in rooms}
    usable = [path for room, path in rooms if room >= total]
    laid: list[Laid] = []
    # Largest first, as a worker asks for its files one by one.
    for file_type in (CACHE, UNSEALED, *(1 << bit for bit in range(6) if 1 << bit not in (CACHE, UNSEALED))):
        if not lack & file_type:
            continue
        fetched = bool(file_type & task.needs.inputs)
        fits = [
            p
            for p in usable
            if int(p.spec.allow_types) & file_type and (not fetched or _in_groups(p, task.groups))
        ]
        if not fits:
            return None
        best = max(fits, key=lambda p: (left[p.spec.id] * p.spec.weight, p.spec.id))
        size = bytes_of(file_type, proof)
        left[best.spec.id] -= size
        laid.append(Laid(best.spec.id, FILE_TYPE_SETS[file_type], size))
    if after and piece_path(task, worker_paths=[p for _, p in rooms], left=left, types=after) is None:
        return None
    return tuple(laid)


def piece_path(task: Task, worker_paths: list[Path], left: dict[str, int], types: int) -> str | None:
    """The path on which room for the sector's P1 is promised while its piece waits; None if there is none."""
    size = bytes_of(types, task.spec.proof)
    fits = [p for p in worker_paths if left[p.spec.id] >= size and not types & ~int(p.spec.allow_types)]
    if not fits:
        return None
    return max(fits, key=lambda p: (left[p.spec.id] * p.spec.weight, p.spec.id)).spec.id


def _lay_move(task: Task, worker: Worker, now: float) -> tuple[Laid, ...] | None:
    needs = task.needs
    proof = task.spec.proof
    miner = task.spec.sector.miner
    best: tuple[bool, int, str] | None = None
    chosen: tuple[Laid, ...] | None = None
    for path in worker.paths.values():
        if not path.spec.can_store or not takes_miner(path, miner):
            continue
        there = task.sector.files.get(path.spec.id)
        here = there.types if there is not None else 0
        lack = needs.makes & task.sector.declared() & ~here
        if lack:
            size = bytes_of(lack, proof, True)
            if not healthy(path, now) or path.room() < size:
                continue
        rank = (bool(here & needs.key), path.room() * path.spec.weight, path.spec.id)
        if best is None or rank > best:
            best = rank
            chosen = (Laid(path.spec.id, FILE_TYPE_SETS[lack], size),) if lack else ()
    return chosen


def largest_room(task: Task, worker: Worker, now: float) -> int:
    """Bytes free on the worker's best path for this task, to be told."""
    store = task.needs.selector is SELECT_MOVE
    real = on_real_room(task, worker)
    rooms = [
        path.real_room() if real else path.room()
        for path in worker.paths.values()
        if (path.spec.can_store if store else path.spec.can_seal) and healthy(path, now)
    ]
    return max(0, max(rooms, default=0))


# -- reservations -----------------------------------------------------------------------------------------------------


def reserve(task: Task, paths: dict[str, Path]) -> None:
    """Keep free what the task's ``laid`` says."""
    for part in task.laid:
        path = paths.get(part.path_id)
        if path is not None:
            fetched = bool(int(part.types) & task.needs.inputs)
            add(task, Reservation(path, part.bytes, int(part.types), fetched))


def keep(laid: tuple[Laid, ...], paths: dict[str, Path]) -> tuple[Reservation, ...]:
    """Keep free what a promise's ``laid`` says, all of it to be fetched."""
    kept: list[Reservation] = []
    for part in laid:
        path = paths.get(part.path_id)
        if path is not None:
            kept.append(_enter(Reservation(path, part.bytes, int(part.types), True)))
    return tuple(kept)


def add(task: Task, reservation: Reservation) -> None:
    task.reservations += (_enter(reservation),)


def _enter(reservation: Reservation) -> Reservation:
    reservation.path.reserved += reservation.bytes
    reservation.path.reservations[id(reservation)] = reservation
    return reservation


def release(reservation: Reservation) -> None:
    if reservation.live:
        reservation.live = False
        reservation.path.reserved -= reservation.bytes
        del reservation.path.reservations[id(reservation)]


def unreserve(task: Task) -> None:
    """Give everything back at once: the binding is taken back before anything was sent."""
    for reservation in task.reservations:
        release(reservation)
    task.reservations = ()


def accepted(task: Task, now: float, fetched_only: bool) -> None:
    """The worker has accepted the fetch, or the task's own call."""
    for reservation in task.reservations:
        if reservation.accepted is None and (reservation.fetched or not fetched_only):
            reservation.accepted = now


def settle(path: Path, now: float) -> None:
    """A new report came: what it has by now is given back here."""
    for reservation in list(path.reservations.values()):
        if reservation.ended or (reservation.accepted is not None and now - reservation.accepted >= SETTLE):
            release(reservation)


def follow(task: Task, path: Path, types: int) -> None:
    """The worker declares these types on another path of its than was thought: the reservation goes with them."""
    holder = task if task.promise is None else task.promise
    for reservation in holder.reservations:
        moved = reservation.types & types
        if not reservation.live or not moved or reservation.path is path:
            continue
        size = min(reservation.bytes, bytes_of(moved, task.spec.proof))
        accepted_at, fetched = reservation.accepted, reservation.fetched
        reservation.bytes -= size
        reservation.types &= ~moved
        reservation.path.reserved -= size
        if not reservation.types:
            release(reservation)
        kept = (other for other in holder.reservations if other is not reservation or other.types)
        holder.reservations = (*kept, _enter(Reservation(path, size, moved, fetched, accepted_at)))
