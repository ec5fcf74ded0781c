"""``lotus-worker``'s small commands, and what both programs do with storage paths."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import FakeApi, Refused, Run
from .recorded import need_captures

PC1 = "seal/v0/precommit/1"


def test_a_task_type_is_switched_by_its_short_name_in_silence(api: FakeApi, worker: Run) -> None:
    api.answers |= {"TaskDisable": None, "TaskEnable": None}
    assert worker("tasks", "disable", "PC1").out == ""
    assert worker("tasks", "enable", "PC1").out == ""
    assert api.calls == [("TaskDisable", [PC1]), ("TaskEnable", [PC1])]


def test_all_types_are_switched_but_those_that_the_sealer_cannot_do(api: FakeApi, worker: Run) -> None:
    def enable(task: str) -> None:
        if "update" in task:
            raise Refused(f"the sealer 'simulated' of this worker cannot do {task}")

    api.answers["TaskEnable"] = enable
    assert worker("tasks", "enable", "--all").code == 0
    assert len(api.calls) == 9


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["pc1"], "unknown task type 'pc1'; did you mean PC1?"),
        (["C1"], "unknown task type 'C1'; did you mean PC1?"),
        (["FOO"], "unknown task type 'FOO'; use one of UNS|C2|PC2|PC1|PR2|RU|AP|DC|GSK"),
        ([], "Expected 1 argument or use --all flag; got 0"),
        (["PC1", "AP"], "Expected 1 argument or use --all flag; got 2"),
        (["--all", "PC1"], "Cannot use --all flag with task type argument"),
    ],
)
def test_a_task_type_that_is_none_is_refused_before_the_worker_is_asked(
    words: list[str], text: str, api: FakeApi, worker: Run
) -> None:
    done = worker("tasks", "enable", *words)
    assert done.error.startswith(text) and done.code == 1 and not api.calls


def test_a_quiet_worker_is_waited_for_with_lotuss_remark(api: FakeApi, worker: Run) -> None:
    api.answers["WaitQuiet"] = None
    assert worker("wait-quiet").out == "DEPRECATED: This command will be removed in the future\n"
    assert api.calls == [("WaitQuiet", [])]


def test_the_resource_variables_of_this_shell_are_listed(
    worker: Run, monkeypatch: pytest.MonkeyPatch, api: FakeApi
) -> None:
    assert worker("resources").out == ""
    monkeypatch.setenv("PC1_32G_MAX_CONCURRENT", "4")
    monkeypatch.setenv("C2_MAX_PARALLELISM_GPU", "8")
    assert worker("resources").out == "C2_MAX_PARALLELISM_GPU=8\nPC1_32G_MAX_CONCURRENT=4\n"
    assert "PC1_32G_MAX_CONCURRENT=4\n" in worker("resources", "--all").out
    assert "PC1_32G_MAX_CONCURRENT=0\n" in worker("resources", "--all", "--default").out
    assert not api.calls


def test_a_variable_that_lotus_refuses_is_refused(worker: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIL_PROOFS_USE_MULTICORE_SDR", "1")
    monkeypatch.setenv("FIL_PROOFS_MULTICORE_SDR_PRODUCERS", "x")
    assert "parsing (atoi) FIL_PROOFS_MULTICORE_SDR_PRODUCERS" in worker("resources").error


@pytest.mark.captures
@pytest.mark.parametrize("flag", ["--all", "--default"])
def test_every_resource_variable_has_lotuss_default(flag: str, worker: Run) -> None:
    path = need_captures() / "cli" / "offline" / f"lotus-worker_resources_{flag}.stdout.txt"
    ours, theirs = worker("resources", flag).out.splitlines(), path.read_text().splitlines()
    assert [line.split("=")[0] for line in ours] == [line.split("=")[0] for line in theirs]
    sizes = {"2K", "8M", "512M", "32G", "64G"}  # one without a size shows the default of a random one there
    assert [line for line in ours if line.split("_")[1] in sizes] == [
        line for line in theirs if line.split("_")[1] in sizes
    ]


# --- paths, on both programs ---------------------------------------------------------------------------------------


@pytest.fixture(params=["lotus-miner", "lotus-worker"])
def program(request: pytest.FixtureRequest) -> Run:
    run: Run = request.getfixturevalue(request.param.removeprefix("lotus-"))
    return run


def test_a_path_is_made_and_attached(program: Run, api: FakeApi, tmp_path: Path) -> None:
    api.answers["StorageAddLocal"] = None
    path = tmp_path / "disk"
    assert program("storage", "attach", "--init", "--store", "--weight", "5", str(path)).out == ""
    meta = json.loads((path / "sectorstore.json").read_text())
    assert (meta["Weight"], meta["CanSeal"], meta["CanStore"]) == (5, False, True)
    assert api.calls == [("StorageAddLocal", [str(path)])]


def test_a_path_is_detached_only_when_it_is_meant(program: Run, api: FakeApi) -> None:
    api.answers["StorageDetachLocal"] = None
    assert program("storage", "detach", "/p").error.startswith("pass --really-do-it to execute the action; ")
    assert not api.calls
    assert program("storage", "detach", "/p", "--really-do-it").out == ""
    assert api.calls == [("StorageDetachLocal", ["/p"])]


def test_an_unknown_path_is_not_detached(program: Run, api: FakeApi) -> None:
    def no(path: str) -> None:
        raise Refused(f"no local paths match '{path}'")

    api.answers["StorageDetachLocal"] = no
    done = program("storage", "detach", "--really-do-it", "/nope")
    assert (done.error, done.code) == ("no local paths match '/nope'", 1)


def test_paths_are_declared_again_by_folder_id_or_all(program: Run, api: FakeApi, tmp_path: Path) -> None:
    api.answers["StorageRedeclareLocal"] = None
    (tmp_path / "sectorstore.json").write_text('{"ID": "from-file"}')
    assert program("storage", "redeclare", str(tmp_path)).out == ""
    assert program("storage", "redeclare", "--id", "x", "--drop-missing=false").out == ""
    assert program("storage", "redeclare", "--all").out == ""
    assert [params for _, params in api.calls] == [["from-file", True], ["x", False], [None, True]]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "You must specify a storage path, or --id, or --all; "),
        (["--all", "--id", "x"], "--id and --all can't be passed at the same time; "),
        (["--all", "/p"], 'No additional arguments are expected when --all is set; leave "/p" out'),
        (["/nope"], "Failed to open file: open /nope/sectorstore.json: no such file or directory; "),
    ],
)
def test_what_cannot_be_declared_again_is_refused(
    words: list[str], text: str, program: Run, api: FakeApi
) -> None:
    assert program("storage", "redeclare", *words).error.startswith(text)
    assert not api.calls


def test_a_damaged_sectorstore_is_named(program: Run, tmp_path: Path) -> None:
    (tmp_path / "sectorstore.json").write_text("{")
    done = program("storage", "redeclare", str(tmp_path))
    assert done.error.startswith(f"Failed to decode file: {tmp_path}/sectorstore.json: ")


def test_a_worker_needs_to_be_told_which_path(worker: Run) -> None:
    assert worker("storage", "attach").error.startswith("must specify storage path to attach; ")
    assert worker("storage", "detach", "--really-do-it").error.startswith("must specify storage path; ")
