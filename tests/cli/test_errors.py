"""A command that cannot do its work says one line with the value and the remedy."""

from __future__ import annotations

import io
import socket
import threading
from pathlib import Path

import pytest

from lotus_sched_cli.cli.main import execute, worker_program
from lotus_sched_cli.lotus import logs

from .conftest import FakeApi, Run, own_process
from .recorded import need_captures


def test_without_a_miner_repo_the_folder_and_the_flag_are_named(
    miner: Run, clean_env: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clean_env.delenv("MINER_API_INFO")
    done = miner("sealing", "jobs")
    assert done.code == 1
    assert done.error == (
        "could not get API info for StorageMiner: repo directory does not exist. Make sure your configuration is"
        " correct; looked in ~/.lotusminer: name another with --miner-repo, set MINER_API_INFO, or make one with"
        " 'lotus-miner init'"
    )
    assert not (tmp_path / ".lotusminer").exists()


def test_a_miner_that_is_not_running_is_said_so(
    miner: Run, clean_env: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clean_env.delenv("MINER_API_INFO")
    (tmp_path / ".lotusminer").mkdir()
    done = miner("info")
    assert (
        "API not running (no endpoint); start it with 'lotus-miner run', or set MINER_API_INFO" in done.error
    )


def test_the_address_and_token_come_from_the_repo(
    miner: Run, api: FakeApi, clean_env: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clean_env.delenv("MINER_API_INFO")
    (tmp_path / "api").write_text(f"/ip4/127.0.0.1/tcp/{api.port}/http")
    (tmp_path / "token").write_text("secret\n")
    api.answers["WorkerJobs"] = {}
    assert miner("--miner-repo", str(tmp_path), "sealing", "jobs").code == 0


def test_a_refused_connection_names_the_address(miner: Run, clean_env: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    clean_env.setenv("MINER_API_INFO", f"t:/ip4/127.0.0.1/tcp/{port}/http")
    error = miner("sealing", "jobs").error
    assert "connection refused; is lotus-miner running there?" in error
    assert f"/ip4/127.0.0.1/tcp/{port}/http" in error


def test_a_bad_token_is_named_as_such(miner: Run, api: FakeApi, clean_env: pytest.MonkeyPatch) -> None:
    clean_env.setenv("MINER_API_INFO", f"wrong:/ip4/127.0.0.1/tcp/{api.port}/http")
    assert "http status 401" in miner("sealing", "jobs").error
    assert "auth api-info --perm admin" in miner("sealing", "jobs").error


@pytest.mark.parametrize(
    "address", ["nonsense", "t:/ip4/1.2.3/tcp/1", "t:/ip4/1.2.3.4/tcp/99999", "t:ftp://x"]
)
def test_a_malformed_api_info_is_named(address: str, miner: Run, clean_env: pytest.MonkeyPatch) -> None:
    clean_env.setenv("MINER_API_INFO", address)
    assert "MINER_API_INFO" in miner("sealing", "jobs").error


def test_the_deprecated_environment_still_works_with_a_warning(
    miner: Run, api: FakeApi, clean_env: pytest.MonkeyPatch
) -> None:
    clean_env.delenv("MINER_API_INFO")
    clean_env.setenv("STORAGE_API_INFO", api.info)
    api.answers["WorkerJobs"] = {}
    done = miner("sealing", "jobs")
    assert done.code == 0
    assert "Using deprecated env(STORAGE_API_INFO) value, please use env(MINER_API_INFO) instead." in done.err


def test_a_bug_is_one_line_too(miner: Run, api: FakeApi) -> None:
    api.answers |= {"WorkerJobs": {"w": [{"nothing": "expected"}]}, "WorkerStats": {}}
    done = miner("sealing", "jobs")
    assert done.code == 1 and "a bug of ours; LOTUS_SCHED_TRACE=1 shows where" in done.error


def test_a_trace_can_be_asked_for(miner: Run, api: FakeApi, clean_env: pytest.MonkeyPatch) -> None:
    clean_env.setenv("LOTUS_SCHED_TRACE", "1")
    api.answers |= {"WorkerJobs": {"w": [{"nothing": "expected"}]}, "WorkerStats": {}}
    assert "Traceback" in miner("sealing", "jobs").err


def test_a_reader_that_has_seen_enough_is_no_error(api: FakeApi) -> None:
    import os
    import subprocess
    import sys

    api.answers |= {
        "SectorsList": [],
        "WorkerJobs": {},
    }
    line = f"{sys.executable} -m lotus_sched_cli miner sealing jobs | true; echo ${{PIPESTATUS[0]}}"
    run = subprocess.run(
        ["bash", "-c", line],
        env={**os.environ, "MINER_API_INFO": api.info},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "Traceback" not in run.stderr and "Exception" not in run.stderr


def test_a_worker_that_fails_to_start_exits_with_1(clean_env: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Lotus's exits 0, and systemd never notices."""
    done = own_process("worker", "--worker-repo", str(tmp_path / "w"), "run", "--listen", "nowhere")
    assert done.code == 1 and done.err.splitlines()[-1].startswith("ERROR: ")
    assert "Traceback" not in done.err


@pytest.mark.captures
@pytest.mark.parametrize(
    ("name", "argv"),
    [
        ("usage/lotus-miner_unknown-flag", ["--foo"]),
        ("usage/lotus-miner_sealing_jobs_unknown-flag", ["sealing", "jobs", "--foo"]),
        ("usage/lotus-miner_sectors_status_no-arg", ["sectors", "status"]),
        ("offline/lotus-miner_sealing_jobs", ["sealing", "jobs"]),
        ("offline/lotus-miner_stop", ["stop"]),
        ("state/lotus-miner_sectors_status_x", ["sectors", "status", "x"]),
    ],
)
def test_the_line_begins_with_lotuss_own_text(
    name: str, argv: list[str], miner: Run, clean_env: pytest.MonkeyPatch
) -> None:
    clean_env.delenv("MINER_API_INFO")
    theirs = (need_captures() / "cli" / f"{name}.stderr.txt").read_text().strip().removeprefix("ERROR: ")
    ours = miner(*argv)
    assert ours.code == 1
    assert theirs in ours.error


class Late(io.StringIO):
    """Keeps lines of the log back until an error was said, or none for a moment."""

    said = threading.Event()

    def write(self, text: str) -> int:
        if text.startswith("ERROR: "):
            self.said.set()
        else:
            self.said.wait(0.3)
        return super().write(text)


def test_a_daemons_error_is_a_line_of_its_own_after_those_of_its_log(
    clean_env: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stderr = Late()
    clean_env.setattr("sys.stderr", stderr)
    clean_env.setenv("MINER_API_INFO", "nonsense")
    code = execute(worker_program(), "lotus-worker", ["--worker-repo", str(tmp_path / "w"), "run"])
    logs.shutdown()
    *said, last = stderr.getvalue().splitlines()
    assert code == 1 and last.startswith("ERROR: MINER_API_INFO: 'nonsense' is no API address; give ")
    assert [line.split("\t")[1:3] for line in said] == [["INFO", "worker"]]
