"""Removing sector files: here, at other stores, all copies but one; and whether one is there.

Source: Lotus ``storage/paths/remote.go``, ``storage/paths/local.go``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from lotus_sched_cli.core.tasks import FILE_TYPE_NAMES, FileType, SectorId
from lotus_sched_cli.lotus.logs import get
from lotus_sched_cli.lotus.types import SectorStorageInfo

from .disk import DiskThreads
from .errors import NotFoundError, StorageError
from .fetch import delete, look
from .path import LocalPath

if TYPE_CHECKING:
    from .store import Store

log = get("stores")

#: Seconds that a disk may take to tell whether a file is there.
LOOK_TIMEOUT: Final = 60.0

_NETWORK = DiskThreads("deletes")
_FOLDERS = (FileType.CACHE, FileType.UPDATE_CACHE)


async def remove(
    store: Store,
    sector: SectorId,
    types: FileType,
    keep: Iterable[str],
    force: bool,
    only: Iterable[str] | None = None,
) -> None:
    """Removes the files everywhere but on the paths ``keep``, or from the paths ``only``, however many copies come meanwhile.

    Without ``force`` an unknown file raises NotFoundError.
    """
    kept = frozenset(keep)
    meant = None if only is None else frozenset(only)
    async with store.sector_lock(sector):
        for type in types.each():
            found = await store.index.StorageFindSector(sector, type, 0, False)
            if not found and not force:
                raise NotFoundError(
                    f"can't delete sector {{{sector.miner} {sector.number}}}({int(type)}), not found"
                )
            for entry in found:
                if entry.ID not in kept and (meant is None or entry.ID in meant):
                    await _remove_one(store, entry, sector, type, kept)


async def remove_local(store: Store, sector: SectorId, type: FileType, keep: Iterable[str] = ()) -> None:
    """Removes the file from this process's own paths (what ``DELETE /remote/…`` does).

    Raises NotFoundError if the index knows no copy at all.
    """
    kept = frozenset(keep)
    found = await store.index.StorageFindSector(sector, type, 0, False)
    if not found:
        raise NotFoundError(f"can't delete sector {{{sector.miner} {sector.number}}}({int(type)}), not found")
    for entry in found:
        if entry.ID not in kept and (path := store.get(entry.ID)) is not None:
            await _remove_here(store, path, sector, type)


async def remove_copies(store: Store, sector: SectorId, types: FileType) -> None:
    """Keeps one primary copy of each type and removes the others; does nothing where no copy is primary."""
    async with store.sector_lock(sector):
        for type in types.each():
            found = await store.index.StorageFindSector(sector, type, 0, False)
            primary = next((entry for entry in found if entry.Primary), None)
            if primary is None:
                log.warn(
                    f"RemoveCopies: no primary copies of sector {{{sector.miner} {sector.number}}}"
                    f" ({FILE_TYPE_NAMES[type]}), not removing anything",
                    place="paths/local.go:770",
                )
                continue
            for entry in found:
                if entry.ID != primary.ID:
                    await _remove_one(store, entry, sector, type, frozenset({primary.ID}))


async def lies(store: Store, sector: SectorId, type: FileType, path_id: str) -> bool:
    """Whether the file is there on that path now, here or at another store."""
    if (path := store.get(path_id)) is not None:
        try:
            return await asyncio.wait_for(path.has(type, sector), LOOK_TIMEOUT)
        except (StorageError, TimeoutError):
            return False
    ranged = {} if type in _FOLDERS else {"Range": "bytes=0-0"}
    found = await store.index.StorageFindSector(sector, type, 0, False)
    for url in [url for entry in found if path_id == entry.ID for url in entry.URLs or []]:
        try:
            await _NETWORK.long(look, url, {**store.headers, **ranged})
            return True
        except StorageError as err:
            log.info(f"look at {url}: {err}")
    return False


async def _remove_one(
    store: Store, entry: SectorStorageInfo, sector: SectorId, type: FileType, keep: frozenset[str]
) -> None:
    path = store.get(entry.ID)
    if path is not None:
        await _remove_here(store, path, sector, type)
        return
    suffix = f"?keep={'.'.join(sorted(keep))}" if keep else ""
    for url in entry.URLs or []:
        log.info(f"Delete {url}{suffix}", place="paths/remote.go:376")
        try:
            await _NETWORK.long(delete, f"{url}{suffix}", store.headers)
            return
        except StorageError as err:
            log.warn(f"remove {url}: {err}")


async def _remove_here(store: Store, path: LocalPath, sector: SectorId, type: FileType) -> None:
    await store.drop(path.id, sector, type)
    log.info(
        "remove",
        place="paths/local.go:802",
        path=str(path.file(type, sector)),
        id={"Miner": sector.miner, "Number": sector.number},
        type=FILE_TYPE_NAMES[type],
        storage=path.id,
    )
    await path.remove(type, sector)
