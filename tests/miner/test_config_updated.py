"""`config default` and `config updated`: nothing that the operator wrote is lost, and nothing is written to his file."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lotus_sched_cli.miner.config import KEYS, Key, default_text, load, updated_text

OPERATORS = """\
# my farm, mail ops@farm
[storage]
  # eight is too many for this board
  PreCommit1Max = 9 # was 7
  #AllowCommit = false  # no GPU here
  AllowPreCommit2 = true
  PreCommitMax1 = 3  # typo
  # end note
[Libp2p]
  # x
  ListenAddresses = ["a"]
[Logging.SubsystemLevels]
advmgr = "WARN"
[Fees.MaxCommitBatchGasFee]
PerSector = "0.02 FIL"
"""


def updated(
    tmp_path: Path, text: str, environ: dict[str, str] | None = None, *, comments: bool = True
) -> str:
    file = tmp_path / "config.toml"
    file.write_text(text)
    return updated_text(text, load(file, environ or {}), environ or {}, comments=comments)


def test_every_key_has_a_meaning() -> None:
    assert [k.path for k in KEYS if not k.doc] == []


def test_a_new_file_is_up_to_date_already(tmp_path: Path) -> None:
    assert updated(tmp_path, default_text()) == default_text()
    assert updated(tmp_path, "") == default_text()


def test_changes_comments_and_unknown_keys_are_kept(tmp_path: Path) -> None:
    text = updated(tmp_path, OPERATORS)
    lines = [line.strip() for line in text.splitlines()]
    assert lines[0] == "# my farm, mail ops@farm"
    assert "PreCommit1Max = 9 # was 7" in lines
    assert lines[lines.index("# eight is too many for this board") + 1].startswith("# Most P1 at once")
    assert lines[lines.index("# no GPU here") + 1].startswith("# The built-in worker offers C2")
    assert lines.index("PreCommitMax1 = 3 # typo") < lines.index("# end note") < lines.index("[Fees]")
    assert text.rstrip().endswith('[Libp2p]\n  # x\n  ListenAddresses = ["a"]')
    assert 'advmgr = "WARN"' in lines
    assert "#AllowPreCommit2 = true" in lines


def test_a_fee_that_equals_the_other_groups_default_stays_in_force(tmp_path: Path) -> None:
    told = tomllib.loads(updated(tmp_path, OPERATORS))
    assert told["Fees"]["MaxCommitBatchGasFee"] == {"PerSector": "0.02 FIL"}
    assert told["Fees"]["MaxPreCommitBatchGasFee"] == {}


def test_what_the_environment_overrides_stands_with_its_value(tmp_path: Path) -> None:
    environ = {"LOTUS_STORAGE_RETRYDELAY": "2m", "LOTUS_LOGGING_SUBSYSTEMLEVELS": "stores:ERROR"}
    text = updated(tmp_path, OPERATORS, environ)
    assert '\n  RetryDelay = "2m0s"\n' in text
    assert '\n    stores = "ERROR"\n' in text


def test_without_comments_every_key_is_active(tmp_path: Path) -> None:
    told = tomllib.loads(updated(tmp_path, OPERATORS, comments=False))
    assert told["Storage"]["PreCommit1Max"] == 9
    assert told["Storage"]["AllowCommit"] is True
    assert set(told["Storage"]) - {"PreCommitMax1"} == {k.name for k in KEYS if k.section == "Storage"}
    assert "# type" not in updated(tmp_path, OPERATORS, comments=False)


NUMBERS = [k for k in KEYS if k.type in ("int", "uint64") and k.section in ("Storage", "Sealing", "Proving")]


@settings(max_examples=15, deadline=None)
@given(
    st.dictionaries(st.sampled_from(NUMBERS), st.integers(1, 9999), max_size=6),
    st.lists(st.sampled_from(["# a", "# b c", "#d"]), max_size=3),
)
def test_updating_twice_changes_nothing_and_every_value_survives(
    tmp_path_factory: pytest.TempPathFactory, values: dict[Key, int], comments: list[str]
) -> None:
    path = tmp_path_factory.mktemp("c")
    sections = {k.section for k in values}
    text = ""
    for section in sorted(sections):
        text += f"[{section}]\n" + "".join(f"{c}\n" for c in comments)
        text += "".join(f"{k.name} = {v}\n" for k, v in values.items() if k.section == section)
    once = updated(path, text)
    assert updated(path, once) == once
    (path / "config.toml").write_text(once)
    got = load(path / "config.toml", {})
    assert {k: got.values[k.path] for k in values} == values
    for comment in comments:
        assert not sections or once.count(f"  {comment}\n") >= len(sections)
