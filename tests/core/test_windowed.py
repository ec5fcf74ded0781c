"""The official scheduler's behaviour, one story each (scheduling.md B1-B5), the complaint among them."""

from __future__ import annotations

import pytest
from core.scene import AP, C1, C2, CACHE, FIN, GET, GIB, P1, P2, PROOF, SEALED, UNSEALED, caps, task
from core.windows import Windows, windowed

from lotus_sched_cli.core.decisions import Refused, Start, Why
from lotus_sched_cli.core.events import (
    Outcome,
    RestOver,
    TaskRemoved,
    WorkerDrain,
    WorkerOnline,
)
from lotus_sched_cli.core.resources import demand_of
from lotus_sched_cli.core.windowed.usage import Usage, Usage2020, share_of


def some_p1(scene: Windows, numbers: range, on: str) -> None:
    """P1 whose pieces lie on that worker: nothing is to be fetched there."""
    for n in numbers:
        scene.files(n, UNSEALED, on, by=on)


# -- the complaint -----------------------------------------------------------------------------------------------------


def test_a_row_of_assigned_waits_behind_a_busy_worker_while_another_is_idle() -> None:
    farm = Windows()
    farm.machine("busy", [P1])
    farm.ready()
    some_p1(farm, range(8), "busy")
    farm.queue(*(task(n, P1) for n in range(8)))
    assert len(farm.started) == 2, "two P1 fill the memory"
    row = farm.row("busy")
    assert len(row) == 4, "and as many as fit again lie in each of two windows"
    farm.machine("idle", [P1])
    assert farm.carried(P1)["idle"] == 0, "whoever comes now finds an empty queue"
    assert farm.row("busy") == row
    assert farm.in_queue() == []
    assert farm.carried(P1) == {"busy": 4, "idle": 0}


def test_a_task_in_a_window_stays_there_when_another_worker_becomes_idle() -> None:
    farm = Windows()
    for name in ("w1", "w2"):
        farm.machine(name, [C2], limits=caps(c2=1), memory=1024 * GIB, cpus=256, gpus=4)
    farm.ready()
    farm.queue(*(task(n, C2) for n in range(8)))
    rows = {w: farm.row(w) for w in ("w1", "w2")}
    assert sum(len(row) for row in rows.values()) >= 2
    # One of them has done all that it had; the other's windows are not touched.
    while rows["w1"] or farm.carried(C2)["w1"]:
        for name in [s for s in sorted(farm.started) if farm.where[s] == "w1"]:
            farm.started.discard(name)
            farm.end(task(int(name.split("-")[1]), C2))
        rows["w1"] = farm.row("w1")
    assert farm.row("w2") == rows["w2"] != []
    first = farm.row("w2")[0]
    refusal = farm.scheduler.judge(first, "w1", farm.now)
    assert refusal is not None and refusal.why is Why.IN_WINDOW
    assert refusal.text == "it is in window 1 of worker w2-sessi@w2"


# -- B1: the loop ------------------------------------------------------------------------------------------------------


def test_nothing_is_assigned_in_the_first_three_seconds() -> None:
    farm = Windows()
    farm.machine("w", [C2])
    farm.queue(task(1, C2))
    assert farm.waiting() == ["C2-1"] and not farm.started
    assert farm.why_not(task(1, C2), "w").startswith("nothing is assigned before")
    farm.wait(3.0)
    assert farm.started == {"C2-1"}


def test_the_queue_has_urgent_classes_first_then_priority_then_order_then_sector() -> None:
    farm = Windows()
    farm.ready()
    farm.queue(
        task(7, P1), task(3, P1), task(9, P2), task(1, AP, priority=1024), task(5, FIN), task(2, C1),
        task(4, GET, files=SEALED),
    )  # fmt: skip
    assert farm.waiting() == ["FIN-5", "GET-4", "AP-1", "C1-2", "PC2-9", "PC1-3", "PC1-7"]


def test_each_worker_keeps_two_windows_open_or_filled() -> None:
    farm = Windows()
    farm.machine("w", [P1])
    assert farm.scheduler.open_windows() == ["w", "w"]
    farm.ready()
    some_p1(farm, range(7), "w")
    farm.queue(*(task(n, P1) for n in range(5)))
    assert farm.scheduler.open_windows() == ["w"]
    farm.queue(task(5, P1), task(6, P1))
    assert farm.scheduler.open_windows() == []
    assert farm.assigned() == {"PC1-4": ("w", 1), "PC1-5": ("w", 1), "PC1-6": ("w", 2)}


def test_a_task_that_finds_no_open_window_waits_in_the_queue() -> None:
    farm = Windows()
    farm.machine("w", [P1])
    farm.ready()
    some_p1(farm, range(12), "w")
    farm.queue(*(task(n, P1) for n in range(12)))
    assert len(farm.assigned()) == 4
    assert farm.in_queue() == [f"PC1-{n}" for n in range(8, 12)]
    assert farm.why_not(task(11, P1), "w") == "no window of it is open, 4 tasks wait in its windows"


# -- B2: a pass --------------------------------------------------------------------------------------------------------


def test_the_least_utilized_worker_gets_the_next_task() -> None:
    farm = Windows()
    farm.machine("a", [P1], memory=512 * GIB)
    farm.machine("b", [P1], memory=512 * GIB, used=100 * GIB)
    farm.ready()
    farm.stored(task(1, P1))
    farm.queue(task(1, P1))
    assert farm.where["PC1-1"] == "a"


def test_utilization_stops_at_the_first_window_that_is_not_better() -> None:
    """So of many equal idle workers some stay idle within a pass: Lotus takes its list to be sorted still."""
    idle_at_times = False
    for seed in range(20):
        farm = Windows()
        names = [farm.machine(f"w{n}", [C2], memory=4096 * GIB, cpus=256, gpus=8) for n in range(6)]
        farm.ready()
        farm.queue(*(task(100 * seed + n, C2) for n in range(6)))
        idle_at_times |= any(farm.carried(C2)[name] == 0 for name in names)
    assert idle_at_times


def test_spread_gives_each_worker_as_many_tasks_of_the_pass() -> None:
    farm = Windows(windowed("spread"))
    names = [farm.machine(f"w{n}", [C2], memory=4096 * GIB, cpus=256, gpus=8) for n in range(4)]
    farm.ready()
    farm.queue(*(task(n, C2) for n in range(8)))
    assert farm.carried(C2) == dict.fromkeys(names, 2)


def test_spread_qcount_counts_what_a_worker_has_and_spread_does_not() -> None:
    for assigner, chosen in (("experiment-spread-qcount", "idle"), ("spread", "at-work")):
        farm = Windows(windowed(assigner))
        farm.machine("at-work", [AP], memory=4096 * GIB, cpus=256)
        farm.ready()
        farm.queue(task(1, AP))
        farm.machine("idle", [AP], memory=4096 * GIB, cpus=256, used=100 * GIB)
        farm.queue(task(2, AP))
        assert farm.where["AP-2"] == chosen, "equal counts: the less utilized one"


def test_spread_tasks_counts_each_task_type_by_itself() -> None:
    for assigner, apart in (("experiment-spread-tasks", True), ("spread", False)):
        farm = Windows(windowed(assigner))
        farm.machine("both", [C2, AP], memory=4096 * GIB, cpus=256, gpus=8)
        farm.machine("ap", [AP], memory=4096 * GIB, cpus=256, gpus=8, used=50 * GIB)
        farm.ready()
        farm.queue(task(1, C2), task(2, AP))
        assert (farm.where["AP-2"] == "both") is apart, "the C2 there counts for spread only"


def test_spread_tasks_qcount_counts_the_tasks_of_the_type_that_a_worker_has() -> None:
    farm = Windows(windowed("experiment-spread-tasks-qcount"))
    farm.machine("w1", [C2], memory=4096 * GIB, cpus=256, gpus=8)
    farm.ready()
    farm.queue(*(task(n, C2) for n in range(3)))
    farm.machine("w2", [C2], memory=4096 * GIB, cpus=256, gpus=8, used=50 * GIB)
    farm.queue(*(task(n, C2) for n in range(3, 6)))
    assert [farm.where[f"C2-{n}"] for n in range(3, 6)] == ["w2", "w2", "w2"]


def test_random_uses_any_window_that_fits_and_the_same_one_for_the_same_farm() -> None:
    def places() -> list[str]:
        farm = Windows(windowed("experiment-random"))
        for n in range(5):
            farm.machine(f"w{n}", [C2], memory=4096 * GIB, cpus=256, gpus=8, used=n * 10 * GIB)
        farm.ready()
        farm.queue(*(task(n, C2) for n in range(40)))
        return [farm.where[f"C2-{n}"] for n in range(40)]

    assert len(set(places())) == 5
    assert places() == places()


def test_a_task_that_needs_no_files_goes_to_the_worker_with_the_fewest_task_types() -> None:
    farm = Windows()
    farm.machine("all", memory=4096 * GIB, cpus=256)
    farm.machine("only-c2", [C2], memory=4096 * GIB, cpus=256, used=100 * GIB)
    farm.ready()
    farm.queue(task(1, C2))
    assert farm.where["C2-1"] == "only-c2"


def test_a_move_prefers_the_worker_whose_storage_has_some_of_the_files() -> None:
    farm = Windows()
    farm.machine("has-it", [GET], store=True, used=100 * GIB)
    farm.machine("emptier", [GET], store=True)
    farm.ready()
    farm.files(1, SEALED, "has-it")
    farm.queue(task(1, GET, files=SEALED | CACHE))
    assert farm.where["GET-1"] == "has-it"


def test_with_remote_finalize_disallowed_only_preferred_workers_take_a_move() -> None:
    farm = Windows(windowed(disallow_remote_finalize=True))
    farm.machine("other", [GET], store=True)
    farm.ready()
    farm.stored()
    farm.files(1, SEALED, "store")
    farm.queue(task(1, GET, files=SEALED))
    assert farm.waiting() == ["GET-1"]


# -- B3: the worker's side ---------------------------------------------------------------------------------------------


def test_a_fetched_task_waits_prepared_until_what_runs_leaves_room() -> None:
    farm = Windows()
    farm.machine("w", [P1])
    farm.ready()
    some_p1(farm, range(2), "w")
    farm.queue(task(0, P1), task(1, P1))
    farm.stored(task(2, P1))
    farm.queue(task(2, P1))
    assert farm.fetching == {"PC1-2"}, "it fetches while the others run"
    farm.fetched(task(2, P1))
    assert farm.prepared == {"PC1-2"} and "PC1-2" not in farm.started
    farm.end(task(0, P1))
    assert "PC1-2" in farm.started
    assert [d.task.id for d in farm.decisions if isinstance(d, Start)] == ["PC1-2"]


def test_an_allocation_goes_with_its_window_not_with_its_tasks() -> None:
    """So a window that has lost all but one task takes none in its place."""
    farm = Windows()
    farm.machine("w", [P1])
    farm.ready()
    some_p1(farm, range(9), "w")
    farm.queue(*(task(n, P1) for n in range(8)))
    assert [n for _, n in sorted(farm.assigned().values())] == [1, 1, 2, 2]
    farm.end(task(0, P1))
    assert sorted(n for _, n in farm.assigned().values()) == [1, 2, 2], "nothing moves up"
    farm.queue(task(8, P1))
    assert farm.in_queue() == ["PC1-8"]
    farm.end(task(1, P1))
    assert sorted(n for _, n in farm.assigned().values()) == [1, 1, 2], "an empty window is replaced"


def test_a_c2_starts_at_once_where_it_fits_beside_what_runs() -> None:
    farm = Windows()
    farm.machine("w", [P1, C2], memory=256 * GIB, swap=200 * GIB, gpus=1)
    farm.ready()
    farm.stored(*(task(n, P1) for n in range(4)))
    farm.queue(*(task(n, P1) for n in range(4)))
    assert len(farm.fetching) == 4, "preparing is full of fetches"
    farm.queue(task(9, C2))
    assert farm.started == {"C2-9"}


def test_but_not_while_prepared_work_waits_nor_in_2020() -> None:
    farm = Windows()
    farm.machine("w", [P2, C2], memory=128 * GIB, gpus=1)
    farm.ready()
    farm.stored(task(1, P2), task(2, P2))
    farm.queue(task(1, P2))
    farm.fetched(task(1, P2))
    farm.queue(task(2, P2))
    farm.fetched(task(2, P2))
    assert farm.prepared == {"PC2-2"}, "one GPU: it waits"
    farm.queue(task(3, C2))
    assert "C2-3" not in farm.started

    old = Windows(windowed("2020"))
    old.machine("w", [P1, C2], memory=256 * GIB, gpus=1)
    old.ready()
    old.stored(*(task(n, P1) for n in range(4)))
    old.queue(*(task(n, P1) for n in range(4)))
    old.queue(task(9, C2))
    assert not old.started


def test_a_later_window_moves_up_into_the_room_of_the_first() -> None:
    farm = Windows()
    farm.machine("w", [P1, AP])
    farm.ready()
    some_p1(farm, range(8), "w")
    farm.queue(*(task(n, P1) for n in range(6)))
    farm.queue(task(6, P1))
    assert farm.assigned()["PC1-6"] == ("w", 2)
    farm.tell(TaskRemoved("PC1-4"))
    assert farm.assigned()["PC1-6"] == ("w", 1)


# -- B5: resources -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("machine", "kind", "said"),
    [
        (
            {"memory": 30000 << 20},
            P1,
            "not enough physical memory - need: 57354M, have 30000M available",
        ),
        (
            {"memory": 60 * GIB, "swap": 0},
            P1,
            "not enough virtual memory - need: 65546M, have 59392M available",
        ),
        ({"memory": 512 * GIB, "cpus": 0}, P1, "not enough threads, need 1, 0 in use, target 0"),
    ],
)
def test_a_worker_that_is_too_small_is_refused_in_lotus_s_words(
    machine: dict[str, int], kind: object, said: str
) -> None:
    if "swap" in machine:
        machine = machine | {"used": 1 * GIB}
    farm = Windows()
    farm.machine("small", [P1], **machine)  # type: ignore[arg-type]
    farm.ready()
    some_p1(farm, range(1, 2), "small")
    farm.queue(task(1, P1))
    refusal = farm.scheduler.judge("PC1-1", "small", farm.now)
    assert refusal is not None and refusal.text.startswith(said.split(" - ")[0])
    assert refusal.figures["caller"] == "schedAcceptable"
    farm.wait(2)
    assert [d.refusal for d in farm.decisions if isinstance(d, Refused)] == [refusal]


def test_max_concurrent_counts_even_where_resources_are_ignored() -> None:
    farm = Windows()
    farm.machine("w", [P1], ignore=True, memory=GIB, max_concurrent={(P1, PROOF): 3})
    farm.ready()
    some_p1(farm, range(12), "w")
    farm.queue(*(task(n, P1) for n in range(12)))
    assert len(farm.started) == 3
    assert len(farm.prepared) == 9, "a P1 prepares as a fetch, of which there is no limit"


def test_a_preparing_task_is_counted_as_its_fetch() -> None:
    farm = Windows()
    farm.machine("w", [P1], ignore=True, max_concurrent={(GET, PROOF): 2})
    farm.ready()
    farm.stored(*(task(n, P1) for n in range(5)))
    farm.queue(*(task(n, P1) for n in range(5)))
    assert len(farm.fetching) == 2, "GET_MAX_CONCURRENT limits fetches in preparation"


def test_the_caps_of_our_own_worker_are_its_max_concurrent() -> None:
    farm = Windows()
    farm.machine("w", [C2], limits=caps(c2=2), memory=4096 * GIB, cpus=256, gpus=8)
    farm.ready()
    farm.queue(*(task(n, C2) for n in range(9)))
    assert len(farm.started) == 2


def test_in_2020_a_cpu_task_clears_the_flag_of_the_gpu() -> None:
    farm = Windows(windowed("2020"))
    farm.machine("w", [P1, C2], memory=4096 * GIB, cpus=256, gpus=1)
    spec = farm.scheduler.workers()[0]
    c2 = share_of(("c2", PROOF), demand_of({}, C2, PROOF), spec, 0)
    p1 = share_of(("p1", PROOF), demand_of({}, P1, PROOF), spec, 0)
    old, new = Usage2020(), Usage()
    for usage in (old, new):
        usage.add(c2)
        assert not usage.fits(c2, spec)
        usage.add(p1)
    assert old.fits(c2, spec) and not new.fits(c2, spec)
    assert new.lack(c2, spec, "x").text == "GPU(s) in use"  # type: ignore[union-attr]


def test_in_2020_a_gpu_task_takes_as_many_threads_with_a_gpu_as_without() -> None:
    for assigner, threads in (("2020", 29), ("utilization", 6)):
        farm = Windows(windowed(assigner))
        farm.machine("w", [P2, AP], memory=4096 * GIB, cpus=32, gpus=1)
        farm.ready()
        farm.files(1, SEALED | CACHE, "w", by="w")
        farm.queue(task(1, P2))
        farm.queue(*(task(n, AP) for n in range(10, 50)))
        assert farm.carried(P2)["w"] == 1
        running_ap = sum(name.startswith("AP") for name in farm.started)
        assert running_ap == 32 - threads


def test_in_2020_no_worker_is_preferred_for_a_move() -> None:
    farm = Windows(windowed("2020"))
    farm.machine("has-it", [GET], store=True, used=100 * GIB)
    farm.machine("emptier", [GET], store=True)
    farm.ready()
    farm.files(1, SEALED, "has-it")
    farm.queue(task(1, GET, files=SEALED | CACHE))
    assert farm.where["GET-1"] == "emptier"


# -- B7: liveness ------------------------------------------------------------------------------------------------------


def test_a_worker_that_stops_answering_gives_its_windows_back() -> None:
    farm = Windows()
    farm.machine("gone", [P1])
    farm.ready()
    some_p1(farm, range(8), "gone")
    farm.queue(*(task(n, P1) for n in range(8)))
    farm.tell(WorkerOnline("gone", False))
    assert farm.assigned() == {} and len(farm.in_queue()) == 4, "what waits there is queued again"
    assert farm.carried(P1)["gone"] == 4, "what it prepares and runs is left alone"
    assert farm.scheduler.open_windows() == []
    farm.machine("other", [P1])
    assert len(farm.row("other")) + farm.carried(P1)["other"] == 4
    farm.tell(WorkerOnline("gone", True))
    assert farm.scheduler.open_windows().count("gone") == 2  # type: ignore[union-attr]


def test_a_new_session_gets_nothing_from_the_windows_of_the_old_one() -> None:
    farm = Windows()
    farm.machine("w", [P1])
    farm.machine("other", [P1], used=60 * GIB)
    farm.ready()
    some_p1(farm, range(8), "w")
    farm.queue(*(task(n, P1) for n in range(8)))
    before = farm.carried(P1)
    farm.machine("w", [P1], session="another")
    assert farm.carried(P1)["w"] >= before["w"]
    assert not (set(farm.in_queue()) & set(farm.assigned()))
    assert len(farm.in_queue()) + len(farm.assigned()) + sum(farm.carried(P1).values()) == 8


def test_a_drained_worker_s_windows_are_emptied_into_the_queue() -> None:
    farm = Windows()
    farm.machine("w", [P1])
    farm.ready()
    some_p1(farm, range(8), "w")
    farm.queue(*(task(n, P1) for n in range(8)))
    farm.tell(WorkerDrain("w", True))
    assert not farm.assigned() and len(farm.in_queue()) == 4
    farm.tell(WorkerDrain("w", False))
    assert len(farm.assigned()) == 4


# -- what is ours: nothing is lost, room is kept -----------------------------------------------------------------------


def test_a_task_without_room_when_its_turn_comes_is_queued_again() -> None:
    from core.scene import P1_SIZE

    farm = Windows()
    farm.machine("w", [P1], memory=4096 * GIB, swap=4096 * GIB, cpus=256, room=3 * P1_SIZE)
    farm.ready()
    some_p1(farm, range(6), "w")
    farm.queue(*(task(n, P1) for n in range(6)))
    assert farm.carried(P1)["w"] == 3
    assert len(farm.in_queue()) == 3 and not farm.assigned()
    assert farm.scheduler.judge("PC1-5", "w", farm.now).why is Why.SPACE  # type: ignore[union-attr]


def test_a_worker_that_fails_twice_rests_under_this_policy_too() -> None:
    farm = Windows()
    farm.machine("bad", [C2], memory=4096 * GIB, gpus=4)
    farm.ready()
    for n in (1, 2):
        farm.queue(task(n, C2))
        farm.end(task(n, C2), Outcome.FAILED, "boom")
    farm.queue(task(3, C2))
    assert farm.waiting() == ["C2-3"]
    farm.tell(RestOver("bad"))
    assert "C2-3" in farm.started


def test_the_same_events_give_the_same_decisions() -> None:
    def decisions() -> list[object]:
        farm = Windows()
        for n in range(5):
            farm.machine(f"w{n}", [P1, C2, AP], memory=300 * GIB, gpus=1)
        farm.ready()
        farm.stored(*(task(n, P1) for n in range(20)))
        farm.queue(*(task(n, P1) for n in range(20)), *(task(n, C2) for n in range(30, 50)))
        return [
            (type(d).__name__, getattr(d, "task", None), getattr(d, "worker_id", None))
            for d in farm.decisions
        ]

    assert decisions() == decisions()
