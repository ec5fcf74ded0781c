"""What is said about workers that refuse (scheduling.md A8): the texts that runbooks grep, and little of them."""

from __future__ import annotations

from collections import Counter

import pytest
from core.scene import C1, C2, CACHE, P1, P2, SEALED, UNSEALED, Scene, caps, task

from lotus_sched_cli.core.decisions import Assigned, Refusal, Refused, Why
from lotus_sched_cli.core.events import WorkerCaps, WorkerDrain, WorkerOnline

P1_OUT = SEALED | CACHE


def said(s: Scene) -> list[tuple[str, str, str, int]]:
    return [(d.task.id, d.worker_id, d.refusal.text, d.behind) for d in s.decisions if isinstance(d, Refused)]


@pytest.mark.parametrize(
    ("refusal", "text"),
    [
        (
            Refusal(Why.PRECOMMIT1_MAX, {"need": 1, "in_use": 7, "max": 7}),
            "not enough PreCommit1 quota, 1 need, 7 in use, PreCommit1Max is 7",
        ),
        (
            Refusal(Why.PRECOMMIT2_MAX, {"need": 1, "in_use": 1, "max": 1}),
            "not enough PreCommit2 quota, 1 need, 1 in use, PreCommit2Max is 1",
        ),
        (
            Refusal(Why.COMMIT2_MAX, {"need": 1, "in_use": 2, "max": 2}),
            "not enough Commit2 quota, 1 need, 2 in use, Commit2Max is 2",
        ),
        (
            Refusal(Why.PRECOMMIT1_HOLD, {"in_use": 25, "max": 25}),
            "not enough PreCommit1Hold quota, 25 in use, PreCommit1HoldMax is 25",
        ),
        (Refusal(Why.BOUND_P2), "It only receives P2 from the local P1."),
        (Refusal(Why.DRAINING), "It plans offline maintenance"),
        (Refusal(Why.OFFLINE), "Maybe it's offline."),
    ],
)
def test_the_texts_are_those_that_operators_grep(refusal: Refusal, text: str) -> None:
    assert refusal.text == text


def test_every_reason_has_its_first_place_in_the_order_of_a4() -> None:
    """One worker against which everything stands at once; one thing after the other is put right."""
    s = Scene()
    s.worker("w", {C2}, caps(p2=0, bound=True), room=0, group="far")
    s.worker("store", (), allow_to="near")
    s.worker("own", {P2}, caps(p2=0), room=0)
    job = task(1, P2)
    s.files(1, P1_OUT, "store")
    s.tell(WorkerOnline("w", False), WorkerDrain("w", True))
    s.queue(job)
    reasons = []

    def note() -> None:
        refusal = s.scheduler.judge(job.id, "w", s.now)
        reasons.append(refusal.why if refusal else None)

    note()
    s.tell(WorkerOnline("w", True))
    note()
    s.tell(WorkerDrain("w", False))
    note()
    s.worker("w", {P2}, caps(p2=1, bound=True), room=0, group="far")
    note()
    s.worker("w", {P2}, caps(p2=1, bound=True), room=0, group="near")
    note()
    s.worker("w", {P2}, caps(p2=1, bound=True), group="near")
    s.files(2, P1_OUT, "w", "w")
    s.queue(task(2, P2))
    note()
    s.end(task(2, P2))
    note()
    s.tell(WorkerCaps("w", caps(p2=1)))
    assert s.where["PC2-1"] == "w"
    assert reasons == [
        Why.OFFLINE,
        Why.DRAINING,
        Why.TASK_TYPE,
        Why.STORAGE,
        Why.SPACE,
        Why.PRECOMMIT2_MAX,
        Why.BOUND_P2,
    ]


def test_only_the_oldest_waiting_task_of_each_type_speaks_once_per_worker_and_reason() -> None:
    s = Scene()
    for name in ("a", "b"):
        s.worker(name, {C2, P1})
    s.queue(*(task(n, C2) for n in range(5)))
    s.wait(2)
    text = "not enough Commit2 quota, 1 need, 1 in use, Commit2Max is 1"
    assert sorted(said(s)) == [("C2-2", "a", text, 2), ("C2-2", "b", text, 2)]
    s.queue(task(9, C2))
    s.wait(600)
    assert len(said(s)) == 2


def test_other_figures_are_no_new_reason_but_another_reason_is() -> None:
    s = Scene()
    s.worker("w", {C2}, caps(c2=2))
    s.queue(*(task(n, C2) for n in range(4)))
    s.wait(2)
    s.tell(WorkerCaps("w", caps(c2=1)))
    s.wait(2)
    assert len(said(s)) == 1
    s.tell(WorkerDrain("w", True))
    s.wait(2)
    assert [text for _, _, text, _ in said(s)][1:] == ["It plans offline maintenance"]


def test_workers_that_do_not_offer_the_type_are_not_named() -> None:
    s = Scene()
    s.worker("p1-only", {P1})
    s.queue(task(1, C2))
    s.wait(10)
    assert said(s) == []


def test_what_still_stands_is_said_again_every_hour() -> None:
    s = Scene()
    s.worker("w", {C2})
    s.queue(task(1, C2), task(2, C2))
    s.wait(3590)
    assert len(said(s)) == 1
    s.wait(20)
    assert len(said(s)) == 2
    s.wait(3600)
    assert len(said(s)) == 3


def test_nothing_is_said_of_a_task_that_is_placed_meanwhile() -> None:
    s = Scene()
    s.worker("w", {C2})
    s.queue(task(1, C2), task(2, C2))
    s.now += 0.2
    s.end(task(1, C2))
    s.wait(5)
    assert said(s) == []


def test_a_storm_of_events_makes_no_storm_of_lines() -> None:
    """A hundred workers, a thousand ends within a minute: each worker's refusal is said once."""
    s = Scene(validate=False)
    for n in range(100):
        s.worker(f"w{n}", {C2})
    s.queue(*(task(n, C2) for n in range(1200)))
    running = [d.task for d in s.decisions if isinstance(d, Assigned)]
    for spec in running:
        s.now += 0.05
        running += [d.task for d in s.end(spec)]
        if len(running) > 1100:
            break
    assert max(Counter((w, text) for _, w, text, _ in said(s)).values()) == 1
    assert len(said(s)) <= 100


def test_for_any_other_task_the_same_is_told_when_asked() -> None:
    s = Scene()
    s.worker("a", {C2})
    s.worker("b", {P1})
    s.queue(task(1, C2), task(2, C2), task(3, C2))
    told = s.scheduler.explain("C2-3", s.now)
    assert {w: r.why for w, r in told.items() if r} == {"a": Why.COMMIT2_MAX, "b": Why.TASK_TYPE}
    with pytest.raises(ValueError, match="C2-1 is on worker a already"):
        s.scheduler.explain("C2-1", s.now)
    with pytest.raises(KeyError):
        s.scheduler.explain("no-such-task", s.now)


def test_existing_files_only_is_a_storage_reason() -> None:
    s = Scene()
    for name in ("has", "lacks"):
        s.worker(name, {C1}, max_concurrent={(C1, 8): 1})
    for n in (1, 2):
        s.files(n, P1_OUT, "has")
    s.queue(task(1, C1), task(2, C1))
    assert (
        s.why_not(task(2, C1), "lacks") == "no storage path of it may take or fetch the files (sealed+cache)"
    )
    assert s.why_not(task(2, C1), "has") == "at task limit tt=seal/v0/commit/1, curcount=1"


def test_a_path_for_other_miners_is_a_storage_reason() -> None:
    from lotus_sched_cli.core.events import PathAttached, PathSpec

    s = Scene()
    s.worker("w", {P1})
    deny = PathSpec("w:path", frozenset({"w"}), True, False, deny_miners=frozenset({1000}))
    s.tell(PathAttached(deny, 1 << 60))
    s.worker("store", ())
    s.files(1, UNSEALED, "store")
    assert s.queue(task(1, P1)) == []
    assert "no storage path of it" in s.why_not(task(1, P1), "w")
