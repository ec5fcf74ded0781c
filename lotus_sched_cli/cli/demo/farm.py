"""The processes of the demonstration: one miner, two workers, in one temporary folder, over loopback."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lotus_sched_cli.cli.connect import Api
from lotus_sched_cli.cli.errors import CliError
from lotus_sched_cli.core.tasks import TaskType
from lotus_sched_cli.lotus import apiinfo

WORKERS: Final = ("worker-1", "worker-2")
#: Real sealing of 32 GiB takes some six hours; the slower of the two workers' chains then takes about 20 s.
SPEED: Final = 1500
#: The built-in worker of the miner only stores.
OWN_WORKER_OFF: Final = (
    "AllowAddPiece", "AllowPreCommit1", "AllowPreCommit2", "AllowCommit", "AllowUnseal", "AllowReplicaUpdate",
    "AllowProveReplicaUpdate2", "AllowRegenSectorKey", "AllowSectorDownload",
)  # fmt: skip
#: A chain that keeps pace: the seed comes 150 epochs after the precommit.
SETTINGS: Final = {"BlockDelaySecs": "0.02", **dict.fromkeys(OWN_WORKER_OFF, "false")}
#: The sealer's settings. Stand-in files count as the files of 32 GiB sectors, on disks that pretend to be large enough.
SIMULATED: Final = """speed = {speed}
jitter = 0.1
seed = 15

[paths]
"*" = "4TiB"
"""
READY_SECONDS: Final = 25.0
STOP_SECONDS: Final = 8.0
PLACED: Final = re.compile(
    r"trySchedMine has sucessfully scheduled for sector s-t0\d+-(\d+) taskType (\S+) to worker \w{8}@(\S+)"
)


@dataclass(slots=True)
class Child:
    """A process with its log; it leads a process group of its own, so that nothing of it stays behind."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def signal(self, number: int) -> None:
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass


class Farm:
    """Starts in `start`, ends in `stop`; both may be called at any time."""

    def __init__(self, root: Path, speed: int = SPEED) -> None:
        self.root, self.speed = root, speed
        self.children: list[Child] = []
        self.miner_repo = root / "miner"

    @property
    def api(self) -> Api:
        info = apiinfo.find(apiinfo.MINER, repo=str(self.miner_repo), environ={})
        return Api(info, apiinfo.MINER)

    def start(self) -> None:
        """Up to the moment when both workers are registered. Raises CliError with the log's end."""
        self.command("miner", "init", "--first-sector", "15", "--proofs", "stand-in")
        self.settle()
        config = self.miner_repo / "simulated.toml"
        config.write_text(SIMULATED.format(speed=self.speed))
        self.spawn("miner", "miner", "run", "--miner-api", "0")
        self.wait(self.miner_answers, "the miner")
        for name in WORKERS:
            repo = ["--worker-repo", str(self.root / name)]
            run = ["run", "--listen", "127.0.0.1:0", "--name", name]
            self.spawn(name, "worker", *repo, *run, "--sealer", "simulated", "--sealer-config", str(config))
        self.wait(self.workers_registered, "the workers")

    def settle(self) -> None:
        """Change the keys of `SETTINGS` in config.toml, as an operator would: take off the ``#`` and set the value."""
        path = self.miner_repo / "config.toml"
        text = path.read_text()
        for key, value in SETTINGS.items():
            text = re.sub(rf"^(\s*)#{key} = .*$", rf"\g<1>{key} = {value}", text, count=1, flags=re.MULTILINE)
        path.write_text(text)

    def command(self, *argv: str) -> None:
        done = subprocess.run(
            program(*argv), env=self.environment(), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise CliError(f"{' '.join(argv)}: {done.stderr.strip().removeprefix('ERROR: ')}")

    def spawn(self, name: str, *argv: str) -> None:
        log = self.root / f"{name}.log"
        with log.open("ab") as out:
            process = subprocess.Popen(
                program(*argv),
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.children.append(Child(name, process, log))

    def environment(self) -> dict[str, str]:
        """The user's without settings of a farm of his own."""
        ours = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("LOTUS_", "GOLOG_", "MINER_API", "WORKER_", "STORAGE_API"))
        }
        return ours | {"LOTUS_MINER_PATH": str(self.miner_repo), "HOME": str(self.root)}

    def wait(self, ready: object, what: str) -> None:
        assert callable(ready)
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            self.check()
            if ready():
                return
            time.sleep(0.1)
        raise CliError(f"{what} did not come up within {READY_SECONDS:g} s", self.tail())

    def miner_answers(self) -> bool:
        try:
            return bool(self.api.call("Version"))
        except (CliError, apiinfo.ApiError):
            return False

    def workers_registered(self) -> bool:
        names = [worker["Info"]["Hostname"] for worker in self.api.call("WorkerStats").values()]
        return all(name in names for name in WORKERS)

    def check(self) -> None:
        """Raises CliError when a process has ended."""
        for child in self.children:
            if child.process.poll() is not None:
                raise CliError(
                    f"{child.name} ended with exit code {child.process.returncode}", self.tail(child)
                )

    def tail(self, child: Child | None = None) -> str:
        """The last words of a log, or of all."""
        lines = []
        for one in [child] if child else self.children:
            last = one.log.read_text(errors="replace").strip().splitlines()[-1:]
            lines.append(f"last line of {one.log.name}: {' '.join(last)}")
        return "; ".join(lines)

    def placements(self) -> list[tuple[int, str, str]]:
        """(sector, short task, host name) of each assignment, in order, from the miner's log."""
        text = (self.root / "miner.log").read_text(errors="replace")
        return [(int(n), TaskType(task).short, host) for n, task, host in PLACED.findall(text)]

    def stop(self) -> None:
        """End every process that was started here, workers first; what does not end is killed."""
        for child in reversed(self.children):
            child.signal(signal.SIGTERM)
        end = time.monotonic() + STOP_SECONDS
        for child in self.children:
            try:
                child.process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.signal(signal.SIGKILL)
                child.process.wait()
            child.signal(signal.SIGKILL)
        self.children.clear()


def program(*argv: str) -> list[str]:
    return [sys.executable, "-m", "lotus_sched_cli", *argv]
