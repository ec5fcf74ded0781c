"""Farm files: what is read, and the one line that a bad one gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from lotus_sched_cli.core.tasks import TaskType
from lotus_sched_cli.sim import farmfile
from lotus_sched_cli.sim.farm import FarmError
from lotus_sched_cli.sim.farmtext import text_of

WORKER = '[[workers]]\nname = "w"\nstorage = "10TiB"\n'
SECTORS = "[[sectors]]\ncount = 3\n"


def complaint(text: str) -> str:
    with pytest.raises(FarmError) as caught:
        farmfile.loads(text, "my.toml")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            SECTORS + WORKER + 'durations = { PC1 = "-4h" }',
            'my.toml: workers.w.durations.PC1 = "-4h": allowed is a duration, 0 or more, as in "1h30m" or "45s"',
        ),
        (
            SECTORS + WORKER + "durations = { PC1 = 4 }",
            'my.toml: workers.w.durations.PC1 = 4: allowed is a duration, 0 or more, as in "1h30m" or "45s"',
        ),
        (SECTORS + WORKER + 'nettwork = "10Gbit"', "my.toml: workers.w.nettwork: unknown key; did you mean network?"),
        (SECTORS + WORKER + "caps = { precomit1max = 3 }", "my.toml: workers.w.caps.precomit1max: unknown key; did you mean precommit1max?"),
        (
            SECTORS + WORKER + '[[workers]]\nname = "p1"\ntasks = ["AP", "PC1"]\ncaps = { commit2max = 2 }',
            "my.toml: workers.p1.caps.commit2max = 2: its workers do not take C2; add it to their tasks or remove the cap",
        ),
        (
            SECTORS + WORKER + 'tasks = ["AP", "PC1", "C2"]',
            "my.toml: sectors[1] = PC2: no worker takes PC2; add it to a group's tasks (with precommit2max above 0), or end"
            " with until",
        ),
        (
            SECTORS + WORKER + "caps = { precommit1max = 0 }",
            "my.toml: sectors[1] = PC1: no worker takes PC1; add it to a group's tasks (with precommit1max above 0), or end"
            " with until",
        ),
        (SECTORS + '[[workers]]\nname = "w"', 'my.toml: sectors[1].until = GET: no group has long-term storage; give one storage = "100TiB", or end with until = "FIN"'),
        (SECTORS, "my.toml: workers: write at least one [[workers]]"),
        (WORKER, "my.toml: sectors: write at least one [[sectors]]"),
        (SECTORS + WORKER + "count = 0", "my.toml: workers.w.count = 0: allowed is a whole number from 1 up"),
        (SECTORS + WORKER + "count = 1000000", "my.toml: workers.w.count = 1000000: allowed is a whole number from 1 to 100000"),
        ("[[sectors]]\ncount = 100000000\n" + WORKER, "my.toml: sectors[1].count = 100000000: allowed is a whole number from 1 to 10000000"),
        (SECTORS + WORKER + WORKER, 'my.toml: workers.name = "w": allowed is a name that no other group has'),
        ('policies = ["ballanced"]\n' + SECTORS + WORKER, 'my.toml: policies = "ballanced": allowed is balanced or windowed'),
        ('[[sectors]]\ncount = 1\nfrom = "PC2"\n' + WORKER, "my.toml: sectors[1].on: sectors that begin with PC2 have files; name the group they lie on"),
        ('[[sectors]]\nevery = "1m"\nper_day = 3\n' + WORKER, "my.toml: sectors[1].per_day = 3: every is given too; keep one of them"),
        ("count = ", "my.toml: no TOML: Invalid value (at end of document); correct it there"),
    ],
)  # fmt: skip
def test_a_bad_farm_gets_one_line_with_file_key_and_remedy(text: str, said: str) -> None:
    assert complaint(text) == said


def test_a_file_that_is_not_there_is_named_with_the_nearest_shipped_farm() -> None:
    with pytest.raises(FarmError, match="did you mean the shipped farm two-workers"):
        farmfile.load("two-worker")


@pytest.mark.parametrize("name", sorted(farmfile.shipped()))
def test_every_shipped_farm_says_what_it_shows_and_reads_the_same_when_written_anew(name: str) -> None:
    farm = farmfile.load(name)
    assert farm.note
    assert farmfile.loads(text_of(farm), name) == farm


def test_hostile_names_survive_writing(tmp_path: Path) -> None:
    farm = farmfile.loads(SECTORS + WORKER.replace('"w"', r'"a\"b\\c\n\u007f\u0001ü"'), "my.toml")
    assert farmfile.loads(text_of(farm, {"": ["a remark"]}), "my.toml") == farm


def test_a_cap_of_a_group_counts_for_all_its_workers() -> None:
    farm = farmfile.loads(SECTORS + WORKER + "count = 3\ncaps = { precommit1max = 5 }", "my.toml")
    assert farm.groups[0].slots(TaskType.PRECOMMIT1) == 15
