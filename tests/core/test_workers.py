"""Workers come, go, hang, change (scheduling.md A2, A3, A7)."""

from __future__ import annotations

import pytest
from core.scene import ALL, AP, C1, C2, CACHE, FIN, P1, P2, PROOF, SEALED, UNSEALED, Scene, caps, like, task

from lotus_sched_cli.core.events import (
    Outcome,
    Settings,
    TaskEnded,
    TaskPreparing,
    TaskRestored,
    TaskRunning,
    WorkerCaps,
    WorkerDrain,
    WorkerJoined,
    WorkerLeft,
    WorkerOnline,
    WorkerTasks,
)
from lotus_sched_cli.core.scheduler import Scheduler

P1_OUT = SEALED | CACHE


def test_a_worker_that_hangs_takes_nothing_new_but_what_it_carries_stays_counted() -> None:
    s = Scene()
    s.worker("w", {C2}, caps(c2=2))
    s.queue(task(1, C2))
    s.running(task(1, C2))
    s.tell(WorkerOnline("w", False))
    assert s.queue(task(2, C2)) == []
    assert s.why_not(task(2, C2), "w") == "Maybe it's offline."
    assert s.carried(C2)["w"] == 1
    assert [d.task.id for d in s.tell(WorkerOnline("w", True))] == ["C2-2"]


def test_a_hanging_worker_keeps_nobody_from_the_others() -> None:
    s = Scene()
    for name in ("hangs", "works"):
        s.worker(name, {C2})
    s.tell(WorkerOnline("hangs", False))
    for n in range(3):
        s.queue(task(n, C2))
    assert s.where["C2-0"] == "works"
    assert s.end(task(0, C2))[0].worker_id == "works"


def test_a_worker_in_maintenance_finishes_and_takes_no_more_and_its_files_stay_useful() -> None:
    s = Scene()
    s.worker("w", limits=caps(p1=2))
    s.files(1, P1_OUT, "w", "w")
    s.queue(task(9, C2))
    s.tell(WorkerDrain("w", True))
    s.queue(task(1, P2))
    assert s.why_not(task(1, P2), "w") == "It plans offline maintenance"
    assert s.carried(C2)["w"] == 1
    s.worker("other", {P2})
    assert s.where["PC2-1"] == "other", "it fetches from the one in maintenance"
    s.queue(task(10, C2))
    s.end(task(9, C2))
    assert [d.task.id for d in s.tell(WorkerDrain("w", False))] == ["C2-10"]


def test_a_restarted_worker_still_has_its_files_and_its_tasks() -> None:
    s = Scene()
    s.worker("w", limits=caps(bound=True))
    s.worker("other", {P2})
    s.files(1, P1_OUT, "w", "w")
    s.queue(task(5, C2))
    (known,) = [w for w in s.scheduler.workers() if w.id == "w"]
    s.tell(WorkerJoined(like(known, session="another-process")))
    assert s.carried(C2)["w"] == 1
    s.queue(task(1, P2))
    assert s.where["PC2-1"] == "w"


def test_what_a_worker_that_left_carries_is_counted_until_it_ends() -> None:
    s = Scene()
    s.worker("w", {C2})
    s.queue(task(1, C2))
    s.tell(WorkerLeft("w"))
    assert s.scheduler.workers() == []
    ledger = s.scheduler.ledger("w")
    assert ledger is not None and ledger.by_type == {C2: 1}
    s.end(task(1, C2), Outcome.AGAIN, "lost")
    assert s.scheduler.ledger("w") is None
    assert s.waiting() == ["C2-1"]


def test_lowering_a_cap_below_what_is_carried_lets_work_finish_and_takes_no_more() -> None:
    s = Scene()
    s.worker("w", {C2}, caps(c2=3))
    s.queue(*(task(n, C2) for n in range(5)))
    s.tell(WorkerCaps("w", caps(c2=1)))
    assert s.why_not(task(3, C2), "w") == "not enough Commit2 quota, 1 need, 3 in use, Commit2Max is 1"
    assert s.end(task(0, C2)) == [] and s.end(task(1, C2)) == []
    assert [d.task.id for d in s.end(task(2, C2))] == ["C2-3"]


def test_raising_a_cap_is_used_at_once() -> None:
    s = Scene()
    s.worker("w", {C2})
    s.queue(*(task(n, C2) for n in range(4)))
    assert len(s.tell(WorkerCaps("w", caps(c2=3)))) == 2


def test_a_cap_of_zero_is_a_task_type_not_offered() -> None:
    s = Scene()
    s.worker("w", ALL, caps(c2=0))
    assert s.queue(task(1, C2)) == []
    assert s.why_not(task(1, C2), "w") == "it does not offer this task type"


def test_task_types_may_change_too() -> None:
    s = Scene()
    s.worker("w", {P1})
    assert s.queue(task(1, C2)) == []
    assert len(s.tell(WorkerTasks("w", frozenset({C2})))) == 1
    s.end(task(1, C2))
    s.tell(WorkerTasks("w", frozenset({P1})))
    assert s.queue(task(2, C2)) == []


def test_tasks_without_a_cap_follow_the_worker_s_limits_else_none() -> None:
    s = Scene()
    s.worker("limited", {C1, FIN}, max_concurrent={(C1, PROOF): 2})
    for n in range(5):
        s.files(n, P1_OUT, "limited")
    s.queue(*(task(n, C1) for n in range(5)))
    assert s.carried(C1)["limited"] == 2
    assert s.why_not(task(4, C1), "limited") == "at task limit tt=seal/v0/commit/1, curcount=2"
    s.queue(*(task(n, FIN) for n in range(5)))
    assert s.carried(FIN)["limited"] == 5
    assert len(s.end(task(0, C1))) == 1


def test_a_limit_counts_its_own_proof_only() -> None:
    s = Scene()
    s.worker("w", {AP}, max_concurrent={(AP, PROOF): 1})
    bound = s.queue(task(1, AP), task(2, AP), task(3, AP, proof=9))
    assert {d.task.id for d in bound} == {"AP-1", "AP-3"}


def test_caps_stand_above_max_concurrent_for_p1_p2_and_c2() -> None:
    s = Scene()
    s.worker("w", {C2}, caps(c2=3), max_concurrent={(C2, PROOF): 1})
    assert len(s.queue(*(task(n, C2) for n in range(5)))) == 3


def test_bound_and_preparing_count_as_running_does() -> None:
    s = Scene()
    s.worker("w", {P2}, caps(p2=2))
    s.worker("store", ())
    for n in range(3):
        s.files(n, P1_OUT, "store")
    s.queue(*(task(n, P2) for n in range(3)))
    s.tell(TaskPreparing("PC2-0"))
    assert s.waiting() == ["PC2-2"]
    s.tell(TaskRunning("PC2-0"))
    assert s.waiting() == ["PC2-2"]
    ledger = s.scheduler.ledger("w")
    assert ledger is not None
    assert sorted(c.state for c in ledger.carried) == ["bound", "running"]


def test_after_our_own_restart_what_runs_is_counted_before_anything_is_bound() -> None:
    s = Scene()
    s.worker("w", {C2})
    s.tell(TaskRestored(task(1, C2), "w", s.now - 500, s.now - 400))
    assert s.queue(task(2, C2)) == []
    assert [d.task.id for d in s.end(task(1, C2))] == ["C2-2"]


def test_a_restored_task_waits_for_its_worker_to_register() -> None:
    s = Scene()
    s.tell(TaskRestored(task(1, C2), "w", s.now - 500, s.now - 400))
    assert s.scheduler.workers() == []
    s.worker("w", {C2})
    assert s.queue(task(2, C2)) == []


def test_two_workers_on_one_host_are_two() -> None:
    s = Scene()
    for name in ("one", "two"):
        s.worker(name, {C2})
    (one, two) = s.scheduler.workers()
    s.tell(WorkerJoined(like(one, name="host")), WorkerJoined(like(two, name="host")))
    s.queue(task(1, C2), task(2, C2))
    assert s.carried(C2) == {"one": 1, "two": 1}


def test_events_about_the_unknown_are_left_aside() -> None:
    s = Scene()
    s.tell(
        WorkerLeft("x"),
        WorkerOnline("x", True),
        WorkerDrain("x", True),
        WorkerCaps("x", caps()),
        TaskRunning("t"),
        TaskPreparing("t"),
        TaskEnded("t", Outcome.SUCCESS),
        s.dropped(1, UNSEALED, "x"),
    )
    assert s.plan.decisions == () and s.scheduler.workers() == []


def test_the_same_task_queued_or_ended_twice_counts_once() -> None:
    s = Scene()
    s.worker("w", {C2}, caps(c2=5))
    s.queue(task(1, C2), task(1, C2))
    s.queue(task(1, C2))
    assert s.carried(C2)["w"] == 1
    s.end(task(1, C2))
    s.end(task(1, C2))
    assert s.carried(C2)["w"] == 0


def test_an_unknown_policy_is_refused_with_what_there_is() -> None:
    with pytest.raises(ValueError, match=r"policy .fair.*balanced"):
        Scheduler(Settings(policy="fair"))
