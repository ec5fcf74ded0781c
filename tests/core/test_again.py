"""Tasks that are tried again, and tasks whose files nobody has (scheduling.md A7)."""

from __future__ import annotations

from core.scene import C1, C2, CACHE, P1, P2, SEALED, UNSEALED, Scene, task

from lotus_sched_cli.core.decisions import FilesMissing, Why
from lotus_sched_cli.core.events import Outcome, Settings, TaskRemoved

P1_OUT = SEALED | CACHE


def missing(s: Scene) -> list[tuple[str, bool]]:
    return [(d.task.id, d.lost) for d in s.decisions if isinstance(d, FilesMissing)]


def test_a_restart_queues_it_again_at_once_then_after_growing_delays() -> None:
    s = Scene()
    s.worker("w", {C2})
    s.queue(task(1, C2))
    waited = []
    for _ in range(8):
        since = s.now
        bound = s.end(task(1, C2), Outcome.AGAIN, "101: worker restart")
        while not bound:
            bound = s.wait(1)
            assert s.now < since + 4000
        waited.append(round(s.now - since))
    assert waited == [0, 60, 120, 240, 480, 960, 1800, 1800]


def test_while_it_waits_for_its_time_it_says_so_and_wakes_the_scheduler_then() -> None:
    s = Scene(Settings(retry_delay=5))
    s.worker("w", {C2})
    s.queue(task(1, C2))
    s.end(task(1, C2), Outcome.AGAIN)
    s.end(task(1, C2), Outcome.AGAIN)
    (queued,) = s.scheduler.queue()
    assert queued.not_before == s.now + 5 and queued.attempts == 2
    why = s.scheduler.judge("C2-1", "w", s.now)
    assert why is not None and why.why is Why.RETRY_LATER
    s.now += 5
    assert [d.task.id for d in s.tell()] == ["C2-1"]


def test_a_success_between_forgets_the_delays() -> None:
    s = Scene()
    s.worker("w", {C2})
    s.queue(task(1, C2))
    for _ in range(2):
        s.end(task(1, C2), Outcome.AGAIN)
    s.wait(61)
    s.end(task(1, C2))
    s.queue(task(1, C2, again=1))
    assert s.end(task(1, C2, again=1), Outcome.AGAIN) != []


def test_it_counts_against_nobody_and_may_go_back_to_the_same_worker() -> None:
    s = Scene()
    for name in ("a", "b"):
        s.worker(name, {C2})
    s.queue(task(1, C2))
    first = s.where["C2-1"]
    s.queue(task(2, C2))
    s.end(task(1, C2), Outcome.AGAIN)
    assert s.where["C2-1"] == first


def test_a_failed_task_leaves_and_its_last_error_is_kept_for_the_next_try() -> None:
    s = Scene()
    s.worker("w", {C2})
    s.queue(task(1, C2))
    s.end(task(1, C2), Outcome.FAILED, "bad parameters")
    assert s.waiting() == []
    s.queue(task(9, C2))
    s.queue(task(1, C2, again=1))
    (queued,) = s.scheduler.queue()
    assert (queued.last_error, queued.failed_on, queued.attempts) == ("bad parameters", "w", 1)


def test_a_cancelled_or_removed_task_leaves_without_a_trace_on_the_worker() -> None:
    s = Scene()
    s.worker("w", {C2})
    s.queue(task(1, C2), task(2, C2))
    s.tell(TaskRemoved("C2-2"))
    s.tell(TaskRemoved("C2-2"))
    s.tell(TaskRemoved("C2-1"))
    assert s.waiting() == [] and s.carried(C2)["w"] == 0


def test_a_task_whose_files_no_path_declares_waits_and_asks_once_for_them() -> None:
    s = Scene()
    s.worker("w")
    assert s.queue(task(1, P2)) == []
    assert missing(s) == [("PC2-1", False)]
    assert s.why_not(task(1, P2), "w") == "no path declares the files (sealed+cache)"
    s.wait(300)
    assert missing(s) == [("PC2-1", False)]
    assert [d.task.id for d in s.files(1, P1_OUT, "w", "w")] == ["PC2-1"], "declared again after all"


def test_half_of_the_files_is_not_enough() -> None:
    s = Scene()
    s.worker("w")
    s.files(1, SEALED, "w", "w")
    assert s.queue(task(1, P2)) == []
    assert s.why_not(task(1, P2), "w") == "no path declares the files (cache)"


def test_after_ten_minutes_they_are_lost_and_that_is_said_once() -> None:
    s = Scene()
    s.worker("w")
    for n, kind in ((1, P2), (2, P1), (3, C1)):
        s.queue(task(n, kind))
    s.wait(599)
    assert all(not lost for _, lost in missing(s))
    s.wait(2)
    assert sorted(n for n, lost in missing(s) if lost) == ["C1-3", "PC1-2", "PC2-1"]
    s.wait(3600)
    assert sum(lost for _, lost in missing(s)) == 3


def test_files_that_vanish_while_the_task_waits_begin_the_ten_minutes_anew() -> None:
    s = Scene()
    s.worker("store", ())
    s.worker("busy", {P2})
    for n in (1, 2):
        s.files(n, P1_OUT, "store")
        s.queue(task(n, P2))
    s.wait(1000)
    s.tell(s.dropped(2, P1_OUT, "store"))
    s.wait(300)
    s.files(2, P1_OUT, "store")
    s.wait(1000)
    assert missing(s) == [("PC2-2", False)]
    s.tell(s.dropped(2, CACHE, "store"))
    s.wait(601)
    assert missing(s)[-1] == ("PC2-2", True)


def test_a_bound_task_whose_source_vanishes_is_not_touched() -> None:
    s = Scene()
    s.worker("store", ())
    s.worker("w", {P1})
    s.files(1, UNSEALED, "store")
    s.queue(task(1, P1))
    s.tell(s.dropped(1, UNSEALED, "store"))
    assert s.carried(P1)["w"] == 1 and missing(s) == []
    s.end(task(1, P1), Outcome.AGAIN, "fetch failed")
    assert missing(s) == [("PC1-1", False)], "queued again, it waits with that reason"
