"""Attaching a path with thousands of sectors: the command says how far the daemon is."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import pytest

from lotus_sched_cli.cli.commands.paths import following
from lotus_sched_cli.cli.connect import Api
from lotus_sched_cli.cli.errors import CliError
from lotus_sched_cli.lotus import apiinfo, progress

from .conftest import FakeApi, Refused


def test_attaching_tells_how_far_it_is(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.0)
    monkeypatch.setattr(progress, "TICK", 0.02)
    told = threading.Event()
    asked = [0]

    def opening() -> list[dict[str, object]]:
        asked[0] += 1
        if asked[0] == 3:
            told.set()
        return [{"Path": "/p", "Done": asked[0] * 1000, "Total": 10_000}]

    def add(path: str) -> None:
        assert path == str(tmp_path)
        assert told.wait(20)

    api.answers = {"StorageAddLocal": add, "StorageOpening": opening}
    following(Api(apiinfo.parse(api.info), apiinfo.MINER), "StorageAddLocal", str(tmp_path))
    first = capsys.readouterr().err.splitlines()[0]
    assert first.startswith("declaring: 1,000 of 10,000 files, ") and first.endswith(" left")


def test_a_stock_daemon_that_cannot_tell_is_waited_for_in_silence(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.0)
    monkeypatch.setattr(progress, "TICK", 0.01)
    begun = threading.Event()
    api.answers = {"StorageAddLocal": lambda path: begun.wait(0.1) and None}
    following(Api(apiinfo.parse(api.info), apiinfo.MINER), "StorageAddLocal", "/p")
    assert capsys.readouterr().err == ""


def test_what_the_daemon_refuses_is_the_command_s_error(api: FakeApi) -> None:
    def no(path: str) -> None:
        raise Refused("opening local path: reading storage metadata for /p: no such file")

    api.answers = {"StorageAddLocal": no}
    with pytest.raises(CliError, match="opening local path: reading storage metadata"):
        following(Api(apiinfo.parse(api.info), apiinfo.MINER), "StorageAddLocal", "/p")


def test_a_bar_is_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(progress, "TICK", 0.0)
    out = Terminal()
    shown = progress.Shown("declaring", "files", out=out)
    shown.tell(5000, 10_000)
    assert "] 50% 5,000 of 10,000 files" in out.getvalue()
