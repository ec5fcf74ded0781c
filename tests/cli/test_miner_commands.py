"""``lotus-miner``: version, logs, waiting, single sectors, numbers, files: what succeeds prints as Lotus's."""

from __future__ import annotations

import io
import shlex
from pathlib import Path
from typing import Any

import pytest

from lotus_sched_cli.cli.commands import groups
from lotus_sched_cli.cli.commands.not_served import Missing
from lotus_sched_cli.cli.main import MINER_COMMANDS

from .conftest import FakeApi, Refused, Run
from .recorded import need_captures
from .test_reads import status

FD = {"message": "soft FD limit is low", "recommended_min": 100000, "soft_limit": 20000}


def no_state(number: int, *_: Any) -> Any:
    raise Refused(f"No state for /{number}: datastore: key not found")


def test_both_versions_are_told(api: FakeApi, miner: Run) -> None:
    api.answers["Version"] = {"Version": "v1.36.2-dev+simulated", "APIVersion": 66816, "BlockDelay": 30}
    first, second = miner("version").out.splitlines()
    assert first == "Daemon:  v1.36.2-dev+simulated+api1.5.0"
    assert second.startswith("Local: lotus-miner version 0.")


def test_a_new_miner_is_told_with_the_command_that_starts_this_one(
    miner: Run, clean_env: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def line(*argv: str) -> str:
        return miner(*argv, "--proofs", "stand-in").out.rstrip().partition("; ")[2]

    assert line("init") == "start it with 'lotus-miner run'"
    other = tmp_path / "second farm"
    assert line("--miner-repo", f"{other}", "init") == (
        f"start it with 'lotus-miner --miner-repo {shlex.quote(str(other))} run'"
    )
    clean_env.setenv("LOTUS_MINER_PATH", f"{tmp_path / 'third'}")
    assert line("init") == "start it with 'lotus-miner run'"


# --- logs ----------------------------------------------------------------------------------------------------------


def test_loggers_are_listed_and_their_levels_changed(api: FakeApi, miner: Run) -> None:
    api.answers |= {"LogList": ["advmgr", "sectors"], "LogSetLevel": None}
    assert miner("log", "list").out == "advmgr\nsectors\n"
    assert miner("log", "set-level", "--system", "advmgr", "debug").out == ""
    assert miner("log", "set-level", "warn").out == ""
    assert [params for method, params in api.calls if method == "LogSetLevel"] == [
        ["advmgr", "debug"], ["advmgr", "warn"], ["sectors", "warn"],
    ]  # fmt: skip


def test_a_level_that_is_none_is_refused(api: FakeApi, miner: Run) -> None:
    done = miner("log", "set-level", "--system", "rpc", "foo")
    assert done.error.startswith(
        'setting log level on rpc: unrecognized level: "foo"; give one of debug, info'
    )
    assert miner("log", "set-level").error.startswith("level is required; ")
    assert not api.calls


def test_alerts_are_told_as_lotus_tells_them(api: FakeApi, miner: Run) -> None:
    def alert(system: str, name: str, **more: Any) -> dict[str, Any]:
        return {"Type": {"System": system, "Subsystem": name}, "Active": False, "LastActive": None,
                "LastResolved": None} | more  # fmt: skip

    raised = {"Type": "raised", "Message": FD, "Time": "2026-11-25T02:38:20.176999Z"}
    over = {"Type": "resolved", "Message": {"a": 1}, "Time": "2026-11-25T02:39:00.5+08:00"}
    api.answers["LogAlerts"] = [
        alert("sector-index", "pathconf-1"),
        alert("process", "fd-limit", Active=True, LastActive=raised),
        alert("process", "cpu", LastResolved=over),
    ]
    active = (
        "active   process:fd-limit\n"
        "         last raised at 2026-11-25 02:38:20.176 +0000 UTC; reason: "
        '{"message":"soft FD limit is low","recommended_min":100000,"soft_limit":20000}\n'
    )
    assert miner("log", "alerts").out == active
    assert miner("log", "alerts", "--all").out == (
        "inactive process:cpu\n"
        '         last resolved at 2026-11-25 02:39:00.5 +0800 +0800; reason: {"a":1}\n'
        f"{active}inactive sector-index:pathconf-1\n"
    )
    assert "\x1b[31mactive  \x1b[0m process:fd-limit" in miner("--color", "log", "alerts").out


# --- waiting -------------------------------------------------------------------------------------------------------


def test_waiting_for_a_miner_that_answers_is_silent(api: FakeApi, miner: Run) -> None:
    api.answers["Version"] = {"Version": "v1", "APIVersion": 1, "BlockDelay": 30}
    assert miner("wait-api").out == ""


def test_waiting_tells_every_second_why_and_gives_up(miner: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MINER_API_INFO")
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    monkeypatch.setattr("time.sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    done = miner("wait-api", "--timeout", "3s")
    line = (
        "Not online yet... (could not get API info for StorageMiner: repo directory does not exist. Make sure your "
        "configuration is correct)"
    )
    assert done.out.splitlines() == [line] * 3
    assert done.error.startswith("timed out waiting for api to come online; after 3s: ") and done.code == 1
    assert "invalid value" in miner("wait-api", "--timeout", "x").error


# --- one sector ----------------------------------------------------------------------------------------------------


def test_a_sector_is_forced_or_removed_only_when_it_is_meant(api: FakeApi, miner: Run) -> None:
    api.answers |= {
        "SectorsStatus": lambda n, chain: status(n),
        "SectorsUpdate": None,
        "SectorRemove": None,
    }
    advanced = "this is a command for advanced users, only use it if you are sure of what you are doing; "
    assert miner("sectors", "update-state", "5", "Proving").error.startswith(advanced)
    assert miner("sectors", "remove", "5").error.startswith(advanced)
    assert not api.calls
    assert miner("sectors", "update-state", "5", "Proving", "--really-do-it").out == ""
    assert miner("sectors", "remove", "--really-do-it", "5").out == ""
    assert [call for call in api.calls if call[0] != "SectorsStatus"] == [
        ("SectorsUpdate", [5, "Proving"]), ("SectorRemove", [5]),
    ]  # fmt: skip


def test_a_sector_that_does_not_exist_is_not_changed(api: FakeApi, miner: Run) -> None:
    api.answers["SectorsStatus"] = no_state
    done = miner("sectors", "update-state", "--really-do-it", "99", "Proving")
    assert done.error.startswith("sector 99 not found, could not change state; ")
    done = miner("sectors", "remove", "--really-do-it", "99")
    assert done.error == "sectorID 99 has not been created yet: No state for /99: datastore: key not found"


def test_a_state_that_is_none_is_refused_with_the_list_and_the_nearest(api: FakeApi, miner: Run) -> None:
    done = miner("sectors", "update-state", "--really-do-it", "2", "precommit2")
    lines = done.out.splitlines()
    assert lines[0] == ' "precommit2" is not a valid state. Possible states for sectors are: '
    assert len(lines) == 64 and "WaitDeals" in lines
    assert done.error == '"precommit2" is not a valid state; did you mean PreCommit2?' and done.code == 1
    assert not api.calls


@pytest.mark.captures
def test_the_states_are_lotuss(miner: Run) -> None:
    folder = need_captures() / "cli" / "state"
    theirs = (folder / "lotus-miner_sectors_update-state_badstate.stdout.txt").read_text().splitlines()
    ours = miner("sectors", "update-state", "--really-do-it", "2", "foo").out.splitlines()
    assert ours[0] == theirs[0] and sorted(ours[1:]) == sorted(theirs[1:])


def test_references_of_deals_are_listed(api: FakeApi, miner: Run) -> None:
    api.answers["SectorsRefs"] = {"7": [{"SectorID": 3, "Offset": 0, "Size": 127}]}
    assert miner("sectors", "refs").out == "Block 7:\n\t3+0 127 bytes\n"


def test_the_rest_of_a_sectors_life_is_one_call_each(api: FakeApi, miner: Run) -> None:
    api.answers |= dict.fromkeys(
        ("SectorStartSealing", "SectorUnseal", "SectorAbortUpgrade", "SectorTerminate", "SectorSetSealDelay",
         "SectorMatchPendingPiecesToOpenSectors", "SectorTerminateFlush", "SectorTerminatePending")
    )  # fmt: skip
    assert miner("sectors", "seal", "5").out == ""
    assert miner("sectors", "unseal", "5").out == "Unsealing sector 5\n"
    assert miner("sectors", "abort-upgrade", "--really-do-it", "5").out == ""
    assert miner("sectors", "terminate", "--really-do-it", "5").out == ""
    assert miner("sectors", "terminate", "flush").out == "no sectors were queued for termination\n"
    assert miner("sectors", "terminate", "pending").out == ""
    assert miner("sectors", "set-seal-delay", "10").out == ""
    assert miner("sectors", "match-pending-pieces").out == ""
    assert ("SectorSetSealDelay", [600_000_000_000]) in api.calls
    assert miner("sectors", "terminate", "5").error.startswith("pass --really-do-it to confirm this action")
    assert miner("sectors", "abort-upgrade").error.startswith("must pass sector number")
    assert miner("sectors", "abort-upgrade", "5").error.endswith("you have been warned")


# --- numbers, batches ----------------------------------------------------------------------------------------------


def test_numbers_are_told_in_lotuss_ranges(api: FakeApi, miner: Run) -> None:
    api.answers["SectorNumAssignerMeta"] = {"Reserved": [100, 11, 9, 1], "Allocated": [0, 13], "Next": 13}
    assert (
        miner("sectors", "numbers", "info").out == "Next free: 13\nAllocated: 0-12\nReserved: 100-110,120\n"
    )
    api.answers["SectorNumAssignerMeta"] = {"Reserved": [0], "Allocated": [0], "Next": 0}
    assert miner("sectors", "numbers", "info").out == "Next free: 0\nAllocated: 0\nReserved: 0\n"


def test_reservations_are_made_listed_and_given_up(api: FakeApi, miner: Run) -> None:
    api.answers |= {
        "SectorNumReserve": None,
        "SectorNumFree": None,
        "SectorNumReservations": {"b": [2, 1], "a": [100, 11, 9, 1]},
    }
    assert miner("sectors", "numbers", "reserve", "mine", "100-110,120").out == ""
    assert miner("sectors", "numbers", "free", "mine").out == ""
    assert api.calls == [("SectorNumReserve", ["mine", [100, 11, 9, 1], False]), ("SectorNumFree", ["mine"])]
    assert miner("sectors", "numbers", "reservations").out == (
        "reservations: 2\na: count=12 100-110,120\nb: count=1 2\n"
    )


def test_ranges_that_are_none_are_refused_in_lotuss_words(api: FakeApi, miner: Run) -> None:
    for ranges, text in (
        ("5-3", "parsing ranges: run start(5) can't be greater than run end(3) (run 0); "),
        ("201-203,204-205", "parsing ranges: run 1 start(204) was equal to last run end(204); "),
    ):
        assert miner("sectors", "numbers", "reserve", "b2", ranges).error.startswith(text)
    assert not api.calls


def test_a_batch_is_sent_when_the_operator_says_yes(
    api: FakeApi, miner: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.answers |= {
        "SectorCommitPending": [{"Miner": 1000, "Number": 14}, {"Miner": 1000, "Number": 15}],
        "SectorCommitFlush": [
            {"Sectors": [14, 15], "FailedSectors": {"15": "no funds"}, "Msg": {"/": "bafy1"}, "Error": ""}
        ],
    }
    asked = "14\n15\nDo you want to publish these sectors now? (yes/no): "

    def said(answer: str) -> Any:
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        return miner("sectors", "batching", "commit")

    assert said("no\n").out == asked
    assert said("maybe\n").out == asked + "Invalid input. Please answer with 'yes' or 'no'.\n"
    assert "SectorCommitFlush" not in api.methods
    sent = "Batch 0:\n\tMessage: bafy1\n\tSectors:\n\t\t14\tOK\n\t\t15\tERROR no funds\n"
    assert said("yes\n").out == asked + sent
    assert said("").error.startswith("reading user input: EOF; ")
    assert miner("sectors", "batching", "commit", "--publish-now").out == sent


def test_nothing_to_batch_is_said(api: FakeApi, miner: Run) -> None:
    api.answers |= {"SectorPreCommitPending": [], "SectorPreCommitFlush": None}
    assert miner("sectors", "batching", "precommit").out == "No sectors queued to be committed\n"
    assert miner("sectors", "batching", "precommit", "--publish-now").error.startswith(
        "no sectors to publish"
    )


# --- files ---------------------------------------------------------------------------------------------------------


def lock(number: int, write: list[int], read: list[int]) -> dict[str, Any]:
    return {"Sector": {"Miner": 1000, "Number": number}, "Write": write, "Read": read}


def test_locks_are_told_by_sector(api: FakeApi, miner: Run) -> None:
    held = [lock(8, [0, 0, 1, 0, 0, 0], [0, 1, 0, 0, 0, 0]), lock(7, [0, 0, 0, 0, 0, 0], [2, 0, 0, 0, 0, 0])]
    api.answers |= {"StorageGetLocks": {"Locks": held}, "SectorsStatus": lambda n, c: status(n, "PreCommit2")}
    out = "7\tPreCommit2\tunsealed(R:2) \n8\tPreCommit2\tsealed(R:1) cache(W) \n"
    assert miner("storage", "locks").out == out
    assert "8\t\x1b[33mPreCommit2\x1b[0m\tsealed(\x1b[32mR\x1b[0m:1) cache(\x1b[31mW\x1b[0m) \n" in (
        miner("--color", "storage", "locks").out
    )
    api.answers["StorageGetLocks"] = {"Locks": None}
    assert miner("storage", "locks").out == ""


def place(path: str, seal: bool, store: bool, primary: bool, *urls: str) -> dict[str, Any]:
    return {
        "ID": path,
        "URLs": list(urls),
        "Weight": 10,
        "CanSeal": seal,
        "CanStore": store,
        "Primary": primary,
    }


def test_every_file_is_listed_with_its_path(api: FakeApi, miner: Run) -> None:
    places = {
        4: [
            place("bb", False, True, True, "http://a/remote/cache/x"),
            place("aa", True, False, False, "u1", "u2"),
        ],
        2: [place("aa", True, False, False, "http://b")],
    }
    api.answers |= {
        "StorageList": {"aa": [{"Miner": 1000, "Number": 3, "SectorFileType": 6}], "bb": None},
        "StorageFindSector": lambda sector, kind, size, fetch: places[kind],
        "ActorAddress": "t01000",
        "SectorsStatus": lambda n, c: status(n, "Proving"),
    }
    assert miner("storage", "list", "sectors").out.splitlines() == [
        "Storage  Sector  Type    State    Primary  Path use  URLs                     ",
        "bb       3       cache   Proving  primary  store     http://a/remote/cache/x  ",
        "aa       3       sealed  Proving  main     seal      http://b                 ",
        "aa       3       cache   Proving  copy     seal      u1;u2                    ",
    ]
    api.answers["StorageList"] = {}
    assert miner("storage", "list", "sectors").out == ""


def test_what_is_left_of_removed_sectors_is_cleaned_up(api: FakeApi, miner: Run) -> None:
    def remove(number: int) -> None:
        if number == 7:
            raise Refused("disk gone")

    api.answers |= {
        "SectorsListInStates": [6, 7, 9],
        "StorageList": {"p": [{"Miner": 1000, "Number": n, "SectorFileType": 4} for n in (9, 7, 1)]},
        "SectorRemove": remove,
    }
    done = miner("storage", "cleanup")
    assert done.out == "cleaning up data for sector 7\ncleaning up data for sector 9\n"
    assert done.err == "WARN: sector 7: disk gone\n" and done.code == 0
    assert miner("storage", "cleanup", "--removed=false").out == ""


# --- what is not served --------------------------------------------------------------------------------------------

MISSING = [
    f"{group} {name}" if group else name
    for group, commands in {"": MINER_COMMANDS, **{g: c for g, (_, c) in groups.GROUPS.items()}}.items()
    for name, lazy in commands.items()
    if isinstance(lazy, Missing)
]


@pytest.mark.parametrize("command", [*MISSING, "sectors list upgrade-bounds"])
def test_a_command_of_lotuss_that_is_not_served_says_so_in_one_line(
    command: str, api: FakeApi, miner: Run
) -> None:
    done = miner(*command.split(), *([] if "list" in command else ["--whatever", "5"]))
    assert done.error.startswith(f"'lotus-miner {command}' is not served: ") and done.code == 1
    assert not api.calls and done.out == ""
