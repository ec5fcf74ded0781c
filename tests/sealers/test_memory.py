"""Memory really runs out: a worker in a control group with less than its task needs, and the kernel that kills."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from proofs.conftest import parameters, program_path  # noqa: F401 - fixtures

ROOT = Path("/sys/fs/cgroup")
LIMIT = 256 << 20
#: By version of the control groups: where they are, the file of the limit, and that of memory and swap together (swap alone).
VERSIONS = (
    (ROOT / "memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", LIMIT),
    (ROOT, "memory.max", "memory.swap.max", 0),
)

HEAD = """
import asyncio, os, sys
from pathlib import Path
from lotus_sched_cli.core.tasks import FileType, TaskType
from lotus_sched_cli.lotus.rpc.streams import BytesReader
from lotus_sched_cli.lotus.types import SectorID, SectorRef
from lotus_sched_cli.sealers.base import Job, SealError
from lotus_sched_cli.sealers.external import ExternalConfig, ExternalSealer
from lotus_sched_cli.sealers.proofs import ProofsSealer

group, root, program = map(Path, sys.argv[1:4])
(group / "cgroup.procs").write_text(str(os.getpid()))
files = {FileType.UNSEALED: root / "unsealed", FileType.SEALED: root / "sealed", FileType.CACHE: root / "cache"}

def job(task):
    return Job("call", task, SectorRef(SectorID(1000, 15), 5))
"""

#: What a worker does, in the group from its beginning: a sector up to C1, a C2 that needs gigabytes, and the next task.
REAL = """
async def main():
    sealer = ProofsSealer(program, {**os.environ, "FIL_PROOFS_PARENT_CACHE": str(root / "parents")})
    piece = await sealer.add_piece(job(TaskType.ADD_PIECE), [], 2032, BytesReader(os.urandom(2032)), files)
    out = await sealer.precommit1(job(TaskType.PRECOMMIT1), bytes(32), [piece], files)
    cids = await sealer.precommit2(job(TaskType.PRECOMMIT2), out, files)
    c1 = await sealer.commit1(job(TaskType.COMMIT1), bytes(32), b"2" * 32, [piece], cids, files)
    try:
        await sealer.commit2(job(TaskType.COMMIT2), c1)
    except SealError as why:
        print(why.text)
    await sealer.finalize(job(TaskType.FINALIZE), files)
    print("finalized", flush=True)

asyncio.run(main())
"""

COMMANDED = """
async def main():
    hungry = f"{sys.executable} -c 'x = bytearray(1 << 30)'"
    for command in (f"exec {hungry}", f"{hungry}; exit $?", "exit 0"):
        try:
            await ExternalSealer(ExternalConfig({TaskType.FINALIZE: command}), {}).finalize(job(TaskType.FINALIZE), files)
        except SealError as why:
            print(why.text)
    print("finalized", flush=True)

asyncio.run(main())
"""


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group with little memory."""
    for base, limit, swap, most in VERSIONS:
        made = base / f"lotus-oom-{os.getpid()}"
        if not (base / "cgroup.procs").exists():
            continue
        try:
            made.mkdir()
        except OSError as why:
            pytest.skip(f"a control group cannot be made here: {why.strerror}")
        try:
            if not (made / limit).exists():
                pytest.skip("the control groups here have no memory controller")
            (made / limit).write_text(str(LIMIT))
            with contextlib.suppress(OSError):
                (made / swap).write_text(str(most))
            yield made
        finally:
            made.rmdir()
        return
    pytest.skip("there are no control groups here")


def run(script: str, *arguments: object) -> list[str]:
    """The lines of a worker in the group, which is alive at the end."""
    argv = [sys.executable, "-c", HEAD + script, *map(str, arguments)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_real_c2_without_the_memory_that_it_needs_is_told_and_the_worker_goes_on(
    group: Path,
    tmp_path: Path,
    program_path: Path,  # noqa: F811
    parameters: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FIL_PROOFS_PARAMETER_CACHE", str(parameters))
    told, *after = run(REAL, group, tmp_path, program_path)
    assert told.startswith("C2 was killed by the kernel because memory ran out (after ")
    assert told.endswith("; give it more, or fewer tasks at once") and " 0 B " not in told
    assert after == ["finalized"]


def test_so_is_an_operators_command(group: Path, tmp_path: Path) -> None:
    why = ": killed by the kernel because memory ran out; give it more, or fewer tasks at once"
    assert run(COMMANDED, group, tmp_path, "none") == [
        f"external command error: signal 9{why}",
        f"external command error: exit status 137{why}",
        "finalized",
    ]
