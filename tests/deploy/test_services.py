"""The daemons as systemd services: units that verify, readiness that means something, a stop that stays one."""

from __future__ import annotations

import asyncio
import configparser
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lotus_sched_cli.lotus import service

DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """What systemd listens on."""
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(path)
        s.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        yield s


def told(manager: socket.socket) -> list[str]:
    lines = []
    while True:
        try:
            lines += manager.recv(4096).decode().split("\n")
        except BlockingIOError:
            return lines


def unit(path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(path)
    return parser


@pytest.mark.parametrize("path", UNITS, ids=lambda p: p.name)
def test_systemd_takes_the_units(path: Path, tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("no systemd-analyze here")
    programs = Path(sys.executable).parent
    for other in UNITS:
        text = other.read_text().replace("/usr/local/bin/", f"{programs}/")
        (tmp_path / other.name).write_text(text)
    done = subprocess.run(
        [program, "verify", "--man=no", str(tmp_path / path.name)], capture_output=True, text=True, timeout=60
    )
    ours = [line for line in done.stderr.splitlines() if "lotus" in line]
    assert ours == []
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", UNITS, ids=lambda p: p.name)
def test_a_unit_restarts_after_failures_only_and_opens_enough_files(path: Path) -> None:
    settings = unit(path)["Service"]
    assert settings["Type"] == "notify"
    assert settings["Restart"] == "on-failure"
    assert int(settings["LimitNOFILE"]) >= 100_000
    assert settings["KillMode"] == "mixed"


def test_environment_files_hold_only_names_that_are_read() -> None:
    from lotus_sched_cli.cli.main import WORKER_COMMANDS
    from lotus_sched_cli.miner.config import KEYS

    run = WORKER_COMMANDS["run"].load("run")
    known = {env for p in run.params for env in (p.envvar or ())} | {k.env for k in KEYS}
    known |= {
        "MINER_API_INFO",
        "GOLOG_LOG_FMT",
        "GOLOG_LOG_LEVEL",
        "LOTUS_PROOFS",
        "FIL_PROOFS_PARAMETER_CACHE",
    }
    for file in (DEPLOY / "systemd").glob("*.env"):
        for line in file.read_text().splitlines():
            if "=" in line and not line.startswith("# "):
                assert line.lstrip("#").split("=")[0] in known, (file.name, line)


def test_without_systemd_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    service.ready("x")


def test_a_manager_that_is_gone_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    service.ready("x")


def test_a_status_is_one_line(manager: socket.socket) -> None:
    service.status("a\nb")
    assert told(manager) == ["STATUS=a b"]


async def test_ready_means_serving_and_registered(tmp_path: Path, manager: socket.socket) -> None:
    from tests.miner.test_daemon import miner, repo, until, worker

    path = await repo(tmp_path)
    async with miner(path) as api:
        await until(api, "Version", lambda v: True)
        first = told(manager)
        assert first[0] == "READY=1" and first[1].startswith("STATUS=serving at /ip4/127.0.0.1/tcp/")
        async with worker(tmp_path, "worker-1"):
            lines: list[str] = []
            async with asyncio.timeout(20):
                while "READY=1" not in lines:
                    lines += told(manager)
                    await asyncio.sleep(0.01)
            assert len(await api.call("WorkerStats")) == 2
            assert any(line.startswith("STATUS=registered with the miner at ") for line in lines)
        told(manager)
    assert told(manager)[0] == "STOPPING=1"


@pytest.mark.slow
def test_pip_install_gives_working_commands(tmp_path: Path) -> None:
    """A fresh environment knows nothing of this folder."""
    root = Path(__file__).parents[2]
    venv = tmp_path / "venv"
    made = subprocess.run([sys.executable, "-m", "venv", str(venv)], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no virtual environments here: {made.stderr.strip()}")
    source = tmp_path / "source"
    skip = shutil.ignore_patterns(".*", "__pycache__", "target", "proofs", "tests", "bench")
    shutil.copytree(root, source, ignore=skip)
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    pip = [str(venv / "bin/python"), "-m", "pip", "install", "-q", "--disable-pip-version-check", str(source)]
    done = subprocess.run(pip, capture_output=True, text=True, env=env, timeout=600)
    if done.returncode and "No matching distribution" in done.stderr:
        pytest.skip("no package index is reachable")
    assert done.returncode == 0, done.stderr
    for name in ("lotus-miner", "lotus-worker", "lotus-sched"):
        said = subprocess.run(
            [venv / "bin" / name, "--version"], capture_output=True, text=True, cwd=tmp_path
        )
        assert said.returncode == 0 and said.stdout.startswith(f"{name} version "), said.stderr
    repo = str(tmp_path / "miner")
    init = [
        venv / "bin/lotus-miner",
        "--miner-repo",
        repo,
        "init",
        "--sector-size",
        "2KiB",
        "--proofs",
        "stand-in",
    ]
    assert subprocess.run(init, capture_output=True, text=True, cwd=tmp_path).returncode == 0
