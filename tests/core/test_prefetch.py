"""While a worker's P2 run, the files of its next ones are fetched to it: a promise, no binding."""

from __future__ import annotations

from dataclasses import replace

import pytest
from core.scene import CACHE, GIB, P1, P1_SIZE, P2, SEALED, UNSEALED, Scene, caps, sector, task
from core.windows import windowed

from lotus_sched_cli.core.caps import Caps
from lotus_sched_cli.core.decisions import Assigned, Decision, Prefetch, PrefetchOver, Why
from lotus_sched_cli.core.events import (
    AssignByHand,
    Event,
    Outcome,
    PathDetached,
    PathReported,
    PrefetchDone,
    PrefetchFailed,
    PrefetchRestored,
    SettingsChanged,
    TaskPreparing,
    TaskQueued,
    TaskRemoved,
    TaskRunning,
    WorkerCaps,
    WorkerDrain,
    WorkerJoined,
    WorkerLeft,
    WorkerOnline,
)
from lotus_sched_cli.core.scheduler import Scheduler

P1_OUT = SEALED | CACHE


def ahead(p2: int = 1, most: int = 1, hold: int = 25, bound: bool = False) -> Caps:
    return replace(caps(p2=p2, hold=hold, bound=bound), precommit2_prefetch=most)


class Farm(Scene):
    """``p1`` holds the files of every sector; the workers that do P2 have to fetch them."""

    def stored(self, *numbers: int) -> None:
        if "p1:path" not in self.paths:
            self.worker("p1", {P1}, caps(hold=0))
        self.tell(*(self.declared(n, P1_OUT, "p1", "p1") for n in numbers))

    def of(self, kind: type[Decision]) -> list[tuple[int, str]]:
        """Sector and worker of each decision of this kind so far."""
        return [(d.task.sector.number, d.worker_id) for d in self.decisions if isinstance(d, kind)]  # type: ignore[attr-defined]

    def promised(self, worker: str) -> list[int]:
        ledger = self.scheduler.ledger(worker)
        assert ledger is not None
        return [p.task.sector.number for p in ledger.promised]

    def reserved(self, worker: str) -> int:
        return self.scheduler._farm.paths[f"{worker}:path"].reserved

    def hold(self, worker: str) -> int:
        ledger = self.scheduler.ledger(worker)
        assert ledger is not None
        return ledger.held

    def fetched(self, number: int, worker: str) -> None:
        """What a bound P2 lacked has come, and it runs."""
        self.tell(self.declared(number, P1_OUT, worker, worker), self.dropped(number, P1_OUT, "p1"))
        self.tell(TaskRunning(f"PC2-{number}"))

    def brought(self, number: int, worker: str) -> list[Assigned]:
        """What was prefetched has come; the source stays."""
        return self.tell(self.declared(number, P1_OUT, worker, worker), PrefetchDone(f"PC2-{number}"))


def busy(*workers: str, most: int = 1, waiting: int = 1, hold: int = 25, room: int = 100 << 40) -> Farm:
    """Each of the workers runs a P2 that it had to fetch, the first one since long; others wait."""
    s = Farm()
    for name in workers:
        s.worker(name, {P2}, ahead(most=most, hold=hold), room=room)
    count = len(workers)
    s.stored(*range(count + waiting))
    for n in range(count):
        s.queue(task(n, P2))
        s.tell(TaskPreparing(f"PC2-{n}"))
        s.wait(100)
        s.fetched(n, s.where[f"PC2-{n}"])
    s.wait(20)
    s.queue(*(task(n, P2) for n in range(count, count + waiting)))
    return s


def test_the_next_p2_s_files_are_fetched_while_the_gpu_is_busy() -> None:
    s = busy("w")
    assert s.of(Prefetch) == [(1, "w")] and s.waiting() == ["PC2-1"], "it waits on, bound to nobody"
    assert s.promised("w") == [1] and s.hold("w") == 2 and s.reserved("w") == P1_SIZE
    assert s.carried(P2)["w"] == 1, "no slot is taken by it"
    decision = next(d for d in s.decisions if isinstance(d, Prefetch))
    assert decision.fetch == P1_OUT and {part.path_id for part in decision.laid} == {"w:path"}
    s.tell(TaskPreparing("PC2-1"))
    s.wait(200)
    s.brought(1, "w")
    assert s.hold("w") == 2 and s.waiting() == ["PC2-1"]
    (bound,) = s.seal(task(0, P2))
    assert (bound.task.id, bound.worker_id, int(bound.fetch)) == ("PC2-1", "w", 0), "it starts at once"
    assert s.promised("w") == [] and s.of(PrefetchOver) == []
    assert bound.reasons["prefetched"] is True


def test_off_by_default_and_on_a_worker_bound_to_its_own_p1() -> None:
    assert (Caps().prefetches, ahead(bound=True).prefetches) == (0, 0)
    for limits in (ahead(most=0), ahead(most=3, bound=True)):
        s = Farm()
        s.worker("w", {P1, P2}, limits)
        s.files(0, P1_OUT, "w", "w")
        s.stored(1, 2)
        s.queue(task(0, P2), task(1, P2), task(2, P2))
        s.running(task(0, P2))
        assert s.of(Prefetch) == []


def test_it_waits_until_every_p2_slot_of_the_worker_runs() -> None:
    s = Farm()
    s.worker("w", {P2}, ahead(p2=2))
    s.stored(0, 1, 2)
    s.queue(task(0, P2), task(1, P2), task(2, P2))
    assert s.of(Assigned) == [(0, "w"), (1, "w")] and s.of(Prefetch) == []
    s.running(task(0, P2))
    assert s.of(Prefetch) == [], "the other one is still being fetched: this would only slow it down"
    s.running(task(1, P2))
    assert s.of(Prefetch) == [(2, "w")]


def test_never_more_than_the_cap_and_the_oldest_first() -> None:
    s = busy("w", most=2, waiting=4)
    assert s.of(Prefetch) == [(1, "w"), (2, "w")]
    s.tell(TaskRemoved("PC2-1"))
    assert s.of(PrefetchOver) == [(1, "w")] and s.of(Prefetch)[2:] == [(3, "w")]


def test_the_oldest_goes_to_the_worker_that_is_free_first() -> None:
    s = busy("b", "a", waiting=0)
    s.stored(7, 8)
    s.queue(task(7, P2), task(8, P2))
    first = s.where["PC2-0"]
    other = s.where["PC2-1"]
    assert s.of(Prefetch) == [(7, first), (8, other)]


def test_one_that_lies_on_the_worker_needs_nothing_and_is_the_next_one() -> None:
    s = busy("w", waiting=0)
    s.files(1, P1_OUT, "w", "w")
    s.stored(2)
    s.queue(task(1, P2), task(2, P2))
    assert s.of(Prefetch) == []


def test_one_that_lies_on_a_worker_which_is_free_before_is_left_to_that() -> None:
    s = Farm()
    s.worker("far", {P2}, ahead())
    s.worker("near", {P2}, ahead(most=0))
    for n, name in ((0, "near"), (1, "far")):
        s.files(n, P1_OUT, name, name)
        s.queue(task(n, P2))
        s.running(task(n, P2))
        s.wait(50)
    for n, name in ((2, "near"), (3, "far")):
        s.files(n, P1_OUT, name, name)
        s.end(task(n - 2, P2))
        s.queue(task(n, P2))
        s.running(task(n, P2))
        s.wait(50)
    s.files(4, P1_OUT, "near", "near")
    s.stored(5)
    s.queue(task(4, P2), task(5, P2))
    assert s.of(Prefetch) == [(5, "far")]


def test_a_slot_that_frees_elsewhere_takes_it_when_it_would_start_sooner() -> None:
    s = busy("a", "b", waiting=1)
    (promised,) = s.of(Prefetch)
    there = promised[1]
    other = {"a": "b", "b": "a"}[there]
    ending = next(n for n in (0, 1) if s.where[f"PC2-{n}"] == other)
    bound = s.seal(task(ending, P2))
    assert [(d.task.id, d.worker_id) for d in bound] == [("PC2-2", other)], (
        "nobody knows yet how long a P2 takes: a free slot counts as sooner"
    )
    assert s.plan.wake == s.now, "what it leaves behind is given back at once, by a batch of its own"
    s.wait(20)
    assert s.of(PrefetchOver) == [(2, there)] and s.hold(there) == 1
    assert s.reserved(there) == 0


def known() -> Farm:
    """A P2 takes 1000 s, a fetch 100; b's P2 ends in 100 s, a's 50 s later, and 4 is fetched to a."""
    s = Farm()
    for name in ("a", "b"):
        s.worker(name, {P2}, ahead())
    s.stored(*range(6))
    s.queue(task(0, P2))
    s.tell(TaskPreparing("PC2-0"))
    s.wait(100)
    s.fetched(0, "a")
    s.wait(1000)
    s.queue(task(1, P2))
    assert s.where["PC2-1"] == "b"
    s.seal(task(0, P2))
    s.fetched(1, "b")
    s.wait(50)
    s.queue(task(2, P2))
    s.fetched(2, "a")
    s.wait(850)
    s.queue(task(3, P2), task(4, P2))
    assert s.of(Prefetch) == [(3, "b"), (4, "a")], "who is free first gets the oldest"
    return s


def test_a_promise_is_kept_where_the_fetch_elsewhere_would_take_longer() -> None:
    s = known()
    s.brought(4, "a")
    s.tell(TaskRemoved("PC2-3"))
    s.wait(100)
    assert s.seal(task(1, P2)) == [], "a is free in 50 s, a fetch to b takes 100 s"
    refusal = s.scheduler.judge("PC2-4", "b", s.now)
    assert refusal is not None and refusal.why is Why.PREFETCHED and "starts sooner" in refusal.text
    s.wait(40)
    (bound,) = s.seal(task(2, P2))
    assert bound.worker_id == "a" and s.of(PrefetchOver) == [(3, "b")]


def test_and_broken_when_the_slot_there_has_not_become_free_in_time() -> None:
    s = known()
    s.brought(4, "a")
    s.tell(TaskRemoved("PC2-3"))
    s.wait(100)
    assert s.seal(task(1, P2)) == []
    assert s.wait(49) == []
    assert [(d.task.id, d.worker_id) for d in s.wait(2)] == [("PC2-4", "b")]
    s.tell()
    assert s.of(PrefetchOver) == [(3, "b"), (4, "a")]


def test_a_promise_is_broken_where_the_fetch_elsewhere_is_the_shorter_wait() -> None:
    s = known()
    s.brought(4, "a")
    s.tell(TaskRemoved("PC2-3"))
    (bound,) = s.seal(task(1, P2))
    assert (bound.task.id, bound.worker_id) == ("PC2-4", "b"), "a is free in 150 s, a fetch to b takes 100 s"
    s.tell()
    assert s.of(PrefetchOver)[-1] == (4, "a")


def test_a_worker_takes_first_what_was_fetched_to_it() -> None:
    s = known()
    s.wait(160)
    (bound,) = s.seal(task(2, P2))
    assert (bound.task.id, bound.worker_id) == ("PC2-4", "a"), "3 is older, and b will have it sooner"


def test_a_p2_of_higher_priority_goes_first_all_the_same() -> None:
    s = busy("w")
    s.stored(9)
    s.queue(task(9, P2, priority=1024))
    (bound,) = s.seal(task(0, P2))
    assert bound.task.id == "PC2-9" and s.promised("w") == [1], "the promise stays"


def test_the_hold_is_never_exceeded_by_it() -> None:
    s = busy("w", hold=1)
    assert s.of(Prefetch) == [], "the sector that runs fills the hold"
    s.tell(WorkerCaps("w", ahead(hold=2)))
    assert s.of(Prefetch) == [(1, "w")] and s.hold("w") == 2


def test_a_promise_takes_the_place_of_a_p1_in_the_hold() -> None:
    s = Farm()
    s.worker("w", {P1, P2}, ahead(hold=2))
    s.files(0, P1_OUT, "w", "w")
    s.stored(1)
    s.queue(task(0, P2), task(1, P2))
    s.running(task(0, P2))
    assert s.promised("w") == [1]
    s.files(2, UNSEALED, "w", "w")
    s.tell(WorkerDrain("p1", True))
    s.queue(task(2, P1))
    assert "PreCommit1HoldMax is 2" in s.why_not(task(2, P1), "w")
    s.tell(TaskRemoved("PC2-1"))
    assert s.where["PC1-2"] == "w"


def test_there_must_be_room_for_it() -> None:
    s = busy("w", room=P1_SIZE + 10 * GIB)
    s.free["w:path"] = 10 * GIB
    s.wait(30)
    s.queue(task(1, P2))
    assert s.of(Prefetch) in ([], [(1, "w")])
    s2 = Farm()
    s2.worker("w", {P2}, ahead(), room=P1_SIZE + 10 * GIB)
    s2.stored(0, 1)
    s2.queue(task(0, P2), task(1, P2))
    s2.running(task(0, P2))
    assert s2.of(Prefetch) == []
    s2.free["w:path"] = 2 * P1_SIZE
    s2.wait(30)
    assert s2.of(Prefetch) == [(1, "w")]


@pytest.mark.parametrize(
    "event",
    [
        WorkerOnline("w", False),
        WorkerDrain("w", True),
        WorkerLeft("w"),
        WorkerCaps("w", ahead(most=0)),
        WorkerCaps("w", ahead(bound=True)),
        WorkerCaps("w", ahead(p2=0)),
        PathDetached("w:path"),
        TaskRemoved("PC2-1"),
        PrefetchFailed("PC2-1", "connection reset"),
        Scene.dropped(1, P1_OUT, "p1"),
        SettingsChanged(windowed()),
        AssignByHand("PC2-1", "v", True),
    ],
    ids=lambda event: type(event).__name__,
)
def test_whatever_ends_it_returns_hold_and_room(event: Event) -> None:
    s = Farm()
    s.worker("v", {P2}, ahead(most=0))
    s.files(8, P1_OUT, "v", "v")
    s.queue(task(8, P2))
    s.running(task(8, P2))
    s.worker("w", {P2}, ahead())
    s.files(0, P1_OUT, "w", "w")
    s.queue(task(0, P2))
    s.running(task(0, P2))
    s.stored(1)
    s.queue(task(1, P2))
    assert s.promised("w") == [1] and s.hold("w") == 2
    s.tell(event)
    assert s.of(PrefetchOver) == [(1, "w")]
    if s.scheduler.ledger("w") is not None:
        assert s.promised("w") == [] and s.hold("w") == (0 if isinstance(event, PathDetached) else 1)
    if "w:path" in s.scheduler._farm.paths:
        s.tell(PathReported("w:path", 100 << 40))
        assert s.reserved("w") == 0


def test_a_worker_that_rests_from_p2_prefetches_none() -> None:
    s = busy("w", waiting=3)
    assert s.promised("w") == [1]
    s.end(task(0, P2), Outcome.FAILED, "x")
    s.running(task(1, P2))
    assert s.promised("w") == [2]
    s.end(task(1, P2), Outcome.FAILED, "x")
    assert s.promised("w") == [], "it rests"
    assert s.of(PrefetchOver)[-1] == (2, "w")


def test_after_a_fetch_that_failed_it_is_tried_again_later_each_time() -> None:
    s = busy("w")
    for delay in (60, 120):
        s.tell(PrefetchFailed("PC2-1", "connection reset"))
        assert s.promised("w") == []
        s.wait(delay - 1)
        assert s.promised("w") == []
        s.wait(2)
        assert s.promised("w") == [1]


def test_a_lowered_cap_gives_the_newest_back() -> None:
    s = busy("w", most=3, waiting=3)
    s.tell(WorkerCaps("w", ahead(most=1)))
    assert s.promised("w") == [1] and s.of(PrefetchOver) == [(3, "w"), (2, "w")]


def test_bound_before_its_files_have_come_it_goes_on_fetching() -> None:
    s = busy("w")
    s.tell(TaskPreparing("PC2-1"))
    (bound,) = s.seal(task(0, P2))
    assert bound.fetch == P1_OUT and bound.laid, "what is still missing is named"
    assert bound.reasons["prefetched"] is False
    assert s.hold("w") == 2, "the promised one until it starts, and the one that ran by its files"
    s.fetched(1, "w")
    assert s.hold("w") == 2


def test_after_the_miner_s_restart_the_promise_is_taken_up_again() -> None:
    s = Farm()
    s.worker("w", {P2}, ahead())
    s.files(0, P1_OUT, "w", "w")
    s.queue(task(0, P2))
    s.running(task(0, P2))
    s.stored(1, 2)
    s.tell(TaskQueued(task(2, P2)), PrefetchRestored("PC2-2", "w", s.now - 50, False))
    assert s.promised("w") == [2] and s.of(Prefetch) == []
    s.tell(TaskQueued(task(1, P2)), PrefetchRestored("PC2-1", "nobody", s.now - 50, True))
    assert s.of(PrefetchOver) == [(1, "nobody")]


def test_a_restart_with_the_windowed_policy_takes_no_promise_up() -> None:
    s = Farm(settings=windowed())
    s.worker("w", {P2}, ahead())
    s.stored(1)
    s.tell(TaskQueued(task(1, P2)), PrefetchRestored("PC2-1", "w", s.now - 50, False))
    (over,) = (d for d in s.decisions if isinstance(d, PrefetchOver))
    assert (over.task.id, over.worker_id, over.why) == ("PC2-1", "w", "the policy fetches nothing ahead")
    assert s.promised("w") == [] and s.hold("w") == 0 and s.reserved("w") == 0


def test_a_promise_that_a_restart_cannot_take_up_says_what_stands_against_it() -> None:
    s = Farm()
    s.worker("w", {P2}, ahead(), room=10 * GIB)
    s.worker("drained", {P2}, ahead())
    s.tell(WorkerDrain("drained", True))
    s.stored(1, 2)
    s.tell(
        TaskQueued(task(1, P2)),
        PrefetchRestored("PC2-1", "w", s.now - 50, False),
        PrefetchRestored("PC2-1", "drained", s.now - 50, False),
    )
    said = {d.worker_id: d.why for d in s.decisions if isinstance(d, PrefetchOver)}
    assert said == {"w": "there is no room for it any more", "drained": "the worker is being drained"}


def test_another_session_of_the_worker_keeps_what_was_promised() -> None:
    s = busy("w")
    spec = next(spec for spec in s.scheduler.workers() if spec.id == "w")
    s.tell(WorkerJoined(replace(spec, session="new")))
    assert s.promised("w") == [1] and s.of(PrefetchOver) == []


def test_without_the_cap_every_decision_is_as_it_was() -> None:
    """A farm's whole record, with the cap at 0 and not there at all."""
    s = busy("a", "b", waiting=6, most=0)
    for n in range(8):
        s.seal(task(n, P2))
        s.wait(30)
        s.queue(task(n + 20, P2))
        s.stored(n + 20)
    again = Scheduler(validate=True)
    decided: list[Decision] = []
    for now, events in s.record:
        decided += again.handle(now, *events).decisions
    assert decided == s.decisions and not any(isinstance(d, Prefetch | PrefetchOver) for d in decided)
    assert {sector(0).number} <= {d.task.sector.number for d in decided if isinstance(d, Assigned)}
