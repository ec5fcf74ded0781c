"""The scheduler is switched while a farm works, with real processes: nothing is lost, nothing done twice."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from farm.farm import Farm
from farm.test_kills import FINISHED
from farm.test_scenes import FAST_CHAIN, sealer

SECTORS = 10
ONCE = {f"seal/v0/{task}" for task in ("addpiece", "precommit/1", "precommit/2", "commit/1", "commit/2")}


def switch(farm: Farm, mine: bool) -> None:
    """As an operator does it: change the line, let the miner read it again."""
    path = farm.miner_repo / "config.toml"
    line = f"AllowMyScheduler = {str(mine).lower()}"
    path.write_text(re.sub(r"(?m)^ *AllowMyScheduler = \w+$", line, path.read_text()))
    farm.cli("miner", "config", "reload")


def states(farm: Farm) -> Counter[str]:
    """States of the jobs that the command lists."""
    rows = [line.split() for line in farm.cli("miner", "sealing", "jobs").stdout.splitlines()[1:]]
    return Counter(row[5] for row in rows if row)


@pytest.mark.slow
def test_both_ways_under_load_no_sector_is_lost_and_no_task_repeated(farm: Farm) -> None:
    farm.init("--sector-size", "2KiB", config=FAST_CHAIN + "[Storage]\nAllowMyScheduler = true\n")
    settings = sealer(farm, AP=0.2, PC1=3, PC2=1, C1=0.2, C2=1, FIN=0.2)
    farm.miner()
    for name in ("worker-1", "worker-2"):
        farm.worker(
            name, "--precommit1max", "2", "--sealer", "simulated", "--sealer-config", settings,
            env={"GET_MAX_CONCURRENT": "1"},
        )  # fmt: skip
    for _ in range(SECTORS):
        farm.call("PledgeSector")
    farm.wait_for(lambda: len(calls(farm, "precommit/1")) >= 2, 60, "two P1")
    running = calls(farm, "precommit/1")

    switch(farm, mine=False)
    assert running <= calls(farm, "precommit/1") | finished(farm), "what runs goes on"
    farm.wait_for(lambda: states(farm)["assigned(1)"] > 0, 30, "a task in a window")
    assert len(farm.call("SealingSchedDiag", False)["SchedInfo"]["OpenWindows"] or []) <= 6

    switch(farm, mine=True)
    farm.wait_for(
        lambda: not any(s.startswith(("assigned", "prepared")) for s in states(farm)), 10, "no windows"
    )
    switch(farm, mine=False)
    farm.wait_for(lambda: farm.states().get("Proving", 0) >= 2, 120, "the first sectors")
    switch(farm, mine=True)
    farm.wait_for(farm.all_proving(SECTORS), 180, f"{SECTORS} sectors to prove")

    done: Counter[tuple[str, str]] = Counter()
    for name in ("worker-1", "worker-2"):
        done.update({(m[1], m[2]) for m in FINISHED.finditer(farm.procs[name].text()) if m[1] in ONCE})
        text = farm.procs[name].text()
        assert len(FINISHED.findall(text)) == len(set(FINISHED.findall(text)))
    assert all(count == 1 for count in done.values()), done
    assert Counter(task for task, _ in done) == dict.fromkeys(ONCE, SECTORS)
    assert farm.states() == {"Proving": SECTORS}
    assert "Traceback" not in farm.procs["miner"].text()


def calls(farm: Farm, task: str) -> set[str]:
    """Ids of the calls that workers have accepted."""
    jobs = (j for j in farm.jobs() if j["Task"].endswith(task) and j["RunWait"] == 0)
    return {j["ID"]["ID"] for j in jobs} - {"00000000-0000-0000-0000-000000000000"}


def finished(farm: Farm) -> set[str]:
    return {m[3][-36:] for p in farm.procs.values() for m in FINISHED.finditer(p.text())}
