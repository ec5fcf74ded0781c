"""Files that were deleted while their holder was away, and how they are met when it is back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from miner.dispatch_stage import Stage

from lotus_sched_cli.core.events import Event, FilesDeclared, FilesDropped
from lotus_sched_cli.core.pipeline.states import State
from lotus_sched_cli.core.tasks import FileType, SectorId, TaskType
from lotus_sched_cli.lotus.types import FsStat, HealthReport, StorageInfo
from lotus_sched_cli.miner import finding
from lotus_sched_cli.miner.index import SectorIndex
from lotus_sched_cli.miner.leftovers import Leftovers
from lotus_sched_cli.miner.records import TaskRow
from lotus_sched_cli.miner.removals import AT_ONCE, Removals
from lotus_sched_cli.miner.store import Store, StoreError

SECTOR = SectorId(1000, 7)
UNSEALED, SEALED, CACHE = FileType.UNSEALED, FileType.SEALED, FileType.CACHE
REPLICA = SEALED | CACHE
ROOM = FsStat(Capacity=1 << 30, Available=1 << 30, FSAvailable=1 << 30)
#: The path of worker ``sealer``, and the one for storage of worker ``keeper``.
SEALING, STORAGE = "path-of-sealer", "path-of-keeper"
_OWNERS = {"sealer:1": "sealer", "keeper:1": "keeper"}


@dataclass
class Owned:
    def owners(self, path_id: str, netlocs: frozenset[str]) -> frozenset[str]:
        return frozenset(w for n, w in _OWNERS.items() if n in netlocs)


@dataclass
class Farm:
    """Index and removals of one life of the miner; ``again`` is the next on the same store."""

    store: Store
    events: list[Event] = field(default_factory=list)
    present: set[str] = field(default_factory=lambda: {"sealer", "keeper"})
    busy: set[SectorId] = field(default_factory=set)
    #: Paths that have lost their files without a word.
    empty: set[str] = field(default_factory=set)
    state: State = State.PROVING
    #: (types, kept, from where) of each deletion.
    deleted: list[tuple[FileType, list[str], list[str]]] = field(default_factory=list)
    #: Set while a deletion is held up.
    held: asyncio.Event | None = None
    started: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def begin(self) -> Farm:
        self.index = SectorIndex(
            self.store,
            clock=lambda: 1000.0,
            emit=self.events.append,
            owners=Owned(),
            makers=lambda s: frozenset(),
        )
        self.removals = Removals(
            self.store,
            self.index,
            self._remove,
            self._spawn,
            busy=lambda sector: sector in self.busy,
            present=lambda worker: worker in self.present,
            lies=self._lies,
        )
        self.leftovers = Leftovers(self.store, self.index, self._remove, self._spawn)
        self.removals.state = lambda number: self.state
        self.index.recovered = self.removals.deliver
        await self.index.restore()
        return self

    async def again(self) -> Farm:
        return await Farm(self.store, state=self.state).begin()

    async def _remove(
        self, sector: SectorId, types: FileType, keep: Iterable[str], only: Iterable[str]
    ) -> None:
        self.started.set()
        if self.held is not None:
            await self.held.wait()
        self.deleted.append((types, list(keep), list(only)))
        for path in only:
            await self.index.drop_sector(path, sector, int(types))

    async def _lies(self, sector: SectorId, one: FileType, path: str) -> bool:
        return path not in self.empty

    def _spawn(self, work: Coroutine[Any, Any, None], what: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self.tasks.append(task)
        return task

    async def attach(self, path: str) -> None:
        stores = path == STORAGE
        url = f"http://{path.removeprefix('path-of-')}:1/remote"
        info = StorageInfo(ID=path, URLs=[url], Weight=10, CanSeal=not stores, CanStore=stores)
        await self.index.attach(info, ROOM)

    async def joins(self, path: str, types: FileType) -> None:
        """The worker of this path attaches it, declares these files, registers."""
        await self.attach(path)
        for one in types.each():
            await self.index.declare(path, SECTOR, int(one), path == STORAGE)
        worker = path.removeprefix("path-of-")
        self.present.add(worker)
        await self.index.drop_unconfirmed(worker)
        await self.leftovers.joined(worker)
        await self.deliver()

    async def deliver(self) -> None:
        self.removals.deliver()
        await asyncio.gather(*self.tasks)

    async def ends(self, kind: TaskType, files: FileType = FileType.NONE) -> None:
        writes = self.store.writes()
        self.removals.done(writes, row(kind, files))
        await writes.commit()

    async def queues(self, kind: TaskType) -> None:
        writes = self.store.writes()
        writes.new_task(row(kind), b"[]")
        await writes.commit()
        self.removals.submitted(row(kind))

    def counts(self, types: FileType) -> list[str]:
        """Paths where a task would find these files."""
        return sorted(
            {e.ID for one in types.each() for e in finding.find(self.index, SECTOR, int(one), 2048, False)}
        )


def row(kind: TaskType, files: FileType = FileType.NONE) -> TaskRow:
    return TaskRow(f"task-{kind}", SECTOR, 5, kind, 1.0, files=files)


@pytest.fixture
async def farm(tmp_path: Path) -> AsyncIterator[Farm]:
    store = await Store.open(tmp_path / "s.db")
    yield await Farm(store).begin()
    await store.close()


async def test_files_of_a_removed_sector_are_deleted_when_their_worker_is_back(farm: Farm) -> None:
    await farm.joins(SEALING, UNSEALED | REPLICA)
    farm.present.clear()
    farm.state = State.REMOVING
    farm.events.clear()
    await farm.removals.removed(SECTOR)
    assert FilesDropped(SEALING, SECTOR, UNSEALED | REPLICA) in farm.events
    farm.state = State.REMOVED
    farm.events.clear()
    await farm.joins(SEALING, UNSEALED | REPLICA)
    assert not [e for e in farm.events if isinstance(e, FilesDeclared)], "nobody is told that they are back"
    assert [types for types, _, _ in farm.deleted] == [UNSEALED, SEALED, CACHE]
    assert farm.index.on(SECTOR) == () and await farm.store.uncounted() == []
    assert await farm.store.declarations() == []


async def removed_while_away(farm: Farm) -> None:
    """The sector is removed while the worker that has its files does not answer."""
    await farm.joins(SEALING, REPLICA)
    farm.present.clear()
    farm.state = State.REMOVED
    await farm.removals.removed(SECTOR)


async def test_a_restart_of_the_miner_forgets_no_removal(farm: Farm) -> None:
    await removed_while_away(farm)
    again = await farm.again()
    await again.joins(SEALING, REPLICA)
    assert [types for types, _, _ in again.deleted] == [SEALED, CACHE]
    assert await farm.store.uncounted() == []


async def test_what_is_not_there_any_more_is_forgotten_when_its_worker_is_back(farm: Farm) -> None:
    await removed_while_away(farm)
    again = await farm.again()
    await again.joins(SEALING, FileType.NONE)
    assert again.deleted == [] and again.index.on(SECTOR) == () and await farm.store.uncounted() == []


async def test_a_copy_that_the_move_could_not_delete_goes_when_its_worker_is_back(farm: Farm) -> None:
    await farm.joins(SEALING, REPLICA)
    await farm.joins(STORAGE, REPLICA)
    farm.present.discard("sealer")
    await farm.ends(TaskType.FETCH, REPLICA)
    assert farm.counts(REPLICA) == [STORAGE]
    found = finding.find(farm.index, SECTOR, int(SEALED), 0, False)
    assert {e.ID: e.Weight for e in found} == {STORAGE: 10, SEALING: 10}, "it looks as it lies there"
    await farm.joins(SEALING, REPLICA)
    assert farm.deleted == [(SEALED, [STORAGE], [SEALING]), (CACHE, [STORAGE], [SEALING])]


async def test_a_copy_stays_until_the_one_in_storage_is_confirmed(farm: Farm) -> None:
    await farm.joins(SEALING, REPLICA)
    await farm.joins(STORAGE, REPLICA)
    await farm.ends(TaskType.FETCH, REPLICA)
    again = await farm.again()
    await again.joins(SEALING, REPLICA)
    assert again.deleted == [], "the worker with the path for storage has not been heard of"
    await again.joins(STORAGE, SEALED)
    assert again.deleted == [(SEALED, [STORAGE], [SEALING])]
    assert again.counts(CACHE) == [SEALING], "it is nowhere else now"


async def moved_while_away(farm: Farm) -> None:
    """The move is over, and the copy that it should have deleted lies with a worker that is away."""
    await farm.joins(SEALING, REPLICA)
    await farm.joins(STORAGE, REPLICA)
    farm.present.discard("sealer")
    await farm.ends(TaskType.FETCH, REPLICA)


async def test_a_copy_stays_while_who_serves_the_one_in_storage_is_away(farm: Farm) -> None:
    await moved_while_away(farm)
    farm.present.discard("keeper")
    await farm.joins(SEALING, REPLICA)
    assert farm.deleted == []
    await farm.joins(STORAGE, REPLICA)
    assert [types for types, _, _ in farm.deleted] == [SEALED, CACHE]


async def test_a_copy_stays_while_the_path_for_storage_is_ill(farm: Farm) -> None:
    await moved_while_away(farm)
    farm.index.report(STORAGE, HealthReport(Stat=ROOM, Err="input/output error"))
    await farm.joins(SEALING, REPLICA)
    assert farm.deleted == []
    farm.index.report(STORAGE, HealthReport(Stat=ROOM))
    await farm.deliver()
    assert [types for types, _, _ in farm.deleted] == [SEALED, CACHE]


async def test_a_copy_stays_when_the_one_in_storage_is_not_to_be_seen(farm: Farm) -> None:
    """Its disk was made anew, and nobody has said so."""
    await moved_while_away(farm)
    farm.empty.add(STORAGE)
    await farm.joins(SEALING, REPLICA)
    assert farm.deleted == []
    await farm.index.drop_sector(STORAGE, SECTOR, int(REPLICA))
    await farm.deliver()
    assert farm.deleted == [] and farm.counts(REPLICA) == [SEALING], "the only copy counts again"


async def test_a_path_for_storage_that_is_stopped_for_a_while_makes_no_copy_count(farm: Farm) -> None:
    await moved_while_away(farm)
    await farm.index.detach(STORAGE, "http://keeper:1/remote")
    await farm.joins(SEALING, REPLICA)
    assert farm.deleted == [] and farm.counts(REPLICA) == []
    await farm.joins(STORAGE, REPLICA)
    assert [types for types, _, _ in farm.deleted] == [SEALED, CACHE]


async def test_released_data_goes_when_its_worker_is_back(farm: Farm) -> None:
    await farm.joins(SEALING, UNSEALED | REPLICA)
    farm.present.clear()
    await farm.ends(TaskType.FINALIZE_UNSEALED)
    await farm.queues(TaskType.FINALIZE)
    await farm.joins(SEALING, UNSEALED | REPLICA)
    assert farm.deleted == [(UNSEALED, [], [SEALING])]


async def test_what_the_sector_is_to_make_anew_is_spared(farm: Farm) -> None:
    """It went back to PreCommit1, and the very worker seals it again."""
    await farm.joins(SEALING, REPLICA)
    await farm.joins(STORAGE, REPLICA)
    farm.present.discard("sealer")
    await farm.ends(TaskType.FETCH, REPLICA)
    await farm.queues(TaskType.PRECOMMIT1)
    assert await farm.store.uncounted() == []
    await farm.joins(SEALING, REPLICA)
    assert farm.deleted == [] and farm.counts(REPLICA) == [STORAGE, SEALING]
    again = await farm.again()
    await again.joins(STORAGE, REPLICA)
    await again.joins(SEALING, REPLICA)
    assert again.deleted == [] and again.counts(REPLICA) == [STORAGE, SEALING]


async def test_a_removed_sector_that_was_forced_back_keeps_its_files(farm: Farm) -> None:
    await removed_while_away(farm)
    farm.state = State.PROVING
    await farm.joins(SEALING, REPLICA)
    assert farm.deleted == [] and farm.counts(REPLICA) == [SEALING], "they are the only copy"
    assert len(await farm.store.declarations()) == 2 and await farm.store.uncounted() == []


async def test_a_sector_that_is_forced_back_while_its_files_are_deleted_keeps_what_is_left(
    farm: Farm,
) -> None:
    await farm.joins(SEALING, UNSEALED | REPLICA)
    farm.state = State.REMOVING
    farm.held = asyncio.Event()
    wiping = asyncio.create_task(farm.removals.wipe(SECTOR))
    await asyncio.wait_for(farm.started.wait(), 1)
    farm.state = State.PRECOMMIT1
    waits = asyncio.create_task(farm.removals.clear(SECTOR))
    await asyncio.sleep(0)
    assert not waits.done(), "its new task begins when nothing is deleted any more"
    farm.held.set()
    await asyncio.wait_for(asyncio.gather(wiping, waits), 1)
    assert [types for types, _, _ in farm.deleted] == [UNSEALED] and farm.counts(REPLICA) == [SEALING]
    assert await farm.store.uncounted() == []


async def test_files_that_were_doomed_after_the_new_task_was_stored_are_spared_in_the_store_too(
    farm: Farm,
) -> None:
    """The end of the task before it is stored between that, and the time when dispatch hears of the new one."""
    await farm.joins(SEALING, UNSEALED)
    writes = farm.store.writes()
    writes.new_task(row(TaskType.ADD_PIECE), b"[]")
    await writes.commit()
    await farm.ends(TaskType.FINALIZE_UNSEALED)
    farm.removals.submitted(row(TaskType.ADD_PIECE))
    await farm.deliver()
    again = await farm.again()
    await again.joins(SEALING, UNSEALED)
    assert again.deleted == [] and again.counts(UNSEALED) == [SEALING]


async def test_nothing_is_deleted_while_the_sector_has_a_task(farm: Farm) -> None:
    await removed_while_away(farm)
    farm.busy.add(SECTOR)
    await farm.joins(SEALING, REPLICA)
    assert farm.deleted == []
    farm.busy.clear()
    await farm.deliver()
    assert len(farm.deleted) == 2


async def test_thousands_of_removed_sectors_are_deleted_a_few_at_once(farm: Farm) -> None:
    await farm.joins(SEALING, FileType.NONE)
    sectors = [SectorId(1000, number) for number in range(3 * AT_ONCE)]
    for sector in sectors:
        await farm.index.declare(SEALING, sector, int(SEALED), False)
    farm.present.clear()
    farm.state = State.REMOVED
    for sector in sectors:
        await farm.removals.removed(sector)
    farm.present.add("sealer")
    farm.held = asyncio.Event()
    farm.removals.deliver()
    await asyncio.wait_for(farm.started.wait(), 1)
    assert len(farm.tasks) == AT_ONCE
    farm.held.set()
    while any(not task.done() for task in farm.tasks):
        await asyncio.wait(farm.tasks)
    assert len(farm.deleted) == len(sectors)
    assert await farm.store.uncounted() == [] and farm.index.sectors_on(SEALING) == ()


async def test_a_task_waits_for_a_deletion_under_way(farm: Farm) -> None:
    await removed_while_away(farm)
    farm.present.add("sealer")
    farm.held = asyncio.Event()
    farm.removals.deliver()
    await farm.started.wait()
    waits = asyncio.create_task(farm.removals.clear(SECTOR))
    await asyncio.sleep(0)
    assert not waits.done()
    await asyncio.wait_for(farm.removals.clear(SectorId(1000, 8)), 1)
    farm.held.set()
    await asyncio.wait_for(waits, 1)
    assert [types for types, _, _ in farm.deleted] == [SEALED, CACHE]


async def test_a_worker_that_was_stopped_is_told_too_when_it_starts_again(farm: Farm) -> None:
    """``lotus-worker stop`` takes its paths out of the index; both sides start anew before it is back."""
    await farm.joins(SEALING, REPLICA)
    await farm.index.detach(SEALING, "http://sealer:1/remote")
    farm.state = State.REMOVED
    await farm.removals.removed(SECTOR)
    again = await farm.again()
    await again.joins(SEALING, REPLICA)
    assert [types for types, _, _ in again.deleted] == [SEALED, CACHE]
    assert await farm.store.uncounted() == []


async def test_a_path_that_comes_back_says_itself_what_lies_there(farm: Farm) -> None:
    await farm.joins(SEALING, UNSEALED | REPLICA)
    await farm.index.detach(SEALING, "http://sealer:1/remote")
    assert farm.counts(REPLICA) == [] and len(await farm.store.uncounted()) == 3
    again = await farm.again()
    assert again.index.away[SEALING].files == {SECTOR: UNSEALED | REPLICA}
    assert again.index.away[SEALING].worker_id == "sealer"
    await again.joins(SEALING, REPLICA)
    assert again.index.away == {} and await farm.store.uncounted() == []
    assert again.counts(UNSEALED) == [] and again.counts(REPLICA) == [SEALING]


async def test_an_attach_that_could_not_be_stored_dooms_nothing(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker of a path that was detached is back while the disk is full, and once more when there is room."""
    await farm.joins(SEALING, UNSEALED)
    await farm.index.detach(SEALING, "http://sealer:1/remote")

    async def full(_writes: object) -> None:
        raise StoreError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("lotus_sched_cli.miner.writes.Writes.commit", full)
        with pytest.raises(StoreError):
            await farm.attach(SEALING)
    await farm.joins(SEALING, UNSEALED)
    again = await farm.again()
    await again.joins(SEALING, UNSEALED)
    assert again.deleted == [] and again.counts(UNSEALED) == [SEALING]
    assert await again.store.uncounted() == []


async def test_a_path_that_is_gone_for_good_takes_its_removals_along(farm: Farm) -> None:
    await removed_while_away(farm)
    await farm.index.remove_path(SEALING)
    assert await farm.store.uncounted() == [] and farm.index.on(SECTOR) == ()


async def test_dispatch_tells_what_is_queued_what_ended_well_and_waits_before_it_sends(s: Stage) -> None:
    told: list[str] = []
    free = asyncio.Event()

    async def clear(sector: SectorId) -> None:
        told.append("waits")
        await free.wait()

    desk = s.dispatch.desk
    desk.submitted = lambda row: told.append(f"queued {row.type.short}")
    desk.done = lambda writes, row: told.append(f"done {row.type.short}")
    desk.clear = clear
    fake = await s.worker("w", TaskType.COMMIT2)
    task = await s.submit(1, TaskType.COMMIT2)
    await s.until(lambda: "waits" in told)
    assert fake.methods == []
    free.set()
    await s.until(lambda: s.phase(task) == "running")
    await s.returned(fake.last, TaskType.COMMIT2, "AQ==")
    assert told == ["queued C2", "waits", "done C2"]
