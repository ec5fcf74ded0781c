"""A miner that answers what a test says, over real HTTP, and the commands run in this process or in their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lotus_sched_cli.cli.main import execute, miner_program, worker_program

WORKER_A = "ef8d99a2-6865-4189-8ffa-9fef0f806eee"
WORKER_B = "c4d65451-07f8-4230-98ad-4f33dea2a8cc"
CALL = "76081ba0-61bd-45a5-bc08-af05f1c26e5d"


class Refused(Exception):
    """A method of the fake miner says no, with a code of JSON-RPC."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class FakeApi:
    """``answers[method]`` is a value, or a function of the parameters. ``calls`` are those that came."""

    answers: dict[str, Any] = field(default_factory=dict)
    calls: list[tuple[str, list[Any]]] = field(default_factory=list)
    token: str = "secret"
    port: int = 0

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        method = request["method"].removeprefix("Filecoin.")
        self.calls.append((method, request["params"]))
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": request["id"]}
        if method not in self.answers:
            return reply | {"error": {"code": -32601, "message": f"method 'Filecoin.{method}' not found"}}
        answer = self.answers[method]
        try:
            return reply | {"result": answer(*request["params"]) if callable(answer) else answer}
        except Refused as no:
            return reply | {"error": {"code": no.code, "message": str(no)}}

    @property
    def methods(self) -> list[str]:
        return [method for method, _ in self.calls]

    @property
    def info(self) -> str:
        return f"{self.token}:/ip4/127.0.0.1/tcp/{self.port}/http"


@pytest.fixture
def api() -> Iterator[FakeApi]:
    fake = FakeApi()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Authorization") != f"Bearer {fake.token}":
                self.send_response(401)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            text = json.dumps(fake.answer(json.loads(body))).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield fake
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line of an error; fails where there are more or none."""
        lines = self.err.splitlines()
        assert len(lines) == 1 and lines[0].startswith("ERROR: "), self.err
        return lines[0].removeprefix("ERROR: ")


Run = Callable[..., Done]


@pytest.fixture
def clean_env(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """No settings of whoever runs the tests, an empty home."""
    for name in list(os.environ):
        if name.startswith(
            ("LOTUS_", "GOLOG_", "MINER_API", "WORKER_", "STORAGE_API", "FULLNODE", "NO_COLOR")
        ):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return monkeypatch


@pytest.fixture
def miner(clean_env: pytest.MonkeyPatch, api: FakeApi, capsys: pytest.CaptureFixture[str]) -> Run:
    """``lotus-miner …`` against the fake miner, in this process."""
    clean_env.setenv("MINER_API_INFO", api.info)
    return lambda *argv: in_process(miner_program(), "lotus-miner", argv, capsys)


@pytest.fixture
def worker(clean_env: pytest.MonkeyPatch, api: FakeApi, capsys: pytest.CaptureFixture[str]) -> Run:
    """``lotus-worker …``; the fake API is the worker's."""
    clean_env.setenv("WORKER_API_INFO", api.info)
    return lambda *argv: in_process(worker_program(), "lotus-worker", argv, capsys)


def in_process(program: Any, name: str, argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> Done:
    capsys.readouterr()
    code = execute(program, name, list(argv))
    out, err = capsys.readouterr()
    return Done(code, out, err)


def own_process(*argv: str, env: dict[str, str] | None = None) -> Done:
    """``python -m lotus_sched_cli …`` with its output in pipes."""
    run = subprocess.run(
        [sys.executable, "-m", "lotus_sched_cli", *argv],
        env=os.environ | (env or {}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Done(run.returncode, run.stdout, run.stderr)


def job(number: int, task: str = "seal/v0/precommit/1", **more: Any) -> dict[str, Any]:
    """A job as the miner tells it; ``more`` replaces members."""
    sector = {"Miner": 1000, "Number": number}
    return {
        "ID": {"Sector": sector, "ID": CALL},
        "Sector": sector,
        "Task": task,
        "RunWait": 0,
        "Start": "2020-11-12T09:22:07.123456789Z",
        "Hostname": "worker-1",
    } | more


GIB = 1 << 30


def stats(hostname: str = "worker-1", sched: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A worker as the miner tells it."""
    resources = {
        "MemPhysical": 1008 * GIB,
        "MemUsed": 8 * GIB,
        "MemSwap": 0,
        "MemSwapUsed": 0,
        "CPUs": 128,
        "GPUs": ["NVIDIA GeForce RTX 3090"],
        "Resources": {"seal/v0/precommit/1": {"8": {"MaxConcurrent": 15}}},
    }
    entry = {
        "Info": {"Hostname": hostname, "IgnoreResources": False, "Resources": resources},
        "Tasks": ["seal/v0/precommit/1", "seal/v0/addpiece", "seal/v0/fetch"],
        "Enabled": True,
        "MemUsedMin": 117 * GIB,
        "MemUsedMax": 117 * GIB,
        "GpuUsed": 0,
        "CpuUse": 16,
        "TaskCounts": {"8:seal/v0/precommit/1": 2, "8:seal/v0/fetch": 1},
    }
    return entry | ({"Sched": sched} if sched else {}) | more
