"""The sector index, as workers and commands find it (lotus-wire.md §6.2, recording s31)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lotus_sched_cli.core.events import Event, FilesDeclared, FilesDropped, PathAttached, PathReported
from lotus_sched_cli.core.tasks import FileType, SectorId
from lotus_sched_cli.lotus.rpc.errors import RpcError
from lotus_sched_cli.lotus.types import Decl, FsStat, HealthReport, StorageInfo
from lotus_sched_cli.miner import finding
from lotus_sched_cli.miner.alerts import Alerts
from lotus_sched_cli.miner.index import SectorIndex
from lotus_sched_cli.miner.leftovers import Leftovers, remember
from lotus_sched_cli.miner.store import Store

SECTOR = SectorId(1000, 500)
A, B = "aaaa", "bbbb"
ROOM = FsStat(Capacity=1000 << 10, Available=500 << 10, FSAvailable=500 << 10)


@dataclass
class Owned:
    """Who serves which path, by the host and port of its URLs."""

    by_netloc: dict[str, str] = field(default_factory=dict)

    def owners(self, path_id: str, netlocs: frozenset[str]) -> frozenset[str]:
        return frozenset(w for n, w in self.by_netloc.items() if n in netlocs)


@dataclass
class Stage:
    store: Store
    now: float = 1000.0
    events: list[Event] = field(default_factory=list)
    owned: Owned = field(default_factory=Owned)
    alerts: Alerts = field(default_factory=Alerts)

    def index(self) -> SectorIndex:
        return SectorIndex(
            self.store,
            clock=lambda: self.now,
            emit=self.events.append,
            owners=self.owned,
            alerts=self.alerts,
        )


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    store = await Store.open(tmp_path / "s.db")
    yield Stage(store)
    await store.close()


def info(path_id: str = A, host: str = "10.0.0.2:3456", **more: object) -> StorageInfo:
    fields: dict[str, object] = {"Weight": 10, "CanSeal": True, "CanStore": False} | more
    return StorageInfo(ID=path_id, URLs=[f"http://{host}/remote"], **fields)  # type: ignore[arg-type]


async def test_attaching_again_merges_urls_and_replaces_the_rest(stage: Stage) -> None:
    index = stage.index()
    await index.attach(info(Weight=1, AllowTypes=["foo"]), ROOM)
    stage.now += 40
    await index.attach(info(host="10.0.0.8:1", Weight=7, AllowTypes=["foo"]), FsStat(1, 1, 1))
    known = index.info(A)
    assert known.URLs == ["http://10.0.0.2:3456/remote", "http://10.0.0.8:1/remote"]
    assert known.Weight == 7
    assert known.AllowTypes == [] and known.DenyTypes == []
    assert index.paths[A].stat == ROOM, "the figures of a second attach are not taken"
    stage.now += 11
    with pytest.raises(RpcError, match="no good path found"):
        finding.best_alloc(index, 2, 2048, "sealing", 1000)


async def test_unknown_file_types_raise_an_alert(stage: Stage) -> None:
    await stage.index().attach(info(AllowTypes=["foo"]), ROOM)
    alert = stage.alerts.list()[0]
    assert (alert.Type.System, alert.Type.Subsystem, alert.Active) == ("sector-index", f"pathconf-{A}", True)
    assert alert.LastActive is not None and alert.LastActive.Message == {
        "error": "unknown sector file type 'foo'", "idx": 0, "message": "bad path type in AllowTypes", "path": A, "path_type": "foo",
    }  # fmt: skip


async def test_the_alert_is_over_when_the_path_attaches_with_known_types(stage: Stage) -> None:
    index = stage.index()
    await index.attach(info(DenyTypes=["cache", "foo"]), ROOM)
    await index.attach(info(DenyTypes=["cache"]), ROOM)
    alert = stage.alerts.list()[0]
    assert not alert.Active and alert.LastActive is not None and alert.LastResolved is not None
    assert (
        alert.LastActive.Message["message"] == "bad path type in DenyTypes"
        and alert.LastActive.Message["idx"] == 1
    )
    assert alert.LastResolved.Message == {"message": "path config is now correct"}


async def test_detaching_takes_one_url_of_several_then_the_path(stage: Stage) -> None:
    index = stage.index()
    await index.attach(info(), ROOM)
    await index.attach(info(host="10.0.0.8:1"), ROOM)
    await index.declare(A, SECTOR, 6, False)
    await index.detach(A, "http://nope/")
    await index.detach(A, "http://10.0.0.8:1/remote")
    with pytest.raises(
        RpcError, match=r"urls don't match \('http://nope/' != 'http://10.0.0.2:3456/remote'\)"
    ):
        await index.detach(A, "http://nope/")
    await index.detach(A, "http://10.0.0.2:3456/remote")
    with pytest.raises(RpcError, match="sector store not found"):
        index.info(A)
    with pytest.raises(RpcError, match=f"storage '{A}' isn't registered"):
        await index.detach(A, "x")
    assert finding.find(index, SECTOR, 2, 0, False) == []
    assert not await stage.store.paths() and not await stage.store.declarations()


async def test_a_file_becomes_primary_and_never_less(stage: Stage) -> None:
    index = stage.index()
    await index.attach(info(), ROOM)
    await index.declare(A, SECTOR, 6, False)
    assert finding.find(index, SECTOR, 2, 0, False)[0].Primary is False
    await index.declare(A, SECTOR, 6, True)
    await index.declare(A, SECTOR, 6, False)
    found = finding.find(index, SECTOR, 4, 0, False)
    assert found[0].Primary and found[0].URLs == [f"http://10.0.0.2:3456/remote/cache/{SECTOR}"]
    rows = await stage.store.declarations()
    assert [(r.type, r.primary) for r in rows] == [(FileType.SEALED, True), (FileType.CACHE, True)]


async def test_a_new_type_in_the_same_call_keeps_what_the_other_was(stage: Stage) -> None:
    index = stage.index()
    await index.attach(info(), ROOM)
    await index.declare(A, SECTOR, 2, True)
    await index.declare(A, SECTOR, 6, False)
    rows = {r.type: r.primary for r in await stage.store.declarations()}
    assert rows == {FileType.SEALED: True, FileType.CACHE: False}


async def test_several_types_weigh_more_and_have_no_good_url(stage: Stage) -> None:
    index = stage.index()
    await index.attach(info(), ROOM)
    await index.declare(A, SECTOR, 6, False)
    found = finding.find(index, SECTOR, 6, 0, False)[0]
    assert found.Weight == 20
    assert found.URLs == [f"http://10.0.0.2:3456/remote/%3Cunknown%206%20%5Bsealed%20cache%5D%3E/{SECTOR}"]


async def test_files_on_a_path_that_nobody_attached_are_not_found(stage: Stage) -> None:
    index = stage.index()
    await index.declare("zzzz", SECTOR, 2, False)
    assert finding.find(index, SECTOR, 2, 0, False) == []
    await index.drop_sector("zzzz", SECTOR, 2)
    await index.drop_sector("never", SECTOR, 2)


async def test_fetching_is_offered_where_there_is_room_and_the_group_fits(stage: Stage) -> None:
    index = stage.index()
    await index.attach(info(A, AllowTo=["fast"]), ROOM)
    await index.attach(info(B, "10.0.0.3:3456", Groups=["fast"]), ROOM)
    await index.attach(info("cccc", "10.0.0.4:3456"), ROOM)
    await index.attach(info("dddd", "10.0.0.5:3456", Groups=["fast"], CanSeal=False, CanStore=True), ROOM)
    await index.declare(A, SECTOR, 2, False)
    offered = finding.find(index, SECTOR, 2, 2048, True)
    assert [s.ID for s in offered] == [A, B]
    assert offered[1].Weight == 0 and not offered[1].Primary
    assert [s.ID for s in finding.find(index, SECTOR, 2, 1 << 30, True)] == [A], "no room for so much"


async def test_best_alloc_puts_room_times_weight_first(stage: Stage) -> None:
    index = stage.index()
    await index.attach(info(A, Weight=10), ROOM)
    await index.attach(info(B, "10.0.0.3:3456", Weight=30), ROOM)
    await index.attach(info("cccc", "10.0.0.4:1", DenyMiners=["t01000"]), ROOM)
    assert [p.ID for p in finding.best_alloc(index, 6, 2048, "sealing", 1000)] == [B, A]
    index.report(B, HealthReport(ROOM, "disk is dying"))
    assert [p.ID for p in finding.best_alloc(index, 6, 2048, "sealing", 1000)] == [A]
    with pytest.raises(RpcError, match="no good path found"):
        finding.best_alloc(index, 6, 2048, "storage", 1000)
    with pytest.raises(ValueError, match="unexpected pathType: foo"):
        finding.best_alloc(index, 6, 2048, "foo", 1000)


async def test_a_report_for_an_unknown_path_is_refused(stage: Stage) -> None:
    with pytest.raises(RpcError, match="health report for unknown storage: nope"):
        stage.index().report("nope", HealthReport())


async def test_the_list_names_empty_paths_too(stage: Stage) -> None:
    index = stage.index()
    await index.attach(info(A), ROOM)
    await index.attach(info(B, "10.0.0.3:3456"), ROOM)
    await index.declare(A, SECTOR, 2, False)
    await index.declare(A, SECTOR, 4, False)
    assert finding.listed(index) == {A: [Decl(1000, 500, 6)], B: []}


async def test_after_a_restart_nothing_is_laid_on_a_path_before_it_attaches_again(stage: Stage) -> None:
    await stage.index().attach(info(), ROOM)
    again = stage.index()
    await again.restore()
    with pytest.raises(RpcError, match="no good path found"):
        finding.best_alloc(again, 2, 2048, "sealing", 1000)
    assert finding.listed(again) == {}, "Lotus knows no path that is not attached"
    fresh = FsStat(Capacity=1000 << 10, Available=7 << 10, FSAvailable=7 << 10)
    await again.attach(info(), fresh)
    assert again.paths[A].stat == fresh, "after our restart an attach is a first attach"
    assert finding.best_alloc(again, 2, 2048, "sealing", 1000)


async def test_what_a_worker_does_not_declare_again_is_dropped_when_it_registers(stage: Stage) -> None:
    index = stage.index()
    await index.attach(info(), ROOM)
    await index.declare(A, SECTOR, 6, False)
    stage.owned.by_netloc["10.0.0.2:3456"] = "worker-1"
    again = stage.index()
    await again.restore()
    assert finding.find(again, SECTOR, 4, 0, False), "known from the store, for those who look"
    await again.attach(info(), ROOM)
    await again.declare(A, SECTOR, 2, False)
    stage.events.clear()
    assert await again.drop_unconfirmed("worker-1") == 1
    assert stage.events == [FilesDropped(A, SECTOR, FileType.CACHE)]
    assert finding.find(again, SECTOR, 2, 0, False) and not finding.find(again, SECTOR, 4, 0, False)
    assert await again.drop_unconfirmed("worker-1") == 0


async def test_the_maker_is_the_owner_or_the_one_that_works_on_the_sector(stage: Stage) -> None:
    stage.owned.by_netloc.update({"10.0.0.2:3456": "w1", "10.0.0.8:1": "w2"})
    index = SectorIndex(
        stage.store,
        clock=lambda: stage.now,
        emit=stage.events.append,
        owners=stage.owned,
        makers=lambda sector: frozenset({"w2"}) if sector.number == 1 else frozenset(),
    )
    await index.attach(info(), ROOM)
    await index.declare(A, SectorId(1000, 7), 2, False)
    await index.attach(info(host="10.0.0.8:1"), ROOM)
    await index.declare(A, SectorId(1000, 1), 2, False)
    await index.declare(A, SectorId(1000, 2), 2, False)
    declared = {e.sector.number: e.by for e in stage.events if isinstance(e, FilesDeclared)}
    assert declared == {7: "w1", 1: "w2", 2: None}


async def test_the_scheduler_hears_of_paths_room_and_files(stage: Stage) -> None:
    index = stage.index()
    await index.attach(info(DenyTypes=["cache"]), ROOM)
    index.report(A, HealthReport(FsStat(9, 5, 5)))
    attached = stage.events[0]
    assert isinstance(attached, PathAttached)
    assert attached.available == ROOM.Available and not attached.path.allow_types & FileType.CACHE
    assert stage.events[-1] == PathReported(A, 5, "")


async def test_a_worker_that_came_back_at_another_port_loses_the_old_url(stage: Stage) -> None:
    index = stage.index()
    await index.attach(info(host="10.0.0.2:1"), ROOM)
    await index.attach(info(host="10.0.0.2:2"), ROOM)
    await index.moved([A], "10.0.0.2:1")
    assert index.info(A).URLs == ["http://10.0.0.2:2/remote"]


# -- what a broken-off PreCommit1 leaves -------------------------------------------------------------------------------


@dataclass
class Cleaned:
    """An index with its judge of leftovers; deletions are noted down."""

    stage: Stage
    removed: list[tuple[int, FileType, tuple[str, ...]]] = field(default_factory=list)
    spawned: list[asyncio.Task[None]] = field(default_factory=list)
    busy: set[str] = field(default_factory=set)

    async def begin(self) -> tuple[SectorIndex, Leftovers]:
        index = SectorIndex(
            self.stage.store,
            clock=lambda: self.stage.now,
            emit=self.stage.events.append,
            owners=self.stage.owned,
            makers=lambda sector: frozenset(self.busy),
        )
        await index.restore()
        leftovers = Leftovers(self.stage.store, index, self._remove, self._spawn)
        index.judge = leftovers.judge
        return index, leftovers

    async def begin_with_both(self) -> tuple[SectorIndex, Leftovers]:
        """The same with both paths attached."""
        index, leftovers = await self.begin()
        await index.attach(info(A), ROOM)
        await index.attach(info(B, "10.0.0.3:3456"), ROOM)
        return index, leftovers

    async def _remove(
        self, sector: SectorId, types: FileType, keep: Iterable[str], only: Iterable[str]
    ) -> None:
        assert not set(keep) & set(only)
        self.removed.append((sector.number, types, tuple(keep)))

    def _spawn(self, work: Coroutine[Any, Any, None], what: str) -> None:
        self.spawned.append(asyncio.create_task(work))

    async def done(self) -> None:
        await asyncio.gather(*self.spawned)


async def finished_on(stage: Stage, index: SectorIndex, cleaned: Cleaned, worker: str) -> None:
    """The sector's PreCommit1 ends well on this worker, whose path is A."""
    cleaned.busy = {worker}
    await index.declare(A, SECTOR, 6, False)
    writes = stage.store.writes()
    remember(writes, SECTOR, worker)
    await writes.commit()
    cleaned.busy = set()


def register_both(stage: Stage) -> None:
    """The workers whose paths are A and B."""
    stage.owned.by_netloc.update({"10.0.0.2:3456": "good", "10.0.0.3:3456": "broken"})


@pytest.fixture
async def two(stage: Stage) -> Cleaned:
    register_both(stage)
    return Cleaned(stage)


async def test_half_made_files_that_come_to_light_later_are_kept_out_of_the_way(
    stage: Stage, two: Cleaned
) -> None:
    index, leftovers = await two.begin_with_both()
    await finished_on(stage, index, two, "good")
    stage.events.clear()
    await index.declare(B, SECTOR, 6, False)
    assert stage.events == [], "the scheduler does not hear of them"
    assert [s.ID for s in finding.find(index, SECTOR, 2, 2048, False)] == [A]
    assert [s.ID for s in sorted(finding.find(index, SECTOR, 2, 0, False), key=lambda s: s.Weight)] == [A, B]
    await leftovers.joined("broken")
    await two.done()
    assert two.removed == [(500, FileType.SEALED, (A,)), (500, FileType.CACHE, (A,))]


async def test_half_made_files_that_were_known_are_leftovers_once_it_is_done_elsewhere(
    stage: Stage, two: Cleaned
) -> None:
    index, leftovers = await two.begin_with_both()
    await index.declare(B, SECTOR, 7, False)
    await finished_on(stage, index, two, "good")
    await leftovers.made(SECTOR, "good")
    await two.done()
    assert FilesDropped(B, SECTOR, FileType.SEALED | FileType.CACHE) in stage.events
    assert [r[1] for r in two.removed] == [FileType.SEALED, FileType.CACHE], "the piece there is left alone"


async def test_after_a_restart_of_both_they_are_found_out_when_the_worker_registers(
    stage: Stage, two: Cleaned
) -> None:
    index, _ = await two.begin()
    await index.attach(info(A), ROOM)
    await finished_on(stage, index, two, "good")
    stage.owned.by_netloc.clear()
    index, leftovers = await two.begin()
    await index.attach(info(B, "10.0.0.3:3456"), ROOM)
    await index.declare(B, SECTOR, 6, False)
    register_both(stage)
    index.reown()
    await leftovers.joined("broken")
    await two.done()
    assert [r[1] for r in two.removed] == [FileType.SEALED, FileType.CACHE]


async def test_a_result_that_comes_before_its_worker_has_registered_again_spares_the_files_there(
    stage: Stage, two: Cleaned
) -> None:
    index, _ = await two.begin_with_both()
    await index.declare(B, SECTOR, 6, False)
    await finished_on(stage, index, two, "good")
    stage.owned.by_netloc.clear()
    index, leftovers = await two.begin()
    stage.events.clear()
    await leftovers.made(SECTOR, "good")
    assert stage.events == [FilesDropped(B, SECTOR, FileType.SEALED | FileType.CACHE)]
    register_both(stage)
    index.reown()
    await index.declare(A, SECTOR, 6, False)
    await leftovers.joined("good")
    await two.done()
    assert [s.ID for s in finding.find(index, SECTOR, 6, 2048, False)] == [A]


async def test_a_good_copy_is_never_a_leftover(stage: Stage, two: Cleaned) -> None:
    index, leftovers = await two.begin_with_both()
    await finished_on(stage, index, two, "good")
    await index.drop_sector(A, SECTOR, 6)
    await index.declare(B, SECTOR, 6, False)
    assert finding.find(index, SECTOR, 2, 2048, False), "it is the only copy"
    await index.declare(A, SECTOR, 6, False)
    assert len(finding.find(index, SECTOR, 2, 2048, False)) == 2, "the maker's own copy, declared late"
    other = SectorId(1000, 501)
    await index.declare(A, other, 6, False)
    two.busy = {"broken"}
    await index.declare(B, other, 6, True)
    await leftovers.joined("broken")
    await two.done()
    assert two.removed == []


async def test_a_new_attempt_on_the_same_worker_makes_its_files_good_again(
    stage: Stage, two: Cleaned
) -> None:
    index, _ = await two.begin_with_both()
    await finished_on(stage, index, two, "good")
    await index.declare(B, SECTOR, 6, False)
    two.busy = {"broken"}
    await index.declare(B, SECTOR, 6, False)
    assert len(finding.find(index, SECTOR, 2, 2048, False)) == 2
