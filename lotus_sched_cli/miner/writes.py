"""One transaction being collected: typed methods per table, then ``commit``."""

from __future__ import annotations

from typing import Any, Final, Unpack

import msgspec
from sqlalchemy import Boolean, String, bindparam, delete, exists, false, insert, select, update
from sqlalchemy.sql.base import Executable

from lotus_sched_cli.core.needs import touched_by
from lotus_sched_cli.core.tasks import FileType, SectorId

from . import schema
from .records import LogRow, MessageRow, PathRow, SectorRow, TaskChanges, TaskRow, WorkerRow
from .writer import Write, Writer

#: Columns of a task that come with its row (params and result do not).
TASK_COLUMNS: Final = tuple(
    column.name for column in schema.tasks.c if column.name not in ("params", "result")
)


class Writes:
    """Statements in the order in which they were added; nothing happens before :meth:`commit`."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._writes: list[Write] = []

    def __bool__(self) -> bool:
        return bool(self._writes)

    async def commit(self) -> None:
        """Durable on return, all or nothing. Raises StoreError. The object is empty again afterwards."""
        writes, self._writes = self._writes, []
        await self._writer.write(writes)

    def _add(self, statement: Executable, **parameters: Any) -> None:
        self._writes.append((statement, parameters))

    # -- meta --------------------------------------------------------------------------------------------------------

    def meta(self, key: str, value: Any) -> None:
        """Set a fact about this miner, any JSON value."""
        self._add(delete(schema.meta).where(schema.meta.c.key == bindparam("k")), k=key)
        self._add(insert(schema.meta), key=key, value=msgspec.json.encode(value))

    # -- sectors -----------------------------------------------------------------------------------------------------

    def new_sector(self, row: SectorRow) -> None:
        """Fails (StoreError) if the number is taken."""
        self._add(_SECTOR_NEW, **_sector(row))

    def sector(self, row: SectorRow) -> None:
        """Replace a known sector's row."""
        values = _sector(row)
        self._add(_SECTOR_SET, n=values.pop("number"), **values)

    def log(self, number: int, seq: int, row: LogRow) -> None:
        """Add a line to a sector's log; ``seq`` counts from 0."""
        self._add(
            _LOG_NEW, number=number, seq=seq, at=row.at, kind=row.kind, message=row.message, trace=row.trace
        )

    def keep(self, number: int, name: str, data: bytes | None) -> None:
        """Keep a big value with a sector; None forgets it."""
        self._add(_KEPT_DROP, n=number, k=name)
        if data is not None:
            self._add(_KEPT_NEW, number=number, name=name, data=data)

    # -- tasks -------------------------------------------------------------------------------------------------------

    def new_task(self, row: TaskRow, params: bytes) -> None:
        """Queue a task; ``params`` is the JSON array of its call's parameters. What it touches is doomed no more."""
        if touched := touched_by(row.spec):
            self.spare(row.sector, touched)
        values = {name: getattr(row, name) for name in TASK_COLUMNS if name not in ("miner", "number")}
        values.update(
            miner=row.sector.miner,
            number=row.sector.number,
            type=row.type.value,
            phase=row.phase.value,
            files=int(row.files),
            fetch=int(row.fetch),
        )
        self._add(_TASK_NEW, **values, params=params, result=None)

    def task(self, task_id: str, **changes: Unpack[TaskChanges]) -> None:
        """Change a task's columns; a task that is gone stays gone."""
        values: dict[str, Any] = dict(changes)
        if "phase" in values:
            values["phase"] = str(values["phase"].value)
        if "fetch" in values:
            values["fetch"] = int(values["fetch"])
        self._add(_TASK_SET, i=task_id, **values)

    def delete_task(self, task_id: str) -> None:
        self._add(_TASK_DROP, i=task_id)

    # -- storage -----------------------------------------------------------------------------------------------------

    def path(self, row: PathRow) -> None:
        """Set a path's row, new or known."""
        self._add(_PATH_DROP, i=row.id)
        self._add(_PATH_NEW, id=row.id, info=row.info, stat=row.stat, reported_at=row.reported_at)

    def delete_path(self, path_id: str) -> None:
        """A path goes with everything that was declared on it, and with what did not count."""
        self._add(_PATH_DROP, i=path_id)
        self._add(_DECLARED_DROP_PATH, p=path_id)
        self._add(_UNCOUNTED_DROP_PATH, p=path_id)

    def detach_path(self, path_id: str, worker_id: str | None, *, can_store: bool) -> None:
        """A path goes; what was declared on it counts no more until the path is back (`attach_path`)."""
        self._add(_UNCOUNT_PATH, p=path_id, s=can_store, w=worker_id)
        self._add(_PATH_DROP, i=path_id)
        self._add(_DECLARED_DROP_PATH, p=path_id)

    def attach_path(self, path_id: str) -> None:
        """A path is back, and says itself what lies there; what is doomed stays so."""
        self._add(_COUNT_PATH, p=path_id)

    def doom(self, path_id: str, sector: SectorId, types: FileType) -> None:
        """These are to be removed from there; they are declared no more."""
        for one in types.each():
            key = _file(path_id, sector, one)
            self._add(_DECLARED_DROP, **key)
            self._add(_UNCOUNTED_DROP, **key)
            self._add(
                _UNCOUNTED_NEW,
                path_id=path_id,
                miner=sector.miner,
                number=sector.number,
                file_type=int(one),
                doomed=True,
                can_store=False,
                worker_id=None,
            )

    def spare(self, sector: SectorId, types: FileType) -> None:
        """These are doomed no more, wherever they lie."""
        self._add(_SPARE, m=sector.miner, n=sector.number, t=[int(one) for one in types.each()])

    def count(self, path_id: str, sector: SectorId, types: FileType) -> None:
        """These do not lie there uncounted any more: they are gone, or they count."""
        for one in types.each():
            self._add(_UNCOUNTED_DROP, **_file(path_id, sector, one))

    def declare(
        self, path_id: str, sector: SectorId, types: FileType, *, primary: bool, by: str | None
    ) -> None:
        """Files lie on a path: each single type in ``types`` gets (or replaces) its row."""
        for one in types.each():
            self._add(_DECLARED_DROP, **_file(path_id, sector, one))
            self._add(
                _DECLARED_NEW,
                path_id=path_id,
                miner=sector.miner,
                number=sector.number,
                file_type=int(one),
                is_primary=primary,
                made_by=by,
            )

    def undeclare(self, path_id: str, sector: SectorId, types: FileType) -> None:
        for one in types.each():
            self._add(_DECLARED_DROP, **_file(path_id, sector, one))

    # -- workers -----------------------------------------------------------------------------------------------------

    def worker(self, row: WorkerRow) -> None:
        """Set a worker's row, new or known."""
        self._add(_WORKER_DROP, i=row.id)
        self._add(
            _WORKER_NEW,
            id=row.id,
            number=row.number,
            name=row.name,
            url=row.url,
            session=row.session,
            last_seen=row.last_seen,
            extras=row.extras,
        )

    def delete_worker(self, worker_id: str) -> None:
        self._add(_WORKER_DROP, i=worker_id)

    # -- chain -------------------------------------------------------------------------------------------------------

    def new_message(self, row: MessageRow) -> None:
        self._add(_MESSAGE_NEW, **{name: getattr(row, name) for name in MessageRow.__slots__})


def _file(path_id: str, sector: SectorId, one: FileType) -> dict[str, Any]:
    """The key of one file of a sector on a path."""
    return {"p": path_id, "m": sector.miner, "n": sector.number, "t": int(one)}


def _sector(row: SectorRow) -> dict[str, Any]:
    return {
        "number": row.id.number,
        "miner": row.id.miner,
        "proof": row.proof,
        "state": row.state,
        "created_at": row.created_at,
        "entered_at": row.entered_at,
        "retry_at": row.retry_at,
        "last_error": row.last_error,
        "body": row.body,
    }


# Statements are made once: the same object again is found in SQLAlchemy's compile cache by identity of its key.
_SECTOR_NEW = insert(schema.sectors)
_SECTOR_SET = (
    update(schema.sectors)
    .where(schema.sectors.c.number == bindparam("n"))
    .values({c.name: bindparam(c.name) for c in schema.sectors.c if c.name != "number"})
)
_LOG_NEW = insert(schema.sector_log)
_KEPT_DROP = delete(schema.kept).where(
    schema.kept.c.number == bindparam("n"), schema.kept.c.name == bindparam("k")
)
_KEPT_NEW = insert(schema.kept)
_TASK_NEW = insert(schema.tasks)
_TASK_SET = update(schema.tasks).where(schema.tasks.c.id == bindparam("i"))
_TASK_DROP = delete(schema.tasks).where(schema.tasks.c.id == bindparam("i"))
_PATH_DROP = delete(schema.paths).where(schema.paths.c.id == bindparam("i"))
_PATH_NEW = insert(schema.paths)
_DECLARED_DROP_PATH = delete(schema.declarations).where(schema.declarations.c.path_id == bindparam("p"))
_DECLARED_DROP = delete(schema.declarations).where(
    schema.declarations.c.path_id == bindparam("p"),
    schema.declarations.c.miner == bindparam("m"),
    schema.declarations.c.number == bindparam("n"),
    schema.declarations.c.file_type == bindparam("t"),
)
_DECLARED_NEW = insert(schema.declarations)
_UNCOUNTED_DROP_PATH = delete(schema.uncounted).where(schema.uncounted.c.path_id == bindparam("p"))
_UNCOUNTED_DROP = delete(schema.uncounted).where(
    schema.uncounted.c.path_id == bindparam("p"),
    schema.uncounted.c.miner == bindparam("m"),
    schema.uncounted.c.number == bindparam("n"),
    schema.uncounted.c.file_type == bindparam("t"),
)
_UNCOUNTED_NEW = insert(schema.uncounted)
_COUNT_PATH = _UNCOUNTED_DROP_PATH.where(schema.uncounted.c.doomed == false())
_SPARE = delete(schema.uncounted).where(
    schema.uncounted.c.miner == bindparam("m"),
    schema.uncounted.c.number == bindparam("n"),
    schema.uncounted.c.file_type.in_(bindparam("t", expanding=True)),
    schema.uncounted.c.doomed,
)
_KEY = ("path_id", "miner", "number", "file_type")
_UNCOUNT_PATH = insert(schema.uncounted).from_select(
    [*_KEY, "doomed", "can_store", "worker_id"],
    select(
        *(schema.declarations.c[name] for name in _KEY),
        false(),
        bindparam("s", type_=Boolean),
        bindparam("w", type_=String(255)),
    ).where(
        schema.declarations.c.path_id == bindparam("p"),
        ~exists().where(*(schema.uncounted.c[name] == schema.declarations.c[name] for name in _KEY)),
    ),
)
_WORKER_DROP = delete(schema.workers).where(schema.workers.c.id == bindparam("i"))
_WORKER_NEW = insert(schema.workers)
_MESSAGE_NEW = insert(schema.messages)
