"""One opened storage path: its folders, its filters, its reservations, its space.

Source: Lotus ``storage/paths/local.go``.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lotus_sched_cli.core.tasks import (
    ALL_FILE_TYPES,
    FILE_TYPE_NAMES,
    FILE_TYPES_BY_NAME,
    FileType,
    PathType,
    SectorId,
)
from lotus_sched_cli.lotus.logs import get
from lotus_sched_cli.lotus.types import FsStat, LocalStorageMeta, StorageInfo

from .disk import DiskThreads
from .errors import AllocateSpaceError, NotFoundError, StorageError, os_error
from .fsstat import SpaceModel, Volume, fs_stat
from .inuse import InUse
from .meta import META_FILE, parse_name

#: Folder of downloads in progress in each type folder; scans pass it over.
FETCHING = "fetching"
#: There, too: what a file that has come replaces, for as long as the two renames take.
REPLACED = ".replaced"
#: Where another process may be fetching, too, only downloads that have not grown for so many seconds are left-overs.
IDLE: Final = 3600.0

log = get("stores")

Key = tuple[SectorId, FileType]


@dataclass(frozen=True, slots=True)
class _Measure:
    """What the disk said: the volume, bytes under the path (0 without MaxStorage), bytes there of reserved files."""

    volume: Volume
    used: int
    on_disk: dict[Key, int]


class LocalPath:
    """A path of this process. Made by `Store.open_path`; other processes may use the same folder."""

    def __init__(
        self, root: Path, meta: LocalStorageMeta, space: SpaceModel, disk: DiskThreads, stat_timeout: float
    ) -> None:
        self.root = root
        self.meta = meta
        self.disk = disk
        self._in_use = InUse(root)
        self._space = space
        self._timeout = stat_timeout
        self._reserved: list[tuple[Key, int]] = []
        self._reserving = asyncio.Lock()
        self._measuring: asyncio.Task[_Measure] | None = None

    @property
    def id(self) -> str:
        return self.meta.ID

    def close(self) -> None:
        """Lets its threads and its lock go."""
        self.disk.close()
        self._in_use.release()

    def info(self, url: str) -> StorageInfo:
        """What the index is told at the attach."""
        m = self.meta
        return StorageInfo(
            ID=m.ID,
            URLs=[url],
            Weight=m.Weight,
            MaxStorage=m.MaxStorage,
            CanSeal=m.CanSeal,
            CanStore=m.CanStore,
            Groups=m.Groups,
            AllowTo=m.AllowTo,
            AllowTypes=m.AllowTypes,
            DenyTypes=m.DenyTypes,
            AllowMiners=m.AllowMiners,
            DenyMiners=m.DenyMiners,
        )

    def file(self, type: FileType, sector: SectorId) -> Path:
        """Where a sector's file of that type has its place."""
        return self.root / FILE_TYPE_NAMES[type] / str(sector)

    def fetching(self, type: FileType, sector: SectorId) -> Path:
        """Where it lies while it comes in."""
        return self.root / FILE_TYPE_NAMES[type] / FETCHING / str(sector)

    def takes(self, type: FileType, sector: SectorId, path_type: PathType) -> bool:
        """Whether new files of that kind may be put here (not: whether there is room)."""
        m = self.meta
        name = FILE_TYPE_NAMES[type]
        allowed = [t for t in m.AllowTypes or () if t in FILE_TYPES_BY_NAME]
        if not (m.CanSeal if path_type is PathType.SEALING else m.CanStore):
            return False
        if (allowed and name not in allowed) or name in (m.DenyTypes or ()):
            return False
        if m.AllowMiners and not _names(m.AllowMiners, sector.miner):
            return False
        return not _names(m.DenyMiners or (), sector.miner)

    async def prepare(self) -> list[Key]:
        """Makes the type folders, clears what a download left, and lists the sector files. Raises StorageError."""
        return await self.disk.long(self._prepare)

    async def scan(self) -> list[Key]:
        """The sector files that lie here. Raises StorageError for a foreign entry."""
        return await self.disk.long(self._scan)

    async def has(self, type: FileType, sector: SectorId) -> bool:
        """Whether the file is there. Raises StorageError if the whole path is gone (a disk not mounted)."""
        return await self.disk.run(self._has, type, sector)

    async def stat(self) -> FsStat:
        """Space with reservations counted. Raises StorageError, after the timeout too."""
        task = self._measuring
        if task is None or task.done():
            task = self._measuring = asyncio.create_task(self._measure(self._keys()))
        return self._fs_stat(await self._answer(task))

    async def reserve(self, sector: SectorId, type: FileType, size: int) -> Reservation:
        """Sets ``size`` bytes aside, those of this file that are already on disk not counted twice.

        Raises AllocateSpaceError with Lotus's text.
        """
        key = (sector, type)
        async with self._reserving:
            measure = await self._answer(asyncio.create_task(self._measure({*self._keys(), key})))
            needed = max(size - measure.on_disk[key], 0)
            stat = self._fs_stat(measure)
            if stat.Available < needed:
                raise AllocateSpaceError(
                    f"can't reserve {size} bytes in '{self.root}' (id:{self.id}), only {stat.Available} available"
                )
            entry = (key, size)
            self._reserved.append(entry)
            return Reservation(self._reserved, entry)

    async def remove(self, type: FileType, sector: SectorId) -> None:
        """Removes the file or folder, if there. Raises StorageError."""
        await self.disk.long(remove_tree, self.file(type, sector))

    def _keys(self) -> set[Key]:
        return {key for key, _ in self._reserved}

    async def _answer(self, task: asyncio.Task[_Measure]) -> _Measure:
        try:
            return await asyncio.wait_for(asyncio.shield(task), self._timeout)
        except TimeoutError:
            # The next one waits for the same answer: a dead mount costs one thread, not one per report.
            raise StorageError(
                f"{self.root} does not answer (waited {self._timeout:g} s); look at its mount"
            ) from None

    async def _measure(self, keys: Iterable[Key]) -> _Measure:
        return await self.disk.run(self._measure_now, list(keys))

    def _measure_now(self, keys: list[Key]) -> _Measure:
        try:
            self._check_there()
            return _Measure(
                self._space.volume(self.root),
                self._space.usage(self.root) if self.meta.MaxStorage else 0,
                {(s, t): self._usage(t, s) for s, t in keys},
            )
        except OSError as err:
            raise os_error(f"reading the space of {self.root}", err) from None

    def _usage(self, type: FileType, sector: SectorId) -> int:
        return self._space.usage(self.file(type, sector)) or self._space.usage(self.fetching(type, sector))

    def _fs_stat(self, measure: _Measure) -> FsStat:
        sums: dict[Key, int] = {}
        for key, size in self._reserved:
            sums[key] = sums.get(key, 0) + size
        outstanding = sum(max(size - measure.on_disk.get(key, 0), 0) for key, size in sums.items())
        return fs_stat(measure.volume, outstanding, self.meta.MaxStorage, measure.used)

    def _check_there(self) -> None:
        if not (self.root / META_FILE).exists():
            raise StorageError(f"{self.root / META_FILE} is gone; is the disk mounted?")

    def _has(self, type: FileType, sector: SectorId) -> bool:
        try:
            if self.file(type, sector).exists():
                return True
            self._check_there()
            return False
        except OSError as err:
            raise os_error(f"looking for {self.file(type, sector)}", err) from None

    def _prepare(self) -> list[Key]:
        try:
            shared = self._in_use.take()
        except OSError as err:
            raise os_error(f"opening {self.root}", err) from None
        if shared:
            log.info(f"{self.root} is in use by another process on this host; what that one fetches stays")
        for type in ALL_FILE_TYPES:
            folder = self.root / FILE_TYPE_NAMES[type]
            try:
                folder.mkdir(mode=0o755, exist_ok=True)
                for left in _listed(folder / FETCHING):
                    if not shared or _given_up(Path(left)):
                        remove_tree(Path(left))
            except OSError as err:
                if self.meta.CanSeal or self.meta.CanStore:
                    raise os_error(f"creating {folder}", err) from None
                # A path for reading only may lie on a read-only mount.
        return self._scan()

    def _scan(self) -> list[Key]:
        found: list[Key] = []
        for type in ALL_FILE_TYPES:
            folder = self.root / FILE_TYPE_NAMES[type]
            try:
                for entry in _listed(folder):
                    name = os.path.basename(entry)  # noqa: PTH119 - thousands of them
                    if name == FETCHING:
                        continue
                    try:
                        found.append((parse_name(name), type))
                    except StorageError as err:
                        raise StorageError(f"{err}; move {entry} out of {folder}") from None
            except OSError as err:
                raise os_error(f"listing {folder}", err) from None
        return found


class Reservation:
    """Space set aside on one path until `release`."""

    def __init__(self, ledger: list[tuple[Key, int]], entry: tuple[Key, int]) -> None:
        self._ledger = ledger
        self._entry: tuple[Key, int] | None = entry

    def release(self) -> None:
        """Gives it back; a second time does nothing."""
        if self._entry is not None:
            self._ledger.remove(self._entry)
            self._entry = None


def remove_tree(path: Path) -> None:
    """Removes a file or folder, if there. Raises StorageError."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as err:
        raise os_error(f"removing {path}", err) from None


def require(path: LocalPath | None, id: str) -> LocalPath:
    """Raises NotFoundError for an id that is not open here."""
    if path is None:
        raise NotFoundError(f"no path with ID {id} is open here")
    return path


def _given_up(entry: Path) -> bool:
    """Whether a download, a file or a folder of files, has not grown for long. Raises OSError."""
    if entry.suffix == REPLACED:
        return False
    grown = [entry.lstat().st_mtime]
    for inside in entry.rglob("*"):
        try:
            grown.append(inside.lstat().st_mtime)
        except FileNotFoundError:
            return False
    return time.time() - max(grown) > IDLE


def _listed(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.path for entry in entries]
    except FileNotFoundError:
        return []


def _names(miners: Iterable[str], miner: int) -> bool:
    """Whether an address list (``t01000``) holds the miner actor."""
    return any(m[2:] == str(miner) for m in miners if m[:2] in ("t0", "f0"))
