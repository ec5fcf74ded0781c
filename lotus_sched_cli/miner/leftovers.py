"""Half-made files of a PreCommit1 that broke off: told from good ones, kept out of the way, deleted.

A worker that dies in a PreCommit1 leaves a sealed file and a cache behind, and declares them when it is back. By then the
sector may have its PreCommit1 from another worker; in Lotus the next PreCommit2 may then take the half-made files. Here
the worker that finished PreCommit1 is remembered, and files of those types that appear elsewhere, without a task that
makes or fetches them, are leftovers as long as a good copy is known. Of files that were copied ahead of a PreCommit2 one
copy becomes a leftover, too: the source where the PreCommit2 begins with the copy, else the copy.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from lotus_sched_cli.core.tasks import FileType, SectorId
from lotus_sched_cli.lotus.logs import get

from .index import SectorIndex
from .known_paths import Files, Path, names
from .store import Store, Writes

log = get("stores")

#: What a PreCommit1 makes.
OUTPUT: Final = FileType.SEALED | FileType.CACHE
#: Under which name the store keeps the worker that finished a sector's PreCommit1.
MAKER: Final = "p1_maker"

#: Remove these types of a sector: not from the paths named first, and only from those named last.
Remove = Callable[[SectorId, FileType, Iterable[str], Iterable[str]], Awaitable[None]]


def remember(writes: Writes, sector: SectorId, worker_id: str) -> None:
    """This worker has finished the sector's PreCommit1."""
    writes.keep(sector.number, MAKER, worker_id.encode())


class Leftovers:
    """Judges declarations for the index, and has leftovers deleted where their worker can be reached."""

    def __init__(
        self, store: Store, index: SectorIndex, remove: Remove, spawn: Callable[[Any, str], object]
    ) -> None:
        self._store = store
        self._index = index
        self._remove = remove
        self._spawn = spawn

    async def judge(self, path: Path, sector: SectorId, types: FileType) -> FileType:
        """Which of these newly declared types on a path are leftovers."""
        types &= OUTPUT
        good = FileType.NONE
        for files in self._index.on(sector):
            if files.path_id != path.info.ID:
                good |= files.types & ~files.stale
        if not types & good:
            return FileType.NONE
        maker = await self._store.kept(sector.number, MAKER)
        if maker is None or maker.decode() in path.owners:
            return FileType.NONE
        return types & good

    async def made(self, sector: SectorId, worker_id: str) -> None:
        """PreCommit1 is done there: whatever another path has of its output was made by an attempt before."""
        found = []
        for files in self._index.on(sector):
            path = self._index.paths.get(files.path_id)
            types = files.types & OUTPUT & ~files.stale
            if path is None or not types:
                continue
            # No owners: its worker has not registered since the miner started. It may be this very one, whose result is
            # sooner here than itself.
            owners = path.owners or {files.by or worker_id}
            if worker_id not in owners:
                found.append((files, types))
        await self._index.mark_stale(sector, found)
        if found:
            self._spawn(self._delete(sector), "leftovers")

    async def adopted(self, sector: SectorId, worker_id: str) -> None:
        """A PreCommit2 begins there with a copy: that counts from now on, as if it had been made there."""
        found = FileType.NONE
        for files in self._copies(sector, worker_id)[0]:
            if types := files.types & OUTPUT & ~files.stale:
                found |= types
                await self._index.declare(files.path_id, sector, types, True)
        if found != OUTPUT:
            return
        writes = self._store.writes()
        remember(writes, sector, worker_id)
        await writes.commit()
        await self.made(sector, worker_id)

    async def disown(self, sector: SectorId, worker_id: str) -> None:
        """A copy that was made ahead counts no more, where the files lie elsewhere too."""
        here, elsewhere = self._copies(sector, worker_id)
        good = FileType.NONE
        for files in elsewhere:
            good |= files.types & ~files.stale
        found = [(files, types) for files in here if (types := files.types & OUTPUT & ~files.stale & good)]
        await self._index.mark_stale(sector, found)

    async def unwanted(self, sector: SectorId, worker_id: str) -> None:
        """A copy that was made ahead is not wanted there: it goes, where the files lie elsewhere too."""
        await self.disown(sector, worker_id)
        if any(files.stale for files in self._copies(sector, worker_id)[0]):
            await self._delete(sector)

    def _copies(self, sector: SectorId, worker_id: str) -> tuple[list[Files], list[Files]]:
        """What lies on the worker's paths, and on all others."""
        here: list[Files] = []
        elsewhere: list[Files] = []
        for files in self._index.on(sector):
            path = self._index.paths.get(files.path_id)
            (here if path is not None and worker_id in path.owners else elsewhere).append(files)
        return here, elsewhere

    async def joined(self, worker_id: str) -> None:
        """It registers: judge what it has declared since the miner started, and have leftovers deleted."""
        for path in [p for p in self._index.paths.values() if worker_id in p.owners]:
            for sector in self._index.sectors_on(path.info.ID):
                files = next((f for f in self._index.on(sector) if f.path_id == path.info.ID), None)
                if files is None:
                    continue
                fresh = files.fresh & OUTPUT & ~files.primary & ~files.stale
                if fresh and not path.owners & self._index.makers(sector):
                    stale = await self.judge(path, sector, fresh)
                    if stale:
                        await self._index.mark_stale(sector, [(files, stale)])
                files.fresh = FileType.NONE
                if files.stale & ~files.doomed:
                    self._spawn(self._delete(sector), "leftovers")

    def _made_on(self, files: Files, sector: SectorId) -> bool:
        """Whether a worker is just now making them anew there, or fetching them."""
        path = self._index.paths.get(files.path_id)
        return path is not None and bool(path.owners & self._index.makers(sector))

    async def _delete(self, sector: SectorId) -> None:
        stale = FileType.NONE
        for files in self._index.on(sector):
            stale |= files.stale & ~files.doomed
        for one in stale.each():
            keep = [f.path_id for f in self._index.on(sector) if one & f.types & ~f.stale]
            if not keep:
                continue
            only = [
                f.path_id
                for f in self._index.on(sector)
                if one & f.stale & ~f.doomed and not self._made_on(f, sector)
            ]
            if not only:
                continue
            log.warning(f"removing left-over {names(one)} of {sector}: those that count lie elsewhere")
            try:
                await self._remove(sector, one, keep, only)
            except Exception as e:
                log.info(f"left-over {names(one)} of {sector} stays for now: {e}")
