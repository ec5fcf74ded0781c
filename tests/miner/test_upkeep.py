"""What operators do to workers by hand: caps that change while they run, kept where they belong."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from miner.dispatch_stage import Stage

from lotus_sched_cli.core.pipeline.states import State
from lotus_sched_cli.core.tasks import FileType, TaskType
from lotus_sched_cli.lotus.extras import WorkerCapRows
from lotus_sched_cli.lotus.rpc.errors import RpcError
from lotus_sched_cli.miner import forget, upkeep
from lotus_sched_cli.miner.known_workers import limits
from lotus_sched_cli.miner.records import TaskRow

P1, P2 = TaskType.PRECOMMIT1, TaskType.PRECOMMIT2
C2, AP = TaskType.COMMIT2, TaskType.ADD_PIECE


def miner(s: Stage) -> Any:
    """The parts of a miner that upkeep looks at."""
    return SimpleNamespace(workers=s.registry, dispatch=s.dispatch, clock=s.clock, index=s.index)


def value(table: WorkerCapRows, name: str) -> tuple[str, str]:
    row = next(r for r in table.Caps if r.Name == name)
    return row.Value, row.Source


async def test_a_stock_worker_s_caps_are_kept_here_and_outlive_restarts_of_the_miner(
    s: Stage, tmp_path: Path
) -> None:
    fake = await s.worker("stock", P1, AP, stock=True)
    table = await upkeep.caps_set(miner(s), "stock", {"precommit1max": "2", "addpiecemax": "1"})
    assert table.Owner == "miner" and value(table, "precommit1max") == ("2", "live")
    assert value(table, "precommit2max") == ("1", "config")
    first = await s.submit(1, AP, [[], 2032, {"Type": "null", "Info": "2032"}])
    second = await s.submit(2, AP, [[], 2032, {"Type": "null", "Info": "2032"}])
    await s.until(lambda: s.phase(first) == "running")
    assert s.phase(second) == "queued"
    assert s.dispatch.scheduler.workers()[0].caps.precommit1_max == 2

    again = Stage(s.store, s.fakes, s.dispatch.desk.patience)
    await s.stop()
    await again.start()
    try:
        (before,) = await upkeep.caps_list(miner(again), "stock")
        assert "not registered since the miner started" in before.Error
        assert {row.Name: (row.Value, row.Source) for row in before.Caps} == {
            "precommit1max": ("2", "live"),
            "addpiecemax": ("1", "live"),
        }
        await again.connect(fake)
        worker = again.registry.live()[0]
        assert worker.caps.precommit1_max == 2 and limits(worker)[AP, 8] == 1
        table = await upkeep.caps_reset(miner(again), "stock", [])
        assert value(table, "precommit1max") == ("7", "config")
    finally:
        await again.stop()


async def test_a_worker_that_knows_its_caps_is_passed_the_change_and_asked_again(s: Stage) -> None:
    fake = await s.worker("w", P1)
    table = await upkeep.caps_set(miner(s), "w", {"precommit1max": "9"})
    assert fake.caps["precommit1max"] == "9" and table.Owner == "worker"
    assert s.registry.live()[0].caps.precommit1_max == 9
    await s.until(lambda: [w.caps.precommit1_max for w in s.dispatch.scheduler.workers()] == [9])
    listed = (await upkeep.caps_list(miner(s), ""))[0]
    assert value(listed, "precommit1max") == ("9", "live")
    await upkeep.caps_reset(miner(s), "w", ["precommit1max"])
    assert s.registry.live()[0].caps.precommit1_max == 7


async def test_a_lowered_cap_lets_work_finish_and_takes_no_more(s: Stage) -> None:
    await s.worker("w", C2)
    await upkeep.caps_set(miner(s), "w", {"commit2max": "2"})
    rows = [await s.submit(n, C2, ["AQ=="]) for n in range(3)]
    await s.until(lambda: [s.phase(r) for r in rows] == ["running", "running", "queued"])
    await upkeep.caps_set(miner(s), "w", {"commit2max": "1"})
    # Which of the two was sent first is not said.
    calls = s.fakes["http://w:3456/rpc/v0"].calls
    call = next(call for _, _, call in calls if call.Sector.Number == 0)
    await s.returned(call, C2, b"proof")
    await s.until(lambda: s.phase(rows[0]) == "gone")
    await s.written()
    assert [s.phase(r) for r in rows[1:]] == ["running", "queued"]


async def test_a_worker_out_of_reach_is_told_of_and_nothing_changes(s: Stage) -> None:
    fake = await s.worker("w", P1)
    fake.away = True
    with pytest.raises(RpcError, match="keeps its caps itself and is out of reach, nothing is changed"):
        await upkeep.caps_set(miner(s), "w", {"precommit1max": "9"})
    listed = (await upkeep.caps_list(miner(s), "w"))[0]
    assert "refused" in listed.Error and value(listed, "precommit1max") == ("7", "worker")


async def test_of_a_frozen_worker_it_is_said_that_it_may_still_take_the_change(s: Stage) -> None:
    fake = await s.worker("w", P1)
    fake.frozen = True
    for change in (
        upkeep.caps_set(miner(s), "w", {"precommit1max": "9"}),
        upkeep.caps_reset(miner(s), "w", []),
    ):
        with pytest.raises(RpcError) as failed:
            await change
        assert "has not answered" in str(failed.value) and "may still take the change" in str(failed.value)
        assert str(failed.value).endswith("then look with 'sealing caps list w'")
        assert "RPC client error" not in str(failed.value)
    listed = (await upkeep.caps_list(miner(s), "w"))[0]
    assert listed.Error.startswith("it has not answered") and value(listed, "precommit1max") == (
        "7",
        "worker",
    )


async def test_a_worker_that_freezes_after_it_took_the_change_has_taken_it(s: Stage) -> None:
    fake = await s.worker("w", P1)
    answer = fake.call

    async def once(method: str, *params: Any, **how: Any) -> Any:
        rows = await answer(method, *params, **how)
        fake.frozen = fake.frozen or method == "CapsSet"
        return rows

    fake.call = once  # type: ignore[method-assign]
    table = await upkeep.caps_set(miner(s), "w", {"precommit1max": "9"})
    assert value(table, "precommit1max") == ("9", "live")


async def test_which_worker_is_meant(s: Stage) -> None:
    await s.worker("one", P1)
    await s.worker("two", P1)
    assert upkeep.find(s.registry, "2").name == "two"
    assert upkeep.find(s.registry, "one").number == 1
    assert upkeep.find(s.registry, s.registry.live()[1].session[:13]).name in ("one", "two")
    with pytest.raises(RpcError, match=r"2 workers match \"id-of\": .*number 1, one.*number 2, two"):
        upkeep.find(s.registry, "id-of")
    with pytest.raises(RpcError, match='no worker "three"; known are'):
        upkeep.find(s.registry, "three")
    with pytest.raises(RpcError, match='no worker ""'):
        upkeep.find(s.registry, "")


async def test_a_drained_worker_takes_no_more_and_stays_so_over_a_restart_of_the_miner(s: Stage) -> None:
    fake = await s.worker("w", C2)
    running = await s.submit(1, C2, ["AQ=="])
    await s.until(lambda: s.phase(running) == "running")
    load = await upkeep.drain(miner(s), "w", "tasks", False)
    assert (load.Drain, load.Carried) == ("tasks", {"seal/v0/commit/2": 1})
    waits = await s.submit(2, C2, ["AQ=="])
    await s.returned(fake.calls[0][2], C2, b"proof")
    await s.until(lambda: s.phase(running) == "gone")
    assert upkeep.load(miner(s), s.registry.live()[0]).Carried == {} and s.phase(waits) == "queued"

    again = Stage(s.store, s.fakes, s.dispatch.desk.patience)
    await s.stop()
    await again.start()
    try:
        await again.connect(fake)
        await again.written()
        assert again.phase(waits) == "queued"
        await upkeep.drain(miner(again), "w", "", False)
        await again.until(lambda: again.phase(waits) == "running")
    finally:
        await again.stop()


async def test_a_drain_until_restart_is_over_when_the_worker_starts_again(s: Stage) -> None:
    fake = await s.worker("w", C2)
    await upkeep.drain(miner(s), "w", "tasks", True)
    waits = await s.submit(1, C2, ["AQ=="])
    await s.connect(fake)
    await s.written()
    assert s.phase(waits) == "queued" and s.registry.live()[0].kept.drain == "tasks"
    fake.restart()
    await s.connect(fake)
    await s.until(lambda: s.phase(waits) == "running")
    assert s.registry.live()[0].kept.drain == ""


async def test_a_level_that_is_none_is_said(s: Stage) -> None:
    await s.worker("w", C2)
    with pytest.raises(RpcError, match='"all" is no level of drain; use sectors or tasks'):
        await upkeep.drain(miner(s), "w", "all", False)


async def test_a_task_is_given_by_hand_or_its_refusal_is_told(s: Stage) -> None:
    await s.worker("w", C2)
    rows = [await s.submit(n, C2, ["AQ=="]) for n in range(2)]
    await s.until(lambda: s.phase(rows[0]) == "running")
    with pytest.raises(RpcError, match=r"w does not take it: not enough Commit2 quota.*--force helps"):
        await upkeep.assign(miner(s), rows[1].id, "w", False)
    await upkeep.assign(miner(s), rows[1].id, "w", True)
    await s.until(lambda: s.phase(rows[1]) == "running")
    with pytest.raises(RpcError, match=r"no task .* waits for a worker"):
        await upkeep.assign(miner(s), rows[1].id, "w", True)


# -- forget ------------------------------------------------------------------------------------------------------------


class FakeSectors:
    """Sectors that wait in PreCommit2; those whose files are lost go back."""

    def __init__(self) -> None:
        self.back: list[tuple[int, FileType]] = []

    def state(self, number: int) -> State:
        return State.PRECOMMIT1 if number in dict(self.back) else State.PRECOMMIT2

    async def files_lost(self, row: TaskRow, types: FileType) -> None:
        self.back.append((row.sector.number, types))


def with_sectors(s: Stage) -> Any:
    found = miner(s)
    found.sectors = FakeSectors()
    return found


CID = {"/": "bagboea4b5abcatlxechwbp7kjpjguna6r6q7ejrhe6mdp3lf34pmswn27pkkiekz"}
P1_OUT = FileType.SEALED | FileType.CACHE


async def test_a_worker_that_answers_is_not_forgotten_unless_forced(s: Stage) -> None:
    await s.worker("w", C2)
    with pytest.raises(RpcError, match=r"still answers at .*: stop or drain it first"):
        await forget.forget(with_sectors(s), "w", False)
    assert (await forget.forget(with_sectors(s), "w", True)).Name == "w"
    assert s.registry.by_id == {} and await s.store.workers() == []


async def test_a_forgotten_worker_s_jobs_go_on_elsewhere_and_its_only_copies_are_told(s: Stage) -> None:
    dead = await s.worker("dead", P2)
    await s.declare(dead, 1, P1_OUT)
    await s.declare(dead, 2, P1_OUT)
    running = await s.submit(1, P2, ["AQ=="])
    await s.until(lambda: s.phase(running) == "running")
    other = await s.worker("other", P2)
    await s.declare(other, 1, P1_OUT)
    await s.declare(other, 3, P1_OUT)
    busy = await s.submit(3, P2, ["AQ=="])
    await s.until(lambda: s.phase(busy) == "running")
    waits = await s.submit(2, P2, ["AQ=="])
    dead.away = True
    m = with_sectors(s)
    done = await forget.forget(m, "dead", False)
    assert [(j.Task, j.Sector) for j in done.Jobs] == [(P2.value, 1)]
    assert done.Paths == ["path-0-of-dead"]
    assert [(x.Sector, x.State, x.Types, x.Next) for x in done.Lost] == [
        (2, "PreCommit2", ["sealed", "cache"], "PreCommit1")
    ]
    assert m.sectors.back == [(2, P1_OUT)]
    await s.returned(other.calls[0][2], P2, {"Unsealed": CID, "Sealed": CID})
    await s.until(lambda: s.phase(running) == "running")
    assert other.calls[-1][2].Sector.Number == 1 and s.phase(waits) == "queued"
    assert [w.name for w in s.registry.by_id.values()] == ["other"]
    assert set(s.index.paths) == {"path-0-of-other"}


async def test_what_a_stopped_worker_held_is_told_when_it_is_forgotten(s: Stage) -> None:
    """``lotus-worker stop`` takes its paths out of the index first; that loses nothing yet."""
    stopped = await s.worker("stopped", P2)
    other = await s.worker("other", TaskType.COMMIT1)
    for number in (1, 2, 3):
        await s.declare(stopped, number, P1_OUT)
    await s.declare(other, 3, P1_OUT)
    await s.index.detach("path-0-of-stopped", "http://stopped:3456/remote")
    stopped.away = True
    await s.index.detach("path-0-of-other", "http://other:3456/remote")
    again = Stage(s.store, s.fakes, s.dispatch.desk.patience)
    await s.stop()
    await again.start()
    try:
        await again.submit(2, P2, ["AQ=="])
        m = with_sectors(again)
        done = await forget.forget(m, "stopped", False)
        assert done.Paths == ["path-0-of-stopped"]
        assert [(x.Sector, x.Types, x.Next) for x in done.Lost] == [
            (1, ["sealed", "cache"], "later"),
            (2, ["sealed", "cache"], "PreCommit1"),
        ], "the third lies with the other one, which is stopped only"
        assert m.sectors.back == [(2, P1_OUT)]
        assert set(again.index.away) == {"path-0-of-other"}
        assert {r.path_id for r in await again.store.uncounted()} == {"path-0-of-other"}
    finally:
        await again.stop()


async def test_a_path_of_two_stopped_workers_stays_when_one_is_forgotten(s: Stage) -> None:
    """On one NFS mount: the other one has the files still."""
    both = [await s.worker(name, P2) for name in ("one", "two")]
    for fake in both:
        fake.paths = ["shared"]
        await s.connect(fake)
    await s.declare(both[0], 1, P1_OUT)
    for fake in both:
        await s.index.detach("shared", f"http://{fake.name}:3456/remote")
        fake.away = True
    await s.submit(1, P2, ["AQ=="])
    m = with_sectors(s)
    done = await forget.forget(m, "one", False)
    assert "shared" not in done.Paths and done.Lost == [] and m.sectors.back == []
    done = await forget.forget(m, "two", False)
    assert "shared" in done.Paths and [lost.Sector for lost in done.Lost] == [1]


async def test_a_worker_of_an_earlier_run_is_shown_and_forgotten_too(s: Stage) -> None:
    dead = await s.worker("dead", P2)
    await s.declare(dead, 1, P1_OUT)
    again = Stage(s.store, s.fakes, s.dispatch.desk.patience)
    await s.stop()
    dead.away = True
    await again.start()
    try:
        gone = upkeep.absent(miner(again))
        assert [(a.Name, a.Number) for a in gone] == [("dead", 1)] and gone[0].LastSeen
        done = await forget.forget(with_sectors(again), "dead", False)
        assert done.Paths == ["path-0-of-dead"] and again.index.paths == {}
        assert upkeep.absent(miner(again)) == []
    finally:
        await again.stop()
