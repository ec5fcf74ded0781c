"""The miner's store: everything that must survive a kill, in one SQLite file of its repo.

Reads are methods that return records (records.py). Writes are collected and committed together::

    writes = store.writes()
    writes.task(row.id, phase=Phase.RUNNING, call_id=call, accepted_at=now)
    await writes.commit()          # durable from here on

One ``Writes`` is one transaction; several callers share an fsync (writer.py). What was committed survives ``kill -9`` and
a power cut (WAL, ``synchronous=FULL``).
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Engine, Select, case, create_engine, event, func, select
from sqlalchemy.exc import SQLAlchemyError

from lotus_sched_cli.core.tasks import FileType, SectorId, TaskType

from . import schema
from .records import (
    DeclarationRow,
    LogRow,
    MessageRow,
    PathRow,
    Phase,
    SectorRow,
    TaskRow,
    UncountedRow,
    WorkerRow,
)
from .writer import StoreError, Writer
from .writes import TASK_COLUMNS, Writes

__all__ = ["Store", "StoreError", "Writes"]

#: Queries that run at a time; WAL lets them run beside the writer.
READERS = 2


class Store:
    """An open store. Make one with :meth:`open`; one process at a time (the repo's lock sees to that)."""

    def __init__(self, reading: Engine, writing: Engine) -> None:
        self._reading = reading
        # A thread and SQLAlchemy's plain engine, as in writer.py: its asyncio extension brings the whole ORM into memory.
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-read")
        self._writing = writing
        self._writer = Writer(writing)

    @classmethod
    async def open(cls, path: Path) -> Store:
        """Open the file, make it if it is not there, bring its tables up to date.

        Raises StoreError (one line) for a file that is no store, a newer program's store, a full or read-only disk.
        """
        await asyncio.to_thread(_migrate, path)
        reading, writing = (
            create_engine(f"sqlite:///{path}", pool_size=READERS, connect_args={"check_same_thread": False})
            for _ in range(2)
        )
        for engine in (reading, writing):
            event.listen(engine, "connect", _pragmas)
        store = cls(reading, writing)
        store._writer.start()
        return store

    async def close(self) -> None:
        """Write what is pending and close the file."""
        await self._writer.close()
        await asyncio.to_thread(self._readers.shutdown)
        self._reading.dispose()
        self._writing.dispose()

    def writes(self) -> Writes:
        """An empty transaction to fill and commit."""
        return Writes(self._writer)

    @property
    def commits(self) -> int:
        """Transactions so far; with the number of writes it shows how well callers share them."""
        return self._writer.commits

    # -- meta --------------------------------------------------------------------------------------------------------

    async def meta(self, key: str) -> Any:
        """A fact about this miner (a JSON value), None if it was never set."""
        rows = await self._rows(select(schema.meta.c.value).where(schema.meta.c.key == key))
        try:
            return msgspec.json.decode(rows[0][0]) if rows else None
        except ValueError as error:
            raise StoreError(f"the store is damaged: {key}: {error}; restore it from a backup") from error

    async def set_meta(self, key: str, value: Any) -> None:
        writes = self.writes()
        writes.meta(key, value)
        await writes.commit()

    # -- sectors -----------------------------------------------------------------------------------------------------

    async def sectors(self) -> list[SectorRow]:
        """All sectors by number."""
        return [_sector(row) for row in await self._rows(_SECTORS.order_by(schema.sectors.c.number))]

    async def each_sector(self, at_once: int = 500) -> AsyncIterator[SectorRow]:
        """All sectors by number, never more than ``at_once`` in memory."""
        last = -1
        while True:
            query = _SECTORS.where(schema.sectors.c.number > last).order_by(schema.sectors.c.number)
            rows = await self._rows(query.limit(at_once))
            for row in rows:
                yield _sector(row)
            if len(rows) < at_once:
                return
            last = rows[-1].number

    async def sector(self, number: int) -> SectorRow | None:
        rows = await self._rows(_SECTORS.where(schema.sectors.c.number == number))
        return _sector(rows[0]) if rows else None

    async def kept(self, number: int, name: str) -> bytes | None:
        """A big value of a sector (``pc1_out``, ``proof``)."""
        table = schema.kept
        rows = await self._rows(select(table.c.data).where(table.c.number == number, table.c.name == name))
        return rows[0][0] if rows else None

    async def sector_log(self, number: int) -> list[LogRow]:
        """A sector's log, oldest first."""
        table = schema.sector_log
        query = select(table.c.at, table.c.kind, table.c.message, table.c.trace)
        rows = await self._rows(query.where(table.c.number == number).order_by(table.c.seq))
        return [LogRow(*row) for row in rows]

    async def log_figures(
        self, event: str, without: str, last: str
    ) -> dict[int, tuple[int, float, float | None]]:
        """Sector → (its events, first time, time of the first ``last``). Events begin with ``event``, save ``without``."""
        table = schema.sector_log
        counts = case((table.c.kind.startswith(event) & (table.c.kind != without), 1), else_=0)
        query = select(
            table.c.number,
            func.sum(counts),
            func.min(table.c.at),
            func.min(case((table.c.kind == last, table.c.at))),
        )
        return {row[0]: (row[1], row[2], row[3]) for row in await self._rows(query.group_by(table.c.number))}

    # -- tasks -------------------------------------------------------------------------------------------------------

    async def tasks(self) -> list[TaskRow]:
        """All tasks that are not over, oldest first."""
        return [_task(row) for row in await self._rows(_TASKS.order_by(schema.tasks.c.queued_at))]

    async def task(self, task_id: str) -> TaskRow | None:
        rows = await self._rows(_TASKS.where(schema.tasks.c.id == task_id))
        return _task(rows[0]) if rows else None

    async def task_params(self, task_id: str) -> bytes | None:
        """The call's parameters: a JSON array, as they go on the wire."""
        rows = await self._rows(select(schema.tasks.c.params).where(schema.tasks.c.id == task_id))
        return rows[0][0] if rows else None

    async def task_result(self, task_id: str) -> bytes | None:
        """The JSON of the result that came, None if there is none."""
        rows = await self._rows(select(schema.tasks.c.result).where(schema.tasks.c.id == task_id))
        return rows[0][0] if rows else None

    # -- storage -----------------------------------------------------------------------------------------------------

    async def paths(self) -> list[PathRow]:
        table = schema.paths
        query = select(table.c.id, table.c.info, table.c.stat, table.c.reported_at).order_by(table.c.id)
        return [PathRow(*row) for row in await self._rows(query)]

    async def declarations(self) -> list[DeclarationRow]:
        table = schema.declarations
        query = select(
            table.c.path_id,
            table.c.miner,
            table.c.number,
            table.c.file_type,
            table.c.is_primary,
            table.c.made_by,
        )
        return [
            DeclarationRow(path, SectorId(miner, number), FileType(kind), primary, by)
            for path, miner, number, kind, primary, by in await self._rows(query)
        ]

    async def uncounted(self) -> list[UncountedRow]:
        """Files that do not count, though they may lie there."""
        table = schema.uncounted
        query = select(
            table.c.path_id,
            table.c.miner,
            table.c.number,
            table.c.file_type,
            table.c.doomed,
            table.c.can_store,
            table.c.worker_id,
        )
        return [
            UncountedRow(path, SectorId(miner, number), FileType(kind), doomed, can_store, worker)
            for path, miner, number, kind, doomed, can_store, worker in await self._rows(query)
        ]

    # -- workers -----------------------------------------------------------------------------------------------------

    async def workers(self) -> list[WorkerRow]:
        """All workers that ever registered and were not forgotten, by number."""
        table = schema.workers
        query = select(
            table.c.id,
            table.c.number,
            table.c.name,
            table.c.url,
            table.c.session,
            table.c.last_seen,
            table.c.extras,
        )
        return [WorkerRow(*row) for row in await self._rows(query.order_by(table.c.number))]

    # -- messages of the simulated chain -----------------------------------------------------------------------------

    async def messages(
        self, number: int | None = None, *, landing_after: int | None = None
    ) -> list[MessageRow]:
        """The messages of a sector (of all), in the order of sending; those that land after an epoch."""
        table = schema.messages
        query = select(*(table.c[name] for name in MessageRow.__slots__))
        if number is not None:
            query = query.where(table.c.number == number)
        if landing_after is not None:
            query = query.where(table.c.lands_at > landing_after)
        return [
            MessageRow(*row) for row in await self._rows(query.order_by(table.c.included_at, table.c.cid))
        ]

    async def messages_from(self, epoch: int) -> list[tuple[int, str, int, bytes]]:
        """(sector, kind, epoch, body) of the good messages that were executed in this epoch or later."""
        table = schema.messages
        query = select(table.c.number, table.c.kind, table.c.included_at, table.c.body)
        rows = await self._rows(query.where(table.c.included_at >= epoch, table.c.exit_code == 0))
        return [tuple(row) for row in rows]

    async def message(self, cid: str) -> MessageRow | None:
        table = schema.messages
        query = select(*(table.c[name] for name in MessageRow.__slots__)).where(table.c.cid == cid)
        rows = await self._rows(query)
        return MessageRow(*rows[0]) if rows else None

    # -- reading -----------------------------------------------------------------------------------------------------

    async def _rows(self, query: Select[Any]) -> Sequence[Any]:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, query)
        except (SQLAlchemyError, RuntimeError) as error:
            raise StoreError(f"the store cannot be read: {getattr(error, 'orig', None) or error}") from error

    def _read(self, query: Select[Any]) -> Sequence[Any]:
        with self._reading.connect() as connection:
            return connection.execute(query).all()


_SECTORS = select(*(column for column in schema.sectors.c))
_TASKS = select(
    *(schema.tasks.c[name] for name in TASK_COLUMNS),
    schema.tasks.c.result.is_not(None).label("has_result"),
)


def _sector(row: Any) -> SectorRow:
    return SectorRow(
        id=SectorId(row.miner, row.number),
        proof=row.proof,
        state=row.state,
        created_at=row.created_at,
        entered_at=row.entered_at,
        retry_at=row.retry_at,
        last_error=row.last_error,
        body=row.body,
    )


def _task(row: Any) -> TaskRow:
    return TaskRow(
        id=row.id,
        sector=SectorId(row.miner, row.number),
        proof=row.proof,
        type=TaskType(row.type),
        queued_at=row.queued_at,
        priority=row.priority,
        files=FileType(row.files),
        first_piece=row.first_piece,
        phase=Phase(row.phase),
        worker_id=row.worker_id,
        session=row.session,
        bound_at=row.bound_at,
        fetch=FileType(row.fetch),
        fetch_sent_at=row.fetch_sent_at,
        fetch_call_id=row.fetch_call_id,
        fetched_at=row.fetched_at,
        sent_at=row.sent_at,
        call_id=row.call_id,
        accepted_at=row.accepted_at,
        has_result=row.has_result,
        error=row.error,
    )


# -- opening ---------------------------------------------------------------------------------------------------------


def _pragmas(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    for pragma in ("busy_timeout=10000", "journal_mode=WAL", "synchronous=FULL", "cache_size=-1024"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _migrate(path: Path) -> None:
    """Bring the tables to :data:`schema.HEAD`; Alembic is imported only if there is something to do."""
    try:
        at = _version(path)
        if at != schema.HEAD:
            from .migrations import upgrade

            upgrade(path, at)
    except (sqlite3.Error, SQLAlchemyError, OSError, ValueError) as error:
        why = getattr(error, "orig", None) or error
        raise StoreError(f"{path} cannot be opened as the miner's store: {why}") from error


def _version(path: Path) -> str | None:
    if not path.exists():
        return None
    connection = sqlite3.connect(path, timeout=10)
    try:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")}
        if not names:
            return None
        if "alembic_version" not in names:
            raise StoreError(f"{path} is no store of this program (it has other tables); name another repo")
        rows: Iterable[Any] = connection.execute("SELECT version_num FROM alembic_version")
        return next((version for (version,) in rows), None)
    finally:
        connection.close()
