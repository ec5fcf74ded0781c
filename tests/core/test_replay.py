"""The same inputs give the same decisions, and a task's story can be read and played again (scheduling.md A6, A8)."""

from __future__ import annotations

import random

from core.scene import AP, C2, CACHE, FIN, P1, P2, SEALED, TIB, Scene, caps, sector, task

from lotus_sched_cli.core.decisions import Assigned, Decision, Refused
from lotus_sched_cli.core.events import (
    FilesDeclared,
    Outcome,
    Settings,
    SettingsChanged,
    TaskEnded,
    TaskQueued,
    TaskRunning,
    WorkerCaps,
    WorkerDrain,
    WorkerOnline,
)
from lotus_sched_cli.core.scheduler import Scheduler

P1_OUT = SEALED | CACHE


def a_wild_day(seed: int) -> Scene:
    """Joins, pledges, failures, restarts, changed caps, full disks; recorded."""
    luck = random.Random(seed)
    s = Scene(validate=False)
    names = [f"w{n}" for n in range(6)]
    for n, name in enumerate(names):
        s.worker(name, {AP, P1, P2, C2, FIN}, caps(p1=2, bound=n % 3 == 0), room=(2 + n) * TIB)
    steps = {AP: P1, P1: P2, P2: C2, C2: FIN}
    number = tries = 0
    for _ in range(400):
        s.now += luck.expovariate(0.2)
        running = [task_id for task_id in s.where if s.scheduler.story(task_id)]
        match luck.randrange(7):
            case 0 | 1:
                s.queue(task(number, AP))
                number += 1
            case 2:
                name = luck.choice(names)
                s.tell(WorkerCaps(name, caps(p1=luck.randrange(4), p2=luck.randrange(3))))
            case 3:
                name = luck.choice(names)
                s.tell(WorkerOnline(name, luck.random() < 0.7), WorkerDrain(name, luck.random() < 0.2))
            case _ if running:
                task_id = luck.choice(running)
                assigned = [
                    line.data for line in s.scheduler.story(task_id) if isinstance(line.data, Assigned)
                ]
                spec = assigned[-1].task
                outcome = luck.choice([Outcome.SUCCESS] * 4 + [Outcome.AGAIN, Outcome.FAILED])
                del s.where[task_id]
                if outcome is Outcome.SUCCESS:
                    s.where[task_id] = assigned[-1].worker_id
                    s.seal(spec)
                    del s.where[task_id]
                    if spec.type in steps:
                        s.queue(task(spec.sector.number, steps[spec.type]))
                else:
                    s.end(spec, outcome, "x")
                    if outcome is Outcome.FAILED:
                        tries += 1
                        s.queue(task(spec.sector.number, spec.type, again=tries))
        s.wait(10) if luck.random() < 0.1 else s.tell()
    return s


def played_again(s: Scene) -> list[Decision]:
    scheduler = Scheduler(s.settings)
    return [d for now, events in s.record for d in scheduler.handle(now, *events).decisions]


def test_a_recorded_day_played_again_gives_the_same_decisions() -> None:
    for seed in (1, 2, 3):
        s = a_wild_day(seed)
        assert sum(isinstance(d, Assigned) for d in s.decisions) > 100, "a day on which something happens"
        assert played_again(s) == s.decisions


def test_the_order_in_which_unordered_things_are_told_does_not_matter() -> None:
    """Sets of owners and groups have no order; the farm was made twice with their members told differently."""
    placed = []
    for names in (["a", "b", "c"], ["c", "b", "a"]):
        s = Scene()
        for name in sorted(names):
            s.worker(name, {P2})
        s.tell(s.path("shared", names))
        for n in range(6):
            s.tell(FilesDeclared("shared", sector(n), P1_OUT))
            s.queue(task(n, P2))
        placed.append(dict(s.where))
    assert placed[0] == placed[1]


def test_settings_that_change_nothing_change_no_decision() -> None:
    s = Scene()
    for name in ("a", "b"):
        s.worker(name, {C2})
    s.queue(*(task(n, C2) for n in range(6)))
    s.tell(SettingsChanged(Settings()))
    order = []
    for _ in range(4):
        over = min(t for t in s.where if t not in s.waiting() and t not in order)
        order.append(over)
        s.tell(TaskEnded(over, Outcome.SUCCESS))
    assert sorted(s.where) == [f"C2-{n}" for n in range(6)]


def test_a_task_s_story_tells_its_life_and_stays_for_a_while() -> None:
    s = Scene()
    s.worker("w", {C2})
    s.queue(task(1, C2))
    s.now += 5
    s.queue(task(2, C2))
    s.wait(3)
    s.now += 60
    s.end(task(1, C2))
    s.running(task(2, C2))
    s.end(task(2, C2), Outcome.FAILED, "bad luck")
    story = s.scheduler.story("C2-2")
    assert [line.what for line in story] == ["TaskQueued", "Refused", "Assigned", "TaskRunning", "TaskEnded"]
    assert [line.time for line in story] == sorted(line.time for line in story)
    refused, ended = story[1].data, story[-1].data
    assert isinstance(refused, Refused) and refused.refusal.figures["in_use"] == 1
    assert isinstance(ended, TaskEnded) and ended.error == "bad luck"
    assert s.scheduler.story("never-was") == []


def test_a_story_is_bounded() -> None:
    s = Scene(Settings(retry_delay=0, retry_delay_max=0))
    s.worker("w", {C2})
    s.queue(task(1, C2))
    for _ in range(40):
        s.running(task(1, C2))
        assert len(s.end(task(1, C2), Outcome.AGAIN)) == 1
    assert len(s.scheduler.story("C2-1")) == 64


def test_stories_of_tasks_that_are_gone_are_bounded_too() -> None:
    s = Scene(validate=False)
    s.worker("w", {C2})
    for n in range(1100):
        s.tell(TaskQueued(task(n, C2)), TaskRunning(f"C2-{n}"))
        s.end(task(n, C2))
    assert s.scheduler.story("C2-0") == [] and s.scheduler.story("C2-1099") != []
