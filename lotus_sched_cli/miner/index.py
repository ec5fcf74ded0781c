"""The sector index: which path holds which files, and where new ones may go (Lotus ``storage/paths/index.go``).

Lotus's rules to the letter (lotus-wire.md §6.2). Everything is answered from memory; what changes is stored before it
is acknowledged and told to the scheduler as events. After a restart of the miner, paths and declarations come back
from the store unconfirmed: a path is out of selection until it is attached again, and what its worker has not
declared again by the time it registers is dropped.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec

from lotus_sched_cli.core.events import (
    ALL_TYPES,
    Event,
    FilesDeclared,
    FilesDropped,
    PathAttached,
    PathDetached,
    PathReported,
)
from lotus_sched_cli.core.tasks import FILE_TYPES_BY_NAME, FileType, SectorId
from lotus_sched_cli.lotus.logs import get
from lotus_sched_cli.lotus.rpc.errors import RpcError
from lotus_sched_cli.lotus.types import FsStat, HealthReport, StorageInfo

from .alerts import Alerts
from .clock import Clock
from .file_table import FileTable
from .known_paths import Away, Files, Path, names, spec
from .records import PathRow
from .store import Store, Writes

log = get("stores")


class Owners(Protocol):
    """Who serves a path (miner/workers.py)."""

    def owners(self, path_id: str, netlocs: frozenset[str]) -> frozenset[str]: ...


class NoOwners:
    def owners(self, path_id: str, netlocs: frozenset[str]) -> frozenset[str]:
        return frozenset()


Judge = Callable[[Path, SectorId, FileType], Awaitable[FileType]]


async def _all_good(path: Path, sector: SectorId, types: FileType) -> FileType:
    return FileType.NONE


class SectorIndex(FileTable):
    """Paths, declarations and their rules. ``emit`` takes the scheduler's events, ``makers`` the workers on a sector."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock,
        emit: Callable[[Event], None],
        owners: Owners | None = None,
        makers: Callable[[SectorId], frozenset[str]] = lambda sector: frozenset(),
        alerts: Alerts | None = None,
    ) -> None:
        super().__init__()
        self._store = store
        self._clock = clock
        self._emit = emit
        self._owners: Owners = owners or NoOwners()
        self.makers = makers
        self._alerts = alerts or Alerts()
        #: Which of newly declared types are leftovers (leftovers.py).
        self.judge: Judge = _all_good
        #: Called when a path is well that was not.
        self.recovered: Callable[[], None] = lambda: None
        #: Detached paths, with what lay there.
        self.away: dict[str, Away] = {}
        #: Sectors with doomed files, some of which may be gone by now.
        self.doomed: set[SectorId] = set()

    def now(self) -> float:
        """Unix seconds, as heartbeats of paths are kept."""
        return self._clock()

    # -- start ---------------------------------------------------------------------------------------------------

    async def restore(self) -> None:
        """Paths and declarations of the last run, unconfirmed: nothing is laid on them before they attach again."""
        for row in await self._store.paths():
            info = msgspec.json.decode(row.info, type=StorageInfo)
            stat = msgspec.json.decode(row.stat, type=FsStat) if row.stat else FsStat()
            path = self.paths[row.id] = Path(info, stat)
            path.owners = self._owners.owners(row.id, path.netlocs)
            self._emit(PathAttached(spec(path), 0, stat.Capacity or None))
            self._emit(PathReported(row.id, 0, "not heard of since the miner started"))
        for entry in await self._store.declarations():
            files = self.entry(entry.sector, entry.path_id)
            files.by = entry.by or files.by
            files.types |= entry.type
            if entry.primary:
                files.primary |= entry.type
        for one in await self._store.uncounted():
            if one.path_id in self.paths:
                # What is not doomed was there before the path was detached; since it is back it says itself what is.
                if one.doomed:
                    self._doom(one.path_id, one.sector, one.type)
                continue
            away = self.away.setdefault(one.path_id, Away(one.worker_id))
            away.worker_id = away.worker_id or one.worker_id
            away.can_store |= one.can_store
            of = away.doomed if one.doomed else away.files
            _more(of, one.sector, one.type)
        for sector, on in self._sectors.items():
            for files in on:
                if files.path_id in self.paths:
                    self._tell(sector, files)

    async def drop_unconfirmed(self, worker_id: str) -> int:
        """A worker has registered: what its own paths did not declare again is gone. Returns how many sectors."""
        gone: list[tuple[str, SectorId, FileType]] = []
        for path_id, path in self.paths.items():
            if worker_id not in path.owners:
                continue
            for sector in self.sectors_on(path_id):
                files = self.entry(sector, path_id)
                if stale := files.types & ~files.confirmed:
                    gone.append((path_id, sector, stale))
        for path_id, sector, types in gone:
            log.warning(f"files of {sector} ({names(types)}) on {path_id} were not declared again, dropped")
            await self.drop_sector(path_id, sector, types)
        return len(gone)

    # -- paths ---------------------------------------------------------------------------------------------------

    async def attach(self, info: StorageInfo, stat: FsStat) -> None:
        """`StorageAttach`: a new path, or a merge into one that is known (URLs appended, the rest replaced)."""
        info = self._clean(info)
        known = self.paths.get(info.ID)
        if known is None:
            path = self.paths[info.ID] = Path(info, stat)
            log.info(f"New sector storage: {info.ID}", place="paths/index.go:181")
        else:
            path = known
            urls = list(path.info.URLs or ())
            urls += [u for u in info.URLs or () if u not in urls]
            path.info = msgspec.structs.replace(info, URLs=urls)
        first = not path.attached
        if first:
            path.attached = True
            path.stat, path.beat, path.error = stat, self._clock(), ""
            if stat.Capacity <= 0:
                where = ", ".join(info.URLs or ()) or "no address"
                log.warning(
                    f"storage path {info.ID} ({where}) tells no capacity, nothing is put there; is its disk mounted?"
                )
        path.owners = self._owners.owners(info.ID, path.netlocs)
        self._emit(PathAttached(spec(path), stat.Available if first else None, path.stat.Capacity or None))
        if first:
            self._emit(PathReported(info.ID, stat.Available))
        away = self.away.pop(info.ID, None)
        for sector, types in (away.doomed if away is not None else {}).items():
            self._doom(info.ID, sector, types)
        if known is None:
            for sector in self.sectors_on(info.ID):
                self._tell(sector, self.entry(sector, info.ID))
        await self._keep(path, attached=True)

    async def _keep(self, path: Path, *, attached: bool = False) -> None:
        writes = self._store.writes()
        if attached:
            writes.attach_path(path.info.ID)
        info, stat = msgspec.json.encode(path.info), msgspec.json.encode(path.stat)
        writes.path(PathRow(path.info.ID, info, stat, self._clock()))
        await writes.commit()

    def _clean(self, info: StorageInfo) -> StorageInfo:
        """Bad URLs are refused, unknown file types dropped with an alert, as in Lotus."""
        for url in info.URLs or ():
            try:
                parts = urlsplit(url)
            except ValueError:
                parts = None
            if parts is None or not parts.scheme or not parts.netloc:
                raise RpcError(1, f"failed to parse url {url}: invalid URL")
        kept: dict[str, list[str]] = {}
        bad: dict[str, Any] | None = None
        for member in ("AllowTypes", "DenyTypes"):
            names = getattr(info, member) or []
            kept[member] = [n for n in names if n in FILE_TYPES_BY_NAME]
            for i, name in enumerate(names):
                if name not in FILE_TYPES_BY_NAME:
                    bad = {
                        "error": f"unknown sector file type '{name}'", "idx": i, "message": f"bad path type in {member}",
                        "path": info.ID, "path_type": name,
                    }  # fmt: skip
        alert = self._alerts.kind("sector-index", f"pathconf-{info.ID}")
        if bad:
            self._alerts.raise_(alert, bad)
        else:
            self._alerts.resolve(alert, {"message": "path config is now correct"})
        return msgspec.structs.replace(info, **kept)

    async def detach(self, path_id: str, url: str) -> None:
        """`StorageDetach`: one URL of several goes, or the path with all its declarations."""
        path = self.paths.get(path_id)
        if path is None:
            raise RpcError(1, f"storage '{path_id}' isn't registered")
        urls = list(path.info.URLs or ())
        if len(urls) > 1:
            if url in urls:
                log.warning(f"Dropping storage path {path_id} URL {url}")
                await self._set_urls(path, [u for u in urls if u != url])
            return
        if urls and urls[0] != url:
            raise RpcError(
                1,
                f"not dropping path, requested and index urls don't match ('{url}' != '{urls[0]}')",
            )
        made = {self.entry(s, path_id).by for s in self.sectors_on(path_id)}
        owner = min(path.owners or {by for by in made if by}, default=None)
        away = self.away[path_id] = Away(owner, path.info.CanStore)
        for sector in self.sectors_on(path_id):
            files = self.entry(sector, path_id)
            if counting := files.types & ~files.stale:
                away.files[sector] = counting
            if files.doomed:
                away.doomed[sector] = files.doomed
        writes = self._store.writes()
        writes.detach_path(path_id, owner, can_store=path.info.CanStore)
        self._close(path_id)
        await writes.commit()

    async def remove_path(self, path_id: str) -> None:
        """The path goes with all its declarations, for good; one that is detached already, too."""
        if path_id in self.paths:
            self._close(path_id)
        self.away.pop(path_id, None)
        writes = self._store.writes()
        writes.delete_path(path_id)
        await writes.commit()

    def _close(self, path_id: str) -> None:
        log.warning(f"Dropping storage path {path_id}")
        for sector in self.sectors_on(path_id):
            self._forget(path_id, sector, ALL_TYPES)
        del self.paths[path_id]
        self._emit(PathDetached(path_id))

    async def moved(self, worker_paths: Iterable[str], old_netloc: str) -> None:
        """A worker came back at another address: its paths no longer answer at the old one."""
        for path_id in worker_paths:
            path = self.paths.get(path_id)
            if path is None:
                continue
            urls = [u for u in path.info.URLs or () if urlsplit(u).netloc != old_netloc]
            if urls and len(urls) != len(path.info.URLs or ()):
                await self._set_urls(path, urls)

    async def _set_urls(self, path: Path, urls: list[str]) -> None:
        path.info = msgspec.structs.replace(path.info, URLs=urls)
        self._reown(path)
        await self._keep(path)

    def reown(self) -> None:
        """Workers came, went, or told their paths: say anew who serves what."""
        for path in self.paths.values():
            self._reown(path)

    def _reown(self, path: Path) -> None:
        owners = self._owners.owners(path.info.ID, path.netlocs)
        if owners != path.owners:
            path.owners = owners
            self._emit(PathAttached(spec(path), None, path.stat.Capacity or None))

    def report(self, path_id: str, report: HealthReport) -> None:
        """`StorageReportHealth`. Reports live in memory: after a restart the next one tells."""
        path = self.paths.get(path_id)
        if path is None:
            raise RpcError(1, f"health report for unknown storage: {path_id}")
        now = self._clock()
        was_well = path.well(now)
        path.stat, path.error, path.beat = report.Stat, report.Err, now
        self._emit(PathReported(path_id, max(0, report.Stat.Available), report.Err))
        if not was_well and path.well(now):
            self.recovered()

    def info(self, path_id: str) -> StorageInfo:
        """`StorageInfo`."""
        path = self.paths.get(path_id)
        if path is None:
            raise RpcError(1, "sector store not found")
        return path.info

    # -- files ---------------------------------------------------------------------------------------------------

    async def declare(self, path_id: str, sector: SectorId, types: int, primary: bool) -> None:
        """`StorageDeclareSector`: idempotent; ``primary`` only ever becomes true."""
        kinds = FileType(types) & ALL_TYPES
        if not kinds:
            return
        path = self.paths.get(path_id)
        files = self.entry(sector, path_id)
        # It comes back with what is to be removed there: that is still so (removals.py).
        files.confirmed |= kinds & files.doomed
        kinds &= ~files.doomed
        if not kinds:
            return
        new = kinds & ~files.types
        # Told for the first time since the miner started: what it was before counts no more, as in Lotus.
        files.primary &= ~(kinds & ~files.confirmed)
        if path is not None and path.owners & self.makers(sector):
            # Just made or fetched there: whatever lay there before is gone.
            new |= kinds & files.stale
            files.stale &= ~kinds
        elif new and not primary and path is not None and path.owners:
            stale = await self.judge(path, sector, new)
            if stale:
                files.types |= stale
                files.stale |= stale
                files.confirmed |= stale
                kinds &= ~stale
                new &= ~stale
        changed = new | (kinds & ~files.primary if primary else FileType.NONE)
        files.types |= kinds
        files.confirmed |= kinds
        files.fresh |= new
        if primary:
            files.primary |= kinds
            files.stale &= ~kinds
        if new:
            files.by = self._maker(path_id, sector) or files.by
        if not changed:
            return
        if path is not None:
            self._emit(FilesDeclared(path_id, sector, changed, primary, files.by))
        writes = self._store.writes()
        writes.declare(path_id, sector, changed, primary=primary, by=files.by)
        await writes.commit()

    async def mark_stale(self, sector: SectorId, found: Iterable[tuple[Files, FileType]]) -> None:
        """These are no good: the scheduler does not hear of them, whoever fetches tries them last.

        All are marked before the first is written.
        """
        writes = self._store.writes()
        for files, types in found:
            files.stale |= types
            self._emit(FilesDropped(files.path_id, sector, types))
            writes.undeclare(files.path_id, sector, types)
        await writes.commit()

    def doom(self, writes: Writes, path_id: str, sector: SectorId, types: FileType) -> None:
        """These are to be removed, there or on a detached path; the scheduler does not hear of them any more."""
        writes.doom(path_id, sector, types)
        if (away := self.away.get(path_id)) is not None:
            _more(away.doomed, sector, types)
            _less(away.files, sector, types)
        elif path_id in self.paths:
            self._doom(path_id, sector, types)
            self._emit(FilesDropped(path_id, sector, types))

    def _doom(self, path_id: str, sector: SectorId, types: FileType) -> None:
        files = self.entry(sector, path_id)
        files.types |= types
        files.stale |= types
        files.doomed |= types
        files.primary &= ~types
        self.doomed.add(sector)

    def spare(self, sector: SectorId, types: FileType) -> bool:
        """These are doomed no more, wherever they lie; what counts again is told to the scheduler. Whether any were."""
        found = False
        for files in self._sectors.get(sector, ()):
            if spared := files.doomed & types:
                found = True
                files.doomed &= ~spared
                files.stale &= ~spared
                self._emit(FilesDeclared(files.path_id, sector, spared, False, files.by))
        for away in self.away.values():
            found = found or bool(away.doomed.get(sector, FileType.NONE) & types)
            _less(away.doomed, sector, types)
        return found

    async def drop_sector(self, path_id: str, sector: SectorId, types: int) -> None:
        """`StorageDropSector`: also when nothing was declared."""
        kinds = FileType(types) & ALL_TYPES
        writes = self._store.writes()
        if (away := self.away.get(path_id)) is not None:
            _less(away.files, sector, kinds)
            _less(away.doomed, sector, kinds)
            writes.count(path_id, sector, kinds)
        gone = self._forget(path_id, sector, kinds)
        if gone:
            writes.undeclare(path_id, sector, gone)
            if sector in self.doomed:
                writes.count(path_id, sector, gone)
        await writes.commit()

    def _forget(self, path_id: str, sector: SectorId, types: FileType) -> FileType:
        gone = self.take(path_id, sector, types)
        if gone and path_id in self.paths:
            self._emit(FilesDropped(path_id, sector, gone))
        return gone

    def _tell(self, sector: SectorId, files: Files) -> None:
        for primary, kinds in ((True, files.primary), (False, files.types & ~files.primary & ~files.stale)):
            if kinds:
                self._emit(FilesDeclared(files.path_id, sector, kinds, primary, files.by))

    def _maker(self, path_id: str, sector: SectorId) -> str | None:
        path = self.paths.get(path_id)
        if path is None:
            return None
        if len(path.owners) == 1:
            return next(iter(path.owners))
        makers = path.owners & self.makers(sector)
        return next(iter(makers)) if len(makers) == 1 else None


def _more(of: dict[SectorId, FileType], sector: SectorId, types: FileType) -> None:
    of[sector] = of.get(sector, FileType.NONE) | types


def _less(of: dict[SectorId, FileType], sector: SectorId, types: FileType) -> None:
    left = of.get(sector, FileType.NONE) & ~types
    if left:
        of[sector] = left
    else:
        of.pop(sector, None)
