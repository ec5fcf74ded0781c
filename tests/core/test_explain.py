"""What an operator is told when he asks why (the words of ``sealing explain``)."""

from __future__ import annotations

import pytest
from core.scene import (
    AP,
    C1,
    C2,
    CACHE,
    GIB,
    P1,
    P1_SIZE,
    P2,
    SEALED,
    UNSEALED,
    Scene,
    caps,
    like,
    sector,
    task,
)

from lotus_sched_cli.core.decisions import Why
from lotus_sched_cli.core.events import (
    Outcome,
    PathReported,
    Settings,
    WorkerCaps,
    WorkerDrain,
    WorkerJoined,
    WorkerOnline,
)
from lotus_sched_cli.core.explain import Explained

P1_OUT = SEALED | CACHE


def clock(at: float) -> str:
    return f"t+{at - 1000:g}"


def told(s: Scene, task_id: str) -> Explained:
    return s.scheduler.explained(task_id, s.now, clock)


def changes(s: Scene, task_id: str) -> dict[str, str]:
    return {one.worker_id: one.change for one in told(s, task_id).workers}


def test_every_worker_is_named_with_its_first_reason_and_what_would_have_to_change() -> None:
    s = Scene()
    s.worker("full", {AP, P1}, caps(p1=7))
    s.worker("held", {P1}, caps(hold=2))
    s.worker("no-room", {P1}, room=P1_SIZE)
    s.worker("p2", {P2})
    s.worker("zero", {P1}, caps(p1=0))
    s.worker("withdrawn", {P2}, caps(p1=0))
    for name in ("drained", "away"):
        s.worker(name, {P1})
    s.tell(WorkerDrain("drained", True), WorkerOnline("away", False))
    for n in (50, 51):
        s.files(n, P1_OUT, "held", "held")
    for n in range(10):
        s.files(n, UNSEALED, "full", "full")
    s.queue(*(task(n, P1) for n in range(10)))
    found = told(s, "PC1-8")
    assert (found.state, found.ahead, found.worker_id) == ("queued", 1, None)
    assert changes(s, "PC1-8") == {
        "full": "when one of its 7 P1 ends, or --precommit1max is raised",
        "held": "when one of the 2 sectors that it holds is fetched away or finalized, or --precommit1holdmax is raised",
        "no-room": f"when 32 GiB more are free on one of its paths ({(P1_SIZE + 32 * GIB) / GIB:.4g} GiB needed)",
        "p2": "only if it offers PC1 (lotus-worker tasks enable PC1, or started so)",
        "zero": "when precommit1max is raised from 0 (lotus-miner sealing caps set zero precommit1max=…)",
        "withdrawn": "when precommit1max is raised from 0 (lotus-miner sealing caps set withdrawn precommit1max=…)",
        "drained": "after lotus-miner sealing undrain drained",
        "away": "when it answers again",
    }
    assert [one.worker_id for one in found.workers][:2] == ["held", "full"], "the nearest to taking it first"


def test_one_p2_or_c2_and_work_above_a_lowered_cap_are_worded_as_such() -> None:
    s = Scene()
    s.worker("w", {C2, P2}, caps(c2=3))
    s.queue(*(task(n, C2) for n in range(5)))
    s.tell(WorkerCaps("w", caps(c2=1)))
    assert changes(s, "C2-4")["w"] == "when 3 of its 3 C2 end, or --commit2max is raised"
    s.end(task(0, C2))
    s.end(task(1, C2))
    assert changes(s, "C2-4")["w"] == "when its C2 ends, or --commit2max is raised"


def test_what_is_said_of_a_stock_worker_names_the_miner_s_command() -> None:
    s = Scene()
    s.worker("stock", {C2})
    (spec,) = s.scheduler.workers()
    s.tell(WorkerJoined(like(spec, cap_aware=False)))
    s.queue(task(1, C2), task(2, C2))
    assert changes(s, "C2-2")["stock"] == (
        "when its C2 ends, or commit2max is raised (lotus-miner sealing caps set stock commit2max=…)"
    )


def test_the_miner_s_own_worker_is_told_by_its_config() -> None:
    s = Scene()
    s.worker("m", {C2})
    (spec,) = s.scheduler.workers()
    s.tell(WorkerJoined(like(spec, builtin=True)))
    s.queue(task(1, P1))
    assert changes(s, "PC1-1")["m"] == (
        "only if [Storage] AllowPreCommit1 = true in the miner's config.toml, and the miner is started anew"
    )


def test_bound_workers_limits_groups_and_missing_files() -> None:
    s = Scene()
    s.worker("bound", {P2}, caps(bound=True))
    s.worker("far", {P2}, group="elsewhere")
    s.worker("store", {C1}, allow_to="here", max_concurrent={(C1, 8): 1})
    s.files(1, P1_OUT, "store")
    s.queue(task(1, P2), task(9, P2))
    assert changes(s, "PC2-1") == {
        "bound": "only if the files come to its paths, or its paths' groups and types allow them",
        "far": "only if the files come to its paths, or its paths' groups and types allow them",
        "store": "only if it offers PC2 (lotus-worker tasks enable PC2, or started so)",
    }
    s.files(1, P1_OUT, "far:path")
    assert s.where["PC2-1"] == "far"
    s.files(2, P1_OUT, "far")
    s.queue(task(2, P2))
    assert changes(s, "PC2-2")["bound"] == (
        "only if its files come to its own paths, or --forcep2fromlocalp1 is taken off"
    )
    assert changes(s, "PC2-9")["bound"].startswith("when a path declares the files; after ten minutes")
    for n in (1, 2):
        s.files(n, P1_OUT, "store")
        s.queue(task(n, C1))
    assert changes(s, "C1-2")["store"].startswith("when its C1 ends, or its limit of 1 is raised")


def test_rests_and_delays_tell_the_time() -> None:
    s = Scene(Settings(retry_delay=60))
    s.worker("w", {C2})
    for n in (1, 2):
        s.queue(task(n, C2))
        s.end(task(n, C2), Outcome.FAILED, "x")
    s.queue(task(3, C2))
    assert changes(s, "C2-3") == {"w": "as a trial at t+60, or at once after lotus-miner sealing end-rest w"}
    s.worker("x", {C2})
    for _ in range(2):
        s.end(task(3, C2), Outcome.AGAIN)
    found = told(s, "C2-3")
    assert found.not_before == s.now + 60 and found.attempts == 2
    assert changes(s, "C2-3")["x"] == "at t+60 at the earliest"


def test_no_space_by_the_worker_s_own_word_waits_for_its_report() -> None:
    s = Scene()
    s.worker("w", {P1})
    for n in (1, 2):
        s.files(n, UNSEALED, "w", "w")
    s.queue(task(1, P1))
    s.end(task(1, P1), Outcome.NO_SPACE)
    assert changes(s, "PC1-1")["w"] == "after its next report of space: it said that it has none"
    s.tell(PathReported("w:path", 1 << 50))
    assert told(s, "PC1-1").state == "bound"


def test_a_placed_task_tells_why_this_worker_and_who_else_was_in_question() -> None:
    s = Scene()
    for name in ("a", "b", "c"):
        s.worker(name, {P1, AP})
    for n in range(4):
        s.files(n, UNSEALED, "a", "a")
    s.queue(*(task(n, P1) for n in range(3)))
    s.queue(task(3, P1))
    found = told(s, "PC1-1")
    assert (found.state, found.worker_id, found.placed_at) == ("bound", "b", s.now)
    assert found.reasons["carried"] == 0 and found.reasons["in_question"] == 3
    rivals = {rival.worker_id: rival.carried for rival in found.rivals}
    assert rivals["a"] == 1 and rivals.get("c", 0) == 0, "where its piece lay carried one already"
    assert told(s, "PC1-3").worker_id == "a", "all carry one: its piece decides"
    for n in range(4):
        found = told(s, f"PC1-{n}")
        assert found.worker_id not in {rival.worker_id for rival in found.rivals}, "nobody is his own rival"


def test_a_move_for_another_task_s_sake_is_told() -> None:
    s = Scene()
    s.worker("a", {P2}, group="x")
    s.worker("b", {P2}, group="y")
    s.worker("anyone", ())
    s.worker("for-x", (), allow_to="x")
    s.files(1, P1_OUT, "anyone")
    s.files(2, P1_OUT, "for-x")
    s.queue(task(1, P2), task(2, P2))
    assert told(s, "PC2-1").reasons["moved_for"] == "PC2-2"
    assert told(s, "PC2-1").reasons["moved_from"] == "a"


def test_a_task_that_is_over_is_still_told_for_a_while() -> None:
    s = Scene()
    s.worker("w", {C2})
    s.queue(task(1, C2))
    s.end(task(1, C2), Outcome.FAILED, "bad luck")
    found = told(s, "C2-1")
    assert (found.state, found.worker_id, found.last_error) == ("over", "w", "bad luck")
    with pytest.raises(KeyError):
        told(s, "never-was")


def test_the_tasks_of_a_sector_are_found() -> None:
    s = Scene()
    s.worker("w", {C2})
    s.queue(task(1, C2), task(1, P2), task(2, C2))
    assert s.scheduler.tasks_of(sector(1)) == ["C2-1", "PC2-1"]
    assert s.scheduler.tasks_of(sector(9)) == []


def test_the_windowed_scheduler_explains_in_its_own_reasons() -> None:
    s = Scene(Settings(policy="windowed"), validate=False)
    s.worker("w", {C2})
    s.queue(task(1, C2))
    found = told(s, "C2-1")
    assert found.policy == "windowed"
    (one,) = found.workers
    assert one.refusal is not None and one.refusal.why is not Why.COMMIT2_MAX and one.change
