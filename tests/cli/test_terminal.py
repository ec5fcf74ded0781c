"""On a terminal: Rich, with nothing wrapped, and without its colours as readable to grep and awk as in a pipe."""

from __future__ import annotations

import json
import os
import re
import sys
from types import ModuleType

import pexpect
import pytest

from lotus_sched_cli.cli.render import classic, plain, rich
from lotus_sched_cli.cli.views.jobs import jobs_view
from lotus_sched_cli.cli.views.sectors import Chain, SectorList, sector_row
from lotus_sched_cli.cli.views.text import Pledged
from lotus_sched_cli.cli.views.workers import workers_view

from .conftest import WORKER_A, FakeApi, Refused, Run, job, stats
from .test_reads import status
from .test_sealing import SCHED

COLORS = re.compile(r"\x1b\[[0-9;]*m")
LONG = "a-worker-with-a-name-that-is-longer-than-any-terminal-is-wide-" * 3
NOW = 1605172987.0


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.delenv("NO_COLOR", raising=False)


def words(text: str) -> list[list[str]]:
    return [line.split() for line in COLORS.sub("", text).splitlines()]


def views() -> list[object]:
    rows = [sector_row(n, status(n, state), "", Chain(5)) for n, state in ((1, "PreCommit1"), (2, "Proving"))]
    return [
        jobs_view({WORKER_A: [job(15), job(16, "seal/v0/commit/2", RunWait=1)]}, {WORKER_A: LONG}, NOW),
        workers_view({WORKER_A: stats(LONG, SCHED), "b": stats(Enabled=False)}),
        SectorList(tuple(rows), Chain(5)),
    ]


@pytest.mark.parametrize("view", views(), ids=lambda v: type(v).__name__)
def test_without_its_colours_the_rich_table_reads_like_the_plain_one(view: object) -> None:
    colored = rich.render(view, color=True)
    assert "\x1b[" in colored
    assert words(colored) == words(plain.render(view, color=False))
    assert words(rich.render(view, color=False)) == words(colored)
    assert not COLORS.search(rich.render(view, color=False))


def test_nothing_is_wrapped_shortened_or_framed() -> None:
    out = COLORS.sub("", rich.render(views()[0], color=True))
    assert len(out.splitlines()) == 3 and LONG in out
    assert not set(out) & set("│┃─━┏╭…")


def test_the_words_that_operators_grep_stand_side_by_side_without_colours() -> None:
    view = jobs_view({WORKER_A: [job(15)]}, {}, NOW)
    assert "PC1   running" in COLORS.sub("", rich.render(view, color=True))
    assert "PC1   running" in plain.render(view, color=False)


def test_columns_stand_under_each_other_with_a_chinese_host_name() -> None:
    from rich.cells import cell_len

    view = jobs_view({WORKER_A: [job(15), job(16, Hostname="封装机一号")]}, {}, NOW)
    lines = COLORS.sub("", rich.render(view, color=False)).splitlines()
    assert len({cell_len(line.partition("running")[0]) for line in lines[1:]}) == 1


@pytest.mark.parametrize("color", [True, False])
@pytest.mark.parametrize("layout", [plain, rich, classic])
def test_a_host_name_does_not_steer_the_terminal(layout: ModuleType, color: bool) -> None:
    evil = "\x1b]0;owned\x07\x9b2Jhost\r"
    rows = (sector_row(1, status(1, "Packing") | {"LastErr": evil}, "", Chain(5)),)
    for view in (
        jobs_view({WORKER_A: [job(15, Hostname=evil)]}, {WORKER_A: evil}, NOW),
        workers_view({WORKER_A: stats(evil, SCHED)}),
        SectorList(rows, Chain(5)),
        Pledged(1, evil),
    ):
        out = COLORS.sub("", layout.render(view, color=color))
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", out)
        if not isinstance(view, SectorList | Pledged):
            assert r"\x1b]0;owned\x07\x9b2Jhost\x0d" in out


def test_an_error_of_another_machine_does_not_either(api: FakeApi, miner: Run) -> None:
    def refuse() -> None:
        raise Refused("no\x1b[2J way")

    api.answers["PledgeSector"] = refuse
    assert r"no\x1b[2J way" in miner("sectors", "pledge").err


LOAD = {"ID": "w", "Name": "a\x1b[2J", "Session": WORKER_A, "Drain": "tasks", "Carried": {}}


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("sealing assign 7 w", r"PC1 of sector 15 goes to a\x1b[2J (ef8d99a2)"),
        ("sealing drain w", r"a\x1b[2J (ef8d99a2) is empty"),
        ("sealing drain --no-wait w", r"a\x1b[2J (ef8d99a2) takes no new tasks; nothing left"),
        ("sealing undrain w", r"a\x1b[2J (ef8d99a2) takes work again"),
        ("config reload", r"Storage.Assigner: a\x1b[2J -> spread  now"),
    ],
)
def test_nor_does_a_name_in_what_a_command_did(api: FakeApi, miner: Run, command: str, told: str) -> None:
    change = {"Key": "Storage.Assigner", "Old": "a\x1b[2J", "New": "spread", "Effect": "now"}
    api.answers |= {
        "SealingQueue": [{"TaskID": "76", "Task": "PC1", "Sector": 15}],
        "SealingAssign": LOAD,
        "SealingDrain": LOAD,
        "ConfigReload": {"Changes": [change], "Warnings": None},
    }
    assert miner(*command.split()).out == f"{told}\n"
    row = json.loads(miner(*command.split(), "--format", "json").out)
    assert [one["text"].count("\x1b[2J") for one in row] == [1]


def test_tabs_stay_tabs_in_blocks() -> None:
    assert "\tCPU:  [" in COLORS.sub("", rich.render(views()[1], color=True))


def test_a_pledge_is_a_row_on_a_terminal(api: FakeApi, miner: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    api.answers |= {"PledgeSector": {"Miner": 1000, "Number": 12}, "SectorsStatus": status(12, "Packing")}
    monkeypatch.setenv("LOTUS_LAYOUT", "rich")
    assert words(miner("--color", "sectors", "pledge").out) == [["Sector", "State"], ["12", "Packing"]]


def test_a_layout_is_forced_by_flag_before_environment(
    api: FakeApi, miner: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.answers["PledgeSector"] = {"Miner": 1000, "Number": 12}
    monkeypatch.setenv("LOTUS_LAYOUT", "rich")
    assert miner("sectors", "pledge", "--layout=plain").out == "Created CC sector:  12\n"


def test_colours_follow_lotuss_rules_in_a_pipe(
    api: FakeApi, miner: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.answers["WorkerStats"] = {WORKER_A: stats()}
    assert not COLORS.search(miner("sealing", "workers").out)
    assert "host \x1b[35mworker-1\x1b[0m" in miner("--color", "sealing", "workers").out
    monkeypatch.setenv("GOLOG_LOG_FMT", "color")
    assert COLORS.search(miner("sealing", "workers").out)
    assert not COLORS.search(miner("--color=false", "sealing", "workers").out)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not COLORS.search(miner("--color", "sealing", "workers").out)


def on_a_terminal(api: FakeApi, *argv: str, **env: str) -> str:
    """What a pseudo-terminal of 60 columns shows."""
    return str(
        pexpect.run(
            sys.executable + " -m lotus_sched_cli " + " ".join(argv),
            env={**os.environ, "MINER_API_INFO": api.info, "TERM": "xterm", **env},
            encoding="utf-8",
            timeout=30,
            withexitstatus=False,
        )
    )


def test_a_real_terminal_gets_colours_and_whole_rows(api: FakeApi) -> None:
    api.answers["WorkerJobs"] = {WORKER_A: [job(15, Hostname=LONG)]}
    shown = on_a_terminal(api, "miner", "sealing", "jobs")
    assert COLORS.search(shown)
    rows = words(shown)
    assert rows[0][:3] == ["ID", "Sector", "Worker"] and rows[1][1:6] == [
        "15",
        WORKER_A[:8],
        LONG,
        "PC1",
        "running",
    ]
    assert not COLORS.search(on_a_terminal(api, "miner", "sealing", "jobs", NO_COLOR="1"))


def test_a_dumb_terminal_gets_the_plain_table(api: FakeApi) -> None:
    api.answers["PledgeSector"] = {"Miner": 1000, "Number": 12}
    assert on_a_terminal(api, "miner", "sectors", "pledge", TERM="dumb") == "Created CC sector:  12\r\n"
