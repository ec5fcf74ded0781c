"""Our commands, given the answers that Lotus's commands were given, print what those printed, to the byte."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import recordings

from lotus_sched_cli.cli import connect, sources
from lotus_sched_cli.cli.main import execute, miner_program, worker_program
from lotus_sched_cli.lotus import methods
from lotus_sched_cli.lotus.rpc.errors import RpcError

from .recorded import HOSTS, Call, Capture, calls, captures, elsewhere, errors, meant, need_captures, sessions

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
    "info": "Version",
    "lotus-worker info": "Version",
    "lotus-worker tasks disable": "TaskDisable",
    "lotus-worker tasks enable": "TaskEnable",
    "lotus-worker set": "SetEnabled",
    "lotus-worker wait-quiet": "WaitQuiet",
    "lotus-worker storage redeclare": "StorageRedeclareLocal",
    "lotus-worker storage detach": "StorageDetachLocal",
    "lotus-worker stop": "StorageDetachAll",
    "sectors pledge": "PledgeSector",
    "sectors remove": "SectorRemove",
    "sectors update-state": "SectorsUpdate",
    "sectors seal": "SectorStartSealing",
    "sectors set-seal-delay": "SectorSetSealDelay",
    "sectors unseal": "SectorUnseal",
    "sectors terminate pending": "SectorTerminatePending",
    "storage redeclare": "StorageRedeclareLocal",
    "storage detach": "StorageDetachLocal",
    "sealing abort": "WorkerJobs",
    "version": "Version",
    "wait-api": "Version",
    "stop": "Shutdown",
}
#: How many of the answers near by are tried.
RANKS = 2
QUIET = "nothing of the farm was recorded while it ran, and no other moment's answer is the same"
LOGGED = "Lotus's worker commands log an error and exit with 0; ours print it and exit with 1"
#: Captures whose answers nobody has or that differ on purpose, each with the reason; every other one must be held.
LEFT_OUT = {
    "state/lotus-miner_storage_find_6_unsealed": QUIET,
    "state/lotus-worker_info_no-default": QUIET,
    "state/lotus-worker_info_busy": QUIET,
    "state/lotus-miner_--vv_sealing_jobs": QUIET,
    "state/lotus-miner_sealing_workers_GOLOG_LOG_FMT=color": QUIET,
    "state/lotus-miner_--color=false_sealing_workers (tty)": QUIET,
    "state/lotus-miner_sectors_list_GOLOG_LOG_FMT=color": QUIET,
    "state/lotus-miner_info_NO_COLOR (tty)": QUIET,
    "state/lotus-miner_sectors_list_pc2-failed": QUIET,
    "state/lotus-miner_sectors_status_--log_20_pc2-failed": QUIET,
    "state/lotus-worker_storage_redeclare_path": "the path's file was on the worker's host",
    "state/lotus-worker_info_worker-killed": LOGGED,
    "state/lotus-worker_storage_redeclare_noflag": LOGGED,
    "state/lotus-worker_storage_detach_noflag": LOGGED,
    "state/lotus-worker_storage_detach_unknown": LOGGED,
    "state/lotus-worker_tasks_disable_bad": LOGGED,
    "state/lotus-worker_tasks_disable_C1": LOGGED,
    "state/lotus-worker_tasks_disable_two": LOGGED,
    "state/lotus-miner_sectors_update-state_badstate": "Lotus lists its states and exits with 0; ours exits with 1",
    "state/lotus-miner_sealing_abort_00000000": "Lotus aborts a job that no worker has started, in vain; ours says so",
}
#: Answers that were not recorded but follow from what was asked before: 13 sectors, and `numbers reserve mine`.
RESERVED = [100, 11, 9, 1]  # 100–110 and 120, as a bit field
#: Our own questions: what the miner is, whether it tells of all sectors and of its queue at once, and which files
#: lie where (Lotus asks its full node for every partition instead).
OWN = ("Version", "SectorsTable", "SealingQueue", "SealingSchedDiag", "StorageList")
ASKED_TOO = {("miner", method) for method in OWN}
REBUILT: dict[str, dict[str, Any]] = {
    "state/lotus-miner_sectors_numbers_info": {
        "SectorNumAssignerMeta": {"Reserved": [0], "Allocated": [0, 13], "InUse": [0, 13], "Next": 13}
    },
    "state/lotus-miner_sectors_numbers_info_reserved": {
        "SectorNumAssignerMeta": {"Reserved": RESERVED, "Allocated": [0, 13], "InUse": [0, 13], "Next": 13}
    },
    "state/lotus-miner_sectors_numbers_reservations": {"SectorNumReservations": {"mine": RESERVED}},
}
#: Not served here.
OURS = ("info all", "sectors list upgrade-bounds", "--force-sched", "--partition-info")


def wanted(capture: Capture) -> str | None:
    argv = [word for word in capture.argv if not word.startswith("-")]
    text = " ".join(capture.argv)
    if capture.code or any(f" {words}" in f" {text}" for words in OURS):
        return None
    spoken = " ".join(argv if argv[0] == "lotus-worker" else argv[1:])
    return max((command for command in FIRST if spoken.startswith(command)), key=len, default=None)


def paired() -> list[Any]:
    folder = recordings.folder()
    if not (folder / "wire").is_dir():
        return []
    return [pytest.param(c, id=c.name) for c in captures(folder) if wanted(c)]


#: What a run printed, and the (host, method) of each of its calls.
Said = tuple[str, set[tuple[str, str]]]


class Replay:
    """Stands in for `OneShot`: answers from one session of calls, or as the same farm answered elsewhere.

    ``rank``: which of those answers, the nearest in time first.
    """

    folder = Path()
    session: list[Call] = []  # noqa: RUF012 (a fresh subclass per session)
    at = 0.0
    rank = 0
    rebuilt: dict[str, Any] = {}  # noqa: RUF012
    asked: set[tuple[str, str]] = set()  # noqa: RUF012

    def __init__(self, url: str, token: str = "", *, timeout: float | None = None) -> None:
        self.to = next(host for host, port in HOSTS.items() if f":{port}/" in url)

    def __enter__(self) -> Replay:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def call(self, method: str, *params: Any) -> Any:
        text = json.dumps(list(params))
        self.asked.add((self.to, method))
        if method in self.rebuilt:
            return self.rebuilt[method]
        for call in self.session:
            if (call.method, call.to) == (method, self.to) and meant(method, call.params) == meant(
                method, text
            ):
                return told(call)
        if method == "Version" and self.to == "miner":
            return {"Version": "v1.36.2-dev+2k+git.b835fab70", "APIVersion": 66816, "BlockDelay": 4}
        if self.to == "miner" and methods.MINER[method].ours:  # ours; a stock miner does not know it
            raise RpcError(-32601, f"method 'Filecoin.{method}' not found")
        call = elsewhere(self.folder, method, text, self.to, self.at, self.rank)
        if call is None:
            raise LookupError(f"{method}{text} is not in the recordings")
        return told(call)


def told(call: Call) -> Any:
    if "error" in call.answer:
        raise RpcError(call.answer["error"]["code"], call.answer["error"]["message"])
    return call.answer["result"]


@pytest.fixture
def replayed(clean_env: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Run a capture's command line against one session."""
    clean_env.setenv("MINER_API_INFO", "t:/ip4/10.9.0.1/tcp/2345/http")
    clean_env.setenv("FULLNODE_API_INFO", "t:/ip4/10.9.0.1/tcp/1234/http")
    clean_env.setenv("TZ", "UTC")
    time.tzset()

    def run(capture: Capture, session: list[Call], host: str, now: float, rank: int) -> Said:
        at = session[0].begin if session else capture.begin
        rebuilt = REBUILT.get(capture.name, {})
        more = {"folder": need_captures(), "session": session, "at": at, "rank": rank, "rebuilt": rebuilt}
        asked: set[tuple[str, str]] = set()
        replay = type("Session", (Replay,), more | {"asked": asked})
        clean_env.setattr(connect, "OneShot", replay)
        clean_env.setattr(sources, "OneShot", replay)
        clean_env.setattr(time, "time", lambda: now)
        color = ["--color"] if capture.tty and "--color=false" not in capture.argv else []
        argv = [*color, *capture.argv[1:], "--layout", "plain"]
        for name, value in capture.env:
            if name != "MINER_API_INFO":
                clean_env.setenv(name, value)
        clean_env.setenv("WORKER_API_INFO", f"t:/ip4/10.9.0.2/tcp/{HOSTS[host]}/http")
        capsys.readouterr()
        code = execute(PROGRAMS[capture.argv[0]](), capture.argv[0], argv)
        out, err = capsys.readouterr()
        return (out if code == 0 else f"exit {code}: {err}"), asked

    return run


@pytest.mark.parametrize("capture", paired())
def test_a_command_prints_what_lotus_printed(capture: Capture, replayed: Callable[..., Said]) -> None:
    folder = need_captures()
    command = wanted(capture)
    assert command is not None
    if capture.name in LEFT_OUT:
        pytest.skip(LEFT_OUT[capture.name])
    expected = comparable(command, capture.text)
    tried: list[str] = []
    for run in attempts(folder, capture, FIRST[command]):
        text, asked = replayed(capture, *run)
        out = comparable(command, text)
        if out == expected:
            assert beyond(folder, capture, asked) == set()
            return
        tried.append(out)
    assert best_of(tried, expected) == expected


#: Failures that were provoked by something that no recording has, or that do not fail here, each with the reason.
UNNAMED = "the words are the miner's, and its refusal was not recorded"
HOST, CHAIN = (
    "it failed over a file or an address of its host",
    "not served here: it needs a chain or a market",
)
OTHERWISE = {
    "sectors_status_flag-after": "flags may stand after arguments here",
    "storage_attach_again": UNNAMED,
    "sealing_abort_--sched_again": UNNAMED,
    "sealing_data-cid_toosmall": HOST,
    "sectors_unseal_99": UNNAMED,
    "log_set-level_bad": "Lotus stops at a name in a map's order; ours asks for all at once",
    "auth_api-info_none": "what may be given is said after a semicolon, as everywhere",
    "config_updated": HOST,
    "config_updated_--no-comment": HOST,
    "sectors_numbers_reserve_again": UNNAMED,
    "sectors_numbers_reserve_badname": UNNAMED,
    "sectors_numbers_reserve_colliding": UNNAMED,
    "sectors_numbers_reserve_allocated": UNNAMED,
    "sectors_numbers_free_unknown": UNNAMED,
    "sectors_batching_commit_--publish-now": UNNAMED,
    "sectors_terminate_flush": UNNAMED,
    "sectors_expired": CHAIN,
    "sectors_snap-up_5": CHAIN,
    "sectors_snap-up_0": CHAIN,
    "sealing_jobs_bad-token": HOST,
    "sealing_jobs_bad-info": HOST,
    "sealing_jobs_refused": HOST,
}


def failures() -> list[Any]:
    folder = recordings.folder()
    if not (folder / "wire").is_dir():
        return []
    return [pytest.param(c, line, id=c.name) for c, line in errors(folder) if short(c) not in OTHERWISE]


def short(capture: Capture) -> str:
    return capture.name.removeprefix("state/lotus-miner_").removeprefix("state/lotus-worker_")


@pytest.mark.parametrize(("capture", "line"), failures())
def test_a_command_fails_in_lotus_s_words(
    capture: Capture, line: str, replayed: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its exit code; what to do may follow."""
    need_captures()
    monkeypatch.setattr("sys.stdin", io.StringIO())
    out, _ = replayed(capture, [], "worker-1", capture.begin, 0)
    assert out.startswith(f"exit {capture.code}: {line}")


@pytest.mark.parametrize(("command", "lines"), [("sealing jobs", 2), ("version", 1)])
def test_very_verbose_names_the_endpoint_as_lotus_does(
    command: str, lines: int, replayed: Callable[..., Said]
) -> None:
    argv = ("lotus-miner", "--vv", *command.split())
    [capture] = [c for c in captures(need_captures()) if c.argv == argv]
    out = replayed(capture, [], "worker-1", capture.begin, 0)[0].splitlines()
    assert out[:lines] == capture.text.splitlines()[:lines]
    assert "endpoint" not in out[lines]


Attempt = tuple[list[Call], str, float, int]


def attempts(folder: Path, capture: Capture, first: str) -> Iterator[Attempt]:
    """(session, host, the clock, `Replay.rank`): recorded runs of its calls, else answers of the same farm near by.

    A session's clock is at its end, a little later for a command that was slow to print.
    """
    for session in sessions(folder, capture, first):
        end = max(c.end for c in session if c.conn == session[0].conn)
        for late in (0.0, 0.003, 0.01, 0.03):
            yield session, session[0].to, end + late, 0
    for rank in range(RANKS):
        for host in ("worker-1", "worker-2") if capture.argv[0] == "lotus-worker" else ("worker-1",):
            for step in range(20):
                yield [], host, capture.begin + step * 0.05, rank


def beyond(folder: Path, capture: Capture, asked: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """What ours asked and the recorded command did not, where its calls were recorded: our own questions but no more."""
    end = capture.begin + capture.seconds + 1.2
    stock = {(c.to, c.method) for c in calls(folder) if capture.begin <= c.begin <= end}
    return asked - stock - ASKED_TOO if stock else set()


def best_of(tried: list[str], expected: str) -> str:
    """The attempt that is nearest, for a readable difference."""

    def same(text: str) -> int:
        return sum(a == b for a, b in zip(text, expected, strict=False))

    return max(tried, key=same, default="no such call was recorded")


def comparable(command: str, text: str) -> str:
    """A latency is how long the asking took; the command's own version is its own; log names come in a Go map's order."""
    lines = [line for line in text.split("\n") if not line.startswith(("CLI version: ", "Local: "))]
    if command == "log list":
        lines.sort()
    return "\n".join(line.partition(" (latency: ")[0] for line in lines)
