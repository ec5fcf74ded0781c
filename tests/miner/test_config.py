"""config.toml: what an operator finds in it, writes into it, and is told about it."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest
import recordings

from lotus_sched_cli.lotus.errors import UserError
from lotus_sched_cli.miner.config import KEYS, default_text, load


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "config.toml"
    file.write_text(text)
    return file


def test_a_new_file_says_nothing_that_is_in_force() -> None:
    sections = tomllib.loads(default_text())
    assert all(
        not v or set(v) <= {"SubsystemLevels"} or all(isinstance(x, dict) for x in v.values())
        for v in sections.values()
    )
    assert list(sections)[-1] == "Chain"


def test_each_key_stands_commented_out_with_type_and_variable() -> None:
    text = default_text()
    assert "  # type: bool\n  # env var: LOTUS_STORAGE_ALLOWCOMMIT\n  #AllowCommit = true\n\n" in text
    assert '    # env var: LOTUS_FEES_MAXCOMMITBATCHGASFEE_PERSECTOR\n    #PerSector = "0.03 FIL"\n' in text
    assert text.endswith("\n\n") and not text.endswith("\n\n\n")
    assert "\n\n\n[Storage]\n" in text


def test_the_keys_of_the_balanced_scheduler_end_the_storage_section() -> None:
    storage = [k.name for k in KEYS if k.section == "Storage"]
    assert storage[-7:] == [
        "AllowMyScheduler",
        "PreCommit1Max",
        "PreCommit1HoldMax",
        "SpreadBy",
        "RetryDelay",
        "RetryDelayMax",
        "LostAfter",
    ]


@pytest.mark.captures
def test_names_order_and_defaults_are_those_of_a_real_lotus() -> None:
    real = (recordings.need() / "repo/miner-after-init/config.toml").read_text()

    def keys(text: str) -> list[str]:
        lines = [line for line in text.splitlines() if line.strip() and not line.strip().startswith("# ")]
        return [line for line in lines if line.strip() != "#"]

    ours = {k.name for k in KEYS if k.section in ("Storage",)} - {"Assigner"}
    added = ("AllowMyScheduler", "PreCommit1Max", "PreCommit1HoldMax", "SpreadBy", "RetryDelay", "LostAfter")
    mine = [
        line
        for line in keys(default_text().split("\n\n\n[Chain]")[0])
        if not line.strip().lstrip("#").startswith(added)
    ]
    assert ours
    assert mine == keys(real)


def test_values_come_from_default_then_file_then_environment(tmp_path: Path) -> None:
    file = written(tmp_path, '[Storage]\nPreCommit1Max = 9\nRetryDelay = "1m30s"\n')
    config = load(file, {"LOTUS_STORAGE_PRECOMMIT1MAX": "11", "LOTUS_STORAGE_ALLOWCOMMIT": "F"})
    assert config.number("Storage.PreCommit1Max") == 11
    assert config.seconds("Storage.RetryDelay") == 90
    assert config.flag("Storage.AllowCommit") is False
    assert config.number("Storage.PreCommit1HoldMax") == 25
    assert config.seconds("Storage.LostAfter") == 6 * 3600
    assert "Storage.PreCommit1HoldMax" not in config.changed


def test_names_are_taken_in_any_case_as_lotus_does(tmp_path: Path) -> None:
    assert (
        load(written(tmp_path, "[storage]\nallowcommit = false\n"), {}).flag("Storage.AllowCommit") is False
    )


def test_an_unknown_key_is_warned_of_with_the_nearest_one(tmp_path: Path) -> None:
    config = load(written(tmp_path, "[Storage]\nPreCommitMax1 = 3\n[Libp2p]\nX = 1\n"), {})
    assert (
        "unknown key Storage.PreCommitMax1 is ignored, did you mean Storage.PreCommit1Max?"
        in config.warnings[0]
    )
    assert "Libp2p.X" in config.warnings[1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[Sealing]\nPreCommit1Max = 3\n", "Sealing.PreCommit1Max is ignored, did you mean Storage.PreCommit1Max?"),
        ("[Storge]\nPreComit1Max = 3\n", "Storge.PreComit1Max is ignored, did you mean Storage.PreCommit1Max?"),
        ("[Storage]\nBogus = 3\n", "Storage.Bogus is ignored"),
        ("[Storage]\nWindows = 3\n", "Storage.Windows is ignored"),
    ],
)  # fmt: skip
def test_a_key_in_the_wrong_section_is_found_and_one_that_resembles_none_gets_no_advice(
    text: str, said: str, tmp_path: Path
) -> None:
    (line,) = load(written(tmp_path, text), {}).warnings
    assert line.endswith(f"unknown key {said}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[Storage]\nPreCommit1Max = -1\n",
            "Storage.PreCommit1Max = -1: allowed is a whole number from 0 up",
        ),
        (
            "[Storage]\nPreCommit1Max = 99999999999999999999\n",
            "a whole number from 0 up, to 9223372036854775807 at most",
        ),
        ('[Storage]\nPreCommit1Max = "abc"\n', 'Storage.PreCommit1Max = "abc": allowed is a whole number'),
        ("[Storage]\nAllowCommit = 1\n", "Storage.AllowCommit = 1: allowed is true or false"),
        ("[Storage]\nRetryDelay = 30\n", "Storage.RetryDelay = 30: allowed is a duration with units"),
        ('[Storage]\nRetryDelay = "soon"\n', 'Storage.RetryDelay = "soon": allowed is a duration'),
        ('[Storage]\nLostAfter = "-1s"\n', "not below 0"),
        ('[Storage]\nSpreadBy = "luck"\n', 'Storage.SpreadBy = "luck": allowed is "count" or "share"'),
        ('[Storage]\nAssigner = "x"\n', "Storage.Assigner"),
        ("[Chain]\nBlockDelaySecs = 0\n", "Chain.BlockDelaySecs = 0: allowed is a number"),
        ('[Fees]\nMaxCommitGasFee = "lots"\n', "an amount"),
        ("[Addresses]\nCommitControl = 3\n", "a list of texts"),
        ("[Storage\n", "config.toml"),
        ('[Sealing]\nCommittedCapacitySectorLifetime = "1h0m0s"\n', "180 to 1278 days"),
    ],
)
def test_a_wrong_value_is_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(UserError) as refused:
        load(file, {})
    assert said in refused.value.text
    assert str(file) in refused.value.text
    assert "\n" not in refused.value.text


def test_the_official_scheduler_is_chosen_with_its_assigner(tmp_path: Path) -> None:
    text = '[Storage]\nAllowMyScheduler = false\nAssigner = "spread"\n'
    settings = load(written(tmp_path, text), {}).scheduler()
    assert (settings.policy, settings.assigner) == ("windowed", "spread")
    assert load(written(tmp_path, ""), {}).scheduler().policy == "balanced"


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match='LOTUS_STORAGE_ALLOWCOMMIT = "x": allowed is true or false'):
        load(tmp_path / "none.toml", {"LOTUS_STORAGE_ALLOWCOMMIT": "x"})


def test_levels_of_loggers_are_a_map(tmp_path: Path) -> None:
    file = written(tmp_path, '[Logging.SubsystemLevels]\nadvmgr = "INFO"\n')
    config = load(file, {"LOTUS_LOGGING_SUBSYSTEMLEVELS": "stores:ERROR"})
    assert config.levels == {"advmgr": "INFO", "stores": "ERROR"}
    assert not config.warnings


def test_the_file_of_a_real_miner_with_its_changes_is_read(tmp_path: Path) -> None:
    text = '[API]\n  ListenAddress = "/ip4/10.9.0.1/tcp/2345/http"\n[Sealing]\n  PreCommitBatchWait = "10s"\n'
    config = load(written(tmp_path, text), {})
    assert config.text("API.ListenAddress") == "/ip4/10.9.0.1/tcp/2345/http"
    assert not config.warnings


def test_what_would_hold_up_a_running_miner_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    os.mkfifo(file)
    with pytest.raises(UserError, match="is no regular file: put one there"):
        load(file, {})
    file.unlink()
    file.write_text("# a log, written to the wrong name\n" * 10_000)
    with pytest.raises(UserError, match="longer than 262144 bytes: shorten it"):
        load(file, {})
    file.unlink()
    file.mkdir()
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        load(file, {})
