"""``lotus-miner sealing``: what an operator sees of jobs and workers, and how a job is ended."""

from __future__ import annotations

import time
from typing import Any

import pytest

from lotus_sched_cli.cli.render.lotus import document_of
from lotus_sched_cli.cli.render.spans import text_of
from lotus_sched_cli.cli.views.jobs import jobs_view
from lotus_sched_cli.cli.views.workers import workers_view

from .conftest import CALL, GIB, WORKER_A, WORKER_B, FakeApi, Refused, Run, job, stats

NIL = "00000000-0000-0000-0000-000000000000"
NOW = 1605172927.123456789
SCHED = {
    "Caps": {
        "PreCommit1Max": 13,
        "PreCommit1HoldMax": 25,
        "PreCommit2Max": 1,
        "Commit2Max": 1,
        "ForceP2FromLocalP1": False,
    },
    "Running": {"seal/v0/precommit/1": 2, "seal/v0/precommit/2": 1},
    "Preparing": {"seal/v0/precommit/2": 1},
    "Held": 3,
}


def text(view: Any) -> str:
    return text_of(document_of(view))


def test_jobs_come_in_lotuss_order_with_its_states() -> None:
    def at(second: int) -> str:
        return f"2020-11-12T09:22:{second:02d}Z"

    waiting = {"ID": {"Sector": {"Miner": 1000, "Number": 0}, "ID": NIL}}
    view = jobs_view(
        {
            WORKER_A: [
                job(9, RunWait=3, Start=at(1), **waiting),
                job(8, RunWait=2, Start=at(2), **waiting),
                job(7, RunWait=1, Start=at(3), **waiting),
                job(6, RunWait=0, Start=at(5)),
                job(5, RunWait=0, Start=at(4)),
            ],
            NIL: [job(4, RunWait=-1), job(3, RunWait=-2), job(2, RunWait=-3)],
        },
        {},
        NOW,
        show_done=True,
    )
    assert [(row.sector, row.state) for row in view.rows] == [
        (2, "ret-done"), (3, "returned"), (4, "ret-wait"), (5, "running"), (6, "running"), (7, "prepared"),
        (8, "assigned(1)"), (9, "assigned(2)"),
    ]  # fmt: skip


def test_a_job_without_a_start_has_no_age() -> None:
    view = jobs_view({WORKER_A: [job(1, Start="0001-01-01T00:00:00Z")]}, {}, NOW)
    assert text(view).splitlines()[1].split()[-1] == "n/a"


def test_no_jobs_is_the_header_alone(api: FakeApi, miner: Run) -> None:
    api.answers["WorkerJobs"] = {}
    assert miner("sealing", "jobs").out == "ID  Sector  Worker  Hostname  Task  State  Time\n"


def test_our_miner_is_asked_once_and_a_stock_one_for_host_names_too(api: FakeApi, miner: Run) -> None:
    api.answers |= {
        "WorkerJobs": {WORKER_A: [job(15)]},
        "WorkerStats": {WORKER_A: stats("from-stats")},
    }
    assert "worker-1" in miner("sealing", "jobs").out
    assert api.methods == ["WorkerJobs"]
    api.answers["WorkerJobs"] = {WORKER_A: [job(15, Hostname="")]}
    assert "from-stats" in miner("sealing", "jobs").out


def test_awk_finds_sector_worker_task_and_state_also_of_queued_tasks(api: FakeApi, miner: Run) -> None:
    api.answers |= {
        "WorkerJobs": {WORKER_A: [job(15)]},
        "SealingQueue": [
            {"TaskID": CALL, "Sector": 16, "Task": "seal/v0/precommit/2", "Queued": "2020-11-12T09:22:07Z"}
        ],
    }
    rows = [line.split() for line in miner("sealing", "jobs", "--queued").out.splitlines()[1:]]
    assert [(r[1], r[2], r[4], r[5]) for r in rows] == [
        ("15", "ef8d99a2", "PC1", "running"),
        ("16", "00000000", "PC2", "queued"),
    ]
    assert all(len(row) == 7 for row in rows)


def test_a_stock_miners_queue_comes_from_its_diagnosis(api: FakeApi, miner: Run) -> None:
    request = {"SchedId": CALL, "Sector": {"Miner": 1000, "Number": 8}, "TaskType": "seal/v0/commit/2"}
    api.answers |= {"WorkerJobs": {}, "SealingSchedDiag": {"SchedInfo": {"Requests": [request]}}}
    assert miner("sealing", "jobs", "--queued").out.splitlines()[1].split() == [
        "76081ba0", "8", "00000000", "-", "C2", "queued", "n/a",
    ]  # fmt: skip


def test_a_negative_age_is_shown_as_it_is() -> None:
    assert text(jobs_view({WORKER_A: [job(1)]}, {}, NOW - 1.25)).split()[-1] == "-1.2s"


# --- workers -------------------------------------------------------------------------------------------------------


def test_a_worker_of_our_miner_has_lotuss_lines_then_three_of_ours(api: FakeApi, miner: Run) -> None:
    api.answers["WorkerStats"] = {WORKER_B: stats(sched=SCHED)}
    lines = miner("sealing", "workers").out.splitlines()
    bar = "||||||||" + " " * 56
    assert lines == [
        f"Worker {WORKER_B}, host worker-1",
        "\tTASK: GET(1) PC1(2/15) ",
        f"\tCPU:  [{bar}] 16/128 core(s) in use",
        "\tRAM:  [|||||||                                                         ] 11% 125 GiB/1008 GiB",
        "\tVMEM: [|||||||                                                         ] 11% 117 GiB/1008 GiB",
        f"\tGPU:  [{' ' * 64}] 0% 0.00/1 gpu(s) in use",
        "\tGPU: NVIDIA GeForce RTX 3090, not used",
        "\tTypes: [fetch,precommit/1,addpiece]",
        "\tPreCommit1Max: 13 PreCommit1HoldMax: 25 PreCommit2Max: 1 Commit2Max: 1 ForceP2FromLocalP1: false",
        "\tRunning: 1 PC2, 2 PC1 | Preparing: 1 PC2 | Held: 3/25",
    ]


def test_a_stock_miners_workers_have_lotuss_lines_only(api: FakeApi, miner: Run) -> None:
    api.answers["WorkerStats"] = {WORKER_B: stats()}
    assert miner("sealing", "workers").out.splitlines()[-1] == "\tGPU: NVIDIA GeForce RTX 3090, not used"


def test_no_line_of_ours_has_the_words_that_runbooks_count() -> None:
    sched = SCHED | {
        "Rests": [
            {
                "Task": "seal/v0/precommit/2",
                "Until": "2020-11-12T10:22:07Z",
                "LastError": "dial tcp: no such host; Worker is gone\nsecond line",
            }
        ],
        "Drain": True,
        "HeldFailed": 2,
    }
    lines = text(workers_view({WORKER_B: stats(sched=sched, CpuUse=200, MemUsedMin=2000 * GIB)})).splitlines()
    ours = lines[-3:]
    assert not any(word in line for line in ours for word in ("Worker", "host"))
    assert "Over-committed: memory, virtual memory, cores" not in ours[-1]  # MemUsedMax is within
    assert "Over-committed: memory, cores | Drained | Rests: PC2 until " in ours[-1]
    assert ours[-1].startswith(
        "\tRunning: 1 PC2, 2 PC1 | Preparing: 1 PC2 | Held: 3/25 (2 failed for good) | "
    )
    assert sum("host" in line for line in lines) == 1 and len(lines) == 10


def test_both_gpus_are_shown_used() -> None:
    entry = stats(GpuUsed=2.0)
    entry["Info"]["Resources"]["GPUs"] = ["A", "B"]
    out = text(workers_view({WORKER_A: entry}))
    assert "\tGPU: A, used\n\tGPU: B, used\n" in out
    assert "] 100% 2.00/2 gpu(s) in use" in out


def test_a_worker_that_has_no_memory_to_tell_is_shown_all_the_same() -> None:
    entry = stats()
    entry["Info"]["Resources"]["MemPhysical"] = 0
    assert "\tRAM:  [" in text(workers_view({WORKER_A: entry}))


# --- abort ---------------------------------------------------------------------------------------------------------


def test_abort_ends_the_job_and_says_when_it_is_dead(api: FakeApi, miner: Run) -> None:
    api.answers |= {"WorkerJobs": {WORKER_A: [job(15, Sched={"TaskID": "x"})]}, "SealingAbort": None}
    done = miner("sealing", "abort", "76081ba0")
    assert done.out.splitlines() == [
        f"aborting job 1000-15-{CALL}, task PC1, sector 15, running on host worker-1",
        f"job {CALL} is dead on worker-1",
    ]
    assert api.calls[-1] == ("SealingAbort", [{"Sector": {"Miner": 1000, "Number": 15}, "ID": CALL}])


def test_abort_at_a_stock_miner_says_lotuss_line(api: FakeApi, miner: Run) -> None:
    api.answers |= {"WorkerJobs": {WORKER_A: [job(15, Hostname="")]}, "SealingAbort": None}
    out = miner("sealing", "abort", "76081ba0").out
    assert out == f"aborting job 1000-15-{CALL}, task PC1, sector 15, running on host \n"


def test_an_abort_that_could_mean_several_jobs_ends_none(api: FakeApi, miner: Run) -> None:
    waiting = {"ID": {"Sector": {"Miner": 1000, "Number": 1}, "ID": NIL}}
    other = {"ID": {"Sector": {"Miner": 1000, "Number": 2}, "ID": CALL.replace("-61bd", "-71bd")}}
    api.answers["WorkerJobs"] = {WORKER_A: [job(15), job(2, **other), job(1, RunWait=2, **waiting)]}
    assert "2 jobs have ids that begin so" in miner("sealing", "abort", "7608").error
    assert "the job has no call yet" in miner("sealing", "abort", "00000000").error
    assert "job with specified id prefix not found: ffff" in miner("sealing", "abort", "ffff").error
    assert "the id is empty" in miner("sealing", "abort", "").error
    assert set(api.methods) == {"WorkerJobs"}


def test_a_ghost_is_forgotten_by_force(api: FakeApi, miner: Run) -> None:
    api.answers |= {"WorkerJobs": {NIL: [job(15, RunWait=-1)]}, "SealingAbortForce": None}
    assert "is forgotten" in miner("sealing", "abort", "--force", "76081ba0").out
    del api.answers["SealingAbortForce"]
    assert (
        "is a stock one (version unknown) and cannot forget a job"
        in miner("sealing", "abort", "76081ba0", "--force").error
    )


def test_a_waiting_task_is_taken_out_of_the_queue_by_a_part_of_its_id(api: FakeApi, miner: Run) -> None:
    api.answers |= {
        "SealingQueue": [{"TaskID": CALL, "Sector": 16, "Task": "seal/v0/precommit/2"}],
        "SealingRemoveRequest": None,
    }
    assert miner("sealing", "abort", "--sched", "7608").code == 0
    assert api.calls[-1] == ("SealingRemoveRequest", [CALL])
    assert "No request with provided details found" in miner("sealing", "abort", "--sched", "99").error


# --- diagnosis -----------------------------------------------------------------------------------------------------


def test_the_diagnosis_is_lotuss_json_and_forces_no_pass(api: FakeApi, miner: Run) -> None:
    api.answers["SealingSchedDiag"] = {"Waiting": ["a<b"], "CallToWork": {}, "SchedInfo": {"Requests": None}}
    assert miner("sealing", "sched-diag").out == (
        '{\n  "CallToWork": {},\n  "SchedInfo": {\n    "Requests": null\n  },\n'
        '  "Waiting": [\n    "a\\u003cb"\n  ]\n}\n'
    )
    assert api.calls == [("SealingSchedDiag", [False])]
    miner("sealing", "sched-diag", "--force-sched")
    assert api.calls[-1] == ("SealingSchedDiag", [True])


def test_an_error_of_the_miner_is_shown_with_lotuss_text(api: FakeApi, miner: Run) -> None:
    def no() -> None:
        raise Refused("missing permission to invoke 'WorkerJobs' (need 'admin')")

    api.answers["WorkerJobs"] = no
    assert miner("sealing", "jobs").error.startswith(
        "missing permission to invoke 'WorkerJobs' (need 'admin')"
    )


def test_the_clock_of_the_command_counts(api: FakeApi, miner: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW + 6769.65)
    api.answers["WorkerJobs"] = {WORKER_A: [job(15)]}
    assert miner("sealing", "jobs").out.split()[-1] == "1h52m49.6s"


# --- files fetched ahead of a PC2 -----------------------------------------------------------------------------------


def test_a_fetch_ahead_is_called_so_and_has_lotus_s_columns(api: FakeApi, miner: Run) -> None:
    ahead = job(15, Task="seal/v0/fetch") | {"Sched": {"Prefetch": "prefetching"}}
    api.answers["WorkerJobs"] = {WORKER_A: [ahead]}
    (row,) = (line.split() for line in miner("sealing", "jobs").out.splitlines()[1:])
    assert (row[1], row[4], row[5], len(row)) == ("15", "GET", "prefetching", 7)


def test_a_worker_s_line_counts_what_is_fetched_ahead_to_it(api: FakeApi, miner: Run) -> None:
    api.answers["WorkerStats"] = {WORKER_B: stats(sched=SCHED | {"Prefetching": 1})}
    line = miner("sealing", "workers").out.splitlines()[-1]
    assert line == "\tRunning: 1 PC2, 2 PC1 | Preparing: 1 PC2 | Prefetching: 1 PC2 | Held: 3/25"


def test_what_forgetting_a_worker_cost_is_told_by_sector(api: FakeApi, miner: Run) -> None:
    def ended(sector: int) -> dict[str, Any]:
        return {"Task": "seal/v0/precommit/1", "Sector": sector}

    lost = [{"Sector": 4, "State": "PreCommit1", "Types": ["unsealed"], "Next": "Packing"}]
    done = {"Name": "w", "Session": WORKER_A, "Paths": ["p"], "Jobs": [ended(12), ended(4)], "Lost": lost}
    api.answers["SealingForget"] = done
    assert miner("sealing", "forget", "w").out.splitlines() == [
        f"w ({WORKER_A[:8]}) is forgotten: 2 jobs ended, 1 path out of the index, 1 sector lost the only copy of files",
        "PC1 of sector 4 goes on elsewhere",
        "PC1 of sector 12 goes on elsewhere",
        "sector 4 lost its only copy of unsealed; it goes back to Packing",
    ]
