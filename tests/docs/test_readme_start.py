"""The README's ten minutes on two hosts, as a new user types them: the hosts are two loopback addresses and two homes."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOSTS = {"10.0.0.1": "127.0.0.2", "10.0.0.5": "127.0.0.3"}


class Host:
    """A home of its own and a shell; what runs in the foreground runs on until the end."""

    def __init__(self, home: Path, ports: dict[str, str]) -> None:
        self.home, self.ports = home, ports
        home.mkdir()
        clean = {k: v for k, v in os.environ.items() if not re.match("LOTUS|GOLOG|MINER|WORKER|STORAGE", k)}
        self.env = clean | {"HOME": str(home), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        self.running: list[subprocess.Popen[bytes]] = []

    def types(self, block: str) -> str:
        """Run a block of the README; its output. A ``run`` goes into the background."""
        for there, here in {**HOSTS, **self.ports}.items():
            block = block.replace(there, here)
        said = ""
        for line in block.strip().splitlines():
            if line.startswith("export "):
                name, _, value = line.removeprefix("export ").partition("=")
                self.env.setdefault(name, value)
            elif re.search(r"^lotus-(miner|worker) run", line):
                log = (self.home / "log").open("ab")
                self.running.append(
                    subprocess.Popen(
                        ["sh", "-c", f"exec {line}"], env=self.env, cwd=self.home, stdout=log, stderr=log
                    )
                )
            else:
                done = subprocess.run(
                    ["sh", "-c", line], env=self.env, cwd=self.home, capture_output=True, text=True
                )
                assert done.returncode == 0, (line, done.stderr)
                said += done.stdout
        return said

    def waits_for(self, line: str, text: str) -> str:
        end = time.monotonic() + 90
        while time.monotonic() < end:
            done = subprocess.run(["sh", "-c", line], env=self.env, capture_output=True, text=True)
            if text in done.stdout:
                return done.stdout
            time.sleep(0.3)
        pytest.fail(
            f"{line} never said {text}: {done.stdout} {done.stderr} {(self.home / 'log').read_text()[-2000:]}"
        )


@pytest.fixture
def ports() -> dict[str, str]:
    free = []
    with socket.socket() as a, socket.socket() as b:
        for s in (a, b):
            s.bind(("127.0.0.1", 0))
            free.append(str(s.getsockname()[1]))
    return {"2345": free[0], "3456": free[1]}


@pytest.fixture
def hosts(tmp_path: Path, ports: dict[str, str]) -> Iterator[tuple[Host, Host]]:
    pair = Host(tmp_path / "a", ports), Host(tmp_path / "b", ports)
    yield pair
    for host in reversed(pair):
        for process in host.running:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


def blocks(page: Path) -> list[str]:
    text = page.read_text()
    start = text.split("make venv\nexport PATH")[1]
    return re.findall(r"^```\n(.*?)^```", "```\n" + start, re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_ten_minutes_on_two_hosts(hosts: tuple[Host, Host]) -> None:
    a, b = hosts
    _, miner, info, worker, look = blocks(ROOT / "README.md")[:5]
    # The port that init's file has by default is not free on every machine that runs tests.
    a.types(
        miner.replace(
            "lotus-miner run",
            "sed -i 's|/tcp/[0-9]*/http|/tcp/2345/http|; s|10.0.0.1:[0-9]*|10.0.0.1:2345|' "
            "~/.lotusminer/config.toml\nlotus-miner run",
        )
    )
    told = a.waits_for(info.strip(), "MINER_API_INFO=").strip()
    name, _, value = told.partition("=")
    b.env[name] = value
    b.types(worker)
    table = a.waits_for("lotus-miner sealing workers", "host worker-1")
    assert "PreCommit1Max: 3" in table
    said = a.types(look)
    assert "Created CC sector:  0" in said
    a.waits_for("lotus-miner sectors list", "Proving")
