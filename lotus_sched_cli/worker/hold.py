"""The P1 hold as the worker itself can count it, for a stock miner that counts none (scheduling.md A2)."""

from __future__ import annotations

from collections.abc import Iterable

from lotus_sched_cli.core.tasks import FileType, SectorId
from lotus_sched_cli.lotus import logs
from lotus_sched_cli.storage.errors import StorageError
from lotus_sched_cli.storage.store import Store

log = logs.get("advmgr")


async def p1_hold(store: Store, running: Iterable[SectorId]) -> int:
    """Sectors whose P1 runs here, and those with a cache or sealed file on a sealing path.

    Finished sectors leave a sealing path for a storage path; on one that is both, they cannot be told apart and count.
    """
    held = set(running)
    for path in store.paths():
        if not path.meta.CanSeal:
            continue
        try:
            held.update(
                sector for sector, kind in await path.scan() if kind & (FileType.CACHE | FileType.SEALED)
            )
        except StorageError as why:
            log.warn(f"cannot count the P1 hold on {path.root}: {why}")
    return len(held)
