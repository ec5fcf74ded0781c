"""The miner alone, with the worker that is built into it: ended in the middle of a task, and started again."""

from __future__ import annotations

import pytest
from farm.farm import Farm
from farm.test_scenes import FAST_CHAIN, sealer

ALL_ALLOWED = FAST_CHAIN.replace("= false", "= true")


def settings(farm: Farm, **seconds: float) -> None:
    """Durations of the built-in worker from the miner's next start on."""
    sealer(farm, **seconds)
    (farm.root / "simulated.toml").rename(farm.miner_repo / "simulated.toml")


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_miner_that_ended_while_its_own_worker_sealed_goes_on_at_its_first_start(
    farm: Farm, end: str
) -> None:
    farm.init("--sector-size", "2KiB", config=ALL_ALLOWED)
    settings(farm, AP=0.05, PC1=600)
    miner = farm.miner()
    farm.call("PledgeSector")
    farm.wait_for(
        lambda: any(j["Task"] == "seal/v0/precommit/1" and j["RunWait"] == 0 for j in farm.jobs()),
        30,
        "PC1 on the miner's own worker",
    )
    assert miner.popen is not None
    if end == "stop":
        farm.cli("miner", "stop")
        assert miner.popen.wait(30) == 0, miner.tail()
    else:
        miner.kill9()
    settings(farm, AP=0.05, PC1=0.1, PC2=0.1, C1=0.1, C2=0.1, FIN=0.1)
    farm.miner()
    farm.wait_for(farm.all_proving(1), 60, "the sector to prove")
    assert "Traceback" not in miner.text() and "AssertionError" not in miner.text()
