"""kill -9 at any moment: every sector goes on, no finished task is done again (DESIGN §4)."""

from __future__ import annotations

import os
import random
import re
import time
from collections import Counter

import pytest
from farm.farm import Farm
from farm.test_scenes import FAST_CHAIN, sealer

#: What a worker logs once a task's result is in its own store.
FINISHED = re.compile(r"finished (seal/v0/\S+) of sector (s-t0\d+-\d+), call (\S+)")
KILLS = 20
SECTORS = 12


@pytest.mark.slow
def test_twenty_kills_lose_nothing_and_repeat_no_finished_task(farm: Farm) -> None:
    seed = int(os.environ.get("KILL_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"KILL_SEED={seed}")
    rng = random.Random(seed)
    farm.init("--sector-size", "2KiB", config=FAST_CHAIN + '[Storage]\nRetryDelay = "1s"\n')
    settings = sealer(farm, AP=0.3, PC1=1.5, PC2=1, C1=0.3, C2=1, FIN=0.3)
    farm.miner()
    workers = [f"worker-{n}" for n in (1, 2, 3)]
    for name in workers:
        farm.worker(name, "--sealer", "simulated", "--sealer-config", settings)
    for _ in range(SECTORS):
        farm.call("PledgeSector")
    for _ in range(KILLS):
        time.sleep(rng.uniform(0.05, 1.2))
        victim = rng.choice(["miner", *workers])
        farm.procs[victim].kill9()
        time.sleep(rng.uniform(0, 0.5))
        if victim == "miner":
            farm.miner()
        else:
            farm.worker(victim, wait=False)
    farm.wait_for(farm.all_proving(SECTORS), 180, f"{SECTORS} sectors to prove (KILL_SEED={seed})")

    finished: Counter[tuple[str, str]] = Counter()
    for name in workers:
        calls = {m.groups() for m in FINISHED.finditer(farm.procs[name].text())}
        finished.update((task, sector) for task, sector, _ in calls)
    once = {
        "seal/v0/addpiece",
        "seal/v0/precommit/1",
        "seal/v0/precommit/2",
        "seal/v0/commit/1",
        "seal/v0/commit/2",
    }
    again = {key: n for key, n in finished.items() if key[0] in once and n > 1}
    assert not again, f"done more than once: {again} (KILL_SEED={seed})"
    states = farm.states()
    assert states == {"Proving": SECTORS}
    for text in (p.text() for p in farm.procs.values()):
        assert "Traceback" not in text
