"""Where sector files lie, whose hold they fill, and the pieces that wait for their P1 (scheduling.md A2, A4)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from . import space
from .decisions import Decision, FilesMissing
from .events import PathSpec
from .needs import P1_OUTPUT, UNSEALED
from .records import NOBODY, Makers, Path, Piece, Placement, Sector, Task, Worker
from .tasks import FileType, SectorId, TaskType

#: Seconds after which files that nobody declares are lost for good.
LOST_AFTER: Final = 600.0

_BITS: Final = tuple(1 << bit for bit in range(6))
_P1, _AP, _DC = TaskType.PRECOMMIT1, TaskType.ADD_PIECE, TaskType.DATA_CID


class Files(ABC):
    """The storage half of the farm."""

    decisions: list[Decision]

    def __init__(self) -> None:
        self.workers: dict[str, Worker] = {}
        self.paths: dict[str, Path] = {}
        self.sectors: dict[SectorId, Sector] = {}
        self._makers: dict[Makers, Makers] = {}

    # -- paths ------------------------------------------------------------------------------------------------------

    def path_attached(self, spec: PathSpec, available: int | None, capacity: int | None, now: float) -> None:
        path = self.paths.get(spec.id)
        if path is None:
            path = self.paths[spec.id] = Path(spec)
            before: frozenset[str] = frozenset()
        else:
            before = path.spec.owners
            path.spec = spec
        if capacity is not None:
            path.capacity = capacity
        if available is not None:
            path.available, path.reported_at, path.error = available, now, ""
            space.settle(path, now)
        for worker_id in before - spec.owners:
            if (worker := self.workers.get(worker_id)) is not None:
                worker.paths.pop(spec.id, None)
        for worker_id in spec.owners:
            if (worker := self.workers.get(worker_id)) is not None:
                worker.paths[spec.id] = path
        for sector_id in sorted(path.sectors):
            self._refresh_holders(path, self.sectors[sector_id])
        self._reshape_owners(before | spec.owners)
        for sector_id in sorted(path.sectors):
            self._reclassify_sector(self.sectors[sector_id], now)

    def path_reported(self, path_id: str, available: int, error: str, now: float) -> None:
        path = self.paths.get(path_id)
        if path is None:
            return
        was_healthy = space.healthy(path, now)
        if was_healthy and available == path.available and not error and not path.reservations:
            # Nothing new, as with most reports of most paths. Only a worker that has said "no space" waits for it.
            path.reported_at = now
            if not any(w.no_space for w in map(self.workers.get, path.spec.owners) if w is not None):
                return
        real, room = path.real_room(), path.room()
        path.available, path.error, path.reported_at = max(0, available), error, now
        space.settle(path, now)
        better = path.room() > room or path.real_room() > real or not was_healthy
        for worker_id in sorted(path.spec.owners):
            worker = self.workers.get(worker_id)
            if worker is not None and (better or worker.no_space):
                worker.no_space.clear()
                self.improved(worker)

    def path_detached(self, path_id: str, now: float) -> None:
        path = self.paths.get(path_id)
        if path is None:
            return
        touched = [self.sectors[sector_id] for sector_id in sorted(path.sectors)]
        for sector in touched:
            self._remove_files(path, sector, sector.files[path_id].types)
        for reservation in list(path.reservations.values()):
            space.release(reservation)
        for sector in list(self.sectors.values()):
            if sector.piece is not None and sector.piece.path_id == path_id:
                self.set_piece(sector, replace(sector.piece, path_id=None, bytes=0))
        del self.paths[path_id]
        for worker_id in path.spec.owners:
            if (worker := self.workers.get(worker_id)) is not None:
                worker.paths.pop(path_id, None)
        for sector in touched:
            self._reclassify_sector(sector, now)
        self._reshape_owners(path.spec.owners)

    def adopt_paths(self, worker: Worker) -> None:
        """A worker became known: the paths that name it are its own."""
        for path in self.paths.values():
            if worker.id in path.spec.owners:
                worker.paths[path.spec.id] = path
                for sector_id in path.sectors:
                    sector = self.sectors[sector_id]
                    if worker.id in sector.files[path.spec.id].holders:
                        self.hold_add(worker, sector_id)
        for sector in self.sectors.values():
            piece = sector.piece
            worker.pieces += piece is not None and piece.waits and piece.worker_id == worker.id

    def disown_paths(self, worker: Worker) -> None:
        """A worker is forgotten."""
        for sector_id in worker.hold_refs:
            _unhold(self.sectors[sector_id], worker.id)

    def _reshape_owners(self, owners: frozenset[str]) -> None:
        for worker_id in sorted(owners):
            if (worker := self.workers.get(worker_id)) is not None:
                self.weigh_pieces(worker)
                self.reshaped(worker)

    # -- declarations -----------------------------------------------------------------------------------------------

    def files_declared(
        self, path_id: str, sector_id: SectorId, types: int, primary: bool, by: str | None, now: float
    ) -> None:
        path = self.paths.get(path_id)
        if path is None or not types:
            return
        sector = self.sector(sector_id)
        placement = sector.files.get(path_id)
        if placement is None:
            placement = sector.files[path.spec.id] = Placement(0, primary)
            path.sectors.add(sector_id)
        fresh = types & ~placement.types
        placement.types |= types
        placement.primary |= primary
        self._set_makers(placement, types if by is not None else fresh, ((bit, by) for bit in _BITS))
        self._refresh_holders(path, sector)
        for task in sector.tasks:
            worker = task.worker if task.promise is None else task.promise.worker
            if worker is not None and path_id in worker.paths and by in (None, worker.id):
                space.follow(task, path, types)
        if types & P1_OUTPUT and sector.piece is not None and sector.piece.guessed:
            self.set_piece(sector, None)
        elif types & UNSEALED:
            self._guess_piece(sector)
        self._reclassify_sector(sector, now)

    def files_dropped(self, path_id: str, sector_id: SectorId, types: int, now: float) -> None:
        path, sector = self.paths.get(path_id), self.sectors.get(sector_id)
        if path is None or sector is None or path_id not in sector.files:
            return
        self._remove_files(path, sector, types)
        self._reclassify_sector(sector, now)
        self.prune(sector)

    def _remove_files(self, path: Path, sector: Sector, types: int) -> None:
        placement = sector.files[path.spec.id]
        placement.types &= ~types
        self._set_makers(placement, types, ())
        self._refresh_holders(path, sector)
        if not placement.types:
            del sector.files[path.spec.id]
            path.sectors.discard(sector.id)
        piece = sector.piece
        if types & UNSEALED and piece is not None and piece.waits and not self._being_added(sector):
            self.set_piece(sector, self._locate_piece(sector, piece.worker_id, piece.proof, piece.guessed))

    def _set_makers(self, placement: Placement, types: int, makers: Iterable[tuple[int, str | None]]) -> None:
        """Who made the files of these types, in place of what was known of them."""
        kept = [made for made in placement.by if not made[0] & types]
        by = (*kept, *(made for made in makers if made[0] & types))
        placement.by = self._makers.setdefault(by, by)

    def _reclassify_sector(self, sector: Sector, now: float) -> None:
        for task in sector.tasks:
            self.reclassify(task, now)

    def prune(self, sector: Sector) -> None:
        """Forget a sector of which nothing is known that is not said again when it matters."""
        if not sector.files and not sector.tasks and not sector.memory and sector.held and not sector.piece:
            self.sectors.pop(sector.id, None)

    def watch_missing(self, task: Task, now: float) -> None:
        """Say once when a queued task's files are declared nowhere, and note when that began."""
        if not task.missing:
            task.missing_since, task.missing_lost = None, False
        elif task.missing_since is None:
            task.missing_since = now
            self.timer(now + LOST_AFTER, "missing", task.spec.id)
            self.decisions.append(FilesMissing(task.spec, FileType(task.missing), now, False))

    def missing_due(self, task: Task, now: float) -> None:
        since = task.missing_since
        if (
            task.state == "queued"
            and since is not None
            and not task.missing_lost
            and now >= since + LOST_AFTER
        ):
            task.missing_lost = True
            self.decisions.append(FilesMissing(task.spec, FileType(task.missing), since, True))

    # -- holds ------------------------------------------------------------------------------------------------------

    def _refresh_holders(self, path: Path, sector: Sector) -> None:
        placement = sector.files[path.spec.id]
        holders = holders_of(path, placement)
        before, placement.holders = placement.holders, holders
        for worker_id in sorted(before - holders):
            if (worker := self.workers.get(worker_id)) is not None:
                self.hold_remove(worker, sector.id)
                self.improved(worker)
        for worker_id in sorted(holders - before):
            if (worker := self.workers.get(worker_id)) is not None:
                self.hold_add(worker, sector.id)
                self.worsened(worker)

    def hold_add(self, worker: Worker, sector_id: SectorId) -> None:
        refs = worker.hold_refs.get(sector_id, 0)
        worker.hold_refs[sector_id] = refs + 1
        if not refs:
            sector = self.sectors[sector_id]
            sector.held_by += (worker.id,)
            worker.hold += sector.held

    def hold_remove(self, worker: Worker, sector_id: SectorId) -> None:
        refs = worker.hold_refs.get(sector_id, 0) - 1
        if refs > 0:
            worker.hold_refs[sector_id] = refs
        elif refs == 0:
            del worker.hold_refs[sector_id]
            sector = self.sectors[sector_id]
            _unhold(sector, worker.id)
            worker.hold -= sector.held

    def sector_held(self, sector_id: SectorId, held: bool) -> None:
        sector = self.sector(sector_id)
        if not held:
            sector.memory = ()
            if sector.piece is not None:
                self.set_piece(sector, None)
        if sector.held != held:
            sector.held = held
            for worker_id in sorted(sector.held_by):
                worker = self.workers[worker_id]
                worker.hold += 1 if held else -1
                self.improved(worker) if not held else self.worsened(worker)
        self.prune(sector)

    # -- pieces that wait for P1 ------------------------------------------------------------------------------------

    def set_piece(self, sector: Sector, piece: Piece | None) -> None:
        """Replace what is known of the sector's piece; counts and promised room follow."""
        old, sector.piece = sector.piece, piece
        if old is not None and old.waits:
            self._count_piece(old, -1)
        if piece is not None and piece.waits:
            self._count_piece(piece, 1)
        if old is not None and old.waits:
            self._piece_gone(old)

    def _count_piece(self, piece: Piece, change: int) -> None:
        if (worker := self.workers.get(piece.worker_id)) is not None:
            worker.pieces += change
            worker.version += 1
        if piece.path_id is not None and (path := self.paths.get(piece.path_id)) is not None:
            path.waiting += change * piece.bytes

    def _piece_gone(self, piece: Piece) -> None:
        path = self.paths.get(piece.path_id) if piece.path_id is not None else None
        owners = path.spec.owners if path is not None else frozenset[str]()
        if piece.worker_id not in owners:
            owners |= {piece.worker_id}
        for worker_id in sorted(owners) if len(owners) > 1 else owners:
            if (worker := self.workers.get(worker_id)) is not None:
                self.lighter(worker)

    def piece_added(self, task: Task, worker: Worker, now: float) -> None:
        """An AP is bound: its P1 will want room here."""
        types = space.piece_room(task, worker)
        paths = [
            path
            for path in worker.paths.values()
            if path.spec.can_seal
            and space.healthy(path, now)
            and space.takes_miner(path, task.spec.sector.miner)
        ]
        where = None
        if types:
            where = space.piece_path(task, paths, {path.spec.id: path.room() for path in paths}, types)
        size = space.bytes_of(types, task.spec.proof) if where is not None else 0
        self.set_piece(task.sector, Piece(worker.id, where, size, task.spec.proof))

    def piece_taken(self, task: Task) -> None:
        """Its P1 is bound, wherever: from now on that has the room reserved."""
        piece = task.sector.piece
        if piece is not None and piece.waits:
            # As ``set_piece`` would do it; this runs for every P1 of a pass.
            task.sector.piece = Piece(piece.worker_id, piece.path_id, piece.bytes, piece.proof, False)
            self._count_piece(piece, -1)
            self._piece_gone(piece)

    def piece_back(self, task: Task) -> None:
        """Its P1 ended without success: the piece waits again, where it lies now."""
        self.set_piece(task.sector, self._locate_piece(task.sector, None, task.spec.proof, False))

    def piece_seen(self, task: Task) -> None:
        """A task of the sector came in: that says whether P1 is still to come."""
        sector, kind = task.sector, task.spec.type
        piece = sector.piece
        if kind is _P1:
            if piece is None or piece.guessed:
                self.set_piece(sector, self._locate_piece(sector, None, task.spec.proof, False))
        elif piece is not None and (kind is not _AP or piece.guessed) and kind is not _DC:
            self.set_piece(sector, None)

    def _guess_piece(self, sector: Sector) -> None:
        if sector.piece is not None or not sector.held or sector.declared() & ~UNSEALED:
            return
        if all(task.spec.type is _DC for task in sector.tasks):
            self.set_piece(sector, self._locate_piece(sector, None, None, True))

    def _locate_piece(
        self, sector: Sector, prefer: str | None, proof: int | None, guessed: bool
    ) -> Piece | None:
        """The waiting piece as the declarations have it; None if no sealing path has its file."""
        found: tuple[bool, str, str] | None = None
        for path_id, placement in sector.files.items():
            path = self.paths[path_id]
            if not placement.types & UNSEALED or not path.spec.can_seal:
                continue
            by = placement.maker(UNSEALED)
            owners = [by] if by is not None and by in path.spec.owners else sorted(path.spec.owners)[:1]
            for worker_id in owners:
                rank = (worker_id != prefer, worker_id, path_id)
                if found is None or rank < found:
                    found = rank
        if found is None:
            return None
        _, worker_id, path_id = found
        return self._weighed(
            sector, Piece(worker_id, path_id, 0, -1 if proof is None else proof, True, guessed)
        )

    def _weighed(self, sector: Sector, piece: Piece) -> Piece:
        """The piece with the bytes that its P1 would need on its worker as that is now."""
        worker = self.workers.get(piece.worker_id)
        offers = worker is not None and _P1 in worker.spec.tasks
        if worker is None or not offers or piece.proof < 0 or piece.path_id is None:
            return replace(piece, bytes=0)
        return replace(piece, bytes=space.bytes_of(P1_OUTPUT & ~worker.own(sector), piece.proof))

    def weigh_pieces(self, worker: Worker) -> None:
        """The worker's task types or paths changed: what its pieces' P1 need may have changed too."""
        if not worker.pieces:
            return
        for path in worker.paths.values():
            for sector_id in sorted(path.sectors):
                sector = self.sectors[sector_id]
                piece = sector.piece
                if piece is not None and piece.waits and piece.worker_id == worker.id:
                    self.set_piece(sector, self._weighed(sector, piece))

    @staticmethod
    def _being_added(sector: Sector) -> bool:
        return any(task.spec.type is _AP and task.worker is not None for task in sector.tasks)

    # -- the other half ---------------------------------------------------------------------------------------------

    @abstractmethod
    def sector(self, sector_id: SectorId) -> Sector: ...

    @abstractmethod
    def timer(self, at: float, what: str, ref: str = "") -> None: ...

    @abstractmethod
    def reclassify(self, task: Task, now: float) -> None: ...

    @abstractmethod
    def improved(self, worker: Worker) -> None: ...

    @abstractmethod
    def lighter(self, worker: Worker) -> None: ...

    @abstractmethod
    def worsened(self, worker: Worker) -> None: ...

    @abstractmethod
    def reshaped(self, worker: Worker) -> None: ...


def holders_of(path: Path, placement: Placement) -> frozenset[str]:
    """Whose hold the files on this path fill (A2, last sentences)."""
    if not path.spec.can_seal or not placement.types & P1_OUTPUT:
        return NOBODY
    owners = path.spec.owners
    if len(owners) <= 1:
        return owners
    holders = NOBODY
    for bit in _BITS:
        if placement.types & P1_OUTPUT & bit:
            by = placement.maker(bit)
            if by is None or by not in owners:
                return owners
            holders |= {by}
    return holders


def _unhold(sector: Sector, worker_id: str) -> None:
    sector.held_by = tuple(one for one in sector.held_by if one != worker_id)
