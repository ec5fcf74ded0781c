"""Figures of runs, and the bounds beside them."""

from __future__ import annotations

import pytest

from lotus_sched_cli.sim import bounds, farmfile
from lotus_sched_cli.sim.report import CLOSE, report
from lotus_sched_cli.sim.run import Simulation, simulate

HOUR = 3600.0
#: What runs in a second or two.
SMALL = sorted(set(farmfile.shipped()) - {"day-1000-workers", "forty-p2"})


@pytest.mark.parametrize("name", SMALL)
def test_nobody_stands_idle_under_the_balanced_policy_while_he_could_work(name: str) -> None:
    farm = farmfile.load(name)
    if farm.switches:
        pytest.skip("a part of it runs under the windowed policy")
    found = report(Simulation(farm, "balanced", validate=farm.sectors < 40).run())
    assert found.sealed == farm.sectors and not found.stuck
    assert found.idle_while_eligible == 0
    assert all(disk.peak <= disk.capacity for disk in found.disks)
    assert found.refused_for_space == 0


@pytest.mark.parametrize("name", [name for name in SMALL if farmfile.load(name).sectors > 50])
def test_a_makespan_is_near_its_bound_or_the_report_says_which_bound_is_nearer(name: str) -> None:
    found = report(simulate(farmfile.load(name), "balanced"))
    assert found.bound is not None and found.ratio is not None
    assert found.ratio >= 0.999999
    if found.ratio > CLOSE:
        assert found.closest is not None
        assert found.makespan <= CLOSE * found.closest.seconds


def test_the_windowed_policy_lets_workers_stand_idle_in_the_first_scene() -> None:
    found = report(simulate(farmfile.load("fifteen-workers"), "windowed"))
    assert found.sealed == 100
    assert found.idle_while_eligible > HOUR
    assert found.idle_empty > 0


def test_a_switch_under_load_seals_every_sector_once() -> None:
    trace = simulate(farmfile.load("switched"), "balanced")
    assert len(trace.done) == 40
    done = [(span.sector, span.stage) for span in trace.spans if span.outcome == "success"]
    assert len(done) == len(set(done)) == 40 * 8


def test_the_stated_bound_is_the_formula_of_the_slowest_stage() -> None:
    farm = farmfile.loads(
        """
        wait_seed = "1h"
        [[sectors]]
        count = 10
        until = "C2"
        [[workers]]
        count = 2
        caps = { precommit1max = 2 }
        durations = { AP = "10m", PC1 = "2h", PC2 = "20m", C1 = "0", C2 = "30m" }
        """,
        "bound.toml",
    )
    bound = bounds.stated(farm)
    assert bound.name == "PC1"
    # 10 min before, 3 rounds of 2 hours in 4 slots, then 20 min, the hour of waiting, 30 min.
    assert bound.seconds == 600 + 3 * 2 * HOUR + 1200 + HOUR + 1800


def test_the_last_of_sectors_that_trickle_in_sets_the_critical_path() -> None:
    farm = farmfile.loads(
        """
        [[sectors]]
        count = 5
        every = "10h"
        until = "PC1"
        [[workers]]
        durations = { AP = "1h", PC1 = "2h" }
        """,
        "bound.toml",
    )
    assert bounds.stated(farm).name == "path"
    assert report(simulate(farm, "balanced")).makespan == bounds.stated(farm).seconds == 43 * HOUR


def test_time_by_stage_tells_waiting_fetching_and_running_apart() -> None:
    farm = farmfile.loads(
        """
        wait_seed = "0"
        [[sectors]]
        count = 2
        from = "PC2"
        until = "PC2"
        on = "p1"
        [[workers]]
        name = "p1"
        tasks = ["PC1"]
        network = "1GiB"
        [[workers]]
        name = "p2"
        tasks = ["PC2"]
        network = "1GiB"
        durations = { PC2 = "10m" }
        """,
        "stages.toml",
    )
    found = report(simulate(farm, "balanced"))
    (row,) = found.stages
    fetch = found.bytes_copied / 2 / (1 << 30)
    assert (row.fetched, row.ran, row.waited) == pytest.approx((fetch, 600, (fetch + 600) / 2))
    assert row.utilisation == pytest.approx(1)


def test_a_farm_that_cannot_go_on_says_who_waits_for_what() -> None:
    farm = farmfile.loads(
        """
        [[sectors]]
        count = 3
        [[workers]]
        disk = "600GiB"
        storage = "40GiB"
        """,
        "full.toml",
    )
    found = report(simulate(farm, "balanced"))
    assert found.sealed == 1
    assert "not enough space" in found.stuck
    assert found.ratio is None


def test_a_farm_whose_workers_restart_before_their_work_is_done_is_stuck_however_busy_it_is() -> None:
    farm = farmfile.loads(
        """
        [[sectors]]
        count = 3
        [[workers]]
        name = "w"
        storage = "10TiB"
        durations = { PC1 = "8h" }
        failures = { restart_every = "6h" }
        """,
        "restless.toml",
    )
    found = report(simulate(farm, "balanced"))
    assert found.sealed == 0
    assert "no task has ended well for" in found.stuck
    assert "PC1 of sector" in found.stuck and "w restarts every 6h" in found.stuck
