"""The windowed policy on its way through the miner: what waits where, what starts when, and what is shown of it."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

from miner.dispatch_stage import Stage
from miner.test_dispatch import C2, Life, life

from lotus_sched_cli.core.events import Settings
from lotus_sched_cli.core.windowed import INIT_WAIT
from lotus_sched_cli.lotus.types import NIL_UUID, WorkerJob
from lotus_sched_cli.miner.views.diag import sched_diag
from lotus_sched_cli.miner.views.jobs import queue, worker_jobs

__all__ = ["life"]


async def windowed(s: Stage) -> None:
    """The policy is switched, and its first seconds are over."""
    s.dispatch.change_settings(Settings(policy="windowed"))
    await s.until(lambda: s.dispatch.scheduler.settings.policy == "windowed")
    s.offset += INIT_WAIT
    s.dispatch.post()


def shown(s: Stage) -> Any:
    """What the views need of a miner."""
    return SimpleNamespace(dispatch=s.dispatch, workers=s.registry, clock=s.clock)


def jobs(s: Stage, session: str) -> list[WorkerJob]:
    return sorted(worker_jobs(shown(s)).get(session, []), key=lambda job: job.RunWait)


async def test_five_c2_on_one_slot_run_are_prepared_assigned_and_queued(life: Life) -> None:
    s = await life()
    worker = await s.worker("w", C2)
    await windowed(s)
    rows = [await s.submit(n, C2) for n in range(1, 6)]
    await s.until(lambda: Counter(s.phase(r) for r in rows) == {"running": 1, "bound": 1, "queued": 3})
    await s.until(lambda: len(s.dispatch.scheduler.queue()) == 3)
    found = jobs(s, worker.session)
    assert [job.RunWait for job in found] == [0, 1, 2, 3]
    assert [job.ID.ID == NIL_UUID for job in found] == [False, True, True, True]
    assert len(worker.calls) == 1, "only what runs has been sent"
    assert [job.Sector for job in queue(shown(s))] == [5]
    diag = sched_diag(shown(s))
    assert [request.Sector.Number for request in diag.SchedInfo.Requests or []] == [5]
    assert diag.SchedInfo.OpenWindows is None

    await s.returned(worker.last, C2, b"proof")
    await s.until(lambda: len(worker.calls) == 2)
    await s.until(lambda: Counter(s.phase(r) for r in rows)["queued"] == 2)
    assert [job.RunWait for job in jobs(s, worker.session)] == [0, 1, 2, 3]


async def test_open_windows_are_listed_one_by_one(life: Life) -> None:
    s = await life()
    worker = await s.worker("w", C2)
    assert sched_diag(shown(s)).SchedInfo.OpenWindows == [worker.session]
    await windowed(s)
    await s.until(lambda: s.dispatch.scheduler.open_windows() == ["id-of-w", "id-of-w"])
    assert sched_diag(shown(s)).SchedInfo.OpenWindows == [worker.session] * 2


async def test_a_prepared_task_starts_when_the_balanced_scheduler_takes_over(life: Life) -> None:
    s = await life()
    worker = await s.worker("w", C2)
    await windowed(s)
    rows = [await s.submit(n, C2) for n in (1, 2)]
    await s.until(lambda: [s.phase(r) for r in rows] == ["running", "bound"])
    s.dispatch.change_settings(Settings())
    await s.until(lambda: [s.phase(r) for r in rows] == ["running", "running"])
    assert len(worker.calls) == 2


async def test_after_a_restart_a_prepared_task_waits_for_its_turn_again(life: Life) -> None:
    s = await life()
    worker = await s.worker("w", C2)
    await windowed(s)
    rows = [await s.submit(n, C2) for n in (1, 2)]
    await s.until(lambda: [s.phase(r) for r in rows] == ["running", "bound"])
    await s.until(lambda: s.dispatch.desk.flights[rows[1].id].prepared)
    await s.written()
    s = await life()
    s.dispatch.change_settings(Settings(policy="windowed"))
    await s.connect(worker)
    await s.until(lambda: s.dispatch.desk.flights[rows[1].id].prepared)
    assert len(worker.calls) == 1, "it has not been sent"
    await s.returned(worker.last, C2, b"proof")
    await s.until(lambda: len(worker.calls) == 2)
    await s.until(lambda: s.phase(rows[1]) == "running")


async def test_a_prepared_task_that_is_no_longer_wanted_goes_without_a_call(life: Life) -> None:
    s = await life()
    worker = await s.worker("w", C2)
    await windowed(s)
    rows = [await s.submit(n, C2) for n in (1, 2, 3)]
    await s.until(lambda: s.dispatch.desk.flights[rows[1].id].prepared)
    await s.dispatch.cancel(rows[1].id)
    await s.until(lambda: s.phase(rows[1]) == "gone")
    await s.until(lambda: s.dispatch.desk.flights[rows[2].id].prepared)
    assert len(worker.calls) == 1 and not worker.aborted
