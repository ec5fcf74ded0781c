"""``lotus-sched sim`` and ``lotus-miner sealing record`` as an operator runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lotus_sched_cli.cli.commands import sim as command
from lotus_sched_cli.cli.errors import CliError
from lotus_sched_cli.cli.main import execute, sched_program
from lotus_sched_cli.cli.recording import farm_of
from lotus_sched_cli.core.caps import Caps
from lotus_sched_cli.sim import farmfile
from lotus_sched_cli.sim.farmtext import text_of

from .conftest import FakeApi, Run

FARM = """
note = "a small one"
[[sectors]]
count = 3
[[workers]]
name = "w"
storage = "10TiB"
"""


def run(*argv: str) -> int:
    return execute(sched_program(), "lotus-sched", ["sim", *argv])


@pytest.fixture
def farm(tmp_path: Path) -> str:
    path = tmp_path / "my.toml"
    path.write_text(FARM)
    return str(path)


def test_two_policies_are_compared_side_by_side(farm: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(farm) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "my: 1 workers, 3 sectors (simulated)"
    assert lines[3].split() == ["balanced", "windowed"]
    assert "sealed" in lines[4] and "3 of 3" in lines[4]
    idle = next(line for line in lines if line.startswith("idle while eligible"))
    assert idle.split()[3] == "0s"


def test_one_policy_is_shown_without_a_comparison(farm: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(farm, "--policy", "balanced") == 0
    out = capsys.readouterr().out
    assert "balanced: 3 of 3 sectors in" in out and "windowed" not in out


def test_json_has_every_figure_and_says_that_it_is_simulated(
    farm: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(farm, "--policy", "balanced", "--json", "-") == 0
    data = json.loads(capsys.readouterr().out)
    assert data["simulated"] is True and data["version"] == 1
    (one,) = data["runs"]
    assert (one["policy"], one["sealed"], one["idle_while_eligible"]) == ("balanced", 3, 0)
    assert {row["stage"] for row in one["stages"]} == {"AP", "PC1", "PC2", "C1", "C2", "FUS", "FIN", "GET"}
    assert one["disks"][0]["peak"] > 0


def test_a_bad_farm_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(FARM + 'durations = { PC1 = "-1h" }')
    assert run(str(path)) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert f"{path}: workers.w.durations.PC1" in said.err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ((), "no farm file; 'lotus-sched sim --list'"),
        (("two-workers", "--policy", "fair"), 'policy "fair" is unknown; use balanced or windowed'),
        (("two-workers", "--policy", "windowed:best"), "Assigner 'best': use"),
        (("two-workers", "--plot", "farm.jpg"), "end its name with .png or .svg"),
        (("two-workers", "--plot", "/nowhere/farm.png"), "there is no such folder"),
        (("two-workers", "--json", "/nowhere/farm.json"), "there is no such folder"),
        (("two-workers", "--json", "/proc/farm.json"), "--json /proc/farm.json: No such file or directory"),
        (("two-workers", "--json", "/dev/full"), "--json /dev/full: No space left on device; name a file"),
        (("nothing.toml",), "No such file or directory"),
    ],
)
def test_a_bad_flag_is_one_line_with_its_remedy(
    argv: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*argv) == 1
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1


def test_a_plot_without_matplotlib_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert run("two-workers", "--plot", "farm.png") == 1
    assert "pip install 'lotus-sched-cli[plots]'" in capsys.readouterr().err


def test_the_shipped_farms_are_listed_and_can_be_printed_to_change_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("--list") == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in farmfile.shipped())
    assert run("two-workers", "--print") == 0
    assert farmfile.loads(capsys.readouterr().out, "two-workers") == farmfile.load("two-workers")


def test_a_standstill_ends_with_an_error_after_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "full.toml"
    path.write_text(FARM.replace('"10TiB"', '"40GiB"'))
    assert run(str(path), "--policy", "balanced") == 1
    said = capsys.readouterr()
    assert "1 of 3 sectors" in said.out
    assert "came to a standstill" in said.err and "not enough space" in said.err


def test_a_long_simulation_shows_where_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter(range(0, 1000, 11))
    monkeypatch.setattr(command.time, "monotonic", lambda: float(next(clock)))
    shown = command.ProgressLine("farm, balanced")
    shown(90000.0, 5, 20)
    shown.end()
    assert (
        capsys.readouterr().err == "farm, balanced: 1.04 days simulated, 5 of 20 sectors sealed after 11s\n"
    )


def test_suggested_caps_are_printed_as_flags(farm: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(farm).write_text(
        """
        [[sectors]]
        count = 12
        until = "PC1"
        [[workers]]
        name = "w"
        caps = { precommit1max = 2 }
        """
    )
    assert run(farm, "--suggest") == 0
    out = capsys.readouterr().out
    assert "w: lotus-worker run --precommit1max " in out
    assert "memory: " in out and "disk: room for" in out


# -- recording ---------------------------------------------------------------------------------------------------------


def worker(name: str, tasks: list[str], **other: object) -> dict[str, object]:
    return {
        "Name": name, "Number": 1, "Tasks": tasks, "CPUs": 64, "GPUs": 1, "Memory": 1 << 40, "Disk": 10 << 40,
        "Storage": 0, "Both": 0, "PreCommit1Max": 7, "PreCommit1HoldMax": 25, "PreCommit2Max": 1, "Commit2Max": 1,
        "ForceP2FromLocalP1": False, "Limits": {}, "Rate": 0.0, "Measured": {},
    } | other  # fmt: skip


def record(*workers: dict[str, object]) -> dict[str, object]:
    return {
        "SectorSize": 32 << 30, "Policy": "balanced", "SpreadBy": "count", "RetryDelay": 60.0, "RetryDelayMax": 1800.0,
        "WaitSeed": 4650.0, "CommitWait": 150.0, "Sealing": 3, "Workers": list(workers),
    }  # fmt: skip


def test_workers_that_are_alike_become_a_group_with_the_median_of_what_was_measured() -> None:
    def sealer(name: str, seconds: float) -> dict[str, object]:
        measured = {"PC1": {"Seconds": seconds, "Done": 9, "Failed": 1}}
        return worker(name, ["AP", "PC1", "PC2", "C2", "C1", "FIN", "GET", "FUS"], Measured=measured)

    store = worker("miner", ["C1", "FIN", "GET", "FUS"], Disk=0, Storage=100 << 40, GPUs=0)
    farm, remarks = farm_of(record(sealer("a", 14000), sealer("b", 15000), sealer("c", 99000), store), "mine")
    again = farmfile.loads(text_of(farm, remarks), "mine.toml")
    assert again == farm
    group = again.groups[0]
    assert (group.name, group.count) == ("ap-pc1-pc2-c2", 3)
    assert group.durations[farmfile.BY_SHORT["PC1"]] == 15000
    assert group.failures[farmfile.BY_SHORT["PC1"]] == 0.1
    assert any("not measured yet: AP" in line for line in remarks[group.name])
    assert again.batches[0].count == 2 * 21


def test_a_network_that_nothing_was_measured_of_is_named(api: FakeApi, miner: Run, tmp_path: Path) -> None:
    tasks = ["AP", "PC1", "PC2", "C2", "C1", "FIN", "GET", "FUS"]
    store = worker("miner", ["FIN", "GET"], Disk=0, Storage=100 << 40, Rate=2e8)
    api.answers["SealingRecord"] = record(worker("a", tasks), store)
    file = tmp_path / "mine.toml"
    assert miner("sealing", "record", str(file)).out.splitlines() == [
        f"wrote 2 workers in 2 groups: lotus-sched sim {file}",
        "ap-pc1-pc2-c2: network not measured, nothing was fetched yet: 10Gbit is assumed",
    ]
    text = file.read_text()
    assert text.count("# network not measured, nothing was fetched yet: 10Gbit is assumed") == 1
    assert 'network = "1250000000B"' in text and 'network = "200000000B"' in text


def test_the_extras_among_the_caps_are_recorded_and_part_groups() -> None:
    tasks = ["AP", "PC1", "PC2", "C2", "C1", "FIN", "GET", "FUS"]
    extras = {"ForbidP2C2Parallel": True, "PreCommit1Interval": 600_000_000_000, "PreCommit2Prefetch": 1}
    store = worker("miner", ["FIN", "GET"], Disk=0, Storage=100 << 40)
    farm, remarks = farm_of(record(worker("a", tasks, Extras=extras), worker("b", tasks), store), "mine")
    caps = farm.groups[0].caps
    assert (caps.allow_p2_c2_parallel, caps.precommit1_interval, caps.precommit2_prefetch) == (
        False,
        600.0,
        1,
    )
    assert farm.groups[1].caps == Caps()
    assert farmfile.loads(text_of(farm, remarks), "mine.toml") == farm


def test_room_to_store_is_written_where_it_is_and_nowhere_else() -> None:
    tasks = ["AP", "PC1", "PC2", "C2", "C1", "FIN", "GET", "FUS"]
    farm, remarks = farm_of(record(worker("miner", tasks, Both=10 << 40), worker("b", tasks)), "mine")
    assert [group.storage for group in farm.groups] == [10 << 40, 0]
    assert [any("store too" in line for line in remarks[g.name]) for g in farm.groups] == [True, False]
    assert farm.batches[0].stop.short == "GET"


def test_the_memory_of_a_pc1_goes_with_the_sector_size() -> None:
    small = record(worker("a", ["AP", "PC1"])) | {"SectorSize": 2048}
    assert farm_of(small, "mine")[0].groups[0].p1_memory == 4096
    assert farm_of(record(worker("a", ["AP", "PC1"])), "mine")[0].groups[0].p1_memory == 64 << 30


def test_a_farm_whose_last_stages_nobody_takes_is_recorded_as_far_as_it_goes() -> None:
    farm, _ = farm_of(record(worker("a", ["AP", "PC1"])), "mine")
    assert farm.batches[0].stop.short == "PC1"


def test_a_farm_that_cannot_begin_is_refused() -> None:
    with pytest.raises(CliError, match="no worker takes AP"):
        farm_of(record(worker("a", ["PC2"])), "mine")
    with pytest.raises(CliError, match="no worker is connected"):
        farm_of(record(), "mine")
