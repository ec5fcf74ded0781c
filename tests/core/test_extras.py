"""Caps that change live, drain, tasks given by hand, and the operator's extras, each off by default."""

from __future__ import annotations

from dataclasses import replace

from core.scene import AP, C2, CACHE, P1, P2, SEALED, UNSEALED, Scene, caps, sector, task

from lotus_sched_cli.core.decisions import Assigned, HandRefused, Why
from lotus_sched_cli.core.events import AssignByHand, SectorHeld, WorkerCaps, WorkerDrain, WorkerJoined

P1_OUT = SEALED | CACHE


def refused(s: Scene) -> HandRefused:
    found = s.decisions[-1]
    assert isinstance(found, HandRefused)
    return found


# -- live caps ---------------------------------------------------------------------------------------------------------


def test_a_lowered_cap_lets_work_finish_and_takes_no_more_and_a_raised_one_takes_at_once() -> None:
    s = Scene()
    s.worker("w", {P1}, caps(p1=3))
    jobs = [task(n, P1) for n in range(5)]
    for n in range(5):
        s.files(n, UNSEALED, "w", "w")
    s.queue(*jobs)
    assert s.carried(P1)["w"] == 3
    s.tell(WorkerCaps("w", caps(p1=1)))
    assert s.carried(P1)["w"] == 3 and s.end(jobs[0]) == [] and s.end(jobs[1]) == []
    assert s.why_not(jobs[3], "w").endswith("1 need, 1 in use, PreCommit1Max is 1")
    assert [d.task.id for d in s.tell(WorkerCaps("w", caps(p1=3)))] == ["PC1-3", "PC1-4"]


def test_a_cap_of_another_type_counts_and_changes_live() -> None:
    s = Scene()
    s.worker("w", {AP, P1}, max_concurrent={(AP, 8): 1})
    jobs = [task(n, AP) for n in range(3)]
    assert len(s.queue(*jobs)) == 1
    assert s.why_not(jobs[1], "w") == "at task limit tt=seal/v0/addpiece, curcount=1"
    assert len(s.tell(WorkerCaps("w", caps(), {(AP, 8): 2}))) == 1
    assert len(s.tell(WorkerCaps("w", caps(), {}))) == 1


# -- drain -------------------------------------------------------------------------------------------------------------


def test_a_drained_worker_takes_nothing_and_its_storage_keeps_serving() -> None:
    s = Scene()
    s.worker("old", {P1, P2})
    s.files(1, P1_OUT, "old", "old")
    s.tell(WorkerDrain("old", True))
    assert s.queue(task(1, P2)) == []
    assert s.why_not(task(1, P2), "old") == "It plans offline maintenance"
    s.worker("new", {P2})
    assert s.where == {"PC2-1": "new"}
    s.files(2, P1_OUT, "old", "old")
    s.queue(task(2, P2))
    assert s.tell(WorkerDrain("old", False))[0].worker_id == "old"


def test_a_worker_drained_of_new_sectors_goes_on_with_those_it_has() -> None:
    s = Scene()
    s.worker("w", {AP, P1, P2})
    s.files(1, UNSEALED, "w", "w")
    s.files(2, P1_OUT, "w", "w")
    s.worker("store", {AP})
    s.files(3, UNSEALED, "store", "store")
    s.tell(WorkerDrain("w", True, sectors_only=True))
    s.queue(task(1, P1), task(2, P2), task(3, P1), task(4, AP))
    assert s.where == {"PC1-1": "w", "PC2-2": "w", "AP-4": "store"}
    assert s.scheduler.judge("PC1-3", "w", s.now) is not None
    assert s.why_not(task(3, P1), "w") == "It plans offline maintenance"
    assert [d.worker_id for d in s.tell(WorkerDrain("w", False))] == ["w"]


# -- by hand -----------------------------------------------------------------------------------------------------------


def test_a_task_given_by_hand_goes_there_or_says_what_stands_against_it() -> None:
    s = Scene()
    s.worker("busy", {C2}, caps(c2=1))
    s.queue(task(1, C2), task(2, C2))
    s.tell(AssignByHand("C2-2", "busy"))
    assert refused(s).refusal is not None and refused(s).refusal.why is Why.COMMIT2_MAX  # type: ignore[union-attr]
    bound = s.tell(AssignByHand("C2-2", "busy", force=True))
    assert [(d.task.id, d.worker_id) for d in bound] == [("C2-2", "busy")]
    assert bound[0].reasons["by_hand"] and "Commit2Max is 1" in bound[0].reasons["forced_over"]
    assert s.carried(C2)["busy"] == 2
    s.queue(task(3, C2))
    assert s.end(task(1, C2)) == [], "one too many is still carried"
    assert len(s.end(task(2, C2))) == 1


def test_no_force_makes_a_worker_do_what_it_cannot() -> None:
    s = Scene()
    s.worker("p1", {P1})
    s.queue(task(1, C2))
    for force in (False, True):
        s.tell(AssignByHand("C2-1", "p1", force))
        assert refused(s).refusal is not None and refused(s).refusal.why is Why.TASK_TYPE  # type: ignore[union-attr]
    s.tell(AssignByHand("C2-1", "nobody", True))
    assert refused(s).refusal is None
    s.tell(AssignByHand("unknown", "p1", True))
    assert refused(s).refusal is None


def test_by_hand_a_task_goes_past_the_queue() -> None:
    s = Scene()
    s.worker("w", {C2}, caps(c2=1))
    s.tell(WorkerDrain("w", True))
    s.queue(task(1, C2), task(2, C2))
    both = s.tell(WorkerDrain("w", False), AssignByHand("C2-2", "w"))
    assert [d.task.id for d in both] == ["C2-2"]


# -- extras ------------------------------------------------------------------------------------------------------------


def test_starts_of_p1_are_paced_per_worker() -> None:
    s = Scene()
    s.worker("w", {P1}, replace(caps(), precommit1_interval=600.0))
    for n in range(3):
        s.files(n, UNSEALED, "w", "w")
    assert len(s.queue(*(task(n, P1) for n in range(3)))) == 1
    assert s.why_not(task(1, P1), "w").startswith("it starts a PreCommit1 every 600s at most, the next at ")
    assert s.wait(590) == []
    assert [d.task.id for d in s.wait(20)] == ["PC1-1"]
    s.end(task(0, P1))
    assert s.wait(500) == [] and len(s.wait(100)) == 1


def test_a_second_worker_is_not_paced_by_the_first() -> None:
    s = Scene()
    for name in "ab":
        s.worker(name, {P1}, replace(caps(), precommit1_interval=600.0))
    for n in range(3):
        s.files(n, UNSEALED, "a", "a")
    assert {d.worker_id for d in s.queue(*(task(n, P1) for n in range(3)))} == {"a", "b"}


def test_a_worker_bound_to_its_own_pieces_takes_no_other_p1() -> None:
    s = Scene()
    s.worker("bound", {P1}, replace(caps(), force_p1_from_local_ap=True))
    s.worker("store", {AP})
    s.files(1, UNSEALED, "store", "store")
    s.files(2, UNSEALED, "bound", "bound")
    s.queue(task(1, P1), task(2, P1))
    assert s.where == {"PC1-2": "bound"}
    assert s.why_not(task(1, P1), "bound") == "It only receives P1 from the local AP."
    s.worker("free", {P1})
    assert s.where["PC1-1"] == "free"


def test_a_worker_bound_to_its_own_p2_takes_no_other_c2_and_those_go_there_first() -> None:
    s = Scene()
    s.worker("free", {C2})
    s.worker("bound", {C2}, replace(caps(c2=2), force_c2_from_local_p2=True))
    s.files(1, P1_OUT, "bound", "bound")
    s.files(2, P1_OUT, "free", "free")
    s.queue(task(1, C2))
    assert s.where == {"C2-1": "bound"}
    s.queue(task(2, C2))
    assert s.where["C2-2"] == "free"
    s.queue(task(3, C2))
    assert s.why_not(task(3, C2), "bound") == "It only receives C2 from the local P2."
    s.tell(WorkerCaps("bound", caps(c2=2)))
    assert s.where["C2-3"] == "bound"


def test_a_c2_whose_files_come_to_a_bound_worker_later_finds_it() -> None:
    s = Scene()
    s.worker("bound", {C2}, replace(caps(), force_c2_from_local_p2=True))
    s.queue(task(1, C2))
    assert s.files(1, P1_OUT, "bound", "bound")[0].worker_id == "bound"


def test_p2_and_c2_take_turns_on_a_worker_that_does_not_mix_them() -> None:
    s = Scene()
    s.worker("w", {P2, C2}, replace(caps(p2=2, c2=2), allow_p2_c2_parallel=False))
    for n in range(3):
        s.files(n, P1_OUT, "w", "w")
    s.queue(task(0, P2))
    s.queue(task(1, C2), task(2, C2))
    assert s.why_not(task(1, C2), "w") == "It already has a P2 running and does not receive C2 task"
    assert {d.task.id for d in s.end(task(0, P2))} == {"C2-1", "C2-2"}
    s.queue(task(2, P2))
    assert s.why_not(task(2, P2), "w") == "It already has a C2 running and does not receive P2 task"
    s.end(task(1, C2))
    assert [d.task.id for d in s.end(task(2, C2))] == ["PC2-2"]


def test_off_by_default_nothing_of_it_changes_a_decision() -> None:
    """The same events with a worker of plain caps and one whose extras are all written out as off."""
    plain, spelt = Scene(), Scene()
    for s, limits in (
        (plain, caps()),
        (spelt, replace(caps(), precommit1_interval=0.0, allow_p2_c2_parallel=True, task_max=())),
    ):
        for name in "abc":
            s.worker(name, limits=limits)
        for n in range(9):
            s.files(n, UNSEALED, "abc"[n % 3])
            s.files(n + 20, P1_OUT, "abc"[n % 2])
        s.queue(*(task(n, P1) for n in range(9)), *(task(n + 20, P2) for n in range(9)))
        s.queue(*(task(n + 40, C2) for n in range(5)))
        s.tell(SectorHeld(sector(20), False))
        s.end(task(20, P2))
    assert plain.where == spelt.where and len(plain.where) > 12


def test_a_paced_worker_is_paced_after_the_driver_s_restart_too() -> None:
    from lotus_sched_cli.core.events import TaskRestored

    s = Scene()
    first = task(0, P1)
    s.tell(TaskRestored(first, "w", s.now - 100, s.now - 90))
    s.worker("w", {P1}, replace(caps(), precommit1_interval=600.0))
    s.files(1, UNSEALED, "w", "w")
    assert s.queue(task(1, P1)) == []
    assert s.wait(500) == [] and len(s.wait(20)) == 1


__all__ = ["Assigned", "WorkerJoined"]
