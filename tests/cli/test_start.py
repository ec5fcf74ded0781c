"""Commands start fast: operators run them under ``watch -n2``."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from .conftest import WORKER_A, FakeApi, job, stats

#: Heavy, and not needed to ask a miner something and print the answer in a pipe.
HEAVY = {
    "rich", "httpx", "aiohttp", "msgspec", "sqlalchemy", "alembic", "aiosqlite", "asyncio", "psutil", "pynvml", "tomlkit",
    "jwt", "pydantic", "pygments",
}  # fmt: skip
#: Of ours: whole rooms that reads have no use for.
OURS = ("miner", "worker", "storage", "sealers", "sim", "core.scheduler", "cli.commands.miner_run")

PROBE = """
import json, sys
from lotus_sched_cli.cli.main import execute, miner_program
code = execute(miner_program(), "lotus-miner", sys.argv[1:])
print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)
"""


def loaded(api: FakeApi, *argv: str) -> set[str]:
    """The modules that a command in a pipe loads beyond those of the interpreter."""
    run = subprocess.run(
        [sys.executable, "-c", PROBE, *argv],
        env={**os.environ, "MINER_API_INFO": api.info},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    code, modules = json.loads(run.stderr.splitlines()[-1])
    assert code == 0
    return set(modules)


@pytest.mark.parametrize(
    "argv",
    [
        ["sealing", "jobs"],
        ["sealing", "workers"],
        ["sealing", "jobs", "-h"],
        ["run", "-h"],
        ["init", "-h"],
        ["--version"],
    ],
    ids=" ".join,
)
def test_a_command_in_a_pipe_loads_nothing_heavy(argv: list[str], api: FakeApi) -> None:
    api.answers |= {"WorkerJobs": {WORKER_A: [job(15)]}, "WorkerStats": {WORKER_A: stats()}}
    modules = loaded(api, *argv)
    assert not modules & HEAVY
    if "-h" not in argv:
        ours = {m.removeprefix("lotus_sched_cli.") for m in modules if m.startswith("lotus_sched_cli.")}
        assert not [m for m in ours if m.startswith(OURS)]


def test_importing_the_programs_loads_typer_and_the_standard_library_only() -> None:
    code = "import sys, lotus_sched_cli.cli.main; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    foreign = {m for m in run.stdout.split() if m not in sys.stdlib_module_names and not m.startswith("_")}
    assert {m for m in foreign if not is_site(m)} <= {
        "typer",
        "lotus_sched_cli",
        "typing_extensions",
        "annotated_doc",
        "shellingham",
    }


def is_site(module: str) -> bool:
    """What the interpreter itself loads at its start (editable installs, distutils shims)."""
    run = subprocess.run(
        [sys.executable, "-c", f"import sys; print({module!r} in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.strip() == "True"
