"""What operators do with the output: awk, grep, pexpect, on real output of the programs, in a pipe and on a terminal."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from .conftest import WORKER_A, WORKER_B, FakeApi, job, stats
from .test_reads import status
from .test_sealing import SCHED

COLORS = re.compile(r"\x1b\[[0-9;]*m")
CHINESE = "封装机一号"


@pytest.fixture
def shell(api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``lotus-miner`` and ``lotus-worker`` on the PATH, and a farm behind them."""
    for name in ("miner", "worker"):
        script = tmp_path / f"lotus-{name}"
        script.write_text(f'#!/bin/sh\nexec {sys.executable} -m lotus_sched_cli {name} "$@"\n')
        script.chmod(0o755)
    for name in list(os.environ):
        if name.startswith(("LOTUS_", "GOLOG_", "NO_COLOR")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("MINER_API_INFO", api.info)
    monkeypatch.setenv("TERM", "xterm")

    def numbered(number: int, **more: object) -> dict[str, object]:
        return job(number, Sched={"Number": number - 15, "WorkerNumber": 1}, **more)

    api.answers |= {
        "WorkerJobs": {
            WORKER_A: [numbered(15), numbered(16), numbered(17, Task="seal/v0/commit/2")],
            WORKER_B: [numbered(18, Hostname=CHINESE), numbered(19, RunWait=2, Hostname=CHINESE)],
        },
        "WorkerStats": {WORKER_A: stats("worker-1", SCHED), WORKER_B: stats(CHINESE, SCHED | {"Number": 2})},
        "Version": {"Version": "v1+simulated", "APIVersion": 66816, "BlockDelay": 30},
        "SimulatedChain": {"Head": 100, "BlockDelaySecs": 30.0, "Proofs": "stand-in"},
        "SectorsTable": [
            {"Number": 3, "State": "SealPreCommit1Failed", "Pieces": 1, "TicketEpoch": 9},
            {"Number": 15, "State": "WaitSeed", "Pieces": 1, "TicketEpoch": 27119, "PreCommit1Done": True},
            {"Number": 16, "State": "Proving", "Pieces": 1, "Activation": 5, "Expiration": 500},
        ],
        "SectorsStatus": lambda number, chain: status(number),
        "ActorAddress": "t01000",
        "PledgeSector": {"Miner": 1000, "Number": 20},
    }
    return tmp_path


def bash(line: str) -> str:
    """A line of an operator's script."""
    run = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True, timeout=60, check=True
    )
    return run.stdout


def terminal(line: str, **env: str) -> str:
    """What a pseudo-terminal of 40 columns shows."""
    child = pexpect.spawn(
        "bash", ["-c", line], env={**os.environ, **env}, dimensions=(24, 40), encoding="utf-8", timeout=60
    )
    child.expect(pexpect.EOF)
    return str(child.before).replace("\r\n", "\n")


def test_the_second_column_is_the_sector_and_the_third_the_worker(shell: Path) -> None:
    out = bash("lotus-miner sealing jobs | awk 'NR > 1 {print $2, $3, $5, $6}'")
    assert out.splitlines() == [
        "15 ef8d99a2 PC1 running", "16 ef8d99a2 PC1 running", "17 ef8d99a2 C2 running", "18 c4d65451 PC1 running",
        "19 c4d65451 PC1 assigned(1)",
    ]  # fmt: skip


def test_running_tasks_of_a_kind_are_counted_by_grep(shell: Path) -> None:
    assert bash("lotus-miner sealing jobs | grep 'PC1   running' | wc -l").strip() == "3"
    assert bash("lotus-miner sealing jobs --layout classic | grep 'PC1   running' | wc -l").strip() == "3"
    assert bash("lotus-miner sealing jobs | grep -v running | awk 'NR > 1' | wc -l").strip() == "1"
    assert bash("lotus-miner sealing jobs | awk '$5 == \"C2\" {print $2}'") == "17\n"


def test_workers_are_counted_by_the_words_worker_and_host(shell: Path) -> None:
    for layout in ("plain", "rich", "classic"):
        for word in ("host", "Worker"):
            assert bash(f"LOTUS_LAYOUT={layout} lotus-miner sealing workers | grep -c {word}") == "2\n"


def test_the_old_tables_are_read_as_in_2020(shell: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOTUS_LAYOUT", "classic")
    assert bash("lotus-miner sealing jobs | awk '$2 == 17 {print $1, $3}'") == "2 1\n"
    assert (
        bash("lotus-miner sealing workers | grep host | awk '{print $2, $4}'")
        == f"0, worker-1\n2, {CHINESE}\n"
    )
    assert (
        bash("lotus-miner sealing workers | grep -o 'PreCommit1Max: [0-9]*' | sort -u")
        == "PreCommit1Max: 13\n"
    )
    assert bash("lotus-miner sectors list | awk '{print $1, $2, $4, $6}'").splitlines() == [
        "3: SealPreCommit1Failed NO NO", "15: WaitSeed NO NO", "16: Proving YES YES",
    ]  # fmt: skip
    assert bash("lotus-miner sectors list | grep '15: WaitSeed' | wc -l").strip() == "1"
    assert bash("lotus-miner sectors list | awk '/tktH: 27119/ {print $1}'") == "15:\n"


def test_sectors_of_a_state_are_counted(shell: Path) -> None:
    assert bash("lotus-miner sectors list | grep -c Proving") == "1\n"
    assert bash("lotus-miner sectors list | awk '$2 ~ /Failed/ {print $1}'") == "3\n"
    assert bash("lotus-miner sectors list --unproven | wc -l").strip() == "3"


def test_a_pledged_sectors_number_is_cut_out(shell: Path) -> None:
    assert bash("lotus-miner sectors pledge | awk '{print $4}'") == "20\n"
    assert bash("lotus-miner sectors status 15 | grep 'Status:' | awk '{print $2}'") == "PreCommit1\n"


def test_a_cap_stands_on_one_line_of_the_help(shell: Path) -> None:
    for cap in ("precommit1max", "precommit1holdmax", "precommit2max", "commit2max", "forcep2fromlocalp1"):
        assert bash(f"lotus-worker run -h | grep -c -- --{cap}") == "1\n"
    assert bash("lotus-worker run -h | grep precommit1max | wc -l").strip() == "1"


def test_programs_read_json_with_jq_or_python(shell: Path) -> None:
    count = f"{sys.executable} -c 'import json, sys; print(len(json.load(sys.stdin)))'"
    assert bash(f"lotus-miner sealing jobs --format json | {count}") == "5\n"
    assert (
        bash("lotus-miner sealing jobs --format csv | cut -d, -f2 | tail -n +2 | xargs") == "15 16 17 18 19\n"
    )


# --- the same on a terminal: ssh -t, docker exec -it, pexpect -------------------------------------------------------


@pytest.mark.parametrize("layout", ["rich", "plain", "classic"])
@pytest.mark.parametrize("words", ["sealing jobs", "sealing workers", "sectors list"])
def test_a_terminal_shows_the_words_of_the_pipe_whole(words: str, layout: str, shell: Path) -> None:
    def fields(text: str) -> list[list[str]]:
        # Ages grow between two runs.
        return [re.sub(r"\d+h\d+m[\d.]+s", "AGE", line).split() for line in COLORS.sub("", text).splitlines()]

    shown = terminal(f"lotus-miner {words}", LOTUS_LAYOUT=layout)
    piped = bash(f"LOTUS_LAYOUT={'plain' if layout == 'rich' else layout} lotus-miner {words}")
    assert fields(shown) == fields(piped)


def test_without_colour_grep_finds_its_words_on_a_terminal(shell: Path) -> None:
    shown = terminal("lotus-miner sealing jobs", NO_COLOR="1")
    assert "\x1b" not in shown
    assert len(re.findall("PC1   running", shown)) == 3
    assert len(re.findall("PC1   running", COLORS.sub("", terminal("lotus-miner sealing jobs")))) == 3


def test_awk_behind_a_terminal_reads_the_plain_table(shell: Path) -> None:
    shown = terminal("lotus-miner sealing jobs | awk '{print $2, $3}'")
    assert shown.splitlines()[:2] == ["Sector Worker", "15 ef8d99a2"]


def test_columns_stand_in_line_under_wide_names_on_a_terminal(shell: Path) -> None:
    from rich.cells import cell_len

    lines = COLORS.sub("", terminal("lotus-miner sealing jobs")).splitlines()
    assert len({cell_len(re.split(r"(?=running|assigned|State)", line)[0]) for line in lines}) == 1


def test_pexpect_waits_for_a_state(shell: Path, api: FakeApi) -> None:
    child = pexpect.spawn("lotus-miner sealing jobs --watch 0.1", encoding="utf-8", timeout=60)
    child.expect("assigned")
    api.answers["WorkerJobs"] = {WORKER_B: [job(19, RunWait=-1)]}
    child.expect("ret-wait")
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
