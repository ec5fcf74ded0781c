"""The Go peers of tests/peers, built once into the user's cache, and run as processes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SOURCES = Path(__file__).resolve().parents[1] / "peers"


def go() -> str:
    """The Go compiler; without one the test is skipped with the reason, but fails in CI."""
    found = shutil.which("go") or next((p for p in ("/usr/local/go/bin/go",) if Path(p).exists()), None)
    if found is None:
        reason = "no Go compiler (the stock peers are written in Go; put `go` on the PATH)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def build(program: str) -> Path:
    """The path of a peer's executable, built if its sources are new. Only the standard library is needed."""
    compiler = go()
    files = [*sorted(SOURCES.rglob("*.go")), SOURCES / "go.mod"]
    mark = hashlib.sha256(b"\0".join(f.read_bytes() for f in files)).hexdigest()[:16]
    cache = (
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lotus-sched-cli" / "peers" / mark
    )
    target = cache / program
    if not target.exists():
        cache.mkdir(parents=True, exist_ok=True)
        half = cache / f"{program}.{os.getpid()}"
        env = os.environ | {"GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOWORK": "off", "CGO_ENABLED": "0"}
        done = subprocess.run(
            [compiler, "build", "-o", half, f"./{program}"],
            cwd=SOURCES,
            env=env,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        half.rename(target)
    return target


@dataclass
class StockMiner:
    """The Go miner, told what to do line by line."""

    process: subprocess.Popen[str]
    url: str
    token: str

    @classmethod
    def start(cls, *flags: str, errors: Any = None) -> StockMiner:
        process = subprocess.Popen(
            [build("stockminer"), *flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        assert process.stdout is not None
        _, url, token = process.stdout.readline().split()
        return cls(process, url, token)

    @property
    def info(self) -> str:
        """As MINER_API_INFO wants it."""
        host, port = self.url.split("/")[2].split(":")
        return f"{self.token}:/ip4/{host}/tcp/{port}/http"

    def tell(self, line: str) -> Any:
        """Its answer; AssertionError with its words where it complains."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert answer["ok"], f"{line}: {answer['error']}"
        return answer.get("result")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(10)
