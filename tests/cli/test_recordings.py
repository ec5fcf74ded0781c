"""Our commands, given the answers that Lotus's commands were given, print what those printed, to the byte."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import recordings

from lotus_sched_cli.cli import connect, sources
from lotus_sched_cli.cli.main import execute, miner_program, worker_program
from lotus_sched_cli.lotus.rpc.errors import RpcError

from .recorded import HOSTS, Call, Capture, captures, need_captures, sessions

pytestmark = pytest.mark.captures

PROGRAMS = {"lotus-miner": miner_program, "lotus-worker": worker_program}
#: Command → the first method that Lotus's own asks.
FIRST = {
    "sealing jobs": "WorkerJobs",
    "sealing workers": "WorkerStats",
    "sealing sched-diag": "SealingSchedDiag",
    "sectors list": "ChainHead",
    "sectors status": "SectorsStatus",
    "storage list": "StorageList",
    "storage find": "ActorAddress",
    "storage locks": "StorageGetLocks",
    "proving workers": "WorkerStats",
    "log alerts": "LogAlerts",
    "log list": "LogList",
    "sectors numbers info": "SectorNumAssignerMeta",
    "sectors numbers reservations": "SectorNumReservations",
    "lotus-worker info": "Version",
}
#: Not served here.
OURS = ("sectors list upgrade-bounds", "--force-sched", "--partition-info")


def wanted(capture: Capture) -> str | None:
    argv = [word for word in capture.argv if not word.startswith("-")]
    text = " ".join(capture.argv)
    if capture.code or any(f" {words}" in f" {text}" for words in OURS):
        return None
    spoken = " ".join(argv if argv[0] == "lotus-worker" else argv[1:])
    return next((command for command in FIRST if spoken.startswith(command)), None)


def paired() -> list[Any]:
    folder = recordings.folder()
    if not (folder / "wire").is_dir():
        return []
    return [pytest.param(c, id=c.name) for c in captures(folder) if wanted(c)]


class Replay:
    """Stands in for `OneShot`: answers from one session of calls, the clock at its end plus ``late`` seconds."""

    calls: list[Call] = []  # noqa: RUF012 (a fresh subclass per session)
    late = 0.0

    def __init__(self, url: str, token: str = "", *, timeout: float | None = None) -> None:
        self.to = next(host for host, port in HOSTS.items() if f":{port}/" in url)

    def __enter__(self) -> Replay:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def call(self, method: str, *params: Any) -> Any:
        text = json.dumps(list(params))
        for call in self.calls:
            if (call.method, call.params, call.to) == (method, text, self.to):
                if "error" in call.answer:
                    raise RpcError(call.answer["error"]["code"], call.answer["error"]["message"])
                return call.answer["result"]
        if method == "Version":
            return {"Version": "v1.36.2-dev+2k+git.b835fab70", "APIVersion": 66816, "BlockDelay": 4}
        if method == "SectorsTable":  # ours; a stock miner does not know it
            raise RpcError(-32601, f"method 'Filecoin.{method}' not found")
        raise LookupError(f"{method}{text} is not in the recording")


@pytest.fixture
def replayed(clean_env: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a capture's command line against one session."""
    clean_env.setenv("MINER_API_INFO", "t:/ip4/10.9.0.1/tcp/2345/http")
    clean_env.setenv("FULLNODE_API_INFO", "t:/ip4/10.9.0.1/tcp/1234/http")
    clean_env.setenv("TZ", "UTC")
    time.tzset()

    def run(capture: Capture, session: list[Call], last: float) -> str:
        replay = type("Session", (Replay,), {"calls": session})
        clean_env.setattr(connect, "OneShot", replay)
        clean_env.setattr(sources, "OneShot", replay)
        clean_env.setattr(time, "time", lambda: last)
        color = ["--color"] if capture.tty and "--color=false" not in capture.argv else []
        argv = [*color, *capture.argv[1:], "--layout", "plain"]
        clean_env.setenv("WORKER_API_INFO", f"t:/ip4/10.9.0.2/tcp/{HOSTS[session[0].to]}/http")
        capsys.readouterr()
        code = execute(PROGRAMS[capture.argv[0]](), capture.argv[0], argv)
        out, err = capsys.readouterr()
        return out if code == 0 else f"exit {code}: {err}"

    return run


@pytest.mark.parametrize("capture", paired())
def test_a_command_prints_what_lotus_printed(capture: Capture, replayed: Callable[..., str]) -> None:
    folder: Path = need_captures()
    command = wanted(capture)
    assert command is not None
    expected = without_latency(capture.text)
    tried: list[str] = []
    for session in sessions(folder, capture, FIRST[command]):
        ends = [c.end for c in session if c.conn == session[0].conn]
        for late in (0.0, 0.003, 0.01, 0.03):
            out = without_latency(replayed(capture, session, max(ends) + late))
            if out == expected:
                return
            tried.append(out)
    if all("is not in the recording" in out for out in tried):
        pytest.skip("its calls were not recorded")
    assert best_of(tried, expected) == expected


def best_of(tried: list[str], expected: str) -> str:
    """The attempt that is nearest, for a readable difference."""

    def same(text: str) -> int:
        return sum(a == b for a, b in zip(text, expected, strict=False))

    return max(tried, key=same, default="no such call was recorded")


def without_latency(text: str) -> str:
    """A latency is how long the asking took, and the command's own version is the command's own."""
    lines = [line for line in text.split("\n") if not line.startswith("CLI version: ")]
    return "\n".join(line.partition(" (latency: ")[0] for line in lines)
