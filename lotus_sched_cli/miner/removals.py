"""Files that were to be deleted while nobody who serves them could be told: remembered, and deleted later.

In Lotus a DELETE that does not arrive is only logged: when the worker is back it declares the files again, and they stay.
Here what the index still lists after a removal is *doomed*: stored, hidden from the scheduler, and deleted with the same
DELETE (which a stock worker knows too) once a worker that serves the path registers or answers again.

A file is never deleted that may be wanted again. A new task that touches a type of a sector spares it, in the transaction
that stores the task; a copy is only deleted after one in storage was seen to be there, on a path that is well; nothing is
deleted while the sector has a task; a task that is sent waits for a deletion under way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from lotus_sched_cli.core.events import ALL_TYPES
from lotus_sched_cli.core.needs import touched_by
from lotus_sched_cli.core.pipeline.states import State
from lotus_sched_cli.core.tasks import FileType, SectorId, TaskType
from lotus_sched_cli.lotus.logs import get

from .index import SectorIndex
from .known_paths import Files, names
from .leftovers import Remove
from .records import TaskRow
from .store import Store, Writes

log = get("stores")

_REMOVED: Final = (State.REMOVING, State.REMOVED)

Found = list[tuple[str, FileType]]
#: Sectors whose files are deleted at once: a worker that is back may have thousands, and each DELETE waits for a disk.
AT_ONCE: Final = 16
#: Whether a file can be read now on the path of this id.
Lies = Callable[[SectorId, FileType, str], Awaitable[bool]]


class Removals:
    """``busy``: whether a sector has a task; ``present``: whether a worker answers. ``state`` is set once there are sectors."""

    def __init__(
        self,
        store: Store,
        index: SectorIndex,
        remove: Remove,
        spawn: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[Any]],
        *,
        busy: Callable[[SectorId], bool],
        present: Callable[[str], bool],
        lies: Lies,
    ) -> None:
        self._store = store
        self._index = index
        self._remove = remove
        self._spawn = spawn
        self._busy = busy
        self._present = present
        self._lies = lies
        self._deleting: dict[SectorId, asyncio.Task[Any]] = {}
        #: Sectors to be looked at as soon as others are done with.
        self._queue: dict[SectorId, None] = {}
        self._wiping: dict[SectorId, tuple[asyncio.Future[None], ...]] = {}
        self.state: Callable[[int], State | None] = lambda number: None

    # -- what is doomed ----------------------------------------------------------------------------------------------

    async def wipe(self, sector: SectorId) -> None:
        """Delete all files of a removed sector; what cannot be deleted now is doomed. Stored on return (StoreError).

        One that is forced to another state meanwhile keeps what is left.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._wiping[sector] = (*self._wiping.get(sector, ()), done)
        try:
            for one in ALL_TYPES.each():
                if on := [f.path_id for f in self._index.on(sector) if f.types & one]:
                    if not self._gone(sector):
                        return
                    await self._remove(sector, one, (), on)
            await self.removed(sector)
        finally:
            done.set_result(None)
            rest = tuple(other for other in self._wiping.pop(sector) if other is not done)
            if rest:
                self._wiping[sector] = rest

    async def removed(self, sector: SectorId) -> None:
        """All files of a removed sector were deleted: what is still listed is doomed. Stored on return (StoreError)."""
        if not self._gone(sector):
            return
        writes = self._store.writes()
        self._doom(writes, sector, self._listed(sector, ALL_TYPES))
        await writes.commit()

    def done(self, writes: Writes, row: TaskRow) -> None:
        """A task ended well, stored with these writes: after a move or a release no copy should be left elsewhere."""
        if row.type is TaskType.FINALIZE_UNSEALED:
            self._doom(writes, row.sector, self._listed(row.sector, FileType.UNSEALED))
        elif row.type is TaskType.FETCH:
            for one in row.files.each():
                if self._copies_stored(row.sector, one):
                    self._doom(
                        writes, row.sector, [f for f in self._listed(row.sector, one) if not self._long(f[0])]
                    )

    def _listed(self, sector: SectorId, types: FileType) -> Found:
        on = [(f.path_id, f.types & types) for f in self._index.on(sector) if f.path_id in self._index.paths]
        away = [
            (path_id, (a.files.get(sector, FileType.NONE) | a.doomed.get(sector, FileType.NONE)) & types)
            for path_id, a in self._index.away.items()
        ]
        return [(path_id, found) for path_id, found in on + away if found]

    def _doom(self, writes: Writes, sector: SectorId, found: Found) -> None:
        for path_id, types in found:
            path = self._index.paths.get(path_id)
            where = ", ".join((path.info.URLs if path is not None else None) or ["detached"])
            log.warning(
                f"{names(types)} of {sector} on {path_id} ({where}) could not be deleted now; "
                "deleted once a worker that serves the path is back"
            )
            self._index.doom(writes, path_id, sector, types)

    def submitted(self, row: TaskRow) -> None:
        """A new task is stored: what it touches is doomed no more."""
        types = touched_by(row.spec)
        if self._index.spare(row.sector, types):
            # Once more: it may have been doomed after the task was stored, by the end of the one before.
            self._spawn(self._spared(row.sector, types), "removals")

    async def _spared(self, sector: SectorId, types: FileType) -> None:
        writes = self._store.writes()
        writes.spare(sector, types)
        await writes.commit()

    # -- deleting ----------------------------------------------------------------------------------------------------

    async def clear(self, sector: SectorId) -> None:
        """Until no deletion of the sector's files is under way."""
        waits: list[asyncio.Future[Any]] = [*self._wiping.get(sector, ())]
        if (deleting := self._deleting.get(sector)) is not None:
            waits.append(deleting)
        if waits:
            await asyncio.wait(waits)

    def deliver(self) -> None:
        """Somebody is back: delete what can be deleted now."""
        for sector in list(self._index.doomed):
            doomed = [f for f in self._index.on(sector) if f.doomed]
            if not doomed:
                self._index.doomed.discard(sector)
            elif sector not in self._deleting and not self._busy(sector) and any(map(self._reached, doomed)):
                self._queue[sector] = None
        self._begin()

    def _begin(self) -> None:
        while self._queue and len(self._deleting) < AT_ONCE:
            sector, _ = self._queue.popitem()
            task = self._deleting[sector] = self._spawn(self._delete(sector), "removals")
            task.add_done_callback(lambda task, s=sector: self._end(s, task))  # type: ignore[misc]

    def _end(self, sector: SectorId, task: asyncio.Task[Any]) -> None:
        del self._deleting[sector]
        if not task.cancelled():
            self._begin()

    async def _delete(self, sector: SectorId) -> None:
        for one in ALL_TYPES.each():
            doomed = [f for f in self._index.on(sector) if f.doomed & one]
            if not doomed or self._busy(sector):
                continue
            may = [f for f in doomed if self._reached(f) and self._may(f, sector, one)]
            if not may:
                if not self._dispensable(sector, one) and any(map(self._reached, doomed)):
                    await self._spare(sector, one, doomed)
                continue
            if not self._useless(sector, one) and not await self._seen(sector, one):
                continue
            only = [f.path_id for f in may if f.doomed & one]
            if not only or self._busy(sector):
                continue
            keep = [f.path_id for f in self._index.on(sector) if f.types & one & ~f.doomed]
            log.warning(f"removing {names(one)} of {sector}, as was asked while their worker was away")
            try:
                await self._remove(sector, one, keep, only)
            except Exception as e:
                log.info(f"{names(one)} of {sector} stays for now: {e}")

    async def _seen(self, sector: SectorId, one: FileType) -> bool:
        """Whether a copy in storage is there now: a path can be well and have lost its files."""
        kept = self._keepers(sector, one)
        for path_id in kept:
            if await self._lies(sector, one, path_id):
                return True
        log.warning(
            f"{names(one)} of {sector} should have been deleted, but cannot be read where it is kept now "
            f"({', '.join(kept)}): it stays; look at that path"
        )
        return False

    async def _spare(self, sector: SectorId, one: FileType, doomed: list[Files]) -> None:
        """They are the only copies by now: they count again."""
        log.warning(f"{names(one)} of {sector} should have been deleted, but lies nowhere else now: it stays")
        writes = self._store.writes()
        for files in doomed:
            writes.count(files.path_id, sector, one)
            writes.declare(files.path_id, sector, one, primary=False, by=files.by)
        self._index.spare(sector, one)
        await writes.commit()

    def _reached(self, files: Files) -> bool:
        path = self._index.paths.get(files.path_id)
        if path is None or not path.attached or path.error:
            return False
        return any(map(self._present, path.owners))

    def _useless(self, sector: SectorId, one: FileType) -> bool:
        """Whether nobody needs even the only copy."""
        return self._gone(sector) or one is FileType.UNSEALED

    def _gone(self, sector: SectorId) -> bool:
        return self.state(sector.number) in _REMOVED

    def _may(self, files: Files, sector: SectorId, one: FileType) -> bool:
        if self._useless(sector, one):
            return True
        return not self._long(files.path_id) and bool(self._keepers(sector, one))

    def _keepers(self, sector: SectorId, one: FileType) -> list[str]:
        """Ids of paths for storage that are well, with a copy that counts."""
        now = self._index.now()
        return [
            files.path_id
            for files in self._copies_stored(sector, one)
            if self._reached(files) and self._index.paths[files.path_id].well(now)
        ]

    def _dispensable(self, sector: SectorId, one: FileType) -> bool:
        """Whether it lies elsewhere too, as far as is known, or is useless."""
        if self._useless(sector, one) or any(f.types & one & ~f.stale for f in self._index.on(sector)):
            return True
        return any(away.files.get(sector, FileType.NONE) & one for away in self._index.away.values())

    def _copies_stored(self, sector: SectorId, one: FileType) -> list[Files]:
        """Copies that count, on paths for storage, declared since this miner started."""
        return [
            files
            for files in self._index.on(sector)
            if files.types & files.confirmed & one & ~files.stale and self._long(files.path_id)
        ]

    def _long(self, path_id: str) -> bool:
        path = self._index.paths.get(path_id)
        if path is not None:
            return path.info.CanStore
        return path_id in self._index.away and self._index.away[path_id].can_store
