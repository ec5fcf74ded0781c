"""The store: what was acknowledged is there after any kill, callers share commits, one bad write fails alone."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from lotus_sched_cli.core.tasks import FileType, SectorId, TaskType
from lotus_sched_cli.miner import schema
from lotus_sched_cli.miner.records import (
    UNBOUND,
    LogRow,
    MessageRow,
    PathRow,
    Phase,
    SectorRow,
    TaskRow,
    WorkerRow,
)
from lotus_sched_cli.miner.sector_rows import from_row
from lotus_sched_cli.miner.store import Store, StoreError


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store.open(tmp_path / "miner.db")
    yield store
    await store.close()


def sector(number: int, state: str = "Packing") -> SectorRow:
    return SectorRow(SectorId(1000, number), 5, state, 1.0, 2.0, None, "", b"{}")


def task(number: int, kind: TaskType = TaskType.PRECOMMIT1) -> TaskRow:
    return TaskRow(id=f"task-{number}", sector=SectorId(1000, number), proof=5, type=kind, queued_at=10.0)


async def test_a_sector_its_log_and_its_kept_values_come_back(store: Store) -> None:
    writes = store.writes()
    writes.new_sector(sector(15))
    writes.log(15, 0, LogRow(3.5, "event;sealing.SectorStartCC", '{"User":{}}', ""))
    writes.keep(15, "proof", b"\x00\xff")
    await writes.commit()
    assert await store.sectors() == [sector(15)]
    assert await store.sector(15) == sector(15)
    assert (await store.sector_log(15))[0].kind == "event;sealing.SectorStartCC"
    assert await store.kept(15, "proof") == b"\x00\xff"
    writes.sector(sector(15, "Proving"))
    writes.keep(15, "proof", None)
    await writes.commit()
    assert [row.state for row in await store.sectors()] == ["Proving"]
    assert await store.kept(15, "proof") is None
    assert await store.sector(16) is None


async def test_a_task_goes_from_queued_to_returned_and_away(store: Store) -> None:
    row = task(1)
    writes = store.writes()
    writes.new_task(row, b'["params"]')
    await writes.commit()
    assert await store.tasks() == [row]
    assert await store.task_params(row.id) == b'["params"]'
    writes.task(row.id, phase=Phase.BOUND, worker_id="w", fetch=FileType.UNSEALED, bound_at=11.0)
    writes.task(row.id, phase=Phase.RUNNING, call_id="c", accepted_at=12.0)
    await writes.commit()
    running = await store.task(row.id)
    assert running is not None
    assert (running.phase, running.worker_id, running.fetch, running.call_id) == (
        Phase.RUNNING,
        "w",
        FileType.UNSEALED,
        "c",
    )
    writes.task(row.id, phase=Phase.RETURNED, result=b'"out"')
    await writes.commit()
    returned = await store.task(row.id)
    assert returned is not None and returned.has_result
    assert await store.task_result(row.id) == b'"out"'
    writes.task(row.id, **UNBOUND)
    await writes.commit()
    assert await store.tasks() == [row]
    writes.delete_task(row.id)
    await writes.commit()
    assert await store.tasks() == []


async def test_paths_declarations_workers_messages_and_facts_come_back(store: Store) -> None:
    here = SectorId(1000, 15)
    path = PathRow("p1", b'{"ID":"p1"}', b"{}", 9.0)
    worker = WorkerRow("w1", 1, "host", "http://h/rpc/v0", "s", 5.0, b'{"drain":true}')
    message = MessageRow("bafy", 15, "precommit", 1, 2, 7, 0, "", b"{}")
    writes = store.writes()
    writes.path(path)
    writes.declare("p1", here, FileType.SEALED | FileType.CACHE, primary=False, by="w1")
    writes.declare("p1", here, FileType.SEALED, primary=True, by="w1")
    writes.worker(worker)
    writes.new_message(message)
    writes.meta("actor", "t01000")
    await writes.commit()
    assert await store.paths() == [path]
    assert {(d.type, d.primary, d.by) for d in await store.declarations()} == {
        (FileType.SEALED, True, "w1"),
        (FileType.CACHE, False, "w1"),
    }
    assert await store.workers() == [worker]
    assert await store.messages(15) == [message] == await store.messages()
    assert await store.message("bafy") == message
    assert await store.meta("actor") == "t01000"
    assert await store.meta("none") is None
    writes.undeclare("p1", here, FileType.SEALED)
    await writes.commit()
    assert [d.type for d in await store.declarations()] == [FileType.CACHE]
    writes.delete_path("p1")
    writes.delete_worker("w1")
    await writes.commit()
    assert (await store.paths(), await store.declarations(), await store.workers()) == ([], [], [])


async def test_a_hundred_callers_share_few_commits(store: Store) -> None:
    async def pledge(number: int) -> None:
        writes = store.writes()
        writes.new_sector(sector(number))
        await writes.commit()

    before = store.commits
    await asyncio.gather(*(pledge(number) for number in range(100)))
    assert store.commits - before <= 10
    assert len(await store.sectors()) == 100


async def test_a_bad_write_fails_alone_and_whole(store: Store) -> None:
    async def pledge(number: int) -> None:
        writes = store.writes()
        writes.log(number, 0, LogRow(1.0, "k", "m", ""))
        writes.new_sector(sector(number))
        await writes.commit()

    await pledge(7)
    outcomes = await asyncio.gather(*(pledge(number) for number in (6, 7, 8)), return_exceptions=True)
    assert outcomes[0] is None and outcomes[2] is None
    assert isinstance(outcomes[1], StoreError)
    assert [row.id.number for row in await store.sectors()] == [6, 7, 8]
    assert len(await store.sector_log(7)) == 1


def test_a_second_opening_finds_everything_and_runs_no_migration(tmp_path: Path) -> None:
    path = tmp_path / "miner.db"

    async def first() -> None:
        store = await Store.open(path)
        await store.set_meta("actor", "t01000")
        await store.close()

    asyncio.run(first())
    code = (
        "import asyncio, sys; from pathlib import Path; from lotus_sched_cli.miner.store import Store\n"
        f"async def main():\n s = await Store.open(Path({str(path)!r})); print(await s.meta('actor')); await s.close()\n"
        "asyncio.run(main()); print('alembic' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["t01000", "False"]


def test_the_migrations_make_exactly_the_tables_of_the_schema(tmp_path: Path) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from sqlalchemy import create_engine

    from lotus_sched_cli.miner import migrations

    path = tmp_path / "miner.db"
    migrations.upgrade(path, None)
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.tables) == []
    engine.dispose()
    script = ScriptDirectory(str(Path(migrations.__file__).parent))
    assert script.get_current_head() == schema.HEAD


async def of_the_first_version(folder: Path) -> Path:
    path = folder / "miner.db"
    store = await Store.open(path)
    await store.set_meta("actor", "t01000")
    await store.close()
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE uncounted")
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    return path


async def test_a_store_of_the_first_version_gets_the_new_table_and_keeps_its_rows(tmp_path: Path) -> None:
    path = await of_the_first_version(tmp_path)
    store = await Store.open(path)
    assert await store.meta("actor") == "t01000" and await store.uncounted() == []
    await store.close()


async def test_a_step_to_a_new_version_that_breaks_off_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await of_the_first_version(tmp_path)

    def full(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("alembic.op.create_index", full)
        with pytest.raises(StoreError, match=r"cannot be opened .* database or disk is full"):
            await Store.open(path)
    store = await Store.open(path)
    assert await store.meta("actor") == "t01000" and await store.uncounted() == []
    await store.close()


async def test_a_newer_store_is_left_alone_with_one_line(tmp_path: Path) -> None:
    path = tmp_path / "miner.db"
    await (await Store.open(path)).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match="newer version") as told:
        await Store.open(path)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("what", ["text", "other tables", "folder"])
async def test_what_is_no_store_is_refused_with_one_line(tmp_path: Path, what: str) -> None:
    path = tmp_path / "miner.db"
    if what == "text":
        path.write_text("these are not the bytes of a database, " * 100)
    elif what == "folder":
        path.mkdir()
    else:
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE mine (x)")
        connection.commit()
        connection.close()
    with pytest.raises(StoreError, match=r"miner\.db") as told:
        await Store.open(path)
    assert "\n" not in str(told.value)


async def test_damaged_values_are_named_with_the_remedy(store: Store, tmp_path: Path) -> None:
    writes = store.writes()
    writes.new_sector(replace(sector(15), body=b"\x00"))
    writes.meta("actor", 1000)
    await writes.commit()
    (row,) = await store.sectors()
    with pytest.raises(StoreError, match=r"sector 15: .*; restore it from a backup"):
        from_row(row)
    with sqlite3.connect(tmp_path / "miner.db") as damage:
        damage.execute("UPDATE meta SET value = x'ff' WHERE key = 'actor'")
    with pytest.raises(StoreError, match=r"actor: .*; restore it from a backup"):
        await store.meta("actor")


async def test_a_closed_store_takes_no_writes(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "miner.db")
    writes = store.writes()
    writes.meta("a", 1)
    await store.close()
    with pytest.raises(StoreError, match="closed"):
        await writes.commit()


WRITER = """
import asyncio, sys
from pathlib import Path
from lotus_sched_cli.core.tasks import SectorId
from lotus_sched_cli.miner.records import LogRow, SectorRow
from lotus_sched_cli.miner.store import Store

async def main():
    store = await Store.open(Path(sys.argv[1]))
    number = max([row.id.number for row in await store.sectors()], default=-1) + 1
    async def one(number):
        writes = store.writes()
        writes.new_sector(SectorRow(SectorId(1000, number), 5, "Packing", 1.0, 1.0, None, "", b"{}"))
        writes.log(number, 0, LogRow(1.0, "k", "m", ""))
        await writes.commit()
        print(number, flush=True)
    while True:
        await asyncio.gather(*(one(n) for n in range(number, number + 7)))
        number += 7

asyncio.run(main())
"""


def test_kill_9_of_a_writer_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "miner.db"
    acknowledged: set[int] = set()
    for enough in (40, 90, 5, 60):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        for _ in range(enough):
            acknowledged.add(int(writer.stdout.readline()))
        writer.send_signal(signal.SIGKILL)
        acknowledged.update(int(line) for line in writer.stdout if line.strip())
        writer.wait(10)

    async def read() -> tuple[set[int], set[int]]:
        store = await Store.open(path)
        numbers = {row.id.number for row in await store.sectors()}
        logged = {number for number in numbers if await store.sector_log(number)}
        await store.close()
        return numbers, logged

    numbers, logged = asyncio.run(read())
    assert acknowledged <= numbers
    assert logged == numbers, "a transaction is whole or not at all"
