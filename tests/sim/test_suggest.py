"""The search for caps."""

from __future__ import annotations

from dataclasses import replace

from lotus_sched_cli.core.caps import Caps
from lotus_sched_cli.sim import farmfile
from lotus_sched_cli.sim.suggest import hold_room, memory_needed, per_day, suggest

FARM = """
    wait_seed = "0"
    commit_wait = "0"
    [[sectors]]
    count = 24
    until = "PC2"
    [[workers]]
    name = "w"
    memory = "{memory}"
    disk = "{disk}"
    caps = {{ precommit1max = 2 }}
    durations = {{ AP = "1m", PC1 = "4h", PC2 = "10m" }}
"""


def test_a_worker_with_memory_to_spare_is_told_to_carry_more_p1() -> None:
    farm = farmfile.loads(FARM.format(memory="1TiB", disk="14TiB"), "f.toml")
    found = suggest(farm)
    (group,) = found.groups
    assert found.after > 2 * found.before
    flag = next(flag for flag in group.flags if flag.startswith("--precommit1max "))
    caps = replace(Caps(), precommit1_max=int(flag.split()[1]))
    assert memory_needed(farm, replace(farm.groups[0], caps=caps)) <= 1 << 40
    # What is printed really seals what is promised.
    assert per_day(replace(farm, groups=(replace(farm.groups[0], caps=caps),))) > 2 * found.before


def test_caps_stay_within_memory_and_disk() -> None:
    farm = farmfile.loads(FARM.format(memory="350GiB", disk="1600GiB"), "f.toml")
    found = suggest(farm)
    (group,) = found.groups
    most = hold_room(farm, farm.groups[0])
    assert most == 3
    for flag in group.flags:
        name, _, value = flag.partition(" ")
        if name == "--precommit1max":
            assert int(value) <= most
        if name == "--precommit1holdmax":
            assert int(value) <= most


def test_a_farm_that_needs_nothing_is_left_alone() -> None:
    text = FARM.format(memory="1TiB", disk="14TiB").replace("count = 24", "count = 1")
    found = suggest(farmfile.loads(text, "f.toml"))
    assert found.after == found.before
    assert found.groups[0].flags == ()
