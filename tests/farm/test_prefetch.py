"""The files of the next PC2 are on the GPU's machine before its turn, with real processes."""

from __future__ import annotations

import pytest
from farm.farm import Farm
from farm.test_scenes import FAST_CHAIN, sealer


@pytest.mark.slow
def test_the_next_pc2_has_its_files_when_its_turn_comes_though_the_miner_is_killed_meanwhile(
    farm: Farm,
) -> None:
    farm.init("--sector-size", "2KiB", config=FAST_CHAIN)
    settings = sealer(farm, AP=0.1, PC1=0.3, PC2=6, C1=0.1, C2=0.2, FIN=0.1)
    simulated = ("--sealer", "simulated", "--sealer-config", settings)
    farm.miner()
    farm.worker("p1", "--precommit2=false", "--commit=false", *simulated)
    farm.worker(
        "p2", "--addpiece=false", "--precommit1=false", "--precommit2max", "1", "--precommit2prefetch", "1",
        *simulated,
    )  # fmt: skip
    for _ in range(3):
        farm.cli("miner", "sectors", "pledge")

    def states() -> list[list[str]]:
        return [line.split() for line in farm.cli("miner", "sealing", "jobs").stdout.splitlines()[1:]]

    farm.wait_for(lambda: any(row[5] == "prefetched" for row in states()), 30, "a PC2 to be prefetched")
    (row,) = (row for row in states() if row[5] == "prefetched")
    number, host = row[1], row[3]
    assert (host, row[4]) == ("p2", "GET")
    assert "| Prefetching: 1 PC2 |" in farm.cli("miner", "sealing", "workers").stdout
    running = [row for row in states() if row[4] == "PC2"]
    assert [(row[3], row[5]) for row in running] == [("p2", "running")], "no second one is bound"
    assert (farm.root / "p1" / "sealed" / f"s-t01000-{number}").exists(), "the source stays meanwhile"
    explained = farm.cli("miner", "sealing", "explain", number).stdout
    assert "p2" in explained and "ahead" in explained

    farm.procs["miner"].kill9()
    farm.miner()
    farm.wait_for(farm.all_proving(3), 90, "three sectors to prove")
    log = farm.procs["p2"].text()
    fetched = log.count(f"/remote/sealed/s-t01000-{number} ->")
    assert fetched == 1, "what had come was used"
    assert not (farm.root / "p1" / "sealed" / f"s-t01000-{number}").exists(), "then the source went"
    assert not list((farm.root / "p1" / "cache").iterdir()), "nothing is left behind"
    for text in (p.text() for p in farm.procs.values()):
        assert "Traceback" not in text
