"""Room on paths (scheduling.md A4): reserved at binding, promised to pieces, never counted twice."""

from __future__ import annotations

from core.scene import (
    AP,
    C1,
    C2,
    CACHE,
    FIN,
    GET,
    GIB,
    P1,
    P1_SIZE,
    P2,
    SEALED,
    TIB,
    UNSEALED,
    Scene,
    caps,
    sector,
    task,
)

from lotus_sched_cli.core.events import Outcome, PathDetached, PathReported, TaskRunning
from lotus_sched_cli.core.needs import P1_OUTPUT
from lotus_sched_cli.core.proofs import space as size_of
from lotus_sched_cli.core.tasks import FileType, PathType

P1_OUT = SEALED | CACHE
CACHE_AND_SEALED = size_of(FileType(P1_OUTPUT), 32 * GIB, PathType.SEALING)


def test_the_scene_s_p1_has_the_size_that_lotus_states() -> None:
    assert CACHE_AND_SEALED == P1_SIZE


def test_three_p1_never_pass_one_check_and_fight_for_the_disk() -> None:
    s = Scene()
    s.worker("w", {P1}, room=2 * P1_SIZE + 100 * GIB)
    for n in range(3):
        s.files(n, UNSEALED, "w", "w")
    assert len(s.queue(*(task(n, P1) for n in range(3)))) == 2
    why = s.scheduler.judge("PC1-2", "w", s.now)
    assert why is not None and why.figures == {"need": P1_SIZE, "free": 100 * GIB}
    assert why.text == f"not enough space, {P1_SIZE} need, {100 * GIB} free"


def test_what_the_worker_has_reserved_itself_is_not_counted_twice() -> None:
    """Its reports take off what its own calls reserve, from the tenth second after it accepted them."""
    s = Scene()
    s.worker("w", {P1}, room=2 * P1_SIZE)
    for n in range(3):
        s.files(n, UNSEALED, "w", "w")
    s.queue(task(1, P1))
    s.running(task(1, P1))
    s.now += 9.0
    # The report may be from before its reservation.
    s.tell(PathReported("w:path", 2 * P1_SIZE))
    s.queue(task(2, P1))
    assert s.where["PC1-2"] == "w"
    s.running(task(2, P1))
    s.now += 10.0
    s.tell(PathReported("w:path", P1_SIZE))
    assert s.queue(task(0, P1))[0].worker_id == "w", "both are in the report now"


def test_a_report_before_the_worker_accepted_gives_no_room_back() -> None:
    s = Scene()
    s.worker("w", {P1}, room=P1_SIZE)
    for n in (1, 2):
        s.files(n, UNSEALED, "w", "w")
    s.queue(task(1, P1))
    s.wait(120)
    assert s.queue(task(2, P1)) == []
    assert "not enough space" in s.why_not(task(2, P1), "w")


def test_a_task_that_ends_gives_its_room_back_with_the_next_report() -> None:
    s = Scene()
    s.worker("w", {P1}, room=P1_SIZE)
    for n in (1, 2):
        s.files(n, UNSEALED, "w", "w")
    s.queue(task(1, P1), task(2, P1))
    s.running(task(1, P1))
    assert s.end(task(1, P1), Outcome.FAILED, "x") == [], "what it wrote may still lie there"
    s.now += 5
    assert [d.task.id for d in s.tell(PathReported("w:path", P1_SIZE))] == ["PC1-2"]


def test_space_that_is_freed_is_used_at_once() -> None:
    s = Scene()
    s.worker("w", {P1}, room=10 * GIB)
    s.files(1, UNSEALED, "w", "w")
    assert s.queue(task(1, P1)) == []
    assert [d.task.id for d in s.tell(PathReported("w:path", 2 * P1_SIZE))] == ["PC1-1"]


def test_a_p2_needs_room_for_what_it_fetches_and_none_for_what_it_has() -> None:
    s = Scene()
    s.worker("has", {P2}, room=GIB)
    s.worker("lacks", {P2}, room=P1_SIZE - 1)
    for n in (1, 2):
        s.files(n, P1_OUT, "has", "has")
    assert [d.worker_id for d in s.queue(task(1, P2), task(2, P2))] == ["has"]
    assert "not enough space" in s.why_not(task(2, P2), "lacks")
    (bound,) = s.tell(PathReported("lacks:path", P1_SIZE))
    assert bound.fetch == P1_OUT and sum(part.bytes for part in bound.laid) == P1_SIZE


def test_pieces_leave_room_for_the_p1_of_each() -> None:
    s = Scene()
    s.worker("w", {AP, P1}, room=2 * (32 * GIB + P1_SIZE) + 100 * GIB)
    assert len(s.queue(*(task(n, AP) for n in range(5)))) == 2
    why = s.scheduler.judge("AP-2", "w", s.now)
    assert why is not None and why.figures["need"] == 32 * GIB + P1_SIZE


def test_a_worker_without_p1_takes_pieces_as_long_as_they_fit() -> None:
    s = Scene()
    s.worker("w", {AP}, room=5 * 32 * GIB)
    assert len(s.queue(*(task(n, AP) for n in range(6)))) == 5


def test_a_p1_that_takes_its_piece_elsewhere_takes_the_promised_room_along() -> None:
    s = Scene()
    s.worker("a", {AP, P1}, caps(p1=1), room=2 * (32 * GIB + P1_SIZE) + 32 * GIB)
    s.queue(task(1, AP), task(2, AP))
    s.running(task(1, AP), task(2, AP))
    for n in (1, 2):
        s.seal(task(n, AP))
    s.now += 10
    s.tell(PathReported("a:path", 2 * P1_SIZE + 32 * GIB))
    s.worker("b", {P1}, room=2 * P1_SIZE)
    assert s.queue(task(3, AP)) == [], "both wait for their P1"
    s.queue(task(1, P1), task(2, P1))
    assert sorted(s.where[f"PC1-{n}"] for n in (1, 2)) == ["a", "b"]
    gone = 1 if s.where["PC1-1"] == "b" else 2
    assert s.where.get("AP-3") == "a", f"the room kept for {gone} is free"


def test_promised_room_is_for_own_pieces_not_for_foreign_p1_or_fetches() -> None:
    s = Scene()
    s.worker("w", {AP, P1, P2}, room=32 * GIB + P1_SIZE + 50 * GIB)
    s.worker("other", ())
    s.queue(task(1, AP))
    s.seal(task(1, AP))
    s.files(2, UNSEALED, "other")
    s.files(3, P1_OUT, "other")
    assert s.queue(task(2, P1), task(3, P2)) == []
    assert [d.task.id for d in s.queue(task(1, P1))] == ["PC1-1"]


def test_files_declared_on_another_path_take_their_reservation_with_them() -> None:
    s = Scene()
    s.worker("w", {P1}, room=2 * P1_SIZE)
    s.tell(s.path("w:second", ["w"], P1_SIZE))
    s.files(1, UNSEALED, "w", "w")
    (bound,) = s.queue(task(1, P1))
    assert {part.path_id for part in bound.laid} == {"w:path"}
    s.running(task(1, P1))
    s.files(1, P1_OUT, "w:second", "w")
    for n in (2, 3, 4):
        s.files(n, UNSEALED, "w:path", "w")
    bound_now = s.queue(*(task(n, P1) for n in (2, 3, 4)))
    assert len(bound_now) == 2 and {p.path_id for d in bound_now for p in d.laid} == {"w:path"}


def test_a_path_that_says_an_error_or_is_silent_for_50_seconds_takes_nothing() -> None:
    s = Scene()
    s.worker("w", {P1})
    for n in (1, 2):
        s.files(n, UNSEALED, "w", "w")
    s.tell(PathReported("w:path", 100 * TIB, "input/output error"))
    assert s.queue(task(1, P1)) == []
    assert len(s.tell(PathReported("w:path", 100 * TIB))) == 1
    s.now += 50
    assert s.queue(task(2, P1)) == []
    assert len(s.tell(PathReported("w:path", 100 * TIB))) == 1


def test_a_path_that_is_detached_takes_nothing_and_what_waits_goes_elsewhere() -> None:
    s = Scene()
    s.worker("w", {P1})
    s.tell(s.path("w:second", ["w"], P1_SIZE + 32 * GIB))
    s.worker("store", ())
    for n in (1, 2):
        s.files(n, UNSEALED, "store")
    s.tell(PathDetached("w:path"))
    assert len(s.queue(task(1, P1), task(2, P1))) == 1


def test_a_move_to_long_term_storage_asks_for_its_room_there() -> None:
    s = Scene()
    s.worker("sealer", {P2})
    one = size_of(FileType(P1_OUTPUT), 32 * GIB, PathType.STORAGE)
    s.worker("store", {GET}, room=2 * one - 1, store=True)
    for n in (1, 2):
        s.files(n, P1_OUT, "sealer")
    assert len(s.queue(task(1, GET, files=P1_OUT), task(2, GET, files=P1_OUT))) == 1
    assert "not enough space" in s.why_not(task(2, GET), "store")


def test_no_space_keeps_the_worker_out_until_its_next_report() -> None:
    s = Scene()
    s.worker("full", {P1})
    s.worker("other", {P1}, caps(p1=1))
    for n in (1, 2):
        s.files(n, UNSEALED, "full", "full")
    s.queue(task(1, P1))
    assert s.where["PC1-1"] == "full"
    (again,) = s.end(task(1, P1), Outcome.NO_SPACE, "no good path found")
    assert again.worker_id == "other", "queued again at once"
    assert s.queue(task(2, P1)) == []
    why = s.scheduler.judge("PC1-2", "full", s.now)
    assert why is not None and why.figures["refused_until_report"] is True
    assert [d.worker_id for d in s.tell(PathReported("full:path", 100 * TIB))] == ["full"]


def test_a_worker_that_says_no_space_of_the_same_task_again_waits_longer_each_time() -> None:
    s = Scene()
    s.worker("w", {P1})
    s.files(1, UNSEALED, "w", "w")
    s.queue(task(1, P1))
    waits = []
    for _ in range(4):
        s.end(task(1, P1), Outcome.NO_SPACE, "no good path found")
        before = s.now
        while not s.wait(10):
            assert s.now < before + 4000, "it is never tried again"
        waits.append(s.now - before)
    assert waits[0] <= 10 and 60 <= waits[1] <= 70 and 120 <= waits[2] <= 130 and 240 <= waits[3] <= 250


def test_c2_needs_no_disk_and_c1_and_fin_only_their_files() -> None:
    s = Scene()
    s.worker("full", {C1, C2, FIN}, room=0)
    s.files(1, P1_OUT, "full")
    assert len(s.queue(task(1, C1), task(1, FIN), task(2, C2))) == 3


def test_a_restored_call_s_room_is_reserved_until_it_is_accepted() -> None:
    from lotus_sched_cli.core.events import TaskRestored

    s = Scene()
    s.worker("w", {P1}, room=P1_SIZE)
    for n in (1, 2):
        s.files(n, UNSEALED, "w", "w")
    s.tell(TaskRestored(task(1, P1), "w", s.now - 100, None))
    assert s.queue(task(2, P1)) == []
    s.tell(TaskRunning("PC1-1"))
    s.now += 11
    s.tell(PathReported("w:path", P1_SIZE))
    assert [d.task.id for d in s.tell()] == [] and s.where["PC1-2"] == "w"
    assert sector(2) in s.scheduler.ledger("w").held_sectors  # type: ignore[union-attr]
