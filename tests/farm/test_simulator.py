"""The simulator against real processes: the same farm makes the same placements."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from farm.farm import Farm
from farm.test_scenes import FAST_CHAIN, sealer

from lotus_sched_cli.core.tasks import BY_SHORT
from lotus_sched_cli.sim import farmfile
from lotus_sched_cli.sim.farm import Batch
from lotus_sched_cli.sim.run import simulate

#: Seconds between two pledges; tasks end some half of it apart, far more than processes are late.
APART = 1.5
STAGES = {"addpiece": "AP", "precommit/1": "PC1", "precommit/2": "PC2", "commit/1": "C1", "commit/2": "C2"}


@pytest.mark.slow
def test_a_recorded_farm_makes_the_same_placements_in_the_simulator(farm: Farm) -> None:
    farm.init("--sector-size", "2KiB", config=FAST_CHAIN)
    settings = sealer(farm, AP=0.2, PC1=6, PC2=3.75, C1=0.1, C2=3.75, FIN=0.1)
    farm.miner()
    names = ["worker-1", "worker-2"]
    for name in names:
        farm.worker(name, "--sealer", "simulated", "--sealer-config", settings)
    first = time.monotonic()
    for number in range(4):
        time.sleep(max(0.0, first + number * APART - time.monotonic()))
        farm.call("PledgeSector")
    farm.wait_for(farm.all_proving(4), 90, "four sectors to prove")
    file = farm.root / "recorded.toml"
    farm.cli("miner", "sealing", "record", str(file))

    recorded = farmfile.load(str(file))
    group = next(group for group in recorded.groups if group.count == 2)
    assert group.durations[BY_SHORT["PC1"]] == pytest.approx(6, abs=1)
    spec = replace(recorded, batches=(Batch(4, every=APART, stop=recorded.batches[0].stop),))
    trace = simulate(spec, "balanced")

    ours = [host.id for host in trace.hosts if host.group.name == group.name]
    simulated = {(span.sector, span.stage.short): trace.hosts[span.host].id for span in trace.spans}
    sectors = sorted({sector for sector, _, _ in farm.placements()})
    real = {
        (sectors.index(sector), STAGES[task]): ours[names.index(host)]
        for sector, task, host in farm.placements()
        if task in STAGES
    }
    assert len(real) == 4 * len(STAGES)
    assert {key: simulated[key] for key in real} == real
