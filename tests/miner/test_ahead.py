"""Files that are fetched to a worker ahead of a PC2: on the wire, over restarts, and what becomes of the copies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from miner.dispatch_stage import FakeWorker, Stage, stage

from lotus_sched_cli.core.tasks import FileType, SectorId, TaskType
from lotus_sched_cli.lotus.types import TASK_ABORTED, CallError, CallID
from lotus_sched_cli.miner.leftovers import remember
from lotus_sched_cli.miner.records import Phase, TaskRow

P1, P2 = TaskType.PRECOMMIT1, TaskType.PRECOMMIT2
OUTPUT = FileType.SEALED | FileType.CACHE

Life = Callable[[], Awaitable[Stage]]


@pytest.fixture
async def life(tmp_path: Path) -> AsyncIterator[Life]:
    """Start a miner on the same store, again and again; the one before dies without a word."""
    lives: list[Stage] = []

    async def begin() -> Stage:
        fakes: dict[str, FakeWorker] = {}
        if lives:
            fakes = lives[-1].fakes
            await lives[-1].stop()
            await lives[-1].store.close()
        lives.append(await stage(tmp_path / "s.db", fakes))
        return lives[-1]

    yield begin
    await lives[-1].stop()
    await lives[-1].store.close()


async def busy(s: Stage) -> tuple[FakeWorker, FakeWorker, TaskRow, TaskRow]:
    """w runs the PC2 of sector 1, whose files it has; those of sector 2 lie on p1, and are being fetched to w."""
    p1 = await s.worker("p1", P1)
    w = FakeWorker("w", "http://w:3456/rpc/v0", {P2}, "id-of-w", paths=["path-0-of-w"])
    w.caps = {"precommit2prefetch": "1"}
    s.fakes[w.url] = w
    await s.connect(w)
    first, second = await one_runs(s, p1, w)
    await s.written()
    return p1, w, first, second


async def one_runs(s: Stage, p1: FakeWorker, w: FakeWorker) -> tuple[TaskRow, TaskRow]:
    """w runs one PC2; the files of the other, which lie on p1, are being fetched to it."""
    await s.declare(w, 1, OUTPUT)
    await s.declare(p1, 2, OUTPUT)
    first = await s.submit(1, P2)
    await s.until(lambda: s.phase(first) == "running")
    second = await s.submit(2, P2)
    await s.until(lambda: w.methods == ["SealPreCommit2", "Fetch"])
    await s.until(lambda: s.dispatch.desk.flights[second.id].row.fetch_call_id)
    return first, second


async def comes(s: Stage, w: FakeWorker, call: CallID) -> None:
    """The worker has the copy: it declares it, and returns the Fetch."""
    await s.declare(w, 2, OUTPUT)
    await s.dispatch.returned("ReturnFetch", call, None, None)


def where(s: Stage, number: int) -> dict[str, FileType]:
    return {f.path_id: f.types & ~f.stale for f in s.index.on(SectorId(1000, number)) if f.types & ~f.stale}


def promised(s: Stage) -> list[int]:
    ledger = s.dispatch.scheduler.ledger("id-of-w")
    assert ledger is not None
    return [p.task.sector.number for p in ledger.promised]


async def test_the_files_are_copied_and_the_pc2_starts_with_them(life: Life) -> None:
    s = await life()
    _, w, _, second = await busy(s)
    ref = {"ID": {"Miner": 1000, "Number": 2}, "ProofType": 5}
    assert w.calls[1][1] == [ref, 6, "sealing", "copy"], "the source stays"
    stored = await s.store.task(second.id)
    assert stored is not None and (stored.phase, stored.worker_id) == (Phase.QUEUED, "id-of-w")
    fetch = w.last
    await comes(s, w, fetch)
    assert set(where(s, 2)) == {"path-0-of-w", "path-0-of-p1"} and s.phase(second) == "queued"
    await s.returned(w.calls[0][2], P2, {})
    await s.until(lambda: s.phase(second) == "running")
    assert w.methods == ["SealPreCommit2", "Fetch", "SealPreCommit2"], "nothing was fetched again"
    await s.until(lambda: {path for _, _, path in s.removed} == {"path-0-of-p1"})  # now the source has gone
    assert set(where(s, 2)) == {"path-0-of-w"}
    found = s.index.on(SectorId(1000, 2))
    assert all(f.primary == OUTPUT for f in found if f.path_id == "path-0-of-w"), "the copy counts"


async def test_bound_while_the_files_are_still_coming_it_waits_for_them(life: Life) -> None:
    s = await life()
    _, w, first, second = await busy(s)
    fetch = w.last
    await s.returned(w.calls[0][2], P2, {})
    await s.until(lambda: s.phase(first) == "gone" and s.phase(second) == "bound")
    await comes(s, w, fetch)
    await s.until(lambda: s.phase(second) == "running")
    assert w.methods == ["SealPreCommit2", "Fetch", "SealPreCommit2"]
    await s.until(lambda: set(where(s, 2)) == {"path-0-of-w"})


async def test_bound_elsewhere_the_fetch_is_ended_and_its_copy_removed(life: Life) -> None:
    s = await life()
    _, w, _, second = await busy(s)
    fetch = w.last
    await s.declare(w, 2, FileType.SEALED)
    other = await s.worker("other", P2)
    await s.until(lambda: other.methods == ["Fetch"])
    assert other.calls[0][1][3] == "move"
    await s.until(lambda: w.aborted == [fetch.ID])
    await s.until(lambda: s.removed == [(2, FileType.SEALED, "path-0-of-w")])
    assert set(where(s, 2)) == {"path-0-of-p1"}
    await s.declare(other, 2, OUTPUT)
    await s.dispatch.returned("ReturnFetch", other.last, None, None)
    await s.until(lambda: s.phase(second) == "running")
    stored = await s.store.task(second.id)
    assert stored is not None and stored.worker_id == "id-of-other"


async def test_a_miner_that_dies_meanwhile_asks_for_the_same_fetch_again(life: Life) -> None:
    s = await life()
    p1, w, _, second = await busy(s)
    fetch = w.last
    s = await life()
    await s.connect(p1)
    await s.connect(w)
    await s.until(lambda: promised(s) == [2])
    await s.until(lambda: [m for m in w.methods if m == "Fetch"] == ["Fetch"] * 2)
    assert w.last == fetch, "our worker answers with the call that it holds"
    await comes(s, w, fetch)
    await s.returned(w.calls[0][2], P2, {})
    await s.until(lambda: s.phase(second) == "running")
    await s.until(lambda: set(where(s, 2)) == {"path-0-of-w"})


async def test_what_had_come_before_the_miner_died_is_used(life: Life) -> None:
    s = await life()
    p1, w, first, second = await busy(s)
    await comes(s, w, w.last)
    await s.written()
    s = await life()
    await s.connect(p1)
    await s.declare(p1, 2, OUTPUT)
    await s.connect(w)
    await s.declare(w, 2, OUTPUT)
    await s.declare(w, 1, OUTPUT)
    await s.until(lambda: promised(s) == [2])
    assert set(where(s, 2)) == {"path-0-of-w", "path-0-of-p1"}, "it is no leftover"
    await s.until(lambda: s.phase(first) == "running")
    await s.returned(w.calls[0][2], P2, {})
    await s.until(lambda: s.phase(second) == "running")
    assert w.methods.count("Fetch") == 1
    await s.until(lambda: set(where(s, 2)) == {"path-0-of-w"})


async def test_a_fetch_that_fails_leaves_the_pc2_waiting(life: Life) -> None:
    s = await life()
    _, w, _, second = await busy(s)
    await s.dispatch.returned("ReturnFetch", w.last, None, CallError(0, "connection reset"))
    await s.until(lambda: promised(s) == [])
    assert s.phase(second) == "queued" and s.pipeline.done == [], "no failure of the sector"
    stored = await s.store.task(second.id)
    await s.written()
    stored = await s.store.task(second.id)
    assert stored is not None and stored.worker_id is None and stored.fetch == FileType.NONE
    await s.returned(w.calls[0][2], P2, {})
    await s.until(lambda: w.methods[-1] == "Fetch" and len(w.methods) == 3)
    assert w.calls[-1][1][3] == "move", "now it is bound, and fetched as any other"


async def test_an_aborted_prefetch_ends_on_the_worker_and_the_pc2_waits_on(life: Life) -> None:
    s = await life()
    _, w, _, second = await busy(s)
    await s.dispatch.abort(w.last)
    await s.until(lambda: promised(s) == [])
    assert w.aborted[0] == w.last.ID and s.phase(second) == "queued"


async def test_an_abort_that_is_answered_late_leaves_the_pc2_where_it_has_gone(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    s = await life()
    _, w, _, second = await busy(s)
    fetch, call, answered = w.last, w.call, asyncio.Event()

    async def late(method: str, *params: Any, **more: Any) -> Any:
        done = await call(method, *params, **more)
        if method == "AbortCall":
            await answered.wait()
        return done

    monkeypatch.setattr(w, "call", late)
    abort = asyncio.create_task(s.dispatch.abort(fetch))
    await s.until(lambda: w.aborted == [fetch.ID])
    await s.dispatch.returned("ReturnFetch", fetch, None, CallError(0, TASK_ABORTED))
    await s.until(lambda: promised(s) == [])
    other = await s.worker("other", P2)
    await s.until(lambda: other.methods == ["Fetch"])
    answered.set()
    await abort
    assert s.phase(second) in ("bound", "preparing") and s.pipeline.done == []


async def test_a_return_that_is_still_written_is_not_that_of_the_next_worker_s_fetch(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    s = await life()
    _, w, _, second = await busy(s)
    await s.declare(w, 2, FileType.SEALED)
    slow, written = s.store.writes(), asyncio.Event()
    commit = slow.commit

    async def late() -> None:
        await commit()
        await written.wait()

    monkeypatch.setattr(slow, "commit", late)
    monkeypatch.setattr(s.store, "writes", lambda: slow)
    returning = asyncio.create_task(s.dispatch.returned("ReturnFetch", w.last, None, None))
    await asyncio.sleep(0)  # it has its transaction now
    monkeypatch.undo()
    other = await s.worker("other", P2)
    await s.until(lambda: other.methods == ["Fetch"])
    written.set()
    await returning
    flight = s.dispatch.desk.flights[second.id]
    assert (flight.row.worker_id, flight.row.fetched_at) == ("id-of-other", None)
    await s.declare(other, 2, OUTPUT)
    await s.dispatch.returned("ReturnFetch", other.last, None, None)
    await s.until(lambda: s.phase(second) == "running")


async def test_bound_to_a_worker_that_was_restarted_meanwhile_it_is_fetched_again(life: Life) -> None:
    s = await life()
    desk = s.dispatch.desk
    desk.patience = replace(desk.patience, restart_grace=0.2)
    _, w, first, second = await busy(s)
    w.restart()
    w.held.clear()
    await s.connect(w)
    await s.returned(w.calls[0][2], P2, {})
    await s.until(lambda: s.phase(first) == "gone" and s.phase(second) == "bound")
    await s.until(lambda: w.methods == ["SealPreCommit2", "Fetch", "Fetch"])
    assert w.calls[2][1][3] == "move", "lost, queued and bound again, as any other"


async def test_a_sector_that_is_not_wanted_any_more_takes_its_prefetch_with_it(life: Life) -> None:
    s = await life()
    _, w, _, second = await busy(s)
    await s.declare(w, 2, FileType.SEALED)
    await s.dispatch.cancel(second.id)
    assert w.aborted == [w.last.ID] and s.removed == [(2, FileType.SEALED, "path-0-of-w")]
    assert s.phase(second) == "gone" and await s.store.task(second.id) is None
    await s.until(lambda: promised(s) == [])


async def test_nor_does_a_fetch_go_on_that_was_just_being_asked_for(life: Life) -> None:
    s = await life()
    _, w, _, _ = await busy(s)
    asked, answer = asyncio.Event(), asyncio.Event()

    async def slow(_: CallID) -> None:
        asked.set()
        await answer.wait()

    w.caps["precommit2prefetch"] = "2"
    await s.connect(w)
    await s.declare(s.fakes["http://p1:3456/rpc/v0"], 3, OUTPUT)
    w.before_answer = slow
    third = await s.submit(3, P2)
    await asked.wait()
    cancel = asyncio.create_task(s.dispatch.cancel(third.id))
    await s.until(lambda: s.dispatch.desk.flights[third.id].cancelling)
    assert w.aborted == []
    answer.set()
    await cancel
    assert w.aborted == [w.last.ID] and s.phase(third) == "gone"


async def test_a_request_taken_out_by_hand_ends_its_prefetch(life: Life) -> None:
    s = await life()
    _, w, _, second = await busy(s)
    await s.dispatch.remove_request(second.id)
    await s.until(lambda: w.aborted == [w.last.ID])
    await s.until(lambda: s.phase(second) == "gone")
    assert promised(s) == [] and s.pipeline.done[-1][2].endswith("scheduling request removed")


async def test_a_forgotten_worker_s_prefetch_is_off(life: Life) -> None:
    s = await life()
    _, w, first, second = await busy(s)
    fetch = w.last
    lost = await s.dispatch.forget("id-of-w")
    assert [flight.row.id for flight in lost] == [first.id], "what waits has lost nothing"
    assert s.phase(second) == "queued"
    await s.until(lambda: promised(s) == [] and fetch.ID in w.aborted)
    flight = s.dispatch.desk.flights[second.id]
    assert (flight.ahead, flight.row.worker_id, flight.row.fetch_call_id) == ("", None, None)


async def test_a_worker_that_is_forgotten_before_it_is_back_leaves_nothing_fetched(life: Life) -> None:
    s = await life()
    _, w, _, second = await busy(s)
    await comes(s, w, w.last)
    await s.written()
    s = await life()
    assert s.dispatch.desk.flights[second.id].ahead == "id-of-w"
    await s.dispatch.forget("id-of-w")
    flight = s.dispatch.desk.flights[second.id]
    assert (flight.ahead, flight.row.worker_id, flight.row.fetched_at) == ("", None, None)


async def test_a_stock_worker_cannot_be_told_and_its_copy_goes_when_it_has_come(life: Life) -> None:
    s = await life()
    p1 = await s.worker("p1", P1)
    w = await s.worker("w", P2, stock=True)
    known = next(one for one in s.registry.by_id.values() if one.name == "w")
    kept = known.kept.set(known.stated, {"precommit2prefetch": "1"}, "2026-08-06T19:02:39Z")
    await s.registry.keep(known, kept)
    _, second = await one_runs(s, p1, w)
    fetch = w.last
    other = await s.worker("other", P2)
    await s.until(lambda: other.methods == ["Fetch"])
    await s.until(lambda: not s.dispatch.desk.flights[second.id].ahead)
    assert w.aborted == []
    await s.until(lambda: fetch.ID in s.dispatch._aheads._going_on)
    await s.declare(w, 2, OUTPUT)
    await s.dispatch.returned("ReturnFetch", fetch, None, None)
    await s.until(lambda: {path for _, _, path in s.removed} == {"path-0-of-w"})
    assert set(where(s, 2)) == {"path-0-of-p1"}


async def ready_on_w(s: Stage) -> tuple[FakeWorker, TaskRow]:
    """The PC2 of sector 2 is bound to w, its copy is there or still coming; the source is on p1."""
    _, w, first, second = await busy(s)
    await s.declare(w, 2, FileType.SEALED)
    await s.returned(w.calls[0][2], P2, {})
    await s.until(lambda: s.phase(first) == "gone" and s.phase(second) == "bound")
    return w, second


async def test_a_pc2_that_is_lost_before_it_begins_leaves_no_second_copy(life: Life) -> None:
    s = await life()
    w, second = await ready_on_w(s)
    w.away = True
    s.registry.unreachable(s.registry.by_id["id-of-w"], "cable out")
    await s.dispatch.give_up(w.last)
    await s.until(lambda: s.removed == [(2, FileType.SEALED, "path-0-of-w")])
    assert s.phase(second) == "queued" and set(where(s, 2)) == {"path-0-of-p1"}


async def test_lost_and_bound_there_again_it_is_fetched_as_any_other(life: Life) -> None:
    s = await life()
    w, second = await ready_on_w(s)
    await s.dispatch.give_up(w.last)
    await s.until(lambda: w.methods[2:] == ["Fetch"])
    assert w.calls[2][1][1:] == [6, "sealing", "move"], "what had come counts no more"
    await s.declare(w, 2, OUTPUT)
    await s.dispatch.returned("ReturnFetch", w.last, None, None)
    await s.until(lambda: s.phase(second) == "running")
    assert where(s, 2)["path-0-of-w"] == OUTPUT


async def test_nor_does_one_that_is_not_wanted_any_more(life: Life) -> None:
    s = await life()
    w, second = await ready_on_w(s)
    await s.dispatch.cancel(second.id)
    assert w.aborted == [w.last.ID]
    await s.until(lambda: s.removed == [(2, FileType.SEALED, "path-0-of-w")])
    assert set(where(s, 2)) == {"path-0-of-p1"}


async def test_a_copy_that_a_pc2_began_with_stays_when_the_pc2_fails(life: Life) -> None:
    s = await life()
    _, w, _, second = await busy(s)
    await comes(s, w, w.last)
    await s.returned(w.calls[0][2], P2, {})
    await s.until(lambda: s.phase(second) == "running" and len(s.removed) == 2)
    await s.returned(w.last, P2, None, CallError(0, "out of GPU memory"))
    await s.until(lambda: s.phase(second) == "gone")
    assert set(where(s, 2)) == {"path-0-of-w"}
    assert {path for _, _, path in s.removed} == {"path-0-of-p1"}


async def test_a_miner_that_dies_before_an_unwanted_copy_is_deleted_has_it_deleted_later(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    s = await life()
    p1, w, _, second = await busy(s)
    writes = s.store.writes()
    remember(writes, SectorId(1000, 2), "id-of-p1")
    await writes.commit()
    await s.declare(w, 2, FileType.SEALED)
    call, asked, never = w.call, asyncio.Event(), asyncio.Event()

    async def hangs(method: str, *params: Any, **more: Any) -> Any:
        if method == "AbortCall":
            asked.set()
            await never.wait()
        return await call(method, *params, **more)

    monkeypatch.setattr(w, "call", hangs)
    other = await s.worker("other", P2)
    await asked.wait()
    assert s.removed == []
    await s.until(lambda: s.phase(second) == "preparing")
    await s.written()
    s = await life()
    monkeypatch.setattr(w, "call", call)
    s.index.judge = s.leftovers.judge
    for worker in (p1, other, w):
        await s.connect(worker)
    await s.declare(p1, 2, OUTPUT)
    await s.declare(w, 2, FileType.SEALED)
    await s.leftovers.joined("id-of-w")
    await s.until(lambda: s.removed == [(2, FileType.SEALED, "path-0-of-w")])
    assert set(where(s, 2)) == {"path-0-of-p1"}


async def test_files_that_are_promised_to_a_worker_again_are_not_deleted_under_their_fetch(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    s = await life()
    p1, w = await s.worker("p1", P1), await s.worker("w", P2)
    await s.declare(p1, 2, OUTPUT)
    await s.declare(w, 2, OUTPUT)
    removed, remove = [], s.leftovers._remove

    async def slowly(sector: SectorId, types: FileType, keep: Any, only: Any) -> None:
        # While the first goes, the worker is told to fetch them again.
        monkeypatch.setattr(s.index, "makers", lambda _: frozenset({"id-of-w"}))
        removed.append(types)
        await remove(sector, types, keep, only)

    monkeypatch.setattr(s.leftovers, "_remove", slowly)
    await s.leftovers.unwanted(SectorId(1000, 2), "id-of-w")
    assert len(removed) == 1, "the second is being written by now"
    await s.declare(w, 2, OUTPUT)
    assert where(s, 2)["path-0-of-w"] == OUTPUT
