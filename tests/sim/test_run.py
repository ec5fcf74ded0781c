"""Farms run in virtual time and do what their scenes say."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from lotus_sched_cli.core.tasks import TaskType
from lotus_sched_cli.sim import farmfile
from lotus_sched_cli.sim.run import Simulation
from lotus_sched_cli.sim.trace import Span, Trace

P1, P2, C2 = TaskType.PRECOMMIT1, TaskType.PRECOMMIT2, TaskType.COMMIT2
HOUR = 3600.0


def run(farm: str) -> Trace:
    """A farm from its text; the scheduler checks every invariant after every batch."""
    spec = farmfile.loads(farm, "test.toml")
    return Simulation(spec, "balanced", validate=True).run()


def most_at_once(spans: list[Span]) -> int:
    changes = sorted([(s.bound, 1) for s in spans] + [(s.end, -1) for s in spans])
    level = most = 0
    for _, change in changes:
        level += change
        most = max(most, level)
    return most


def test_two_workers_share_four_sectors_and_do_one_p2_and_one_c2_at_a_time() -> None:
    trace = Simulation(farmfile.load("two-workers"), "balanced", validate=True).run()

    assert Counter(span.host for span in trace.of(P1)) == {0: 2, 1: 2}
    for stage in (P2, C2):
        for host in (0, 1):
            assert most_at_once([span for span in trace.of(stage) if span.host == host]) == 1
    assert len(trace.done) == 4 and not trace.stuck
    assert trace.idle_total == 0


def test_the_same_farm_runs_the_same_twice() -> None:
    farm = farmfile.load("two-workers")
    assert Simulation(farm, "balanced").run().spans == Simulation(farm, "balanced").run().spans


def test_p1_beyond_the_memory_bandwidth_slow_each_other_down() -> None:
    trace = run("""
        [[sectors]]
        count = 4
        from = "PC1"
        until = "PC1"
        on = "w"
        [[workers]]
        name = "w"
        durations = { PC1 = "4h" }
        contention = { p1_full_speed = 2 }
    """)
    assert [span.end - span.bound for span in trace.of(P1)] == [8 * HOUR] * 4


def test_two_c2_on_one_gpu_take_turns_and_on_two_gpus_do_not() -> None:
    farm = """
        [[sectors]]
        count = 2
        from = "C2"
        until = "C2"
        [[workers]]
        gpus = {gpus}
        caps = {{ commit2max = 2 }}
        durations = {{ C2 = "30m" }}
    """
    assert run(farm.format(gpus=1)).end == HOUR
    assert run(farm.format(gpus=2)).end == HOUR / 2


def test_a_worker_that_restarts_does_its_tasks_again_and_none_is_lost() -> None:
    trace = run("""
        [[sectors]]
        count = 6
        [[workers]]
        count = 2
        storage = "100TiB"
        failures = { restart_every = "3h", restart_lasts = "10m" }
        durations = { PC1 = "2h" }
    """)
    assert len(trace.done) == 6
    assert any(span.outcome == "again" for span in trace.spans)


def test_a_p1_that_fails_is_tried_again_until_it_succeeds() -> None:
    trace = run("""
        [[sectors]]
        count = 10
        until = "PC1"
        [[workers]]
        count = 2
        failures = { PC1 = 0.4 }
    """)
    outcomes = Counter(span.outcome for span in trace.of(P1))
    assert outcomes["success"] == 10 and outcomes["failed"] > 0


def test_the_operator_s_extras_hold_in_a_simulation_and_nobody_is_called_idle_for_them() -> None:
    trace = run("""
        wait_seed = "10m"
        [[sectors]]
        count = 8
        [[workers]]
        name = "w"
        count = 2
        gpus = 2
        storage = "10TiB"
        caps = { allowp2c2parallel = false, precommit1interval = "20m", forcep1fromlocalap = true, forcec2fromlocalp2 = true }
    """)
    assert len(trace.done) == 8 and trace.idle_total == 0
    pieces = {span.sector: span.host for span in trace.of(TaskType.ADD_PIECE)}
    assert all(pieces[span.sector] == span.host for span in trace.of(P1))
    second = {span.sector: span.host for span in trace.of(P2)}
    assert all(second[span.sector] == span.host for span in trace.of(C2))
    for host in (0, 1):
        starts = sorted(span.bound for span in trace.of(P1) if span.host == host)
        assert all(later - sooner >= 1200 for sooner, later in pairwise(starts))
        gpu = [span for span in trace.spans if span.host == host and span.stage in (P2, C2)]
        for one in gpu:
            assert not any(
                other.stage is not one.stage and other.bound < one.end and one.bound < other.end
                for other in gpu
            )
