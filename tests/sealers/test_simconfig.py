"""simulated.toml: what an operator may write, and what he is told when he slips."""

from __future__ import annotations

from pathlib import Path

import pytest

from lotus_sched_cli.core.tasks import TaskType
from lotus_sched_cli.lotus.errors import UserError
from lotus_sched_cli.sealers.simconfig import DURATIONS, load


def test_every_key_is_read(tmp_path: Path) -> None:
    file = tmp_path / "simulated.toml"
    file.write_text(
        """
speed = 100
jitter = 0.2
seed = 3
[durations]
PC1 = "1h30m"
C2 = 2.5
[[failures]]
task = "PC2"
sectors = [15, 17]
times = 3
after = 0.1
text = "card fell off"
[paths]
"*" = "2TiB"
"/data/w1" = 1099511627776
"""
    )
    config = load(file)
    assert (config.speed, config.jitter, config.seed) == (100, 0.2, 3)
    assert config.durations[TaskType.PRECOMMIT1] == 5400
    assert config.durations[TaskType.COMMIT2] == 2.5
    assert config.durations[TaskType.PRECOMMIT2] == DURATIONS[TaskType.PRECOMMIT2]
    assert config.failures[0].sectors == {15, 17} and config.failures[0].text == "card fell off"
    assert config.capacity(Path("/data/w1")) == 1 << 40
    assert config.capacity(Path("/data/w2")) == 2 << 40


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("speed = 0", "speed = 0 cannot be; give a number above 0"),
        ("speed = -1.5", "speed = -1.5"),
        ("speed = inf", "speed = inf cannot be"),
        ('speed = "fast"', "speed = 'fast'"),
        ("jitter = 2", "jitter = 2 cannot be; give a number from 0 to 1"),
        ("seed = -1", "seed = -1"),
        ("sped = 1", "unknown key sped; known are durations, failures, jitter, paths, seed, speed"),
        ('[durations]\nPC9 = "1s"', "durations.PC9"),
        ('[durations]\nPC1 = "1 hour"', "durations.PC1 = '1 hour' cannot be; give a duration"),
        ('[durations]\nPC1 = "-1s"', "durations.PC1"),
        ("[durations]\nPC1 = [1]", "durations.PC1"),
        ('[[failures]]\ntask = "PC1"\nrate = 1.5', "failures[0].rate = 1.5"),
        ("[[failures]]\nrate = 0.5", "failures[0].task = None"),
        ('[[failures]]\ntask = "PC1"\nsectors = "15"', "failures[0].sectors = '15'"),
        ('[[failures]]\ntask = "PC1"\nwhen = 1', "unknown key failures[0].when"),
        ('[[failures]]\ntask = "PC1"', "failures[0] fails nothing; give it a rate or sectors"),
        ('[paths]\n"/d" = "much"', "paths./d = 'much'"),
        ('[paths]\n"/d" = 0', "paths./d = 0"),
        ("paths = 3", "paths = 3"),
        ("speed = ", "is no TOML"),
    ],
)
def test_a_slip_is_told_with_file_key_value_and_remedy(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "simulated.toml"
    file.write_text(text)
    with pytest.raises(UserError) as why:
        load(file)
    assert str(file) in why.value.text and told in why.value.text
    assert "\n" not in why.value.text.replace(" (at line", "").strip()


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        load(tmp_path / "none.toml")
    (tmp_path / "bin.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="UTF-8"):
        load(tmp_path / "bin.toml")
