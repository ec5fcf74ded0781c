"""Whose P1 hold a sector fills (scheduling.md A2)."""

from __future__ import annotations

from core.scene import C2, CACHE, P1, P2, SEALED, UNSEALED, Scene, caps, sector, task

from lotus_sched_cli.core.events import Outcome, SectorHeld, WorkerLeft

P1_OUT = SEALED | CACHE


def held(s: Scene, worker: str) -> list[int]:
    ledger = s.scheduler.ledger(worker)
    assert ledger is not None and ledger.held == len(ledger.held_sectors)
    return [found.number for found in ledger.held_sectors]


def test_it_holds_what_it_runs_and_what_has_not_been_fetched_away() -> None:
    s = Scene()
    s.worker("w", {P1})
    for n in (1, 2):
        s.files(n, UNSEALED, "w", "w")
    s.queue(task(1, P1))
    assert held(s, "w") == [1], "a piece alone does not count"
    s.seal(task(1, P1))
    assert held(s, "w") == [1]
    s.tell(s.dropped(1, P1_OUT, "w"))
    assert held(s, "w") == []


def test_a_sector_that_runs_and_has_files_counts_once() -> None:
    s = Scene()
    s.worker("w", {P1}, caps(hold=1))
    s.files(1, UNSEALED | CACHE, "w", "w")
    s.queue(task(1, P1))
    assert s.where["PC1-1"] == "w", "the judged sector is left aside"
    assert held(s, "w") == [1]


def test_fetched_and_failed_ones_count_too_until_someone_removes_them() -> None:
    s = Scene()
    s.worker("w", {P1, P2}, caps(hold=2))
    s.files(1, P1_OUT, "w", "w")
    s.files(2, UNSEALED, "w", "w")
    s.queue(task(2, P1))
    s.files(2, CACHE, "w", "w")
    s.end(task(2, P1), Outcome.FAILED, "x")
    assert held(s, "w") == [1, 2]
    s.tell(s.dropped(2, CACHE, "w"))
    assert held(s, "w") == [1]


def test_a_sector_that_has_left_finalizesector_counts_no_more() -> None:
    s = Scene()
    s.worker("w", {P1}, caps(hold=1))
    s.files(1, P1_OUT, "w", "w")
    s.files(2, UNSEALED, "w", "w")
    assert s.queue(task(2, P1)) == []
    assert [d.task.id for d in s.tell(SectorHeld(sector(1), False))] == ["PC1-2"]


def test_a_hold_cap_of_zero_is_no_limit() -> None:
    s = Scene()
    s.worker("w", {P1}, caps(p1=50, hold=0))
    for n in range(60):
        s.files(n, P1_OUT if n < 30 else UNSEALED, "w", "w")
    assert len(s.queue(*(task(n, P1) for n in range(30, 60)))) == 30


def test_on_a_shared_path_it_fills_the_maker_s_hold_else_everybody_s() -> None:
    s = Scene()
    for name in ("a", "b"):
        s.worker(name, {P1})
    s.tell(s.path("shared", ["a", "b"]))
    s.files(1, P1_OUT, "shared:", "a")  # no such path: left aside
    s.tell(s.declared(2, P1_OUT, "a", "a"))
    from lotus_sched_cli.core.events import FilesDeclared

    s.tell(FilesDeclared("shared", sector(3), P1_OUT, False, "b"))
    s.tell(FilesDeclared("shared", sector(4), P1_OUT, False, None))
    assert held(s, "a") == [2, 4] and held(s, "b") == [3, 4]


def test_the_hold_survives_the_worker_s_restart_and_absence() -> None:
    s = Scene()
    s.worker("w", {P1}, caps(hold=2))
    for n in (1, 2):
        s.files(n, P1_OUT, "w", "w")
    s.tell(WorkerLeft("w"))
    s.worker("w", {P1}, caps(hold=2))
    s.files(5, UNSEALED, "w", "w")
    assert s.queue(task(5, P1)) == []
    assert held(s, "w") == [1, 2]


def test_other_kinds_do_not_look_at_the_hold() -> None:
    s = Scene()
    s.worker("w", {P2, C2}, caps(hold=1))
    for n in (1, 2):
        s.files(n, P1_OUT, "w", "w")
    assert len(s.queue(task(1, P2), task(9, C2))) == 2
