"""Locks on sector files, many readers or one writer per sector and type (Lotus ``storage/paths/index_locks.go``).

Running tasks are shown here without ever waiting for one: the scheduler alone decides what runs. A lock asked for
over RPC waits for them, and is let go as soon as its call has been answered, as in Lotus.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from lotus_sched_cli.core.tasks import ALL_FILE_TYPES, FileType, SectorId, TaskType
from lotus_sched_cli.lotus.rpc.errors import RpcError
from lotus_sched_cli.lotus.types import SectorID, SectorLock, SectorLocks

_UNS, _SEA, _CAC = FileType.UNSEALED, FileType.SEALED, FileType.CACHE
#: What Lotus's manager locks around each task: (read, write).
TASK_LOCKS = {
    TaskType.ADD_PIECE: (FileType.NONE, _UNS),
    TaskType.PRECOMMIT1: (_UNS, _SEA | _CAC),
    TaskType.PRECOMMIT2: (_SEA, _CAC),
    TaskType.COMMIT1: (_SEA, _CAC),
    TaskType.FINALIZE: (FileType.NONE, _SEA | _UNS | _CAC),
    TaskType.FINALIZE_UNSEALED: (FileType.NONE, _UNS),
    TaskType.FETCH: (FileType.NONE, _SEA | _UNS | _CAC),
    TaskType.UNSEAL: (_SEA | _CAC, _UNS),
}


@dataclass(frozen=True, slots=True)
class Held:
    sector: SectorId
    read: FileType
    write: FileType


class SectorLockTable:
    """Who holds what. Owned by the event loop; nothing here does I/O."""

    def __init__(self) -> None:
        self._held: dict[SectorId, list[Held]] = {}
        self._freed = asyncio.Event()

    def show(self, sector: SectorId, task: TaskType) -> Held | None:
        """Enter a running task; give the result to `release` when it has ended."""
        kinds = TASK_LOCKS.get(task)
        return None if kinds is None else self._enter(Held(sector, *kinds))

    def release(self, held: Held | None) -> None:
        if held is None:
            return
        rest = self._held.get(held.sector, [])
        if held in rest:
            rest.remove(held)
        if not rest:
            self._held.pop(held.sector, None)
        freed, self._freed = self._freed, asyncio.Event()
        freed.set()

    def try_lock(self, sector: SectorId, read: int, write: int) -> Held | None:
        """Take both at once, or None. Raises RpcError for bits that are no file type."""
        if (read | write) >= 64 or (read | write) < 0:
            raise RpcError(1, "unknown file types specified")
        want_read, want_write = FileType(read), FileType(write)
        for other in self._held.get(sector, ()):
            if want_write & (other.read | other.write) or want_read & other.write:
                return None
        return self._enter(Held(sector, want_read, want_write))

    async def lock(self, sector: SectorId, read: int, write: int) -> Held:
        while True:
            held = self.try_lock(sector, read, write)
            if held is not None:
                return held
            await self._freed.wait()

    def snapshot(self) -> SectorLocks:
        rows = []
        for sector, entries in self._held.items():
            reads = [sum(1 for e in entries if t & e.read) for t in ALL_FILE_TYPES]
            writes = [min(1, sum(1 for e in entries if t & e.write)) for t in ALL_FILE_TYPES]
            rows.append(SectorLock(SectorID(sector.miner, sector.number), writes, reads))
        return SectorLocks(rows)

    def _enter(self, held: Held) -> Held:
        self._held.setdefault(held.sector, []).append(held)
        return held
