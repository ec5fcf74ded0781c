"""Caps, drain, forget and free slots with real processes, by the commands that an operator types."""

from __future__ import annotations

import pytest
from farm.farm import Farm
from farm.test_scenes import FAST_CHAIN, sealer

pytestmark = pytest.mark.slow

SIMULATED = ("--sealer", "simulated", "--sealer-config")


def p1_running(farm: Farm) -> int:
    return sum(j["Task"] == "seal/v0/precommit/1" and j["RunWait"] == 0 for j in farm.jobs())


def listed(farm: Farm, cap: str) -> str:
    rows = farm.cli("miner", "sealing", "caps", "list", "w").stdout.splitlines()
    return next(" ".join(r.split()[2:]) for r in rows if r.split()[2] == cap)


def test_caps_change_from_either_side_and_outlive_restarts(farm: Farm) -> None:
    farm.init("--sector-size", "2KiB", config=FAST_CHAIN)
    settings = sealer(farm, AP=0.05, PC1=600, PC2=0.1, C1=0.1, C2=0.1, FIN=0.1)
    farm.miner()
    flags = ("--precommit1max", "1", *SIMULATED, settings)
    farm.worker("w", *flags)
    for _ in range(4):
        farm.call("PledgeSector")
    farm.wait_for(lambda: p1_running(farm) == 1, 30, "one P1")

    farm.cli("miner", "sealing", "caps", "set", "w", "precommit1max=2")
    farm.wait_for(lambda: p1_running(farm) == 2, 30, "two P1")
    assert listed(farm, "precommit1max").startswith("precommit1max 2 live since ")
    assert listed(farm, "precommit1max").endswith("else 1 (flag)")

    farm.cli("worker", "--worker-repo", str(farm.root / "w"), "set", "--precommit1max", "3")
    farm.wait_for(lambda: p1_running(farm) == 3, 30, "three P1")

    farm.procs["miner"].kill9()
    farm.miner()
    farm.procs["w"].kill9()
    farm.worker("w")
    farm.wait_for(lambda: p1_running(farm) == 3, 90, "three P1 after both were killed")
    assert listed(farm, "precommit1max").startswith("precommit1max 3 live since ")

    farm.cli("miner", "sealing", "caps", "reset", "w")
    assert listed(farm, "precommit1max") == "precommit1max 1 flag"
    assert p1_running(farm) == 3, "what runs is let finish"
    bad = farm.cli("miner", "sealing", "caps", "set", "w", "precommit1max=many", check=False)
    assert bad.returncode == 1 and bad.stderr.startswith('ERROR: invalid value "many" for precommit1max')


def test_free_slots_are_pledged_into_once_and_a_drained_worker_becomes_empty(farm: Farm) -> None:
    farm.init("--sector-size", "2KiB", config=FAST_CHAIN)
    settings = sealer(farm, AP=0.05, PC1=25, PC2=0.1, C1=0.1, C2=0.1, FIN=0.1)
    farm.miner()
    for name in ("a", "b"):
        farm.worker(name, "--precommit1max", "2", *SIMULATED, settings)
    once = farm.cli("miner", "sectors", "mypledgeonce").stdout.splitlines()
    assert len(once) == 2 and once[0].startswith("Created CC sector:")
    more = [farm.cli("miner", "sectors", "mypledge").stdout for _ in range(2)]
    assert sum(text.count("Created CC sector") for text in more) == 2, more
    assert "no free AP slot" in more[1]

    farm.wait_for(lambda: p1_running(farm) == 4, 30, "four P1")
    done = farm.cli("miner", "sealing", "drain", "a", "--timeout", "55s").stdout.splitlines()
    assert done[-1].startswith("a (") and done[-1].endswith(") is empty")
    assert any("PC1 left" in line for line in done)
    farm.cli("worker", "--worker-repo", str(farm.root / "a"), "undrain")
    farm.wait_for(farm.all_proving(4), 120, "four sectors to prove")


def test_a_dead_worker_is_forgotten_and_its_sectors_are_sealed_elsewhere(farm: Farm) -> None:
    farm.init("--sector-size", "2KiB", config=FAST_CHAIN)
    settings = sealer(farm, AP=0.05, PC1=1, PC2=600, C1=0.1, C2=0.1, FIN=0.1)
    quick = farm.root / "quick.toml"
    farm.miner()
    farm.worker("dead", "--precommit2max", "1", *SIMULATED, settings)
    farm.call("PledgeSector")
    farm.wait_for(
        lambda: any(j["Task"] == "seal/v0/precommit/2" for j in farm.jobs()), 30, "PC2 on the first"
    )
    refused = farm.cli("miner", "sealing", "forget", "dead", check=False)
    assert refused.returncode == 1 and "still answers" in refused.stderr
    farm.procs["dead"].kill9()
    quick.write_text((farm.root / "simulated.toml").read_text().replace('"600s"', '"0.1s"'))
    farm.worker("other", *SIMULATED, str(quick))
    told = farm.cli("miner", "sealing", "forget", "dead").stdout
    assert "PC2 of sector 0 goes on elsewhere" in told
    assert "sector 0 lost its only copy of" in told and "it goes back to Packing" in told
    assert "dead" not in farm.cli("miner", "sealing", "workers").stdout
    farm.wait_for(farm.all_proving(1), 60, "the sector to prove")
