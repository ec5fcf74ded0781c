"""``mypledge``: new sectors for the free AP slots, and never more than that."""

from __future__ import annotations

from dataclasses import replace

from core.scene import AP, GIB, MINER, P1, P1_SIZE, P2, PROOF, SEALED, UNSEALED, Scene, caps, task

from lotus_sched_cli.core.events import SectorHeld, TaskSpec, WorkerDrain, WorkerOnline
from lotus_sched_cli.core.pledge import PieceSlots

NEED = 32 * GIB + P1_SIZE


def slots(s: Scene) -> PieceSlots:
    return s.scheduler.piece_slots(MINER, PROOF)


def free(s: Scene) -> dict[str, int]:
    return slots(s).free


def test_without_an_ap_cap_the_free_p1_slots_are_the_ap_slots() -> None:
    s = Scene()
    s.worker("w", {AP, P1}, caps(p1=3))
    s.worker("p2", {P2})
    s.worker("ap-only", {AP})
    assert free(s) == {"w": 3}
    s.files(1, UNSEALED, "w", "w")
    s.queue(task(1, P1))
    assert free(s) == {"w": 2}, "one runs"
    s.queue(task(2, AP))
    assert s.where["AP-2"] == "w" and free(s) == {"w": 1}


def test_a_piece_that_waits_takes_its_slot_from_its_ap_on() -> None:
    s = Scene()
    s.worker("w", {AP, P1}, caps(p1=2))
    s.queue(task(1, AP))
    assert free(s) == {"w": 1}
    s.seal(task(1, AP))
    assert free(s) == {"w": 1}
    s.queue(task(1, P1))
    assert free(s) == {"w": 1}
    s.seal(task(1, P1))
    assert free(s) == {"w": 2}


def test_the_hold_and_the_disk_bound_it() -> None:
    s = Scene()
    s.worker("w", {AP, P1}, caps(p1=7, hold=3))
    s.files(1, SEALED, "w", "w")
    s.files(2, SEALED, "w", "w")
    assert free(s) == {"w": 1}
    s.tell(SectorHeld(task(1, P1).sector, False))
    assert free(s) == {"w": 2}
    small = Scene()
    small.worker("w", {AP, P1}, caps(p1=7), room=2 * NEED + NEED // 2)
    assert free(small) == {"w": 2}


def test_the_room_of_a_shared_path_counts_once() -> None:
    s = Scene()
    for name in "ab":
        s.worker(name, {AP, P1}, caps(p1=3), room=0)
    s.tell(s.path("nfs", ["a", "b"], 4 * NEED))
    assert free(s) == {"a": 3, "b": 1}


def test_pieces_that_will_go_to_other_workers_take_their_slots() -> None:
    s = Scene()
    s.worker("full", {AP, P1}, caps(p1=1))
    for n in range(4):
        s.files(n, UNSEALED, "full", "full")
    s.queue(task(0, P1))
    s.worker("free", {AP, P1}, caps(p1=5))
    assert slots(s) == PieceSlots({"free": 5}, 3)
    assert slots(s).for_new(0, False) == 2
    s.queue(*(task(n, P1) for n in (1, 2, 3)))
    assert slots(s).for_new(0, False) == 2, "now they have them"


def test_pieces_bound_to_their_worker_take_nobody_s_slot() -> None:
    s = Scene()
    s.worker("bound", {AP, P1}, replace(caps(p1=1), force_p1_from_local_ap=True))
    for n in range(4):
        s.files(n, UNSEALED, "bound", "bound")
    s.worker("free", {AP, P1}, caps(p1=5))
    assert slots(s) == PieceSlots({"free": 5}, 0)


def test_with_an_ap_cap_its_free_slots_count_and_the_disk() -> None:
    s = Scene()
    s.worker("w", {AP, P1}, caps(p1=1), max_concurrent={(AP, PROOF): 3}, room=20 * NEED)
    assert free(s) == {"w": 3}
    s.queue(task(1, AP), task(2, AP))
    assert free(s) == {"w": 1}


def test_a_worker_that_is_away_drained_or_off_counts_nothing() -> None:
    s = Scene()
    s.worker("w", {AP, P1})
    for event, undo in (
        (WorkerOnline("w", False), WorkerOnline("w", True)),
        (WorkerDrain("w", True), WorkerDrain("w", False)),
        (WorkerDrain("w", True, True), WorkerDrain("w", False)),
    ):
        s.tell(event)
        assert free(s) == {}
        s.tell(undo)
        assert free(s) == {"w": 7}


def test_run_every_minute_it_never_pledges_more_than_the_free_slots() -> None:
    """Two workers, P1 that never end: cron goes on for a day, and no piece ever waits without a P1 slot."""
    s = Scene()
    for name in "ab":
        s.worker(name, {AP, P1}, caps(p1=3))
    begun: list[TaskSpec] = []
    added = 0
    for minute in range(60):
        wanted = slots(s).for_new(len([n for n in s.waiting() if n.startswith("AP")]), once=minute % 2 == 0)
        new = [task(len(begun) + n, AP) for n in range(wanted)]
        begun += new
        s.queue(*new)
        if minute % 3 == 0 and added < len(begun):
            s.seal(begun[added])
            s.queue(task(added, P1))
            added += 1
        s.wait(60)
    assert len(begun) == 6 and s.carried(P1) == {"a": 3, "b": 3} and s.waiting() == []


def test_once_is_one_for_each_worker_and_begun_sectors_count() -> None:
    some = PieceSlots({"a": 3, "b": 2, "c": 1}, 0)
    assert some.for_new(0, False) == 6 and some.for_new(0, True) == 3
    assert some.for_new(4, False) == 2 and some.for_new(2, True) == 1
    assert some.for_new(9, False) == some.for_new(9, True) == 0
    assert PieceSlots({"a": 3}, 5).for_new(0, False) == 0
