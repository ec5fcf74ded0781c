"""Scenes of real farms (scheduling.md A9) with real processes, real sockets and real files."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from farm.farm import Farm

FAST_CHAIN = """
[API]
ListenAddress = "/ip4/127.0.0.1/tcp/0/http"
[Storage]
AllowAddPiece = false
AllowPreCommit1 = false
AllowPreCommit2 = false
AllowCommit = false
AllowUnseal = false
[Chain]
BlockDelaySecs = 0.01
PreCommitChallengeDelay = 10
"""


def sealer(farm: Farm, **seconds: float) -> str:
    """A settings file for the simulated sealer with these durations (seconds, by short task name)."""
    path = farm.root / "simulated.toml"
    lines = ["speed = 1.0", "jitter = 0.0", "seed = 1", "[durations]"]
    lines += [f'{task} = "{value}s"' for task, value in seconds.items()]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_four_pledges_on_two_workers_seal_two_and_two(farm: Farm) -> None:
    farm.init("--sector-size", "2KiB", config=FAST_CHAIN)
    settings = sealer(farm, AP=0.1, PC1=1, PC2=0.5, C1=0.1, C2=0.5, FIN=0.1)
    farm.miner()
    for name in ("worker-1", "worker-2"):
        farm.worker(name, "--sealer", "simulated", "--sealer-config", settings)
    for _ in range(4):
        farm.cli("miner", "sectors", "pledge")
    farm.wait_for(farm.all_proving(4), 60, "four sectors to prove")

    placed = farm.placements()
    p1 = Counter(host for _, task, host in placed if task == "precommit/1")
    assert p1 == {"worker-1": 2, "worker-2": 2}
    by_task = Counter(task for _, task, _ in placed)
    assert by_task["precommit/2"] == by_task["commit/2"] == 4
    for task in ("precommit/2", "commit/2"):
        assert {host for _, t, host in placed if t == task} == {"worker-1", "worker-2"}


@pytest.mark.slow
def test_sixty_p1_grow_evenly_over_four_workers_and_the_rest_stays_queued(farm: Farm) -> None:
    farm.init("--sector-size", "2KiB", config=FAST_CHAIN)
    settings = sealer(farm, AP=0.05, PC1=25, PC2=0.1, C1=0.1, C2=0.1, FIN=0.1)
    farm.miner()
    names = [f"p1-{n}" for n in range(4)]
    for name in names:
        farm.worker(name, "--precommit1max", "15", "--sealer", "simulated", "--sealer-config", settings)
    for _ in range(64):
        farm.call("PledgeSector")

    seen: list[Counter[str]] = []

    def full() -> bool:
        rows = [j for j in farm.jobs() if j["Task"] == "seal/v0/precommit/1"]
        seen.append(Counter(j["Hostname"] for j in rows))
        return len(rows) >= 60

    farm.wait_for(full, 60, "sixty P1")
    time.sleep(1)
    full()
    assert seen[-1] == dict.fromkeys(names, 15)
    assert all(max(s.values(), default=0) <= 15 for s in seen)
    placed = [host for _, task, host in farm.placements() if task == "precommit/1"]
    assert len(placed) == 60
    carried: Counter[str] = Counter()
    for host in placed:
        carried[host] += 1
        assert max(carried.values()) - min(carried[n] for n in names) <= 1
    waiting = farm.call("SealingSchedDiag", False)["SchedInfo"]["Requests"]
    assert [r["TaskType"] for r in waiting].count("seal/v0/precommit/1") == 4
    assert "assigned" not in farm.cli("miner", "sealing", "jobs").stdout
