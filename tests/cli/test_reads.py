"""Sectors, storage, info, tokens: the other reads of an operator's day."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from lotus_sched_cli.cli.render.numbers import epoch_time
from lotus_sched_cli.cli.views.sectors import Chain

from .conftest import WORKER_A, WORKER_B, FakeApi, Refused, Run, stats

GIB = 1 << 30


def status(number: int, state: str = "PreCommit1", **more: Any) -> dict[str, Any]:
    log = [
        {
            "Kind": "event;sealing.SectorStartCC",
            "Timestamp": 1604218739,
            "Trace": "",
            "Message": '{"User":{}}',
        },
        {
            "Kind": "event;sealing.SectorSealPreCommit1Failed",
            "Timestamp": 1604330414,
            "Trace": "seal pre commit(1) failed: storage call error 0: no disk",
            "Message": '{"User":{}}',
        },
    ]
    return {
        "SectorID": number, "State": state, "CommD": None, "CommR": None, "Proof": None, "Deals": [0], "Pieces": [],
        "Ticket": {"Value": base64.b64encode(b"\xb2\x11").decode(), "Epoch": 199950},
        "Seed": {"Value": None, "Epoch": 0}, "PreCommitMsg": None, "CommitMsg": None, "Retries": 0,
        "ToUpgrade": False, "ReplicaUpdateMessage": None, "LastErr": "", "Log": log, "SealProof": 8, "Activation": 0,
        "Expiration": 0, "DealWeight": "0", "VerifiedDealWeight": "0", "InitialPledge": "0", "OnTime": 0, "Early": 0,
    } | more  # fmt: skip


@pytest.fixture
def farm(api: FakeApi) -> FakeApi:
    """Our miner on its simulated chain with sectors 15 (sealing), 16 (proving), 17 (removed)."""
    sectors = {
        15: status(15),
        16: status(16, "Proving", Activation=100, Expiration=86500),
        17: status(17, "Removed"),
    }
    api.answers |= {
        "Version": {"Version": "v1.36.2-dev+simulated", "APIVersion": 66816, "BlockDelay": 30},
        "SimulatedChain": {"Head": 100, "BlockDelaySecs": 30.0, "Proofs": "stand-in"},
        "ActorAddress": "t01000",
        "ActorSectorSize": 32 * GIB,
        "SectorsList": [17, 15, 16],
        "SectorsListInStates": lambda states: [n for n, s in sectors.items() if s["State"] in states] or None,
        "SectorsStatus": lambda number, on_chain: sectors[number],
        "SectorsSummary": {"PreCommit1": 1, "Proving": 1},
        "RuntimeSubsystems": ["Sealing", "SectorStorage"],
        "StartTime": "2020-11-12T09:22:07Z",
        "LogAlerts": [],
        "WorkerStats": {WORKER_A: stats()},
    }
    return api


def test_sectors_are_listed_by_number_without_removed_ones(farm: FakeApi, miner: Run) -> None:
    assert miner("sectors", "list").out.splitlines() == [
        "ID  State       OnChain  Active  Expiration                 Deals  ",
        "15  PreCommit1  NO       NO      n/a                        CC     ",
        "16  Proving     YES      YES     86500 (in 4 weeks 2 days)  CC     ",
    ]


def test_sectors_are_filtered_by_state(farm: FakeApi, miner: Run) -> None:
    def numbers(*flags: str) -> list[str]:
        return [line.split()[0] for line in miner("sectors", "list", *flags).out.splitlines()[1:]]

    assert numbers("--states", "PreCommit1,Removed") == ["15", "17"]
    assert numbers("-u") == ["15"]
    assert numbers("-r") == ["15", "16", "17"]
    assert miner("sectors", "list", "--states", "Packing").out == "\n"


def test_a_fast_list_asks_no_chain_and_has_no_expiration(farm: FakeApi, miner: Run) -> None:
    assert "Expiration" not in miner("sectors", "list", "--fast").out
    assert ("SectorsStatus", [15, False]) in farm.calls


def test_a_sector_that_cannot_be_asked_does_not_spoil_the_list(farm: FakeApi, miner: Run) -> None:
    good = farm.answers["SectorsStatus"]

    def one_fails(number: int, on_chain: bool) -> Any:
        if number == 16:
            raise Refused("sector 16 is broken")
        return good(number, on_chain)

    farm.answers["SectorsStatus"] = one_fails
    lines = miner("sectors", "list").out.splitlines()
    assert lines[2].split() == ["16"]
    assert lines[3] == "  Error: sector 16 is broken"


def deal(gib: int, *, verified: bool) -> dict[str, Any]:
    proposal = {"PieceSize": gib * GIB, "VerifiedDeal": verified}
    return {
        "Piece": {"Size": gib * GIB, "PieceCID": None},
        "DealInfo": {"DealID": 7, "DealProposal": proposal},
    }


def test_deals_weigh_their_size_in_brackets_until_the_sector_is_active(farm: FakeApi, miner: Run) -> None:
    deals = {"Deals": [7, 8], "Pieces": [deal(16, verified=True), deal(8, verified=False)]}
    space = str(16 * GIB * 1000)
    active = {"Activation": 100, "Expiration": 1100, "DealWeight": space, "VerifiedDealWeight": space}
    sectors = {15: status(15, **deals), 16: status(16, "Proving", **deals, **active)}
    farm.answers |= {"SectorsList": [15, 16], "SectorsStatus": lambda number, on_chain: sectors[number]}
    lines = miner("sectors", "list").out.splitlines()
    assert lines[1].split()[-3:] == ["2", "[24GiB]", "[144GiB]"]
    assert lines[2].split()[-3:] == ["2", "32GiB", "144GiB"]
    rows = json.loads(miner("sectors", "list", "--format", "json").out)
    assert [row["pending_verified_bytes"] for row in rows] == [16 * GIB, None]


def test_many_sectors_are_asked_over_a_few_connections(farm: FakeApi, miner: Run) -> None:
    farm.answers |= {
        "SectorsList": list(range(500)),
        "SectorsStatus": lambda number, on_chain: status(number),
    }
    lines = miner("sectors", "list").out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [str(n) for n in range(500)]


def test_the_status_tells_a_sectors_life(farm: FakeApi, miner: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    __import__("time").tzset()
    assert miner("sectors", "status", "15", "--log").out.splitlines() == [
        "SectorID:\t15", "Status:\t\tPreCommit1", "CIDcommD:\t<nil>", "CIDcommR:\t<nil>", "Ticket:\t\tb211",
        "TicketH:\t199950", "Seed:\t\t", "SeedH:\t\t0", "Precommit:\t<nil>", "Commit:\t\t<nil>", "Deals:\t\t[0]",
        "Retries:\t0", "", "Expiration Info", "OnTime:\t\t0", "Early:\t\t0", "--------", "Event Log:",
        '0.\t2020-11-01 08:18:59 +0000 UTC:\t[event;sealing.SectorStartCC]\t{"User":{}}',
        '1.\t2020-11-02 15:20:14 +0000 UTC:\t[event;sealing.SectorSealPreCommit1Failed]\t{"User":{}}',
        "\tseal pre commit(1) failed: storage call error 0: no disk",
    ]  # fmt: skip


def test_a_sector_off_chain_keeps_its_log(farm: FakeApi, miner: Run) -> None:
    """Lotus's command ends at "not found on chain" and drops the log that was asked for (lotus-cli §9)."""
    out = miner("sectors", "status", "-c", "-l", "15").out
    assert out.index("Sector status not found on chain") < out.index("Event Log:")


def test_a_pledge_is_lotuss_line_in_a_pipe(api: FakeApi, miner: Run) -> None:
    api.answers["PledgeSector"] = {"Miner": 1000, "Number": 12}
    assert miner("sectors", "pledge").out == "Created CC sector:  12\n"


def test_a_refused_pledge_says_why(api: FakeApi, miner: Run) -> None:
    def no() -> None:
        raise Refused("too many sectors sealing (curSealing: 5, max: 5)")

    api.answers["PledgeSector"] = no
    assert miner("sectors", "pledge").error == "too many sectors sealing (curSealing: 5, max: 5)"


# --- storage -------------------------------------------------------------------------------------------------------


def test_a_path_is_made_as_lotus_makes_it(api: FakeApi, miner: Run, tmp_path: Path) -> None:
    api.answers["StorageAddLocal"] = None
    path = tmp_path / "disk"
    words = ["--init", "--seal", "--groups", "fast,rack1", "--groups=x", "--max-storage", "10TiB"]
    assert miner("storage", "attach", str(path), *words).code == 0
    text = (path / "sectorstore.json").read_text()
    meta = json.loads(text)
    assert not text.endswith("\n") and text.startswith('{\n  "ID": ')
    assert meta["Groups"] == ["fast", "rack1", "x"] and meta["MaxStorage"] == 10 << 40
    assert (meta["Weight"], meta["CanSeal"], meta["CanStore"], meta["AllowTo"]) == (10, True, False, None)
    assert api.calls == [("StorageAddLocal", [str(path)])]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--init"], "must specify at least one of --store or --seal; for "),
        (["--init", "--seal", "--max-storage", "10x"], "parsing max-storage: "),
        (["--seal"], "flags of a new path without --init; add --init, or edit "),
    ],
)
def test_a_path_with_bad_flags_leaves_nothing_behind(
    words: list[str], text: str, api: FakeApi, miner: Run, tmp_path: Path
) -> None:
    path = tmp_path / "disk"
    assert miner("storage", "attach", *words, str(path)).error.startswith(text)
    assert not path.exists() and not api.calls


def test_a_path_is_not_initialized_twice(api: FakeApi, miner: Run, tmp_path: Path) -> None:
    (tmp_path / "sectorstore.json").write_text("{}")
    done = miner("storage", "attach", "--init", "--store", str(tmp_path))
    assert done.error == f"path is already initialized: {tmp_path}; attach it without --init"


def test_a_path_that_does_not_answer_is_told_last(api: FakeApi, miner: Run) -> None:
    def stat(path: str) -> Any:
        if path == "gone":
            raise Refused("all endpoints failed for remote storage gone")
        return {"Capacity": 100 * GIB, "Available": 40 * GIB, "FSAvailable": 50 * GIB, "Reserved": 10 * GIB,
                "Max": 0, "Used": 0}  # fmt: skip

    api.answers |= {
        "StorageList": {"gone": [], "here": [{"Miner": 1000, "Number": 1, "SectorFileType": 6}]},
        "StorageLocal": {"here": "/data"},
        "StorageStat": stat,
        "StorageInfo": {"ID": "here", "URLs": ["http://x/remote"], "Weight": 10, "CanSeal": True, "CanStore": True,
                        "AllowTypes": ["sealed", "cache"]},
    }  # fmt: skip
    assert miner("storage", "list").out.splitlines() == [
        "here:",
        "\t[" + "#" * 20 + "*" * 5 + " " * 25 + "] 50 GiB/100 GiB 50%",
        "\tUnsealed: 0; Sealed: 1; Caches: 1; Updated: 0; Update-caches: 0; Reserved: 10 GiB",
        "\tWeight: 10; Use: Seal Store",
        "\tAllow Types: sealed cache",
        "\tLocal: /data",
        "\tURL: http://x/remote",
        "",
        "gone:",
        "\tError: all endpoints failed for remote storage gone:",
    ]


# --- info, tokens --------------------------------------------------------------------------------------------------


def test_info_tells_the_simulated_chain_and_the_sectors(farm: FakeApi, miner: Run) -> None:
    lines = miner("info").out.splitlines()
    assert lines[0] == "Enabled subsystems: [Sealing SectorStorage]"
    assert lines[1].endswith("(started at 2020-11-12 09:22:07 +0000 UTC)")
    assert lines[2:] == [
        "Chain: [simulated] [epoch 100, one every 30s] [proofs stand-in]",
        "Miner: t01000 (32 GiB sectors)",
        "",
        "Sectors:",
        "\tTotal: 2",
        "\tProving: 1",
        "\tPreCommit1: 1",
        "",
        "Workers: Seal(1) WdPoSt(0) WinPoSt(0)",
    ]
    assert "Sectors:" not in miner("info", "--hide-sectors-info").out


def test_a_token_carries_all_permissions_up_to_the_one_asked_for(api: FakeApi, miner: Run) -> None:
    api.answers["AuthNew"] = lambda perms: base64.b64encode(f"jwt-{len(perms)}".encode()).decode()
    assert miner("auth", "create-token", "--perm", "sign").out == "jwt-3\n"
    assert api.calls == [("AuthNew", [["read", "write", "sign"]])]
    out = miner("auth", "api-info", "--perm=admin").out
    assert out == f"MINER_API_INFO=jwt-4:/ip4/127.0.0.1/tcp/{api.port}/http\n"


def test_stop_asks_the_miner_to_shut_down(api: FakeApi, miner: Run) -> None:
    api.answers["Shutdown"] = None
    assert miner("stop") == type(miner("stop"))(0, "", "")
    assert api.methods[0] == "Shutdown"


def test_a_worker_is_stopped_after_its_paths_are_out_of_the_index(api: FakeApi, worker: Run) -> None:
    api.answers |= {"StorageDetachAll": None, "Shutdown": None}
    assert worker("stop").code == 0
    assert api.methods == ["StorageDetachAll", "Shutdown"]


def test_a_worker_whose_miner_is_away_is_not_stopped_and_the_line_says_how_to_end_it(
    api: FakeApi, worker: Run
) -> None:
    away = 'RPC client error: sendRequest failed: Post "http://10.0.0.1:2345/rpc/v0": connection refused'

    def detach() -> None:
        raise Refused(away)

    api.answers |= {"StorageDetachAll": detach, "Shutdown": None}
    done = worker("stop")
    assert done.code == 1 and done.error.startswith(f"{away}; the worker runs on")
    assert "SIGTERM" in done.error
    assert api.methods == ["StorageDetachAll"]


def test_a_worker_tells_what_it_is(api: FakeApi, worker: Run) -> None:
    api.answers |= {
        "Version": 67328,
        "ProcessSession": WORKER_B,
        "Enabled": True,
        "Info": stats()["Info"],
        "TaskTypes": {"seal/v0/precommit/1": {}, "seal/v0/fetch": {}},
        "Paths": [{"ID": "p", "Weight": 10, "LocalPath": "/data", "CanSeal": True, "CanStore": False}],
    }
    lines = worker("info").out.splitlines()
    assert lines[0] == "Worker version:  1.7.0" and lines[1].startswith("CLI version: lotus-worker version ")
    assert lines[2:] == [
        "", f"Session: {WORKER_B}", "Enabled: true", "Hostname: worker-1", "CPUs: 128; GPUs: [NVIDIA GeForce RTX 3090]",
        "RAM: 8 GiB/1008 GiB; Swap: 0 B/0 B", "Task types: GET PC1 ", "", "p:", "\tWeight: 10; Use: Seal ",
        "\tLocal: /data",
    ]  # fmt: skip


@pytest.mark.parametrize("sectors", [1, 1000])
def test_our_miner_tells_all_sectors_in_one_answer(sectors: int, farm: FakeApi, miner: Run) -> None:
    farm.answers["SectorsTable"] = lambda with_log: [
        {"Number": n, "State": "Proving", "Pieces": 1, "Activation": 100, "Expiration": 86500}
        for n in range(sectors)
    ]
    lines = miner("sectors", "list").out.splitlines()
    assert lines[1].split() == [
        "0",
        "Proving",
        "YES",
        "YES",
        "86500",
        "(in",
        "4",
        "weeks",
        "2",
        "days)",
        "CC",
    ]
    assert len(lines) == sectors + 1
    assert len(farm.calls) <= 4 and ("SectorsTable", [False]) in farm.calls


def test_what_logs_tell_is_asked_for_only_where_it_is_shown(farm: FakeApi, miner: Run) -> None:
    farm.answers["SectorsTable"] = [{"Number": 1, "State": "Proving", "Events": 12, "SealTime": 3661}]
    assert miner("sectors", "list", "-e", "-t").out.splitlines()[1].split() == [
        "1", "Proving", "NO", "NO", "n/a", "1h1m1s", "12", "CC",
    ]  # fmt: skip
    assert ("SectorsTable", [True]) in farm.calls


def test_epochs_tell_how_far_away_they_are() -> None:
    assert epoch_time(Chain(head=100), 100) == "100 (now)"
    assert epoch_time(Chain(head=103), 100) == "100 (1 minute 30 seconds ago)"
    assert epoch_time(Chain(head=0), 17 * 2880) == "48960 (in 2 weeks 3 days)"
    assert epoch_time(Chain(), 100) == "100"
