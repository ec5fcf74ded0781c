"""The scenes of real farms (scheduling.md A9), except the switch to windowed, each on the core alone."""

from __future__ import annotations

from collections import Counter

from core.scene import (
    AP,
    C2,
    CACHE,
    FIN,
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

from lotus_sched_cli.core.events import FilesDropped, PathReported, SectorHeld, TaskQueued

P1_OUT = SEALED | CACHE


def test_no_worker_idles_while_a_job_it_could_do_waits() -> None:
    """15 workers, P1 on four, P2 elsewhere, more jobs than slots: nothing stands behind a busy worker."""
    s = Scene()
    p1 = [s.worker(f"p1-{n}", {AP, P1}, caps(p1=2)) for n in range(4)]
    p2 = [s.worker(f"p2-{n}", {P2, C2}) for n in range(11)]
    for n in range(40):
        s.files(n, UNSEALED, p1[n % 4])
    for n in range(100, 130):
        s.files(n, P1_OUT, p1[n % 4], p1[n % 4])
    jobs = [task(n, P1) for n in range(40)] + [task(n, P2) for n in range(100, 130)]
    s.queue(*jobs)
    done = 0
    while (s.where.keys() - {f"x{done}"} and len(s.where) < len(jobs)) or s.waiting():
        carried = s.carried(P1) + s.carried(P2)
        p1_waits, p2_waits = (any(w.startswith(k) for w in s.waiting()) for k in ("PC1", "PC2"))
        assert not p1_waits or all(carried[w] == 2 for w in p1)
        assert not p2_waits or all(carried[w] == 1 for w in p2)
        current = next(j for j in jobs if j.id in s.where and j.id not in s.waiting())
        jobs.remove(current)
        s.end(current)
        done += 1
    assert all(s.where[f"PC2-{n}"].startswith("p2") for n in range(100, 130))


def test_sixty_p1_grow_evenly_on_four_workers_and_the_sixteenth_waits() -> None:
    s = Scene()
    for n in range(4):
        s.worker(f"w{n}", {AP, P1}, caps(p1=15, hold=0))
    grown: Counter[str] = Counter()
    for n in range(64):
        s.files(n, UNSEALED, f"w{n % 4}", f"w{n % 4}")
        for d in s.queue(task(n, P1)):
            grown[d.worker_id] += 1
            assert max(grown.values()) - min(grown[f"w{k}"] for k in range(4)) <= 1
    assert s.carried(P1) == {f"w{k}": 15 for k in range(4)}
    assert s.waiting() == [f"PC1-{n}" for n in range(60, 64)]


def test_sixty_p1_at_once_grow_as_evenly() -> None:
    s = Scene()
    for n in range(4):
        s.worker(f"w{n}", {AP, P1}, caps(p1=15, hold=0))
    for n in range(64):
        s.files(n, UNSEALED, "w0", "w0")
    order = [d.worker_id for d in s.queue(*(task(n, P1) for n in range(64)))]
    for upto in range(4, 61, 4):
        assert set(Counter(order[:upto]).values()) == {upto // 4}
    assert len(order) == 60


def test_forty_workers_take_one_p2_each_until_all_are_busy_and_c2_likewise() -> None:
    for kind in (P2, C2):
        s = Scene()
        s.worker("store", (), store=True)
        for n in range(40):
            s.worker(f"w{n}", {P2, C2})
        for n in range(45):
            s.files(n, P1_OUT, "store")
        for n in range(45):
            s.queue(task(n, kind))
            counts = s.carried(kind)
            assert max(counts.values()) == 1
            assert sum(counts.values()) == min(n + 1, 40)
        assert len(s.waiting()) == 5


def test_forty_one_gpu_workers_take_26_p2_and_12_c2_and_none_has_two() -> None:
    s = Scene()
    s.worker("store", ())
    for n in range(40):
        s.worker(f"w{n}", {P2, C2})
    for n in range(26):
        s.files(n, P1_OUT, "store")
    s.queue(*(task(n, P2) for n in range(26)), *(task(n, C2) for n in range(100, 112)))
    busy = s.carried(P2) + s.carried(C2)
    assert sum(busy.values()) == 38
    assert max(busy.values()) == 1


def test_one_worker_with_a_cap_of_five_runs_five_p2_in_parallel() -> None:
    s = Scene()
    s.worker("w", limits=caps(p2=5))
    for n in range(7):
        s.files(n, P1_OUT, "w", "w")
    s.queue(*(task(n, P2) for n in range(7)))
    assert s.carried(P2)["w"] == 5
    assert len(s.waiting()) == 2
    assert s.why_not(task(5, P2), "w") == "not enough PreCommit2 quota, 1 need, 5 in use, PreCommit2Max is 5"


def test_two_gpus_and_a_cap_of_two_run_two_c2_in_parallel() -> None:
    s = Scene()
    s.worker("w", limits=caps(c2=2), gpus=2)
    s.queue(*(task(n, C2) for n in range(3)))
    assert s.carried(C2)["w"] == 2


def test_four_pledges_on_two_workers_go_two_and_two_and_all_reach_proving() -> None:
    s = Scene()
    for name in ("a", "b"):
        s.worker(name)
    s.worker("miner", {FIN, "seal/v0/fetch"}, store=True)  # type: ignore[arg-type]
    numbers = (15, 16, 17, 18)
    s.queue(*(task(n, AP) for n in numbers))
    for n in numbers:
        s.seal(task(n, AP))
        s.queue(task(n, P1))
    assert s.carried(P1) == {"a": 2, "b": 2, "miner": 0}
    for n in numbers:
        assert s.where[f"PC1-{n}"] == s.where[f"AP-{n}"], "P1 where its piece lies"
        s.seal(task(n, P1))
    for kind in (P2, C2):
        left = [task(n, kind) for n in numbers]
        s.queue(*left)
        while left:
            counts = s.carried(kind)
            assert max(counts.values()) <= 1
            assert sum(counts.values()) == min(2, len(left)), "one at a time on each, both at work"
            done = next(t for t in left if t.id not in s.waiting())
            left.remove(done)
            s.seal(done)
    for n in numbers:
        s.tell(SectorHeld(sector(n), False))
    assert s.waiting() == []
    assert Counter(s.where[f"PC2-{n}"] for n in numbers) == {"a": 2, "b": 2}


def test_a_full_hold_takes_no_p1_though_slots_are_free_until_a_sector_is_fetched_away() -> None:
    s = Scene()
    s.worker("w", {AP, P1}, caps(p1=7, hold=25))
    s.worker("p2", {P2})
    for n in range(25):
        s.files(n, P1_OUT, "w", "w")
    s.files(100, UNSEALED, "w", "w")
    assert s.queue(task(100, P1)) == []
    assert (
        s.why_not(task(100, P1), "w") == "not enough PreCommit1Hold quota, 25 in use, PreCommit1HoldMax is 25"
    )
    bound = s.tell(s.declared(3, P1_OUT, "p2", "p2"), FilesDropped("w:path", sector(3), P1_OUT))
    assert [(d.task.id, d.worker_id) for d in bound] == [("PC1-100", "w")]


def test_when_every_worker_is_bound_each_does_its_own_p2() -> None:
    s = Scene()
    names = [s.worker(f"w{n}", limits=caps(bound=True)) for n in range(3)]
    for n in range(9):
        s.files(n, P1_OUT, names[n % 3], names[n % 3])
    jobs = [task(n, P2) for n in range(9)]
    s.queue(*jobs)
    assert s.why_not(jobs[4], "w0") in (
        "It only receives P2 from the local P1.",
        "not enough PreCommit2 quota, 1 need, 1 in use, PreCommit2Max is 1",
    )
    for job in jobs:
        s.end(job)
    assert all(s.where[job.id] == names[job.sector.number % 3] for job in jobs)


def test_an_unbound_worker_takes_p1_results_from_anyone_when_the_bound_ones_are_busy() -> None:
    s = Scene()
    for name in ("bound-a", "bound-b"):
        s.worker(name, limits=caps(bound=True))
    s.worker("free", {P2})
    for n in range(4):
        on = "bound-a" if n < 3 else "bound-b"
        s.files(n, P1_OUT, on, on)
    s.queue(*(task(n, P2) for n in range(4)))
    assert s.where["PC2-0"] == "bound-a", "that slot can do nothing else"
    assert s.where["PC2-1"] == "free"
    assert s.where["PC2-3"] == "bound-b"
    assert s.waiting() == ["PC2-2"]
    s.end(task(3, P2))
    assert s.waiting() == ["PC2-2"], "bound-b does only what lies there"
    assert s.end(task(1, P2))[0].worker_id == "free"


def test_on_a_small_disk_pieces_stop_before_they_take_a_p1_s_room_and_every_sector_gets_through() -> None:
    s = Scene()
    room = 2 * TIB
    s.worker("w", {AP, P1}, caps(p1=7, hold=0), room=room)
    pledged = [task(n, AP) for n in range(60)]
    s.queue(*pledged)
    used: dict[str, int] = {}
    left = dict.fromkeys(range(60), "AP")
    turns = 0
    while left:
        turns += 1
        assert turns < 1000, "the farm is locked"
        moved = False
        for n, stage in list(left.items()):
            spec = task(n, AP if stage == "AP" else P1)
            if spec.id not in s.where or stage == "done":
                continue
            if stage == "AP":
                used[f"u{n}"] = 32 * GIB
                left[n] = "P1"
                s.seal(spec)
                s.tell(TaskQueued(task(n, P1)))
            else:
                used[f"p{n}"] = P1_SIZE
                assert sum(used.values()) <= room, "the disk ran over"
                s.seal(spec)
                # Another host fetches it away.
                del used[f"p{n}"], used[f"u{n}"]
                s.tell(s.dropped(n, P1_OUT | UNSEALED, "w"))
                del left[n]
            moved = True
        s.now += 11
        s.free["w:path"] = room - sum(used.values())
        s.tell(PathReported("w:path", s.free["w:path"]))
        assert moved or turns < 3
    assert turns < 60
