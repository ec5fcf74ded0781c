"""Which of the eligible workers (scheduling.md A6, rules 0 to 5)."""

from __future__ import annotations

import pytest
from core.scene import (
    ALL,
    AP,
    C1,
    C2,
    CACHE,
    FIN,
    GET,
    P1,
    P2,
    SEALED,
    UNSEALED,
    Scene,
    caps,
    sector,
    task,
)

from lotus_sched_cli.core.events import Outcome, Settings, SettingsChanged, TaskEnded, TaskQueued

P1_OUT = SEALED | CACHE


def test_a_failed_task_goes_to_another_worker_next_time() -> None:
    s = Scene()
    for name in ("a", "b"):
        s.worker(name, {C2}, caps(c2=2))
    s.queue(task(1, C2))
    first = s.where["C2-1"]
    other = "b" if first == "a" else "a"
    # The other one is busier and would be the worse choice.
    s.queue(task(2, C2))
    assert s.where["C2-2"] == other
    s.end(task(1, C2), Outcome.FAILED, "out of GPU memory")
    s.queue(task(1, C2, again=1))
    assert s.where["C2-1-1"] == other


def test_a_failed_task_goes_where_it_failed_if_nobody_else_has_a_slot() -> None:
    s = Scene()
    s.worker("only", {C2})
    s.queue(task(1, C2))
    s.end(task(1, C2), Outcome.FAILED, "x")
    s.queue(task(1, C2, again=1))
    assert s.where["C2-1-1"] == "only"


def test_the_p2_of_a_bound_worker_s_sector_goes_there() -> None:
    s = Scene()
    s.worker("bound", {P2, C2}, caps(bound=True, c2=1))
    s.worker("free", {P2})
    s.queue(task(50, C2))
    s.files(1, P1_OUT, "bound", "bound")
    s.queue(task(1, P2))
    assert s.where["PC2-1"] == "bound", "although its GPU carries a C2 and the other's nothing"


def test_c1_and_fin_go_to_the_worker_of_the_last_step() -> None:
    s = Scene()
    for name in ("a", "b"):
        s.worker(name)
    s.files(1, P1_OUT, "a", "a", primary=True)
    s.files(1, P1_OUT, "b", "b")
    s.queue(task(1, P2))
    on = s.where["PC2-1"]
    s.end(task(1, P2))
    # That worker carries a C2 more than the other.
    s.queue(*(task(n, C2) for n in (7,)))
    s.queue(task(1, C1))
    assert s.where["C1-1"] == on
    s.end(task(1, C1))
    s.queue(task(1, FIN))
    assert s.where["FIN-1"] == on


def test_else_c1_goes_to_the_holder_of_the_primary_copy_else_to_any() -> None:
    s = Scene()
    for name in ("a", "b", "c"):
        s.worker(name)
    s.files(1, P1_OUT, "a")
    s.files(1, P1_OUT, "b", primary=True)
    s.queue(task(1, C1))
    assert s.where["C1-1"] == "b"
    s.files(2, P1_OUT, "c")
    s.queue(task(2, C1))
    assert s.where["C1-2"] == "c"


def test_c1_looks_at_the_c2_carried_where_it_has_a_choice() -> None:
    s = Scene()
    for name in ("a", "b"):
        s.worker(name)
    s.queue(task(9, C2))
    busy = s.where["C2-9"]
    for name in ("a", "b"):
        s.files(1, P1_OUT, name)
    s.queue(task(1, C1))
    assert s.where["C1-1"] != busy


def test_a_move_goes_where_the_files_partly_are() -> None:
    s = Scene()
    s.worker("sealer", {P2})
    for name in ("store-a", "store-b", "store-c"):
        s.worker(name, {GET}, store=True)
    s.files(1, P1_OUT, "sealer")
    s.files(1, SEALED, "store-b")
    s.queue(task(1, GET, files=P1_OUT))
    assert s.where["GET-1"] == "store-b"


def test_unequal_caps_fill_up_together() -> None:
    s = Scene()
    s.worker("small", {P1}, caps(p1=2, hold=0))
    s.worker("large", {P1}, caps(p1=6, hold=0))
    s.worker("store", ())
    order = []
    for n in range(8):
        s.files(n, UNSEALED, "store")
        order += [d.worker_id for d in s.queue(task(n, P1))]
    assert sorted(order[:4]) == ["large", "large", "small", "small"]
    assert order[4:] == ["large"] * 4


def test_by_share_a_big_worker_carries_proportionally_more() -> None:
    s = Scene(Settings(spread_by="share"))
    s.worker("small", {P1}, caps(p1=2, hold=0))
    s.worker("large", {P1}, caps(p1=6, hold=0))
    s.worker("store", ())
    for n in range(4):
        s.files(n, UNSEALED, "store")
        s.queue(task(n, P1))
    assert s.carried(P1) == {"small": 1, "large": 3, "store": 0}


def test_spread_by_changes_while_the_farm_works() -> None:
    s = Scene()
    s.worker("small", {C2}, caps(c2=1))
    s.worker("large", {C2}, caps(c2=8))
    s.queue(task(1, C2), task(2, C2))
    assert s.carried(C2) == {"small": 1, "large": 1}
    s.end(task(1, C2) if s.where["C2-1"] == "small" else task(2, C2))
    s.tell(SettingsChanged(Settings(spread_by="share")))
    s.queue(task(3, C2))
    assert s.carried(C2) == {"small": 1, "large": 1}, "0 of 1 is less than 1 of 8"
    s.queue(task(4, C2))
    assert s.carried(C2) == {"small": 1, "large": 2}


def test_an_unknown_spread_is_refused() -> None:
    with pytest.raises(ValueError, match="SpreadBy 'luck'"):
        Scene(Settings(spread_by="luck"))


def test_a_gpu_carries_no_two_while_another_is_idle() -> None:
    s = Scene()
    s.worker("one", {P2, C2}, caps(p2=2, c2=2), gpus=1)
    s.worker("four", {P2, C2}, caps(p2=2, c2=2), gpus=4)
    s.worker("store", ())
    s.files(1, P1_OUT, "store")
    s.queue(task(10, C2), task(11, C2))
    assert s.carried(C2) == {"one": 1, "four": 1, "store": 0}
    s.queue(task(1, P2))
    assert s.where["PC2-1"] == "four", "a quarter per GPU against one per GPU"


def test_p1_prefers_the_emptier_hold() -> None:
    s = Scene()
    s.worker("fuller", {P1}, caps(hold=10))
    s.worker("emptier", {P1}, caps(hold=100))
    s.worker("store", ())
    for n in (1, 2):
        s.files(n, P1_OUT, "fuller", "fuller")
        s.files(n + 10, P1_OUT, "emptier", "emptier")
    s.files(20, UNSEALED, "store")
    s.queue(task(20, P1))
    assert s.where["PC1-20"] == "emptier", "2 of 100 against 2 of 10"


def test_pieces_are_added_where_their_p1_will_best_be() -> None:
    s = Scene()
    s.worker("busy", {AP, P1}, caps(p1=2))
    s.worker("idle", {AP, P1}, caps(p1=2))
    s.worker("pieces-only", {AP})
    for n in (1, 2):
        s.files(n, UNSEALED, "busy", "busy")
        s.queue(task(n, P1))
    assert s.carried(P1)["busy"] == 1 and s.carried(P1)["idle"] == 1
    s.queue(*(task(n, AP) for n in range(10, 12)))
    places = [s.where[f"AP-{n}"] for n in range(10, 12)]
    assert sorted(places) == ["busy", "idle"], "a P1 slot free of carried ones and of pieces is left on each"
    s.queue(task(12, AP))
    assert s.where["AP-12"] == "pieces-only", "both are full by now: it carries the fewest"
    assert len(s.queue(*(task(n, AP) for n in range(13, 30)))) == 17, "the P1 cap refuses no piece"


def test_local_files_come_before_files_to_be_fetched() -> None:
    s = Scene()
    for name in ("a", "b", "c"):
        s.worker(name, {P2})
    s.files(1, P1_OUT, "c", "c")
    (bound,) = s.queue(task(1, P2))
    assert bound.worker_id == "c" and not bound.fetch
    s.files(2, P1_OUT, "c", "c")
    (bound,) = s.queue(task(2, P2))
    assert bound.worker_id != "c" and bound.fetch == P1_OUT, "fewest carried stands before local files"


def test_then_more_free_slots_then_fewer_task_types_then_the_longest_idle() -> None:
    s = Scene()
    s.worker("roomy", {C2}, caps(c2=3))
    s.worker("small", {C2}, caps(c2=1))
    s.queue(task(1, C2))
    assert s.where["C2-1"] == "roomy"
    s = Scene()
    s.worker("a-versatile", ALL)
    s.worker("b-only-c2", {C2})
    s.queue(task(1, C2))
    assert s.where["C2-1"] == "b-only-c2", "the other one is kept for what only it can do"
    s = Scene()
    for name in ("a", "b"):
        s.worker(name, {C2})
    for n in range(6):
        s.queue(task(n, C2))
        s.end(task(n, C2))
    assert [s.where[f"C2-{n}"] for n in range(6)] == ["a", "b"] * 3, "by turns, not always the first name"


def test_a_chain_of_moves_frees_a_slot_within_a_pass() -> None:
    """The first P2 may go to both, the second to one only: no task waits that another placement had placed."""
    s = Scene()
    s.worker("a", {P2}, group="x")
    s.worker("b", {P2}, group="y")
    s.worker("anyone", ())
    s.worker("for-x", (), allow_to="x")
    s.files(1, P1_OUT, "anyone")
    s.files(2, P1_OUT, "for-x")
    bound = s.tell(TaskQueued(task(1, P2)), TaskQueued(task(2, P2)))
    assert {d.task.id: d.worker_id for d in bound} == {"PC2-1": "b", "PC2-2": "a"}


def test_what_was_bound_in_an_earlier_pass_never_moves() -> None:
    s = Scene()
    s.worker("a", {P2}, group="x")
    s.worker("anyone", ())
    s.worker("for-x", (), allow_to="x")
    s.files(1, P1_OUT, "anyone")
    s.files(2, P1_OUT, "for-x")
    s.queue(task(1, P2))
    assert s.where == {"PC2-1": "a"}
    s.worker("b", {P2}, group="y")
    assert s.queue(task(2, P2)) == [] and s.where["PC2-1"] == "a"
    assert [d.task.id for d in s.tell(TaskEnded("PC2-1", Outcome.SUCCESS))] == ["PC2-2"]
    assert s.scheduler.ledger("a").held_sectors == ()  # type: ignore[union-attr]
    assert sector(2) not in s.scheduler.ledger("b").held_sectors  # type: ignore[union-attr]
