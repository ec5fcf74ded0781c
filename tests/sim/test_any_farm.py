"""What holds on any farm, whatever its machines, caps, disks and failures."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lotus_sched_cli.core.caps import Caps
from lotus_sched_cli.core.tasks import TaskType
from lotus_sched_cli.sim import bounds, farmfile
from lotus_sched_cli.sim.farm import ALWAYS, CHOSEN, DURATIONS, Batch, FarmSpec, Group
from lotus_sched_cli.sim.farmtext import text_of
from lotus_sched_cli.sim.run import Simulation

TIB = 1 << 40

caps = st.builds(
    Caps,
    precommit1_max=st.integers(1, 4),
    precommit1_hold_max=st.integers(0, 5),
    precommit2_max=st.integers(1, 3),
    commit2_max=st.integers(1, 2),
    force_p2_from_local_p1=st.booleans(),
    allow_p2_c2_parallel=st.booleans(),
    precommit2_prefetch=st.sampled_from([0, 1, 1, 2]),
)
groups = st.builds(
    Group,
    name=st.just(""),
    count=st.integers(1, 3),
    tasks=st.sets(st.sampled_from(CHOSEN)).map(lambda tasks: frozenset(tasks) | ALWAYS),
    caps=caps,
    gpus=st.integers(0, 2),
    disk=st.sampled_from([0, TIB, 2 * TIB, 10 * TIB]),
    storage=st.sampled_from([0, TIB]),
    network=st.sampled_from([1.25e8, 1.25e9]),
    p1_full_speed=st.integers(0, 2),
    gpu_overlap=st.sampled_from([0.0, 0.5]),
    failures=st.sampled_from([{}, {TaskType.PRECOMMIT1: 0.2}, {TaskType.COMMIT2: 0.3}]),
    # Longer than the longest PC1, four at once on memory for one: where none ever ends nothing can be promised.
    restart_every=st.sampled_from([0.0, 100000.0]),
)
#: Somebody takes every stage, so that sectors can get through.
able = Group("able", tasks=frozenset(CHOSEN) | ALWAYS, disk=10 * TIB, storage=TIB)


@st.composite
def farms(draw: st.DrawFn) -> FarmSpec:
    drawn = draw(st.lists(groups, max_size=3))
    return FarmSpec(
        "any",
        (able, *(replace(group, name=f"g{number}") for number, group in enumerate(drawn))),
        (Batch(draw(st.integers(1, 12)), every=draw(st.sampled_from([0.0, 300.0]))),),
        jitter=draw(st.sampled_from([0.0, 0.3])),
        wait_seed=600.0,
        seed=draw(st.integers(0, 5)),
    )


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(farms())
def test_every_sector_gets_through_nobody_is_idle_and_no_disk_overflows(farm: FarmSpec) -> None:
    trace = Simulation(farm, "balanced", validate=True).run()
    assert len(trace.done) == farm.sectors, trace.stuck
    assert trace.idle_total == 0
    assert trace.no_space == 0
    for host in trace.hosts:
        assert all(disk.peak <= disk.capacity for disk in host.disks.values())
        assert all(disk.reserved == 0 for disk in host.disks.values())
    assert trace.end >= bounds.stated(farm).seconds - 1e-6


@given(farms())
@settings(max_examples=50, deadline=None)
def test_a_farm_is_the_same_after_it_was_written_and_read(farm: FarmSpec) -> None:
    groups = tuple(replace(group, caps=Caps(), durations=dict(DURATIONS)) for group in farm.groups)
    plain = replace(farm, groups=groups)
    assert farmfile.loads(text_of(plain), "any.toml") == plain
