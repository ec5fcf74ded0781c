"""The program under test, and a sector that it seals: tests call it as a worker does, one process a task."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

PROOFS = Path(__file__).resolve().parents[2] / "proofs"

OK, FAILED, BAD_INPUT, NO_PARAMETERS, NO_SPACE, INVALID_PROOF, REPLICA_TOUCHED = range(7)

SIZES = {0: 2048, 5: 2048, 6: 8 << 20, 10: 2048}


@dataclass(frozen=True)
class Answer:
    """One run of the program: how it ended, what it put out, the lines that it logged."""

    code: int
    result: dict[str, Any]
    log: list[dict[str, Any]]

    @property
    def error(self) -> str:
        return str(self.result.get("Error", {}).get("Message", ""))

    def said(self, text: str) -> bool:
        return any(text in line["msg"] for line in self.log)


@dataclass(frozen=True)
class Program:
    path: Path
    environment: dict[str, str]

    def command(self, task: str, *flags: str) -> list[str]:
        return [str(self.path), task, "--log", "json", *flags]

    def run(
        self, task: str, request: object, *flags: str, cwd: Path | None = None, **environment: str
    ) -> Answer:
        text = request if isinstance(request, str) else json.dumps(request)
        done = subprocess.run(
            self.command(task, *flags),
            input=text,
            capture_output=True,
            text=True,
            cwd=cwd,
            env=self.environment | environment,
            timeout=1800,
            check=False,
        )
        assert "backtrace" not in done.stderr and "panicked at" not in done.stderr
        log = [json.loads(line) for line in done.stderr.splitlines()]
        return Answer(done.returncode, json.loads(done.stdout) if done.stdout else {}, log)

    def start(self, task: str, request: object, *flags: str, **environment: str) -> subprocess.Popen[str]:
        """The same, not waited for; its log goes nowhere."""
        process = subprocess.Popen(
            self.command(task, *flags),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=self.environment | environment,
        )
        assert process.stdin
        process.stdin.write(json.dumps(request))
        process.stdin.close()
        process.stdin = None
        return process


def random_bytes(name: str, size: int) -> bytes:
    return hashlib.shake_128(name.encode()).digest(size)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@dataclass
class Sector:
    """A sector in a folder of its own, with whatever the tasks so far gave."""

    program: Program
    folder: Path
    proof: int = 5
    number: int = 1
    ticket: bytes = b"\x11" * 32
    seed: bytes = b"\x22" * 32
    pieces: list[dict[str, Any]] = field(default_factory=list)
    cids: dict[str, Any] = field(default_factory=dict)

    @property
    def unsealed(self) -> Path:
        return self.folder / "unsealed"

    @property
    def sealed(self) -> Path:
        return self.folder / "sealed"

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def size(self) -> int:
        return SIZES[self.proof]

    @property
    def capacity(self) -> int:
        return self.size // 128 * 127

    @property
    def data(self) -> bytes:
        return random_bytes(f"sector {self.number}", self.capacity)

    def request(self, **members: object) -> dict[str, Any]:
        paths = {"Unsealed": str(self.unsealed), "Sealed": str(self.sealed), "Cache": str(self.cache)}
        reference = {"ID": {"Miner": 1000, "Number": self.number}, "ProofType": self.proof}
        return {"Sector": reference, "Paths": paths, **members}

    def fill(self) -> None:
        piece = self.folder / "piece"
        piece.write_bytes(self.data)
        request = self.request(PieceSizes=None, NewPieceSize=self.capacity, PieceData=str(piece))
        answer = self.program.run("addpiece", request)
        assert answer.code == OK, answer.error
        self.pieces = [answer.result]

    def precommit1_request(self) -> dict[str, Any]:
        return self.request(Ticket=b64(self.ticket), Pieces=self.pieces)

    def precommit1(self) -> dict[str, Any]:
        answer = self.program.run("precommit1", self.precommit1_request())
        assert answer.code == OK, answer.error
        return self.request(**answer.result)

    def precommit2(self, request: dict[str, Any]) -> dict[str, Any]:
        answer = self.program.run("precommit2", request)
        assert answer.code == OK, answer.error
        self.cids = answer.result
        return self.cids

    def commit1_request(self) -> dict[str, Any]:
        return self.request(Ticket=b64(self.ticket), Seed=b64(self.seed), Pieces=self.pieces, Cids=self.cids)

    def commit1(self) -> Answer:
        return self.program.run("commit1", self.commit1_request())

    def unseal_request(self, offset: int, size: int, **members: object) -> dict[str, Any]:
        return self.request(
            Offset=offset, Size=size, Ticket=b64(self.ticket), CommD=self.cids["Unsealed"], **members
        )

    def seal(self) -> None:
        """To the end of PreCommit2."""
        self.fill()
        self.precommit2(self.precommit1())


@pytest.fixture(scope="session")
def program_path() -> Path:
    """The built program; a reason to skip without it, except in CI, where it must be there."""
    named = os.environ.get("LOTUS_PROOFS")
    script = [str(PROOFS / "build.sh"), "--path"]
    path = Path(named or subprocess.run(script, capture_output=True, text=True, check=True).stdout.strip())
    if not path.is_file():
        reason = f"{path} is not built: make proofs"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@pytest.fixture(scope="session")
def program(program_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Program:
    """The program with a parent cache that the session shares and no parameters."""
    shared = tmp_path_factory.mktemp("proofs")
    environment = {
        "PATH": os.environ["PATH"],
        "FIL_PROOFS_PARENT_CACHE": str(shared / "parents"),
        "FIL_PROOFS_PARAMETER_CACHE": str(shared / "no-parameters"),
        "TMPDIR": str(shared),
        "RUST_BACKTRACE": "1",
    }
    return Program(program_path, environment)


@pytest.fixture
def sector(program: Program, tmp_path: Path) -> Sector:
    return Sector(program, tmp_path)


@pytest.fixture(scope="session")
def sealed(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sector]:
    """A sector after PreCommit2, for tests that only read it."""
    sector = Sector(program, tmp_path_factory.mktemp("sealed"), number=77)
    sector.seal()
    yield sector


@pytest.fixture(scope="session")
def parameters(program_path: Path) -> Path:
    """The folder with parameters for 2KiB; made by `lotus-proofs params`, ten minutes, so not here."""
    default = Path.home() / ".cache" / "lotus-sched-cli" / "proof-parameters"
    folder = Path(os.environ.get("FIL_PROOFS_PARAMETER_CACHE", default))
    look = Program(program_path, dict(os.environ) | {"FIL_PROOFS_PARAMETER_CACHE": str(folder)})
    answer = look.run("params", {"ProofType": 5})
    if answer.code != OK:
        reason = f"no 2KiB parameters: {answer.error}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return folder
