"""``--watch``: the same table again and again, drawn in place on a terminal."""

from __future__ import annotations

import io
import os
import re
import sys

import pexpect
import pytest

from lotus_sched_cli.cli.watch import Screen, fitting, rows_of

from .conftest import WORKER_A, FakeApi, Refused, Run, job


@pytest.fixture
def three_looks(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Ctrl-C at the third look; the waits before it."""
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("lotus_sched_cli.cli.watch.sleep", sleep)
    return waits


def test_in_a_pipe_looks_follow_each_other(api: FakeApi, miner: Run, three_looks: list[float]) -> None:
    api.answers["LogList"] = ["advmgr"]
    done = miner("log", "list", "--watch", "5")
    assert (done.out, done.code) == ("advmgr\n\nadvmgr\n\nadvmgr\n", 0)
    assert three_looks == [5.0, 5.0, 5.0]


@pytest.mark.parametrize(
    "words", [["--watch", "log", "list"], ["log", "list", "--watch"], ["log", "list", "-watch=2"]]
)
def test_without_a_number_it_looks_every_two_seconds(
    words: list[str], api: FakeApi, miner: Run, three_looks: list[float]
) -> None:
    api.answers["LogList"] = ["advmgr"]
    assert miner(*words).code == 0
    assert three_looks == [2.0] * 3


def test_lines_of_json_are_not_parted(api: FakeApi, miner: Run, three_looks: list[float]) -> None:
    api.answers["LogList"] = ["advmgr"]
    assert miner("log", "list", "--watch", "--format", "jsonl").out == '{"name":"advmgr"}\n' * 3


def test_an_error_is_told_and_the_next_look_may_go_well(
    api: FakeApi, miner: Run, three_looks: list[float]
) -> None:
    def second_fails() -> list[str]:
        if len(three_looks) == 1:
            raise Refused("busy")
        return ["advmgr"]

    api.answers["LogList"] = second_fails
    done = miner("log", "list", "--watch")
    assert done.out.split() == ["advmgr", "advmgr"]
    assert (done.err, done.code) == ("ERROR: busy\n", 0)


def test_a_mistake_on_the_command_line_ends_the_watch(
    api: FakeApi, miner: Run, three_looks: list[float]
) -> None:
    done = miner("sectors", "list", "--watch", "abc")
    assert (done.error.split(";")[0], done.code) == ("No help topic for 'abc'", 3)
    assert miner("sectors", "status", "x", "--watch").error.startswith("strconv.ParseUint")
    assert not three_looks


def test_what_changes_something_is_not_watched(api: FakeApi, miner: Run) -> None:
    assert miner("--watch", "sectors", "pledge").error.startswith(
        "--watch: 'lotus-miner sectors pledge' does more"
    )
    assert miner("log", "list", "--watch=x").error == '--watch "x" is no time; give seconds from 0.1 to 86400'
    assert not api.calls


# --- on a terminal -------------------------------------------------------------------------------------------------


def test_a_look_is_drawn_over_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("LINES", "10")
    out = io.StringIO()
    screen = Screen(out)
    screen.show("one\ntwo\n", "")
    screen.show("three\n", "ERROR: gone")
    screen.show("four\n", "")
    assert out.getvalue() == (
        "one\x1b[K\ntwo\x1b[K\n\x1b[J\x1b[2Fthree\x1b[K\nERROR: gone\x1b[K\n\x1b[J\x1b[2Ffour\x1b[K\n\x1b[J"
    )


@pytest.mark.parametrize(
    ("line", "rows"),
    [
        ("", 1),
        ("x" * 20, 1),
        ("x" * 21, 2),
        ("\x1b[31m" + "x" * 20 + "\x1b[0m", 1),
        ("封" * 11, 2),
        ("\tx" * 3, 2),
    ],
)
def test_rows_are_counted_as_the_terminal_breaks_them(line: str, rows: int) -> None:
    assert rows_of(line, 20) == rows


def test_a_table_longer_than_the_screen_says_how_much_is_left_out() -> None:
    lines = [f"row {n}" for n in range(10)]
    assert fitting(lines, 80, 10) == (lines, 10)
    assert fitting(lines, 80, 5) == (["row 0", "row 1", "row 2", "row 3", "6 more lines"], 5)
    assert fitting(["x" * 100, "y"], 50, 2) == (["2 more lines"], 1)


def test_a_real_terminal_is_redrawn_in_place(api: FakeApi) -> None:
    api.answers["WorkerJobs"] = {WORKER_A: [job(15)]}
    command = f"{sys.executable} -m lotus_sched_cli miner sealing jobs --watch 0.1"
    child = pexpect.spawn(
        command, env={**os.environ, "MINER_API_INFO": api.info, "TERM": "xterm"}, encoding="utf-8", timeout=30
    )
    child.expect("worker-1")
    child.expect(re.escape("\x1b[2F"))
    child.expect("worker-1")
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
