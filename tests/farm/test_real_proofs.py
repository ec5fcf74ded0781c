"""Whole farms that really seal 2KiB sectors, C2 and verification included. Each C2 is minutes of a processor."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from farm.farm import Farm
from farm.test_scenes import FAST_CHAIN
from proofs.conftest import parameters, program_path  # noqa: F401 - fixtures

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

#: Stands before the program and spoils what the plan says, by command and sector; all else is the program's own doing.
SPOILER = """#!{python} -IS
import json, os, signal, subprocess, sys, time
from pathlib import Path
command, plan = sys.argv[1], Path({plan!r})
if "--request" in sys.argv or command in ("verify", "version", "params"):
    os.execv({program!r}, [{program!r}, *sys.argv[1:]])
request = json.load(sys.stdin)
note = plan / f"{{command}}-{{request['Sector']['ID']['Number']}}"
what = note.read_text() if note.exists() else ""
if what == "tamper":
    layer = Path(request["Paths"]["Cache"], "sc-02-data-layer-1.dat")
    layer.write_bytes(bytes(layer.stat().st_size))
if what == "ticket":
    request["Ticket"] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
if what == "cut":
    out = Path(request["Commit1OutFile"])
    os.truncate(out, out.stat().st_size // 2)
if what.startswith("kill when "):
    # in the middle: the file is there that the task makes early, and the task has not ended
    begun = Path(request["Paths"]["Cache"], what.removeprefix("kill when "))
    arguments = sys.argv[1:]
    arguments[arguments.index("--parent") + 1] = str(os.getpid())
    work = subprocess.Popen([{program!r}, *arguments], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    work.stdin.write(json.dumps(request).encode())
    work.stdin.close()
    while not begun.exists() and work.poll() is None:
        time.sleep(0.001)
    work.kill()
    note.rename(note.with_suffix(".killed" if work.wait() == -signal.SIGKILL else ".late"))
    os.kill(os.getpid(), signal.SIGKILL)
read, write = os.pipe()
if os.fork() == 0:
    os.close(read)
    os.write(write, json.dumps(request).encode())
    os._exit(0)
os.close(write)
os.dup2(read, 0)
os.execv({program!r}, [{program!r}, *sys.argv[1:]])
"""
CHAIN = FAST_CHAIN.replace("[Storage]", '[Storage]\nRetryDelay = "3s"\nRetryDelayMax = "1m"')


def test_make_demo_proofs_seals_and_verifies_four_sectors(
    parameters: Path,  # noqa: F811
    program_path: Path,  # noqa: F811
) -> None:
    env = dict(os.environ) | {
        "LOTUS_PROOFS": str(program_path),
        "FIL_PROOFS_PARAMETER_CACHE": str(parameters),
    }
    run = subprocess.run(
        [sys.executable, "-m", "lotus_sched_cli.cli.demo.proofs"],
        env=env,
        capture_output=True,
        text=True,
        timeout=3700,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "sealed and verified for real" in run.stdout
    for number in (15, 16, 17, 18):
        seen = re.findall(rf"s  sector {number}  (\S+)", run.stdout)
        order = [task for task in seen if task in ("PC1", "PC2", "C1", "C2", "Proving")]
        assert order[-1] == "Proving" and "C2" in order
        assert re.search(
            rf"sector {number}: comm_r bagboea4b5abc\S+, comm_d baga6ea4seaq\S+, proof of 192 bytes",
            run.stdout,
        )
    hosts = [line.split()[0] for line in run.stdout.splitlines() if line.startswith("worker-")]
    assert hosts == ["worker-1", "worker-2"]


def test_what_is_spoilt_never_proves_and_what_is_killed_is_sealed_in_the_end(
    farm: Farm,
    parameters: Path,  # noqa: F811
    program_path: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = farm.root / "plan"
    plan.mkdir()
    spoiler = farm.root / "spoiler"
    spoiler.write_text(SPOILER.format(python=sys.executable, plan=str(plan), program=str(program_path)))
    spoiler.chmod(0o755)
    for name, what in {
        "precommit1-15": "kill when sc-02-data-layer-1.dat",
        "precommit2-15": "kill when lotus-proofs-pc2.json",
        "commit1-16": "tamper",
        "commit1-17": "ticket",
        "commit2-18": "cut",
    }.items():
        (plan / name).write_text(what)
    real = {
        "LOTUS_PROOFS": str(spoiler),
        "FIL_PROOFS_PARAMETER_CACHE": str(parameters),
        "FIL_PROOFS_PARENT_CACHE": str(farm.root / "parents"),
    }
    # Farm.env leaves LOTUS_ variables out, so these go to each process by hand
    monkeypatch.setattr(Farm, "env", property(lambda self, own=Farm.env.fget: own(self) | real))  # type: ignore[attr-defined]
    farm.init("--sector-size", "2KiB", "--first-sector", "15", config=CHAIN)
    farm.miner()
    workers = {name: farm.worker(name) for name in ("worker-1", "worker-2")}
    assert "[proofs real]" in farm.cli("miner", "info").stdout, "real where the prover is found"
    for _ in range(4):
        farm.cli("miner", "sectors", "pledge")

    farm.wait_for(lambda: usage_of(farm, 15) is not None, 120, "sector 15 to be in C2")
    host = next(
        host for number, task, host in reversed(farm.placements()) if (number, task) == (15, "commit/2")
    )
    used = usage_of(farm, 15)
    assert used is not None and used["MaxRSS"] > 1 << 20 and used["Seconds"] > 0
    shown = json.loads(farm.cli("miner", "sealing", "jobs", "--format", "json").stdout)
    told = next(row["usage"] for row in shown if (row["sector"], row["task"]) == (15, "C2"))
    assert told["max_rss"] >= used["MaxRSS"] and told["seconds"] > 0 and told["cpu_seconds"] > 0
    proving = workers[host]
    assert proving.popen is not None
    children = psutil.Process(proving.popen.pid).children(recursive=True)
    assert any("commit2" in process.cmdline() for process in children if process.is_running())
    proving.kill9()
    assert not psutil.wait_procs(children, timeout=2)[1], "at once"
    proving.start()

    farm.wait_for(farm.all_proving(1), 1700, "sector 15 to prove")
    assert {note.name for note in plan.glob("*-15.*")} == {"precommit1-15.killed", "precommit2-15.killed"}
    status = farm.call("SectorsStatus", 15, False)
    said = [entry["Kind"].removeprefix("event;sealing.") for entry in status["Log"]]
    assert "SectorSealPreCommit1Failed" in said, "killed in PC1"
    half = said.index("SectorSealPreCommit2Failed")
    assert "SectorRetrySealPreCommit1" in said[half:], "a half encoded replica goes back to PC1"
    hexed = farm.cli("miner", "sectors", "status", "--proof", "15").stdout
    assert re.search(r"^Proof:\s+[0-9a-f]{384}$", hexed, re.MULTILINE)
    assert status["CommR"]["/"] in hexed and status["CommD"]["/"] in hexed

    for number, words in ((16, "Invalid"), (17, "Invalid"), (18, "Commit1Out")):
        failed = log_of(farm, number, "SectorComputeProofFailed")
        assert any(words in text for text in failed), failed
        assert farm.call("SectorsStatus", number, False)["State"] != "Proving"
        assert not log_of(farm, number, "SectorProving")


def usage_of(farm: Farm, number: int) -> dict[str, Any] | None:
    """What the sector's C2 took so far, as the miner tells."""
    for job in farm.jobs():
        if job["Sector"]["Number"] == number and job["Task"] == "seal/v0/commit/2":
            found: dict[str, Any] | None = job["Sched"]["Usage"]
            return found
    return None


def log_of(farm: Farm, number: int, kind: str) -> list[str]:
    """Messages and traces of a sector's log entries of this kind."""
    log = farm.call("SectorsStatus", number, False)["Log"]
    return [f"{entry['Message']} {entry['Trace']}" for entry in log if entry["Kind"].endswith(kind)]
