"""``sealing explain``, ``end-rest``, and ``sched-diag`` as a table."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import WORKER_A, FakeApi, Run, stats
from .test_sealing import CALL, SCHED

WAITS: dict[str, Any] = {
    "TaskID": CALL,
    "Miner": 1000,
    "Sector": 15,
    "Task": "seal/v0/precommit/1",
    "State": "queued",
    "Policy": "balanced",
    "Priority": 0,
    "Queued": "2020-01-01T00:00:00Z",
    "NotBefore": "",
    "Ahead": 3,
    "Attempts": 2,
    "FailedOn": "worker01",
    "LastError": "driver lost",
    "WorkerID": "",
    "Session": "",
    "Worker": "",
    "Placed": "",
    "Reasons": {},
    "Rivals": None,
    "Workers": [
        {
            "ID": "x",
            "Session": WORKER_A,
            "Name": "worker03",
            "Why": "precommit1-max",
            "Figures": {"need": 1, "in_use": 7, "max": 7},
            "Text": "not enough PreCommit1 quota, 1 need, 7 in use, PreCommit1Max is 7",
            "Change": "when one of its 7 P1 ends, or --precommit1max is raised",
        },
        *(
            {
                "ID": name,
                "Session": WORKER_A,
                "Name": name,
                "Why": "task-type",
                "Figures": {"task": "seal/v0/precommit/1"},
                "Text": "it does not offer this task type",
                "Change": "only if it offers PC1 (lotus-worker tasks enable PC1, or started so)",
            }
            for name in ("p2-a", "p2-b")
        ),
    ],
}
PLACED = WAITS | {
    "State": "running",
    "Task": "seal/v0/precommit/2",
    "Attempts": 0,
    "LastError": "",
    "FailedOn": "",
    "Workers": None,
    "Session": WORKER_A,
    "Worker": "worker03",
    "Placed": "2020-01-01T00:00:00Z",
    "Reasons": {
        "in_question": 2,
        "carried": 0,
        "crowd": 0.5,
        "to_fetch": 0,
        "free_slots": 1,
        "preference": 1,
    },
    "Rivals": [
        {"ID": "y", "Session": WORKER_A, "Name": "worker04", "Carried": 1, "Crowd": 1.0, "FreeSlots": 2}
    ],
}


def test_a_waiting_task_has_a_line_for_each_worker_with_reason_and_remedy(api: FakeApi, miner: Run) -> None:
    api.answers["SealingExplain"] = [WAITS]
    lines = miner("sealing", "explain", "15").out.splitlines()
    assert api.calls == [("SealingExplain", ["15"])]
    assert lines[0].startswith(f"PC1 of sector 15 (task {CALL}) waits for ")
    assert lines[0].endswith(", 3 PC1 before it")
    assert lines[1:] == [
        "tried 2 times, last on worker01: driver lost",
        f"worker03 ({WORKER_A[:8]}): not enough PreCommit1 quota, 1 need, 7 in use, PreCommit1Max is 7;"
        " takes it when one of its 7 P1 ends, or --precommit1max is raised",
        "p2-a, p2-b: no PC1; take it only if it offers PC1 (lotus-worker tasks enable PC1, or started so)",
    ]


def test_the_last_error_is_one_line_whatever_go_made_of_it(api: FakeApi, miner: Run) -> None:
    error = (
        "failed to acquire: 1 error occurred:\n\t* fetch error http://h/remote: refused\n\n [name: worker01]"
    )
    api.answers["SealingExplain"] = [WAITS | {"Attempts": 1, "LastError": error}]
    lines = miner("sealing", "explain", "15").out.splitlines()
    assert lines[1] == (
        "tried once, last on worker01: failed to acquire: 1 error occurred: * fetch error http://h/remote: refused"
        " [name: worker01]"
    )
    assert lines[2].startswith("worker03 ")


def test_files_that_lie_with_an_absent_worker_are_told_with_what_to_do(api: FakeApi, miner: Run) -> None:
    absent = {
        "ID": "z",
        "Session": WORKER_A,
        "Name": "worker04",
        "Types": ["sealed", "cache"],
        "LastSeen": "2020-01-01T00:00:00Z",
        "Change": "start it again; if it is gone for good, lotus-miner sealing forget worker04 sends the sector back",
    }
    api.answers["SealingExplain"] = [WAITS | {"Absent": [absent]}]
    line = miner("sealing", "explain", "15").out.splitlines()[2]
    assert line.startswith(
        f"its sealed and cache lie with worker04 ({WORKER_A[:8]}), which is absent, last heartbeat "
    )
    assert line.endswith(" ago: " + str(absent["Change"]))
    (row,) = json.loads(miner("sealing", "explain", "15", "--format", "json").out)
    assert row["absent"][0]["types"] == ["sealed", "cache"] and row["absent"][0]["last_seen"] == 1577836800


def test_a_placed_task_tells_that_its_worker_is_out_of_reach(api: FakeApi, miner: Run) -> None:
    api.answers["SealingExplain"] = [PLACED | {"LastSeen": "2020-01-01T00:00:00Z"}]
    line = miner("sealing", "explain", "15").out.splitlines()[1]
    assert line.startswith("worker03 is out of reach, last heartbeat ") and line.endswith(
        " ago: the task is kept for it until [Storage] LostAfter has passed; sooner with lotus-miner sealing abort --force or"
        " sealing forget"
    )
    (row,) = json.loads(miner("sealing", "explain", "15", "--format", "json").out)
    assert row["last_seen"] == 1577836800


def test_a_placed_task_tells_why_there_and_who_else(api: FakeApi, miner: Run) -> None:
    api.answers["SealingExplain"] = [PLACED]
    lines = miner("sealing", "explain", CALL).out.splitlines()
    assert lines[0].startswith(
        f"PC2 of sector 15 (task {CALL}) is running on worker03 ({WORKER_A[:8]}), placed "
    )
    assert lines[1:] == [
        "why there: 2 in question; it carried 0; 0.5 PC2 and C2 per GPU; nothing to fetch; 1 slot free",
        f"also in question: worker04 ({WORKER_A[:8]}), it carried 1, 1 PC2 and C2 per GPU, 2 slots free",
    ]


@pytest.mark.parametrize(
    ("reasons", "words"),
    [
        (
            {"by_hand": True, "forced_over": "It plans offline maintenance"},
            "assigned by hand; although: It plans",
        ),
        ({"failed_here_last": True}, "it failed there last, but nobody else had a slot"),
        ({"preference": 0}, "its slots are bound to what lies there"),
        ({"moved_from": "a", "moved_for": "t"}, "moved from worker a to make room for task t"),
        ({"moved": 2}, "2 other tasks of the same pass made room for it"),
        ({"assigner": "spread", "window": 1}, "assigner spread; window 1"),
    ],
)
def test_other_reasons_have_their_words(api: FakeApi, miner: Run, reasons: Any, words: str) -> None:
    api.answers["SealingExplain"] = [PLACED | {"Reasons": reasons, "Rivals": None}]
    assert f"why there: {words}" in miner("sealing", "explain", "15").out


def test_explain_is_data_for_programs(api: FakeApi, miner: Run) -> None:
    api.answers["SealingExplain"] = [WAITS]
    (row,) = json.loads(miner("sealing", "explain", "15", "--format", "json").out)
    assert (row["sector"], row["task"], row["ahead"]) == (15, "PC1", 3)
    assert row["workers"][0]["figures"] == {"need": 1, "in_use": 7, "max": 7}
    assert row["workers"][0]["why"] == "precommit1-max"


def test_errors_and_stock_miners_are_one_line(api: FakeApi, miner: Run) -> None:
    assert "is a stock one (version unknown) and explains nothing" in miner("sealing", "explain", "15").error
    assert (
        "is a stock one (version unknown): its workers never rest" in miner("sealing", "end-rest", "w").error
    )
    assert miner("sealing", "explain").code != 0


def test_a_rest_is_ended_by_hand(api: FakeApi, miner: Run) -> None:
    api.answers["SealingEndRest"] = ["seal/v0/commit/2", "seal/v0/precommit/2"]
    assert miner("sealing", "end-rest", "w").out == "worker w takes C2, PC2 again\n"
    assert api.calls[-1] == ("SealingEndRest", ["w", ""])
    miner("sealing", "end-rest", "w", "C2")
    assert api.calls[-1] == ("SealingEndRest", ["w", "C2"])


# --- sched-diag as a table -----------------------------------------------------------------------------------------


@pytest.fixture
def farm(api: FakeApi) -> FakeApi:
    queued = {"TaskID": CALL, "Sector": 15, "Task": "seal/v0/precommit/1", "Queued": "2020-01-01T00:00:00Z"}
    api.answers |= {
        "SealingQueue": [
            queued,
            queued | {"TaskID": "other", "Sector": 16, "NotBefore": "2099-01-01T00:00:00Z"},
        ],
        "WorkerStats": {WORKER_A: stats(sched=SCHED)},
        "SealingExplain": [WAITS],
    }
    return api


def test_on_a_terminal_it_shows_queue_fleet_and_refusals(farm: FakeApi, miner: Run) -> None:
    out = miner("--layout", "rich", "sealing", "sched-diag").out
    queue, fleet, refusals = out.split("\n\n")
    assert [line.split()[:3] for line in queue.splitlines()] == [
        ["Queued", "Waiting", "Later"],
        ["PC1", "2", "1"],
    ]
    header, row = fleet.splitlines()
    assert header.split() == ["Worker", "Hostname", "PC1", "Hold", "PC2", "C2", "Others", "State"]
    assert row.split()[0] == WORKER_A[:8] and "/" in row.split()[2]
    assert refusals.startswith("PC1 of sector 15: worker03 ")
    assert "p2-a" not in refusals, "who never does PC1 is no refusal"


def test_for_programs_it_is_the_same_as_data(farm: FakeApi, miner: Run) -> None:
    told = json.loads(miner("sealing", "sched-diag", "--format", "json").out)
    assert told["queue"][0]["waiting"] == 2 and told["queue"][0]["first"] == CALL
    assert told["workers"][0]["p1_max"] == SCHED["Caps"]["PreCommit1Max"]
    assert told["refusals"][0]["worker"]["why"] == "precommit1-max"


def test_a_stock_miner_tells_queue_and_load_only(api: FakeApi, miner: Run) -> None:
    request = {"SchedId": CALL, "Sector": {"Miner": 1000, "Number": 15}, "TaskType": "seal/v0/commit/2"}
    api.answers |= {
        "SealingSchedDiag": {"SchedInfo": {"Requests": [request]}},
        "WorkerStats": {WORKER_A: stats()},
    }
    out = miner("--layout", "rich", "sealing", "sched-diag").out
    assert "C2" in out and WORKER_A[:8] in out and "takes it" not in out


def test_an_idle_miner_without_workers_says_so(api: FakeApi, miner: Run) -> None:
    api.answers |= {"SealingQueue": [], "WorkerStats": {}}
    assert (
        miner("--layout", "rich", "sealing", "sched-diag").out == "no task waits\n\nno worker is registered\n"
    )
