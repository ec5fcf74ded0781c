"""Workers that are away while something happens to the sectors whose files they hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from farm.farm import Farm
from farm.test_scenes import FAST_CHAIN, sealer

pytestmark = pytest.mark.slow

SIMULATED = ("--sealer", "simulated", "--sealer-config")


def files_of(farm: Farm, worker: str, sector: int) -> list[Path]:
    """What lies on a worker's disk of a sector."""
    return sorted((farm.root / worker).glob(f"*/s-t0*-{sector}"))


def holding_pc2(farm: Farm) -> None:
    """One sector whose PreCommit2, which takes ten minutes, runs on worker ``absent``."""
    farm.init("--sector-size", "2KiB", config=FAST_CHAIN)
    settings = sealer(farm, AP=0.05, PC1=0.2, PC2=600, C1=0.1, C2=0.1, FIN=0.1)
    farm.miner()
    farm.worker("absent", *SIMULATED, settings)
    farm.call("PledgeSector")
    farm.wait_for(
        lambda: any(j["Task"] == "seal/v0/precommit/2" and j["RunWait"] == 0 for j in farm.jobs()),
        30,
        "its PC2",
    )


def test_a_sector_removed_while_its_worker_is_dead_leaves_nothing_when_that_is_back(farm: Farm) -> None:
    holding_pc2(farm)
    assert len(files_of(farm, "absent", 0)) == 3
    farm.procs["absent"].kill9()
    farm.cli("miner", "sectors", "remove", "--really-do-it", "0")
    farm.wait_for(lambda: farm.states() == {"Removed": 1}, 60, "the sector to be removed")
    assert len(files_of(farm, "absent", 0)) == 3
    farm.procs["miner"].kill9()
    farm.miner()
    farm.worker("absent")
    farm.wait_for(lambda: not files_of(farm, "absent", 0), 30, "its files to be deleted")
    farm.wait_for(lambda: not any(farm.call("StorageList").values()), 10, "the index to say so")


def test_forgetting_a_worker_that_was_stopped_tells_what_it_took_along(farm: Farm) -> None:
    holding_pc2(farm)
    farm.cli("worker", "--worker-repo", str(farm.root / "absent"), "stop")
    stopped = farm.procs["absent"].popen
    assert stopped is not None and stopped.wait(30) == 0
    told = farm.cli("miner", "sealing", "forget", "absent").stdout
    assert "sector 0 lost its only copy of unsealed, sealed, cache" in told, told
    assert "it goes back to Packing" in told
    quick = farm.root / "quick.toml"
    quick.write_text((farm.root / "simulated.toml").read_text().replace('"600s"', '"0.1s"'))
    farm.worker("other", *SIMULATED, str(quick))
    farm.wait_for(farm.all_proving(1), 60, "the sector to prove")


def test_explain_names_the_worker_that_took_the_files_along(farm: Farm) -> None:
    holding_pc2(farm)
    farm.cli("worker", "--worker-repo", str(farm.root / "absent"), "stop")
    stopped = farm.procs["absent"].popen
    assert stopped is not None and stopped.wait(30) == 0
    (job,) = farm.jobs()
    farm.cli("miner", "sealing", "abort", "--force", job["ID"]["ID"])
    told = ""

    def queued() -> bool:
        nonlocal told
        told = farm.cli("miner", "sealing", "explain", "0", check=False).stdout
        return "waits" in told

    farm.wait_for(queued, 20, "the task to wait")
    assert "its sealed and cache lie with absent (" in told, told
    assert "which is absent, last heartbeat" in told and "start it again; if it is gone for good" in told
