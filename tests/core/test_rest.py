"""Workers that fail rest (scheduling.md A4): after two failures in a row, one trial, growing rests, ended by the operator."""

from __future__ import annotations

from core.scene import C2, P1, UNSEALED, Scene, caps, task

from lotus_sched_cli.core.decisions import RestBegan, RestEnded
from lotus_sched_cli.core.events import Outcome, RestOver, WorkerLeft
from lotus_sched_cli.core.tasks import TaskType


def fail(s: Scene, number: int, kind: TaskType = C2, error: str = "driver lost") -> None:
    s.queue(task(number, kind))
    assert s.where.get(f"{kind.short}-{number}") == "bad", f"{number} is not on the bad one"
    s.end(task(number, kind), Outcome.FAILED, error)


def bad_worker() -> Scene:
    s = Scene()
    s.worker("bad", {C2, P1})
    fail(s, 1)
    fail(s, 2)
    return s


def rests(s: Scene) -> list[tuple[int, float]]:
    return [(d.failures, d.until - s.now) for d in s.decisions if isinstance(d, RestBegan)]


def test_a_worker_that_fails_at_once_does_not_draw_the_farm_s_tasks_to_itself() -> None:
    s = Scene()
    s.worker("bad", {C2})
    s.worker("good", {C2}, caps(c2=1))
    failed = 0
    for n in range(10):
        s.queue(task(n, C2))
        if s.where.get(f"C2-{n}") == "bad":
            s.end(task(n, C2), Outcome.FAILED, "at once")
            failed += 1
        elif f"C2-{n}" in s.where:
            s.end(task(n, C2))
    assert failed == 2


def test_after_two_failures_in_a_row_it_rests_and_that_is_said_once_with_the_last_error() -> None:
    s = bad_worker()
    assert rests(s) == [(2, 60.0)]
    assert s.queue(task(3, C2)) == []
    why = s.scheduler.judge("C2-3", "bad", s.now)
    assert why is not None and why.figures["error"] == "driver lost" and why.figures["failures"] == 2
    (rest,) = s.scheduler.ledger("bad").rests  # type: ignore[union-attr]
    assert (rest.task, rest.until, rest.error) == (C2, s.now + 60, "driver lost")


def test_it_rests_from_that_task_type_only() -> None:
    s = bad_worker()
    s.files(1, UNSEALED, "bad", "bad")
    assert len(s.queue(task(1, P1))) == 1


def test_one_failure_or_failures_with_a_success_between_are_no_rest() -> None:
    s = Scene()
    s.worker("bad", {C2})
    for n in range(0, 10, 2):
        fail(s, n)
        s.queue(task(n + 1, C2))
        s.end(task(n + 1, C2))
    assert rests(s) == []


def test_restarts_cancels_and_lack_of_space_bring_no_rest() -> None:
    s = Scene()
    s.worker("w", {C2})
    for n, outcome in enumerate([Outcome.AGAIN, Outcome.CANCELLED, Outcome.NO_SPACE, Outcome.AGAIN]):
        s.queue(task(n, C2))
        s.end(task(n, C2), outcome, "x")
        s.tell(*[])
        s.wait(10)
        s.end(task(n, C2))
    assert rests(s) == []


def test_then_one_task_as_a_trial_and_a_success_ends_the_rest() -> None:
    s = bad_worker()
    s.queue(task(3, C2), task(4, C2))
    assert s.wait(59) == []
    (trial,) = s.wait(2)
    assert trial.task.id == "C2-3"
    (rest,) = s.scheduler.ledger("bad").rests  # type: ignore[union-attr]
    assert rest.trial == "C2-3"
    assert [d.task.id for d in s.end(task(3, C2))] == ["C2-4"]
    assert isinstance(s.decisions[-1], type(trial)) and any(isinstance(d, RestEnded) for d in s.decisions)
    assert s.scheduler.ledger("bad").rests == ()  # type: ignore[union-attr]


def test_only_one_trial_at_a_time_even_with_more_slots() -> None:
    s = Scene()
    s.worker("bad", {C2}, caps(c2=5))
    fail(s, 1)
    fail(s, 2)
    s.queue(*(task(n, C2) for n in range(10, 14)))
    assert len(s.wait(61)) == 1


def test_each_further_failure_doubles_the_rest_up_to_the_most() -> None:
    s = bad_worker()
    waited = []
    for n in range(10, 17):
        s.queue(task(n, C2))
        since = s.now
        while not s.wait(1):
            assert s.now < since + 4000
        waited.append(s.now - since)
        s.end(task(n, C2), Outcome.FAILED, "still")
    assert [round(w) for w in waited] == [60, 120, 240, 480, 960, 1800, 1800]
    assert len(rests(s)) == 1, "it is said once"


def test_a_trial_that_is_cancelled_leaves_room_for_the_next() -> None:
    s = bad_worker()
    s.queue(task(3, C2), task(4, C2))
    s.wait(61)
    assert [d.task.id for d in s.end(task(3, C2), Outcome.CANCELLED)] == ["C2-4"]


def test_the_operator_ends_a_rest_at_once() -> None:
    s = bad_worker()
    s.queue(task(3, C2))
    (bound,) = s.tell(RestOver("bad", C2))
    assert bound.task.id == "C2-3"
    assert [(d.worker_id, d.task) for d in s.decisions if isinstance(d, RestEnded)] == [("bad", C2)]


def test_or_all_its_rests() -> None:
    s = bad_worker()
    for n in (1, 2, 3):
        s.files(n, UNSEALED, "bad", "bad")
    fail(s, 1, P1)
    fail(s, 2, P1)
    s.queue(task(3, C2), task(3, P1))
    assert {d.task.id for d in s.tell(RestOver("bad"))} == {"C2-3", "PC1-3"}
    assert s.tell(RestOver("nobody")) == []


def test_two_more_failures_after_that_bring_the_first_rest_again() -> None:
    s = bad_worker()
    s.tell(RestOver("bad"))
    fail(s, 5)
    fail(s, 6)
    assert len(rests(s)) == 2


def test_a_new_process_of_the_worker_rests_on_as_a_crash_loop_would_else_draw_two_tasks_each_time() -> None:
    s = bad_worker()
    s.worker("bad", {C2, P1})
    assert s.queue(task(3, C2)) == []


def test_a_worker_that_was_taken_out_of_the_farm_comes_back_as_new() -> None:
    s = bad_worker()
    s.tell(WorkerLeft("bad"))
    s.worker("bad", {C2, P1})
    assert len(s.queue(task(3, C2))) == 1
