"""The calls that a worker has accepted, kept so that a kill at any moment loses nothing that was said.

A call is written before its CallID is answered; its result before the Return is sent; it goes when the miner has
taken the Return. Source of the life of a call: Lotus ``storage/sealer/worker_calltracker.go``; that a finished result
survives, and that an equal call is answered with the CallID of the one still held, is ours.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeVar

from lotus_sched_cli.lotus.errors import UserError
from lotus_sched_cli.lotus.types import CallID, SectorID

T = TypeVar("T")

VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Call:
    """A call that is held. ``params`` is a digest of all its parameters; ``returns`` the Return's JSON parameters after
    the CallID, None while the work is not finished."""

    id: CallID
    method: str
    params: bytes
    returns: bytes | None = None


class Calls(Protocol):
    """Where held calls live. Every method returns when its effect is on disk."""

    async def held(self) -> Sequence[Call]:
        """All calls, oldest first."""
        ...

    async def accept(self, call: Call) -> None: ...

    async def finish(self, call: CallID, returns: bytes) -> None: ...

    async def forget(self, call: CallID) -> None: ...

    async def close(self) -> None: ...


class MemoryCalls:
    """For a worker whose calls die with its process (the miner's built-in one)."""

    def __init__(self) -> None:
        self._calls: dict[str, Call] = {}

    async def held(self) -> Sequence[Call]:
        return list(self._calls.values())

    async def accept(self, call: Call) -> None:
        self._calls[call.id.ID] = call

    async def finish(self, call: CallID, returns: bytes) -> None:
        held = self._calls[call.ID]
        self._calls[call.ID] = Call(held.id, held.method, held.params, returns)

    async def forget(self, call: CallID) -> None:
        self._calls.pop(call.ID, None)

    async def close(self) -> None:
        self._calls.clear()


class DiskCalls:
    """An SQLite file in the worker's repo; one thread owns the connection, so that a slow disk stalls no heartbeat."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="calls")
        self._db: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Raises UserError for a file that cannot be used."""
        try:
            await self._run(self._open)
        except (sqlite3.Error, OSError) as why:
            self._thread.shutdown(wait=False)
            raise UserError(
                f"cannot open the store of calls {self._file}: {why}; look at the disk, or move the file away "
                "(unfinished work is then done again)"
            ) from why

    async def held(self) -> Sequence[Call]:
        return await self._run(self._held)

    async def accept(self, call: Call) -> None:
        row = (call.id.ID, call.id.Sector.Miner, call.id.Sector.Number, call.method, call.params)
        await self._run(lambda: self._write("INSERT INTO calls VALUES (?, ?, ?, ?, ?, NULL)", row))

    async def finish(self, call: CallID, returns: bytes) -> None:
        await self._run(lambda: self._write("UPDATE calls SET returns = ? WHERE id = ?", (returns, call.ID)))

    async def forget(self, call: CallID) -> None:
        await self._run(lambda: self._write("DELETE FROM calls WHERE id = ?", (call.ID,)))

    async def close(self) -> None:
        if self._db is not None:
            await self._run(self._db.close)
            self._db = None
        self._thread.shutdown(wait=False)

    async def _run(self, work: Callable[[], T]) -> T:
        # What has begun is let end though the caller is cancelled: a call may be held without an answer, never
        # answered without being held.
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, work))

    # -- in the thread ------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        db = sqlite3.connect(self._file, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise sqlite3.DatabaseError(f"it was written by a newer version (schema {version})")
        db.execute(
            "CREATE TABLE IF NOT EXISTS calls (id TEXT PRIMARY KEY, miner INTEGER NOT NULL, number INTEGER NOT NULL,"
            " method TEXT NOT NULL, params BLOB NOT NULL, returns BLOB)"
        )
        db.execute(f"PRAGMA user_version = {VERSION}")
        self._db = db

    def _held(self) -> list[Call]:
        assert self._db is not None
        rows = self._db.execute("SELECT id, miner, number, method, params, returns FROM calls ORDER BY rowid")
        return [
            Call(CallID(SectorID(miner, number), id_), method, params, returns)
            for id_, miner, number, method, params, returns in rows
        ]

    def _write(self, statement: str, values: tuple[object, ...]) -> None:
        assert self._db is not None
        self._db.execute(statement, values)
