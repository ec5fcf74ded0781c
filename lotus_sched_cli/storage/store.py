"""All storage paths of one process, and the work on them.

Source: Lotus ``storage/paths/local.go``, ``storage/paths/remote.go``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TypeVar

from lotus_sched_cli.core.tasks import AcquireMode, FileType, PathType, SectorId
from lotus_sched_cli.lotus.logs import get
from lotus_sched_cli.lotus.progress import following
from lotus_sched_cli.lotus.types import FsStat, HealthReport, SectorRef, StoragePath

from . import acquire as _acquire
from . import remove as _remove
from .acquire import Progress, SectorPaths
from .disk import DiskThreads
from .errors import StorageError
from .fsstat import DiskSpace, SpaceModel
from .index import Index
from .meta import read_meta
from .path import Key, LocalPath, require

log = get("stores")

#: Declarations under way at once while a path is opened.
DECLARE_AT_ONCE = 64
#: Seconds that listing a path's files may take.
SCAN_TIMEOUT = 60.0

T = TypeVar("T")

#: Called with files declared so far and in all.
OpenProgress = Callable[[int, int], None]


class Store:
    """The local paths of a process and what may be done with sector files.

    Args:
        index: the miner's sector index.
        url: base URL under which this process serves its files, ``http://10.0.0.5:3456/remote``. May be set later,
            before the first path is opened.
        headers: sent with every request to another store (``Authorization``).
        space: where figures of space come from; a simulated sealer pretends a capacity here.
        parallel_fetch: downloads under way at once (Lotus: worker 5, miner 10).
        stat_timeout: seconds after which a path counts as hanging.
    """

    def __init__(
        self,
        index: Index,
        url: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        space: SpaceModel | None = None,
        parallel_fetch: int = 5,
        stat_timeout: float = 5.0,
    ) -> None:
        self.index = index
        self.url = url
        self.headers = dict(headers or {})
        self.space = space or DiskSpace()
        self.fetch_slots = asyncio.Semaphore(parallel_fetch)
        self._timeout = stat_timeout
        self._paths: dict[str, LocalPath] = {}
        self._sectors: dict[SectorId, tuple[asyncio.Lock, int]] = {}
        self._undeclared: dict[tuple[str, SectorId, FileType], bool] = {}
        self._ill: set[str] = set()
        #: Paths whose files are being declared: how many so far, and in all.
        self.declaring: dict[Path, tuple[int, int]] = {}

    # -- paths ---------------------------------------------------------------------------------------------

    def paths(self) -> list[LocalPath]:
        """The open paths, in order of opening."""
        return list(self._paths.values())

    def get(self, id: str) -> LocalPath | None:
        """The open path with that id."""
        return self._paths.get(id)

    def storage_paths(self) -> list[StoragePath]:
        """What the worker method ``Paths`` answers."""
        return [
            StoragePath(p.id, p.meta.Weight, str(p.root), p.meta.CanSeal, p.meta.CanStore)
            for p in self._paths.values()
        ]

    async def open_path(self, root: Path, progress: OpenProgress | None = None) -> LocalPath:
        """Opens a path, attaches it and declares its files.

        Raises StorageError (no metadata, already open, foreign entry) with Lotus's text, and what the index raises; then
        the path is not open.
        """
        root = Path(root)
        disk = DiskThreads(str(root))
        meta = await self._answered(root, disk.run(read_meta, root))
        if meta.ID in self._paths:
            disk.close()
            raise StorageError(f"path with ID {meta.ID} already opened: '{self._paths[meta.ID].root}'")
        path = LocalPath(root, meta, self.space, disk, self._timeout)
        self._paths[meta.ID] = path
        try:
            files = await path.prepare()
            await self._announce(path, files, progress)
        except BaseException:
            del self._paths[meta.ID]
            path.close()
            raise
        return path

    async def open_all(self, roots: Iterable[Path], progress: OpenProgress | None = None) -> None:
        """Opens the paths of ``storage.json``. Raises StorageError beginning with ``opening path /p: ``."""
        for root in roots:
            try:
                await self.open_path(root, progress)
            except StorageError as err:
                raise type(err)(f"opening path {root}: {err}") from None

    async def detach(self, id: str) -> LocalPath:
        """Takes a path out of the index and closes it; files stay. Raises NotFoundError, and what the index raises."""
        path = require(self._paths.get(id), id)
        await self.index.StorageDetach(id, self.url)
        del self._paths[id]
        path.close()
        return path

    async def redeclare(
        self, id: str | None = None, drop_missing: bool = False, progress: OpenProgress | None = None
    ) -> None:
        """Reads the metadata again, attaches and declares: one path, or all. An unknown id does nothing, as in Lotus.

        Of all paths, one that hangs or is broken is only logged. Raises StorageError, and what the index raises.

        ``drop_missing`` takes out of the index what does not lie there any more.
        """
        if id is not None:
            if id in self._paths:
                await self._redeclare(self._paths[id], drop_missing, progress)
            return
        done = await asyncio.gather(
            *(self._redeclare(path, drop_missing, progress) for path in self.paths()), return_exceptions=True
        )
        for path, error in zip(self.paths(), done, strict=False):
            # A path that is ill is left as it is: the others must not wait for it. The index's errors are for the caller.
            if isinstance(error, StorageError):
                log.error(f"redeclaring {path.root}: {error}")
            elif error is not None:
                raise error

    async def _redeclare(self, path: LocalPath, drop_missing: bool, progress: OpenProgress | None) -> None:
        meta = await self._answered(path.root, path.disk.run(read_meta, path.root))
        if path.id != meta.ID:
            raise StorageError(
                f"{path.root} now has ID {meta.ID}, it was opened as {path.id}; detach it first"
            )
        path.meta = meta
        files = await self._answered(path.root, path.scan(), SCAN_TIMEOUT)
        await self._announce(path, files, progress, drop_missing)

    async def _answered(self, root: Path, call: Awaitable[T], at_least: float = 0) -> T:
        """What a disk call gives. Raises StorageError when the disk takes too long."""
        seconds = max(at_least, self._timeout)
        try:
            return await asyncio.wait_for(call, seconds)
        except TimeoutError:
            raise StorageError(f"{root} does not answer (waited {seconds:g} s); look at its mount") from None

    async def _announce(
        self, path: LocalPath, files: list[Key], progress: OpenProgress | None, drop_missing: bool = False
    ) -> None:
        await self.index.StorageAttach(path.info(self.url), await path.stat())
        if drop_missing:
            here = set(files)
            for decl in (await self.index.StorageList()).get(path.id, []):
                sector = SectorId(decl.Miner, decl.Number)
                gone = [t for t in FileType(decl.SectorFileType).each() if (sector, t) not in here]
                for type in gone:
                    await self.index.StorageDropSector(path.id, sector, type)
        await self._declare_files(path, files, progress)

    async def _declare_files(self, path: LocalPath, files: list[Key], progress: OpenProgress | None) -> None:
        todo = iter(files)
        done = 0
        self.declaring[path.root] = (0, len(files))

        async def declarer() -> None:
            nonlocal done
            for sector, type in todo:
                await self.index.StorageDeclareSector(path.id, sector, type, path.meta.CanStore)
                done += 1
                self.declaring[path.root] = (done, len(files))
                if progress is not None:
                    progress(done, len(files))

        try:
            async with (
                following(f"declaring {path.root}", lambda: (done, len(files)), "files"),
                asyncio.TaskGroup() as group,
            ):
                for _ in range(min(DECLARE_AT_ONCE, len(files))):
                    group.create_task(declarer())
        except BaseExceptionGroup as group_error:
            raise group_error.exceptions[0] from None
        finally:
            self.declaring.pop(path.root, None)

    # -- space and health ----------------------------------------------------------------------------------

    async def stat(self, id: str) -> FsStat:
        """Space of a path. Raises NotFoundError, StorageError (a path that hangs)."""
        return await require(self._paths.get(id), id).stat()

    async def report(self) -> None:
        """Tells the index how the paths are, each by itself, and declares again what it did not hear of."""
        await asyncio.gather(*(self._report(path) for path in self.paths()))
        for (id, sector, type), primary in list(self._undeclared.items()):
            if id in self._paths and (id, sector, type) in self._undeclared:
                await self.declare(id, sector, type, primary)

    async def run_health(self, interval: float = 10.0) -> None:
        """Reports every ``interval`` seconds until cancelled; an index that is away is only logged."""
        while True:
            await asyncio.sleep(interval)
            await self.report()

    async def _report(self, path: LocalPath) -> None:
        try:
            report = HealthReport(Stat=await path.stat())
            self._ill.discard(path.id)
        except Exception as err:  # whatever it is, the other paths go on
            report = HealthReport(Err=str(err))
            if path.id not in self._ill:
                self._ill.add(path.id)
                log.error(f"storage path {path.id} is ill: {err}")
        try:
            await self.index.StorageReportHealth(path.id, report)
        except Exception as err:
            log.warn(f"error reporting storage health for {path.id}: {err}")

    # -- files ---------------------------------------------------------------------------------------------

    async def declare(self, id: str, sector: SectorId, type: FileType, primary: bool) -> bool:
        """Tells the index of a file. What it does not hear is told again with the next health report."""
        key = (id, sector, type)
        self._undeclared[key] = primary  # before the call: it may be cancelled
        try:
            await self.index.StorageDeclareSector(id, sector, type, primary)
        except Exception as err:
            log.warn(f"declare sector {sector}(t:{int(type)}) -> {id} failed, will be told again: {err}")
            return False
        self._undeclared.pop(key, None)
        return True

    async def drop(self, id: str, sector: SectorId, type: FileType) -> None:
        """Takes a file out of the index. Raises what the index raises."""
        self._undeclared.pop((id, sector, type), None)
        await self.index.StorageDropSector(id, sector, type)

    @asynccontextmanager
    async def sector_lock(self, sector: SectorId) -> AsyncIterator[None]:
        """One acquisition, move or removal per sector at a time within this process."""
        lock, users = self._sectors.get(sector, (asyncio.Lock(), 0))
        self._sectors[sector] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._sectors.pop(sector)
            if users > 1:
                self._sectors[sector] = (lock, users - 1)

    def acquire(
        self,
        ref: SectorRef,
        existing: FileType = FileType.NONE,
        allocate: FileType = FileType.NONE,
        path_type: PathType = PathType.SEALING,
        mode: AcquireMode | None = None,
        progress: Progress | None = None,
    ) -> AbstractAsyncContextManager[SectorPaths]:
        """See `acquire.acquire`."""
        return _acquire.acquire(self, ref, existing, allocate, path_type, mode, progress)

    async def move_storage(self, ref: SectorRef, types: FileType, progress: Progress | None = None) -> None:
        """See `acquire.move_storage`."""
        await _acquire.move_storage(self, ref, types, progress)

    async def remove(
        self,
        sector: SectorId,
        types: FileType,
        *,
        keep: Iterable[str] = (),
        only: Iterable[str] | None = None,
        force: bool = True,
    ) -> None:
        """See `remove.remove`."""
        await _remove.remove(self, sector, types, keep, force, only)

    async def remove_local(self, sector: SectorId, type: FileType, keep: Iterable[str] = ()) -> None:
        """See `remove.remove_local`."""
        await _remove.remove_local(self, sector, type, keep)

    async def remove_copies(self, sector: SectorId, types: FileType) -> None:
        """See `remove.remove_copies`."""
        await _remove.remove_copies(self, sector, types)

    async def lies(self, sector: SectorId, type: FileType, path_id: str) -> bool:
        """See `remove.lies`."""
        return await _remove.lies(self, sector, type, path_id)

    async def close(self) -> None:
        """Lets the threads of the paths go; nothing is said to the index."""
        for path in self._paths.values():
            path.close()
