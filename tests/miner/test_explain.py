"""``SealingExplain`` and ``SealingEndRest``: what the miner answers about tasks and rests."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from miner.dispatch_stage import FakeWorker, Stage

from lotus_sched_cli.core.events import Outcome, TaskEnded, TaskQueued, TaskSpec
from lotus_sched_cli.core.tasks import FileType, SectorId, TaskType
from lotus_sched_cli.lotus import units
from lotus_sched_cli.lotus.explained import ExplainedTask
from lotus_sched_cli.lotus.rpc.errors import RpcError
from lotus_sched_cli.miner.api.explain import ExplainAPI
from lotus_sched_cli.miner.views.explain import explain

C1, C2 = TaskType.COMMIT1, TaskType.COMMIT2
REPLICA = FileType.SEALED | FileType.CACHE


def miner(s: Stage) -> Any:
    """The parts of a miner that are looked at."""
    facts = SimpleNamespace(actor=1000)
    return SimpleNamespace(workers=s.registry, dispatch=s.dispatch, clock=s.clock, facts=facts, index=s.index)


def api(s: Stage) -> ExplainAPI:
    made = ExplainAPI()
    made._miner = miner(s)
    return made


async def two_c2(s: Stage) -> tuple[str, str]:
    """A worker with one C2 slot: the first runs, the second waits."""
    await s.worker("w", C2)
    first, second = await s.submit(1, C2, [[]]), await s.submit(2, C2, [[]])
    await s.until(lambda: s.phase(first) == "running")
    return first.id, second.id


async def test_a_waiting_task_is_told_by_its_sector_by_its_id_and_by_a_part_of_it(s: Stage) -> None:
    _, second = await two_c2(s)
    by_sector, by_id, by_part = (explain(miner(s), what) for what in ("2", second, second[:-2]))
    assert by_sector == by_id == by_part == explain(miner(s), "s-t01000-2")
    (told,) = by_sector
    assert (told.TaskID, told.Sector, told.Task, told.State, told.Ahead) == (second, 2, C2.value, "queued", 0)
    (worker,) = told.Workers or ()
    assert worker.Name == "w" and worker.Why == "commit2-max"
    assert worker.Figures == {"need": 1, "in_use": 1, "max": 1}
    assert worker.Text == "not enough Commit2 quota, 1 need, 1 in use, Commit2Max is 1"
    assert worker.Change == "when its C2 ends, or --commit2max is raised"


async def test_a_placed_task_is_told_with_its_worker(s: Stage) -> None:
    first, _ = await two_c2(s)
    (told,) = explain(miner(s), "1")
    assert isinstance(told, ExplainedTask)
    assert (told.TaskID, told.Worker, told.Workers) == (first, "w", None)
    assert told.Placed and told.Reasons["in_question"] == 1


async def test_a_running_task_tells_that_its_worker_has_gone_away(s: Stage) -> None:
    await two_c2(s)
    await s.until(lambda: explain(miner(s), "1")[0].State == "running")
    assert explain(miner(s), "1")[0].LastSeen == ""
    worker = s.registry.by_id["id-of-w"]
    s.registry.unreachable(worker, "refused")
    (told,) = explain(miner(s), "1")
    assert (told.State, told.LastSeen) == ("running", units.go_time(worker.last_seen))


async def test_what_does_not_wait_or_run_is_refused_with_where_to_look(s: Stage) -> None:
    with pytest.raises(RpcError, match="no task of sector 9 waits or runs; 'sectors status --log 9'"):
        explain(miner(s), "9")
    with pytest.raises(RpcError, match='no task "xyz"; see sealing jobs --queued'):
        explain(miner(s), "xyz")
    with pytest.raises(RpcError, match='no task ""'):
        explain(miner(s), "")


async def c1_of_sector_1(s: Stage) -> tuple[FakeWorker, str]:
    """Its files lie with one worker, which has gone away, and another one offers C1, too."""
    holder = await s.worker("holder", C1)
    await s.declare(holder, 1, REPLICA)
    await s.worker("other", C1)
    holder.away = True
    s.registry.unreachable(s.registry.by_id["id-of-holder"], "refused")
    task = await s.submit(1, C1, ["", "", [], {}])
    return holder, task.id


async def test_a_task_whose_files_lie_with_an_absent_worker_names_it(s: Stage) -> None:
    await c1_of_sector_1(s)
    await s.until(lambda: bool(s.dispatch.scheduler.tasks_of(SectorId(1000, 1))))
    (told,) = explain(miner(s), "1")
    (absent,) = told.Absent or ()
    assert (absent.Name, absent.Types) == ("holder", ["sealed", "cache"])
    assert absent.LastSeen == units.go_time(s.registry.by_id["id-of-holder"].last_seen)
    assert absent.Change == (
        "start it again; if it is gone for good, lotus-miner sealing forget holder sends the sector back"
    )


async def test_it_is_named_too_after_the_miner_s_restart_and_when_its_path_is_taken_out_then(
    s: Stage,
) -> None:
    await c1_of_sector_1(s)
    again = Stage(s.store, s.fakes, s.dispatch.desk.patience)
    await s.stop()
    await again.start()
    try:
        await again.until(lambda: bool(again.dispatch.scheduler.tasks_of(SectorId(1000, 1))))
        assert [a.Name for a in explain(miner(again), "1")[0].Absent or ()] == ["holder"]
        await again.index.detach("path-0-of-holder", "http://holder:3456/remote")
        assert [a.Name for a in explain(miner(again), "1")[0].Absent or ()] == ["holder"]
    finally:
        await again.stop()


async def test_a_stopped_worker_is_named_and_one_in_reach_hides_nobody(s: Stage) -> None:
    await c1_of_sector_1(s)
    await s.index.detach("path-0-of-holder", "http://holder:3456/remote")
    await s.until(lambda: bool(s.dispatch.scheduler.tasks_of(SectorId(1000, 1))))
    assert [(a.Name, a.Types) for a in explain(miner(s), "1")[0].Absent or ()] == [
        ("holder", ["sealed", "cache"])
    ]
    third = await s.worker("third")
    await s.declare(third, 1, REPLICA)
    assert explain(miner(s), "1")[0].Absent is None


async def test_the_operator_ends_a_rest(s: Stage) -> None:
    await s.worker("w", C2)
    worker, scheduler = s.registry.live()[0], s.dispatch.scheduler
    await s.until(lambda: bool(scheduler.workers()))
    for n in range(2):
        spec = TaskSpec(f"c2-{n}", SectorId(1000, 50 + n), 8, C2)
        scheduler.handle(s.clock(), TaskQueued(spec))
        scheduler.handle(s.clock(), TaskEnded(spec.id, Outcome.FAILED, "driver lost"))
    ledger = scheduler.ledger(worker.id)
    assert ledger is not None and [rest.task for rest in ledger.rests] == [C2]
    with pytest.raises(RpcError, match="does not rest from PC2"):
        await api(s).SealingEndRest("w", "pc2")
    with pytest.raises(RpcError, match='no task type "C9"; use one of AP, C1, C2'):
        await api(s).SealingEndRest("w", "C9")
    assert await api(s).SealingEndRest("w", "") == [C2.value]
    await s.until(lambda: not scheduler.ledger(worker.id).rests)  # type: ignore[union-attr]
    with pytest.raises(RpcError, match="does not rest from anything"):
        await api(s).SealingEndRest("w", "")
