"""A farm of real processes in a temporary folder: one miner, workers, the commands that an operator types.

Everything talks over loopback. Only processes that were started here are ended here.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SCHED_LINE = re.compile(
    r"trySchedMine has sucessfully scheduled for sector s-t0(?P<miner>\d+)-(?P<sector>\d+) "
    r"taskType (?P<task>\S+) to worker (?P<session>\w{8})@(?P<host>\S+)"
)


def program(name: str) -> list[str]:
    """The command of an installed console script, run by the interpreter of the tests."""
    return [sys.executable, "-m", "lotus_sched_cli", name]


@dataclass
class Proc:
    """One process of the farm with its log file."""

    name: str
    argv: list[str]
    env: dict[str, str]
    log: Path
    popen: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        out = self.log.open("ab")
        self.popen = subprocess.Popen(
            self.argv,
            env=self.env,
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        out.close()

    def kill9(self) -> None:
        assert self.popen is not None
        self.popen.kill()
        self.popen.wait(30)

    def stop(self, timeout: float = 20) -> int:
        if self.popen is None:
            return 0
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            try:
                return self.popen.wait(timeout)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait(10)
                raise AssertionError(
                    f"{self.name} did not stop within {timeout} s; log:\n{self.tail()}"
                ) from None
        return self.popen.returncode

    @property
    def alive(self) -> bool:
        return self.popen is not None and self.popen.poll() is None

    def text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def tail(self, lines: int = 30) -> str:
        return "\n".join(self.text().splitlines()[-lines:])


@dataclass
class Farm:
    """A miner repo, its workers, and the commands against them."""

    root: Path
    procs: dict[str, Proc] = field(default_factory=dict)

    @property
    def miner_repo(self) -> Path:
        return self.root / "miner"

    @property
    def env(self) -> dict[str, str]:
        keep = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith(("LOTUS_", "GOLOG_", "MINER_API", "WORKER_"))
        }
        return keep | {
            "LOTUS_MINER_PATH": str(self.miner_repo),
            "HOME": str(self.root),
            "PYTHONUNBUFFERED": "1",
        }

    def cli(
        self, *argv: str, check: bool = True, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in a pipe, as a script of an operator would."""
        run = subprocess.run(
            program(argv[0]) + list(argv[1:]),
            env=self.env | (env or {}),
            capture_output=True,
            text=True,
            timeout=60,
        )
        if check and run.returncode:
            raise AssertionError(f"{argv} exited {run.returncode}\n{run.stdout}\n{run.stderr}")
        return run

    def init(self, *flags: str, config: str = "") -> None:
        """``lotus-miner init``, then the operator's own lines at the end of config.toml."""
        self.cli("miner", "init", *flags)
        path = self.miner_repo / "config.toml"
        path.write_text(merge_toml(path.read_text(), config))

    def miner(self, *flags: str) -> Proc:
        proc = self.procs.get("miner") or Proc(
            "miner", [*program("miner"), "run", *flags], self.env, self.root / "miner.log"
        )
        self.procs["miner"] = proc
        proc.start()
        self.wait_for(self.miner_answers, 30, "the miner's API")
        return proc

    def worker(self, name: str, *flags: str, env: dict[str, str] | None = None, wait: bool = True) -> Proc:
        proc = self.procs.get(name)
        if proc is None:
            repo = self.root / name
            argv = [
                *program("worker"),
                "--worker-repo",
                str(repo),
                "run",
                "--listen",
                "127.0.0.1:0",
                "--name",
                name,
            ]
            proc = Proc(name, [*argv, *flags], self.env | (env or {}), self.root / f"{name}.log")
            self.procs[name] = proc
        before = self.registrations(name)
        proc.start()
        if wait:
            self.wait_for(lambda: self.registrations(name) > before, 30, f"{name} to register")
        return proc

    def registrations(self, name: str) -> int:
        proc = self.procs.get(name)
        return proc.text().count("Worker registered successfully") if proc else 0

    def call(self, method: str, *params: Any) -> Any:
        """One JSON-RPC call at the miner, with its own admin token."""
        url, token = self.endpoint()
        body = json.dumps(
            {"jsonrpc": "2.0", "id": 1, "method": f"Filecoin.{method}", "params": list(params)}
        ).encode()
        request = urllib.request.Request(
            url, body, {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            reply = json.load(answer)
        if "error" in reply:
            raise RuntimeError(reply["error"]["message"])
        return reply["result"]

    def endpoint(self) -> tuple[str, str]:
        parts = (self.miner_repo / "api").read_text().strip().split("/")
        return f"http://{parts[2]}:{parts[4]}/rpc/v0", (self.miner_repo / "token").read_text().strip()

    def miner_answers(self) -> bool:
        try:
            self.call("Version")
        except (OSError, IndexError):
            return False
        return True

    def states(self) -> dict[str, int]:
        return dict(self.call("SectorsSummary"))

    def jobs(self) -> list[dict[str, Any]]:
        return [job for jobs in self.call("WorkerJobs").values() for job in jobs]

    def placements(self) -> list[tuple[int, str, str]]:
        """(sector, task, host) of every assignment that the miner logged, in order."""
        found = SCHED_LINE.finditer(self.procs["miner"].text())
        return [(int(m["sector"]), m["task"].removeprefix("seal/v0/"), m["host"]) for m in found]

    def all_proving(self, count: int) -> Callable[[], bool]:
        return lambda: self.states().get("Proving", 0) >= count

    def wait_for(self, ready: Callable[[], bool], timeout: float, what: str) -> None:
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            try:
                if ready():
                    return
            except (OSError, RuntimeError):
                pass
            time.sleep(0.05)
        tails = "\n\n".join(f"== {p.name}\n{p.tail()}" for p in self.procs.values())
        raise AssertionError(
            f"waited {timeout} s in vain for {what}; states {self._states_or_why()}\n{tails}"
        )

    def _states_or_why(self) -> object:
        try:
            return self.states()
        except (OSError, RuntimeError) as why:
            return why

    def stop(self) -> None:
        order: Sequence[Proc] = [p for n, p in self.procs.items() if n != "miner"]
        for proc in [*order, *(p for n, p in self.procs.items() if n == "miner")]:
            if proc.alive and proc.popen:
                proc.popen.terminate()
        for proc in self.procs.values():
            if proc.popen:
                try:
                    proc.popen.wait(15)
                except subprocess.TimeoutExpired:
                    proc.popen.kill()
                    proc.popen.wait(10)


def merge_toml(text: str, overlay: str) -> str:
    """Put the overlay's keys into the file: sections that exist get the keys right after their header."""
    section = None
    for line in overlay.splitlines():
        if line.startswith("["):
            section = line.strip()
            if section not in text:
                text = f"{text.rstrip()}\n\n{section}\n"
        elif line.strip() and section:
            text = text.replace(f"{section}\n", f"{section}\n{line}\n", 1)
    return text
