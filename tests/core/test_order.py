"""The order of the queue (scheduling.md A5): priority, stage, age; nothing starves, nothing blocks what stands behind it."""

from __future__ import annotations

from core.scene import AP, C1, C2, CACHE, FIN, GET, P1, P2, SEALED, UNSEALED, Scene, caps, task

from lotus_sched_cli.core.events import Outcome, TaskQueued
from lotus_sched_cli.core.tasks import FileType, TaskType

P1_OUT = SEALED | CACHE
DC, UNS = TaskType.DATA_CID, TaskType.UNSEAL


def test_the_queue_goes_by_priority_then_by_stage_then_by_age() -> None:
    s = Scene()
    stages = [DC, AP, P1, P2, C1, C2, UNS, GET, FIN]
    for n, kind in enumerate(stages):
        s.now += 1
        s.queue(task(n, kind, files=FileType.CACHE if kind is GET else FileType.NONE))
    s.now += 1
    s.queue(task(20, P1, priority=1024), task(21, P1))
    s.now += 1
    s.queue(task(22, DC, priority=1024))
    assert s.waiting() == [
        "PC1-20",
        "DC-22",
        *["GET-7", "FIN-8"],
        *["UNS-6", "C2-5", "C1-4", "PC2-3", "PC1-2", "PC1-21", "AP-1", "DC-0"],
    ]


def test_a_deal_s_p1_goes_before_older_ones_of_committed_capacity() -> None:
    s = Scene()
    s.worker("w", {P1}, caps(p1=1))
    for n in range(3):
        s.files(n, UNSEALED, "w", "w")
    s.queue(task(0, P1))
    s.queue(task(1, P1))
    s.queue(task(2, P1, priority=1024))
    assert [d.task.id for d in s.end(task(0, P1))] == ["PC1-2"]


def test_a_task_keeps_its_place_when_it_is_queued_again() -> None:
    s = Scene()
    s.worker("w", {P1}, caps(p1=1))
    for n in range(3):
        s.files(n, UNSEALED, "w", "w")
        s.queue(task(n, P1))
        s.now += 1
    assert s.end(task(0, P1), Outcome.AGAIN, "worker restarted")[0].task.id == "PC1-0"
    assert s.waiting() == ["PC1-1", "PC1-2"]
    s.end(task(0, P1), Outcome.FAILED, "broken")
    assert s.waiting() == ["PC1-2"], "the next one has the slot"
    s.queue(task(0, P1, again=1))
    assert s.waiting() == ["PC1-0-1", "PC1-2"], "the pipeline's second try is as old as its first"


def test_a_task_that_nobody_can_take_blocks_nobody() -> None:
    s = Scene()
    s.worker("w", {P1, C2}, caps(p1=1))
    s.files(1, UNSEALED, "w", "w")
    s.queue(task(0, P2, priority=1024), task(5, P1, priority=9))
    assert [d.task.id for d in s.queue(task(1, P1), task(2, C2))] == ["C2-2", "PC1-1"]
    assert s.waiting() == ["PC2-0", "PC1-5"]


def test_a_stream_of_p1_never_keeps_p2_from_a_machine() -> None:
    """The worker is full of P1 and more wait, all older; the P2 that comes goes there at once."""
    s = Scene()
    s.worker("w", {AP, P1, P2}, caps(p1=2, p2=1, hold=0))
    for n in range(50):
        s.files(n, UNSEALED, "w", "w")
        s.queue(task(n, P1))
        s.now += 0.1
    s.files(100, P1_OUT, "w", "w")
    assert [d.task.id for d in s.queue(task(100, P2))] == ["PC2-100"]
    for n in range(30):
        s.seal(task(n, P1))
        s.now += 0.1
        s.queue(task(n, P2))
    assert s.carried(P2)["w"] == 1 and s.carried(P1)["w"] == 2
    s.seal(task(100, P2))
    assert s.carried(P2)["w"] == 1, "its slot went to the next P2, not to a P1"


def test_among_equals_the_oldest_goes_first_so_none_starves() -> None:
    """Younger P1 keep coming faster than the farm works; each old one still has its turn, in the order of coming."""
    s = Scene()
    s.worker("a", {AP, P1}, caps(p1=1, hold=0))
    s.worker("b", {AP, P1}, caps(p1=1, hold=0))
    done: list[str] = []
    running: list[str] = []
    number = 0
    for _ in range(40):
        for _ in range(3):
            s.files(number, UNSEALED, "ab"[number % 2])
            running += [d.task.id for d in s.queue(task(number, P1))]
            number += 1
        s.now += 1
        over = running.pop(0)
        done.append(over)
        running += [d.task.id for d in s.seal(task(int(over.removeprefix("PC1-")), P1))]
    assert done == [f"PC1-{n}" for n in range(40)]


def test_a_day_old_task_from_before_a_restart_comes_before_today_s() -> None:
    s = Scene()
    for n in (1, 2):
        s.queue(task(n, C2))
    s.tell(TaskQueued(task(3, C2), queued_at=s.now - 86400))
    assert s.waiting() == ["C2-3", "C2-1", "C2-2"]
