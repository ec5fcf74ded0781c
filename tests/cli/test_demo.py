"""``make demo``, as a new user sees it."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from lotus_sched_cli.cli.demo.farm import Child, Farm
from lotus_sched_cli.cli.demo.show import LineScreen, done_by
from lotus_sched_cli.cli.demo.watch import Snapshot
from lotus_sched_cli.cli.views.jobs import Jobs, jobs_view

from .conftest import WORKER_A, job

DEMO = [sys.executable, "-m", "lotus_sched_cli.cli.demo"]
PLACED = [(15, "PC1", "worker-1"), (16, "PC1", "worker-2"), (17, "PC1", "worker-1"), (15, "C2", "worker-2")]


def snapshot(state: str, *numbers: int) -> Snapshot:
    jobs = jobs_view({WORKER_A: [job(n) for n in numbers]}, {}, 1605172987.0)
    return Snapshot(1.25, ((15, state),), jobs, ())


def test_in_a_pipe_each_change_is_one_line_and_nothing_is_said_twice() -> None:
    out = io.StringIO()
    screen = LineScreen(out)
    for now in (
        snapshot("Packing"),
        snapshot("PreCommit1", 15),
        snapshot("PreCommit1", 15),
        snapshot("Proving"),
    ):
        screen.update(now)
    assert out.getvalue().splitlines() == [
        "  1.2s  sector 15  Packing",
        "  1.2s  sector 15  PC1 running on worker-1",
        "  1.2s  sector 15  PreCommit1",
        "  1.2s  sector 15  Proving",
    ]


def test_the_summary_tells_who_did_what() -> None:
    assert done_by(PLACED) == (
        ["Done by", "PC1", "C2"],
        [["worker-1", "15 17", "-"], ["worker-2", "16", "15"]],
    )


def test_it_is_done_when_every_sector_is_proving() -> None:
    assert snapshot("Proving").done and not snapshot("FinalizeSector").done
    assert not Snapshot(0, ((15, "Proving"), (16, "PreCommit1")), Jobs(()), ()).done


def test_a_process_that_ends_too_early_is_named_with_its_last_line(tmp_path: Path) -> None:
    log = tmp_path / "miner.log"
    log.write_text("one\nERROR: no room\n")
    process = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"], start_new_session=True)
    process.wait(20)
    farm = Farm(tmp_path)
    farm.children.append(Child("miner", process, log))
    with pytest.raises(
        Exception, match=r"miner ended with exit code 3; last line of miner.log: ERROR: no room"
    ):
        farm.check()


def test_stopping_ends_a_process_that_does_not_listen_and_its_children(tmp_path: Path) -> None:
    code = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "subprocess.Popen(['sleep', '600']); print('up', flush=True); time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True, stdout=subprocess.PIPE)
    assert process.stdout and process.stdout.readline() == b"up\n"
    inner = psutil.Process(process.pid).children()
    farm = Farm(tmp_path)
    farm.children.append(Child("deaf", process, tmp_path / "log"))
    import lotus_sched_cli.cli.demo.farm as module

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "STOP_SECONDS", 0.2)
        farm.stop()
    process.stdout.close()
    _, alive = psutil.wait_procs(inner, timeout=10)
    assert process.returncode == -signal.SIGKILL and inner and not alive


@pytest.mark.slow
def test_four_sectors_are_proving_within_a_minute_and_nothing_stays_behind() -> None:
    began = time.monotonic()
    run = subprocess.run(DEMO, capture_output=True, text=True, timeout=90, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert time.monotonic() - began < 60
    for number in (15, 16, 17, 18):
        assert re.search(rf"s  sector {number}  Proving$", run.stdout, re.MULTILINE)
    rows = {line.split()[0]: line for line in run.stdout.splitlines() if line.startswith("worker-")}
    assert set(rows) == {"worker-1", "worker-2"}
    folder = re.search(r"in (\S+);", run.stdout)
    assert folder and not Path(folder[1]).exists() and not those_of(folder[1])


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_it_stops_every_process_that_it_started(number: signal.Signals) -> None:
    process = subprocess.Popen(DEMO, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout
    folder = ""
    for line in process.stdout:
        folder = folder or line.partition(" in ")[2].partition(";")[0]
        if "sector 15  PC1" in line:
            break
    assert len(those_of(folder)) == 3
    os.kill(process.pid, number)
    rest = process.stdout.read()
    assert process.wait(30) == 130, rest
    process.stdout.close()
    assert not those_of(folder) and not Path(folder).exists()


@pytest.mark.slow
def test_a_reader_that_goes_away_ends_it_without_a_traceback() -> None:
    process = subprocess.Popen(DEMO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout and process.stderr
    folder = process.stdout.readline().partition(" in ")[2].partition(";")[0]
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(30) == 1
    process.stderr.close()
    assert not those_of(folder) and not Path(folder).exists()


def those_of(folder: str) -> list[psutil.Process]:
    """Processes of a demonstration: its folder is their home."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("HOME") == folder:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found
