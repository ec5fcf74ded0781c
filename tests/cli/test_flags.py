"""Flags as Go programs take them."""

from __future__ import annotations

from typing import Any

import pytest

from lotus_sched_cli.worker.options import RunOptions

from .conftest import CALL, WORKER_A, Done, FakeApi, Run, in_process, job


@pytest.fixture
def jobs(api: FakeApi) -> FakeApi:
    api.answers["WorkerJobs"] = {WORKER_A: [job(1, RunWait=-3)]}
    return api


@pytest.mark.parametrize(
    "words",
    [
        ["--show-ret-done"],
        ["-show-ret-done"],
        ["--show-ret-done=true"],
        ["-show-ret-done=1"],
        ["--show-ret-done=T"],
    ],
)
def test_a_flag_may_have_one_dash_or_two_and_a_bool_takes_gos_texts(
    words: list[str], jobs: FakeApi, miner: Run
) -> None:
    assert CALL[:8] in miner("sealing", "jobs", *words).out


@pytest.mark.parametrize("word", ["--show-ret-done=false", "--show-ret-done=0", "-show-ret-done=F"])
def test_a_bool_can_be_switched_off(word: str, jobs: FakeApi, miner: Run) -> None:
    assert CALL[:8] not in miner("sealing", "jobs", word).out


def test_a_bool_does_not_take_the_next_word(jobs: FakeApi, miner: Run) -> None:
    done = miner("sealing", "jobs", "--show-ret-done", "false")
    assert done.code == 1
    assert done.error.startswith("incorrect number of arguments, got 1")


def test_flags_stand_after_arguments_too_and_programs_flags_after_the_command(
    api: FakeApi, miner: Run
) -> None:
    api.answers |= {"StorageAddLocal": None}
    assert miner("sealing", "jobs", "--layout", "plain", "--color=false").error  # no WorkerJobs here
    done = miner("storage", "attach", "/nowhere", "--weight=-5", "--init", "--seal")
    assert done.error == "--weight -5 is negative; give 0 or more"


def test_two_dashes_end_the_flags(api: FakeApi, miner: Run) -> None:
    assert miner("sectors", "status", "--", "-log").error.startswith("strconv.ParseUint")


@pytest.mark.parametrize(
    ("argv", "code", "text"),
    [
        (["--foo"], 1, "flag provided but not defined: -foo; 'lotus-miner -h' lists the flags"),
        (["sealing", "jobs", "--qeued"], 1, "flag provided but not defined: -qeued; did you mean --queued?"),
        (["sealign"], 3, "No help topic for 'sealign'; did you mean 'sealing'?"),
        (["sealing", "jbos"], 3, "No help topic for 'jbos'; did you mean 'jobs'?"),
        (["jobs"], 3, "No help topic for 'jobs'; did you mean 'sealing jobs'?"),
        (["workers"], 3, "No help topic for 'workers'; did you mean 'proving workers' or 'sealing workers'?"),
        (["sectors", "status"], 1, "incorrect number of arguments, got 0; usage: lotus-miner sectors status [command options] N"),
        (["sectors", "status", "1", "2"], 1, "incorrect number of arguments, got 2; usage: lotus-miner sectors status [command options] N"),
        (["sectors", "status", "x"], 1, 'strconv.ParseUint: parsing "x": invalid syntax; give a sector\'s number, like 15'),
        (["--color=maybe", "info"], 1, 'invalid boolean value "maybe" for -color: parse error; use true or false'),
        (["--layout", "fancy", "sealing", "jobs"], 1, 'unknown layout "fancy"; use one of rich, plain, classic'),
        (["info", "--blocks"], 1, "flag needs an argument: -blocks; give it as --blocks=VALUE"),
        (["info", "--blocks", "many"], 1, 'invalid value "many" for flag -blocks: parse error; give a whole number'),
        (["auth", "create-token"], 1, "--perm flag not set; use with one of: read, write, sign, admin"),
        (["auth", "create-token", "--perm", "root"], 1, '--perm flag has to be one of: [read write sign admin]; got "root"'),
        (["sectors", "list", "--states", "proving"], 1, '"proving" is no sector state; did you mean Proving?'),
        (["sectors", "list", "--states", "Proving", "-u"], 1, "only one of --states or --unproven can be specified at once; leave one out"),
        (["run", "--miner-api", "70000"], 1, '--miner-api "70000" is no port; give a number from 0 to 65535'),
        (["--miner-repo", "", "init"], 1, "a folder's name is empty; name one with --miner-repo or --worker-repo, . for this one"),
        (["init", "--proofs", "none"], 1, '--proofs "none" is unknown; use stand-in or real'),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_the_value_and_the_remedy(
    argv: list[str], code: int, text: str, jobs: FakeApi, miner: Run
) -> None:
    done = miner(*argv)
    assert (done.code, done.error, done.out) == (code, text, "")


# --- lotus-worker run: what reaches the worker ---------------------------------------------------------------------


@pytest.fixture
def options(clean_env: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """``options(*argv)``: the RunOptions of a command line, or how it failed."""
    from lotus_sched_cli.cli.main import worker_program
    from lotus_sched_cli.worker import run as module

    def parse(*argv: str) -> RunOptions | Done:
        got: list[RunOptions] = []

        async def keep(options: RunOptions) -> None:
            got.append(options)

        clean_env.setattr(module, "run", keep)
        done = in_process(worker_program(), "lotus-worker", argv, capsys)
        return got[0] if got else done

    return parse


def test_a_worker_without_flags_leaves_caps_and_switches_open(options: Any) -> None:
    got = options("run")
    assert (got.precommit1max, got.commit, got.forcep2fromlocalp1, got.name) == (None, None, None, None)
    assert (got.listen, got.timeout, got.http_server_timeout) == ("0.0.0.0:3456", 1800.0, 30.0)


def test_caps_come_from_flags_before_the_environment(options: Any, clean_env: pytest.MonkeyPatch) -> None:
    clean_env.setenv("LOTUS_WORKER_PRECOMMIT1MAX", "9")
    clean_env.setenv("LOTUS_WORKER_COMMIT2MAX", "2")
    got = options("run", "-precommit1max=13", "--precommit2max", "0", "--forcep2fromlocalp1")
    assert (got.precommit1max, got.precommit2max, got.commit2max, got.forcep2fromlocalp1) == (13, 0, 2, True)


def test_an_environment_name_counts_even_when_it_is_empty(
    options: Any, clean_env: pytest.MonkeyPatch
) -> None:
    clean_env.setenv("LOTUS_WORKER_COMMIT", "")
    clean_env.setenv("LOTUS_WORKER_PRECOMMIT2", "t")
    got = options("run", "--no-default")
    assert (got.commit, got.precommit2, got.precommit1, got.no_default) == (False, True, None, True)


def test_the_old_name_of_the_repo_is_taken_after_the_new_one(
    options: Any, clean_env: pytest.MonkeyPatch
) -> None:
    clean_env.setenv("WORKER_PATH", "/old")
    assert str(options("run").worker_repo) == "/old"
    clean_env.setenv("LOTUS_WORKER_PATH", "/new")
    assert str(options("run").worker_repo) == "/new"
    assert str(options("--workerrepo=/given", "run").worker_repo) == "/given"


def test_a_worker_takes_durations_as_go_writes_them(options: Any) -> None:
    got = options("run", "--timeout", "1h30m", "--post-read-timeout=1.5s")
    assert (got.timeout, got.post_read_timeout) == (5400.0, 1.5)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--precommit1max", "-1"], "--precommit1max -1 is negative; give 0 or more"),
        (["--precommit1max=abc"], 'invalid value "abc" for flag -precommit1max: parse error; give a whole number'),
        (["--timeout", "30"], 'invalid value "30" for flag -timeout: time: missing unit in duration "30"; give a duration like 30s or 1h30m'),
        (["--name", "a\nb"], "--name 'a\\nb' has characters that no table can show; give a name of one line"),
        (["--sealer", "magic"], '--sealer "magic" is unknown; use one of auto, simulated, proofs, external'),
        (["extra"], "incorrect number of arguments, got 1; usage: lotus-worker run [command options]"),
    ],
)  # fmt: skip
def test_a_bad_worker_flag_is_one_line_and_exit_1(words: list[str], text: str, options: Any) -> None:
    done = options("run", *words)
    assert (done.code, done.error) == (1, text)


def test_a_bad_environment_is_named(options: Any, clean_env: pytest.MonkeyPatch) -> None:
    clean_env.setenv("LOTUS_WORKER_COMMIT", "x")
    assert options("run").error == (
        'could not parse "x" as bool value from environment variable "LOTUS_WORKER_COMMIT" for flag commit;'
        " use true or false"
    )
    clean_env.setenv("LOTUS_WORKER_COMMIT", "1")
    clean_env.setenv("LOTUS_WORKER_PRECOMMIT1MAX", "many")
    assert options("run").error == (
        'could not parse "many" as int value from environment variable "LOTUS_WORKER_PRECOMMIT1MAX" for flag'
        " precommit1max; give a whole number"
    )


def test_an_argument_that_may_be_repeated_is_asked_for_once_at_least(miner: Run, worker: Run) -> None:
    assert miner("sealing", "caps", "set", "worker-1").error == (
        "incorrect number of arguments, got 1; usage: lotus-miner sealing caps set [command options] WORKER CAP=VALUE..."
    )
    assert worker("caps", "set").error.startswith("incorrect number of arguments, got 0")
