"""``--layout classic``: the tables that the runbooks of 2020 read, written out from what those releases printed."""

from __future__ import annotations

from typing import Any

import pytest

from lotus_sched_cli.cli.render import classic
from lotus_sched_cli.cli.render.spans import tab_writer
from lotus_sched_cli.cli.views.jobs import jobs_view
from lotus_sched_cli.cli.views.sectors import Chain, SectorList, SectorRow, sector_row
from lotus_sched_cli.cli.views.workers import workers_view

from .conftest import CALL, GIB, WORKER_A, WORKER_B, FakeApi, Run, job, stats
from .test_reads import status
from .test_sealing import SCHED

NOW = 1605172987.0
NIL = "00000000-0000-0000-0000-000000000000"


def text(view: object) -> str:
    return classic.render(view, color=False)


def numbered(number: int, worker: int, sector: int, task: str = "seal/v0/precommit/1", **more: Any) -> Any:
    ids = {"ID": {"Sector": {"Miner": 1000, "Number": sector}, "ID": f"{sector:08x}{CALL[8:]}"}}
    return job(sector, task, Sched={"Number": number, "WorkerNumber": worker}, **ids, **more)


def test_jobs_have_decimal_numbers() -> None:
    jobs = {
        WORKER_A: [numbered(12, 3, 15), numbered(0, 3, 16, "seal/v0/commit/2", RunWait=2)],
        WORKER_B: [numbered(1, 0, 17, "seal/v0/addpiece", Hostname="lotus-2080ti")],
    }
    assert text(jobs_view(jobs, {}, NOW)) == (
        "ID  Sector  Worker  Hostname      Task  State        Time\n"
        "12  15      3       worker-1      PC1   running      59.8s\n"
        "1   17      0       lotus-2080ti  AP    running      59.8s\n"
        "0   16      3       worker-1      C2    assigned(0)  59.8s\n"
    )


def test_no_jobs_are_a_header() -> None:
    assert text(jobs_view({}, {}, NOW)) == "ID  Sector  Worker  Hostname  Task  State  Time\n"


def test_of_a_stock_miner_jobs_and_workers_count_as_listed() -> None:
    jobs = {"b": [job(2), job(3, Start="2020-11-12T09:23:07Z")], "a": [job(1)], NIL: [job(4, RunWait=-1)]}
    rows = [line.split() for line in text(jobs_view(jobs, {}, NOW)).splitlines()[1:]]
    assert {(row[1], row[0], row[2]) for row in rows} == {
        ("1", "0", "0"), ("2", "0", "1"), ("3", "1", "1"), ("4", "0", "0"),
    }  # fmt: skip


def old_worker(**more: Any) -> dict[str, Any]:
    """The host of the operators' screenshots."""
    entry = stats("lotus-2080ti", SCHED | {"Number": 0})
    entry["Info"]["Resources"] |= {
        "MemPhysical": 251 * GIB, "MemSwap": 466 * GIB, "MemUsed": 7 * GIB, "MemSwapUsed": 0, "CPUs": 48,
        "GPUs": ["GeForce RTX 2080 Ti", "GeForce RTX 2080 Ti"],
    }  # fmt: skip
    return entry | {"CpuUse": 2, "MemUsedMin": 0, "MemUsedMax": 0} | more


BLANK = " " * 64


def test_a_workers_block_is_that_of_the_modified_builds() -> None:
    entry = old_worker()
    assert text(workers_view({WORKER_A: entry})) == (
        "Worker 0, host lotus-2080ti\n"
        f"\tCPU:  [{'||'.ljust(64)}] 2 core(s) in use\n"
        f"\tRAM:  [{'|'.ljust(64)}] 2% 7 GiB/251 GiB\n"
        f"\tVMEM: [{BLANK}] 0% 7 GiB/717 GiB\n"
        "\tGPU: GeForce RTX 2080 Ti, not used\n"
        "\tGPU: GeForce RTX 2080 Ti, not used\n"
        f"\tTypes: [{types(entry)}]\n"
        "\tPreCommit1Max: 13 PreCommit1HoldMax: 25 PreCommit2Max: 1 Commit2Max: 1 ForceP2FromLocalP1: false\n"
    )


def types(entry: dict[str, Any]) -> str:
    order = ["fetch", "precommit/1", "addpiece"]
    assert {f"seal/v0/{name}" for name in order} == set(entry["Tasks"])
    return ",".join(order)


def test_a_stock_workers_block_ends_with_its_cards_and_all_cards_are_used_together() -> None:
    entry = old_worker(GpuUsed=1, MemUsedMin=120 * GIB, CpuUse=44)
    del entry["Sched"]
    lines = text(workers_view({WORKER_A: entry})).splitlines()
    assert lines[1] == f"\tCPU:  [{('|' * 58).ljust(64)}] 44 core(s) in use"
    assert lines[2] == f"\tRAM:  [{('|' * 31).ljust(64)}] 50% 127 GiB/251 GiB"
    assert lines[4:] == ["\tGPU: GeForce RTX 2080 Ti, used"] * 2


def test_a_bar_that_is_too_long_does_not_crash_as_in_2020() -> None:
    entry = old_worker(MemUsedMin=502 * GIB)
    line = text(workers_view({WORKER_A: entry})).splitlines()[2]
    assert line == f"\tRAM:  [{'|' * 129}] 202% 509 GiB/251 GiB"


def test_workers_stand_in_the_order_of_their_numbers() -> None:
    told = {"a": old_worker(), "b": old_worker(), "c": old_worker()}
    for session, number in (("a", 10), ("b", 0), ("c", 2)):
        told[session]["Sched"] = SCHED | {"Number": number}
    heads = [line for line in text(workers_view(told)).splitlines() if line.startswith("Worker")]
    assert heads == [f"Worker {n}, host lotus-2080ti" for n in (0, 2, 10)]


# --- sectors, as 0.8.0 listed them ---------------------------------------------------------------------------------


def sectors(*rows: SectorRow) -> str:
    return text(SectorList(rows, Chain()))


ROWS = (
    SectorRow(0, "Proving", on_chain=True, active=True, deal_ids=(0,)),
    SectorRow(
        3, "SealPreCommit1Failed", ticket_epoch=15309, seed_epoch=16448, precommit1_done=True, deal_ids=(0,)
    ),
    SectorRow(15, "WaitSeed", ticket_epoch=27119, precommit1_done=True, deal_ids=(0,)),
)


def test_sectors_are_listed_without_a_header() -> None:
    assert sectors(*ROWS) == (
        "0: Proving              sSet: YES active: YES tktH: 0     seedH: 0     deals: [0]  toUpgrade:false\n"
        "3: SealPreCommit1Failed sSet: NO  active: NO  tktH: 15309 seedH: 16448 deals: [0]  toUpgrade:false\n"
        "15: WaitSeed            sSet: NO  active: NO  tktH: 27119 seedH: 0     deals: [0]  toUpgrade:false\n"
    )


def test_one_sector_alone_takes_no_room_for_others() -> None:
    assert sectors(ROWS[2]) == (
        "15: WaitSeed sSet: NO active: NO tktH: 27119 seedH: 0 deals: [0]  toUpgrade:false\n"
    )


def test_a_sector_that_cannot_be_asked_parts_the_columns() -> None:
    lines = sectors(ROWS[1], SectorRow(16, error="no disk"), ROWS[2]).splitlines()
    assert lines[1] == "16:                     Error: no disk"
    assert lines[2] == (
        "15: WaitSeed            sSet: NO active: NO tktH: 27119 seedH: 0 deals: [0]  toUpgrade:false"
    )


def test_the_tickets_height_is_told_when_precommit1_is_done() -> None:
    young = status(15, Deals=[4114, 0, 0])
    log = [
        *young["Log"],
        {"Kind": "event;sealing.SectorPreCommit1", "Timestamp": 1, "Trace": "", "Message": ""},
    ]
    assert "tktH: 0 seedH: 0 deals: [4114 0 0]" in sectors(sector_row(15, young, "", Chain()))
    assert "tktH: 199950" in sectors(sector_row(15, young | {"Log": log}, "", Chain()))
    assert "tktH: 199950" in sectors(sector_row(15, young | {"CommR": {"/": "bag"}}, "", Chain()))


def test_the_column_rule_is_gos() -> None:
    """text/tabwriter's own example: cells of neighbouring lines make a column."""
    rows = [["a", "b", "c"], ["aa", "bb", "cc"], ["aaa", ""], ["aaaa", "dddd", "eeee"]]
    assert tab_writer(rows, least=0, padding=1).splitlines() == [
        "a    b  c", "aa   bb cc", "aaa  ", "aaaa dddd eeee",
    ]  # fmt: skip


# --- the commands --------------------------------------------------------------------------------------------------


def test_the_layout_is_chosen_by_flag_or_environment_and_has_no_colour_unless_asked(
    api: FakeApi, miner: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.answers |= {"WorkerJobs": {WORKER_A: [numbered(7, 2, 15)]}, "WorkerStats": {WORKER_A: old_worker()}}
    row = miner("sealing", "jobs", "--layout", "classic").out.splitlines()[1].split()
    assert row[:6] == ["7", "15", "2", "worker-1", "PC1", "running"]
    monkeypatch.setenv("LOTUS_LAYOUT", "classic")
    assert miner("sealing", "workers").out.startswith("Worker 0, host lotus-2080ti\n")
    monkeypatch.setenv("GOLOG_LOG_FMT", "color")
    assert "\x1b[" not in miner("sealing", "workers").out
    assert "host \x1b[35mlotus-2080ti\x1b[0m" in miner("--color", "sealing", "workers").out


def test_what_2020_had_no_table_for_looks_as_in_a_pipe(api: FakeApi, miner: Run) -> None:
    api.answers["LogList"] = ["advmgr"]
    assert miner("log", "list", "--layout=classic").out == "advmgr\n"
