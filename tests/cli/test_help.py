"""``-h`` in Lotus's layout, for people and for grep."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from lotus_sched_cli.cli.commands.not_served import NotServedCommand
from lotus_sched_cli.cli.main import execute, miner_program, sched_program, worker_program

from .conftest import own_process
from .recorded import need_captures

PROGRAMS = {"lotus-miner": miner_program, "lotus-worker": worker_program, "lotus-sched": sched_program}


def walk(command: Any, path: str) -> Iterator[str]:
    """The command's path and those of all below it, hidden ones too; without those that are not served."""
    if not isinstance(command, NotServedCommand):
        yield path
    for name, lazy in getattr(command, "lazy", {}).items():
        yield from walk(lazy.load(name), f"{path} {name}")


#: Every command there is.
COMMANDS = [
    *walk(miner_program(), "lotus-miner"), *walk(worker_program(), "lotus-worker"), "lotus-sched",
    "lotus-sched miner sealing jobs",
]  # fmt: skip
#: Commands that Lotus does not have.
OURS = {
    "lotus-miner config reload",
    "lotus-miner sealing caps",
    "lotus-miner sealing explain",
    "lotus-miner sealing end-rest",
    "lotus-miner sealing drain",
    "lotus-miner sealing undrain",
    "lotus-miner sealing forget",
    "lotus-miner sealing assign",
    "lotus-miner sealing record",
    "lotus-miner sectors mypledge",
    "lotus-miner sectors mypledgeonce",
    "lotus-worker caps",
    "lotus-worker drain",
    "lotus-worker undrain",
}
#: Flags of Lotus's commands that need a real chain, a market or another file of Lotus's: not served here.
NOT_SERVED = {
    "lotus-miner": {"actor", "a"},
    "lotus-miner init": {
        "create-worker-key", "worker", "owner", "pre-sealed-sectors", "pre-sealed-metadata", "nosync",
        "symlink-imported-sectors", "gas-premium", "from", "confidence", "w", "o", "deposit-margin-factor",
    },
}  # fmt: skip


def is_ours(command: str) -> bool:
    """A command that Lotus lacks, or one below it."""
    return any(command == ours or command.startswith(f"{ours} ") for ours in OURS)


def help_of(command: str, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    program, *rest = command.split()
    assert execute(PROGRAMS[program](), program, [*rest, *(words or ("-h",))]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_flag_has_one_line_and_is_named_nowhere_else(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = help_of(command, capsys)
    assert text.startswith(f"NAME:\n   {command} - ")
    options = text.split("OPTIONS:\n")[1].splitlines()
    for line in options:
        assert re.match(r"   --[a-z][a-z0-9-]*[ ,]", line), line
        for name in re.findall(r"--[a-z][a-z0-9-]+", line.strip().partition("  ")[0].partition(" [ ")[0]):
            lines = [other for other in text.splitlines() if re.search(rf"(?<![\w-]){name}(?![\w-])", other)]
            assert lines == [line]


@pytest.mark.parametrize(
    "flag", ["precommit1max", "precommit1holdmax", "precommit2max", "commit2max", "forcep2fromlocalp1"]
)
def test_grep_finds_a_cap_on_one_line(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of("lotus-worker run", capsys)
    assert len([line for line in text.splitlines() if f"--{flag}" in line]) == 1


def test_a_caps_line_is_as_operators_know_it(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [" ".join(line.split()) for line in help_of("lotus-worker run", capsys).splitlines()]
    assert (
        "--precommit1max value set maximum precommit1 quantity (default: 7) [$LOTUS_WORKER_PRECOMMIT1MAX]"
        in lines
    )


def test_help_can_be_asked_in_every_way(capsys: pytest.CaptureFixture[str]) -> None:
    wanted = help_of("lotus-miner sealing jobs", capsys)
    assert help_of("lotus-miner", capsys, "sealing", "jobs", "--help") == wanted
    assert help_of("lotus-miner", capsys, "sealing", "help", "jobs") == wanted
    assert help_of("lotus-miner", capsys, "help", "sealing", "jobs") == help_of(
        "lotus-miner sealing jobs", capsys
    )
    assert help_of("lotus-miner", capsys, "sealing", "h") == help_of("lotus-miner sealing", capsys)


def test_a_program_without_a_command_prints_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(miner_program(), "lotus-miner", []) == 0
    assert capsys.readouterr().out == help_of("lotus-miner", capsys)


def test_the_version_says_which_program_this_is(capsys: pytest.CaptureFixture[str]) -> None:
    for flag in ("--version", "-v", "-version"):
        assert execute(miner_program(), "lotus-miner", [flag]) == 0
        assert re.fullmatch(r"lotus-miner version \d\S+ \(lotus-sched-cli; .*\)\n", capsys.readouterr().out)


def test_the_umbrella_has_both_programs() -> None:
    done = own_process("worker", "run", "-h")
    assert done.out.startswith("NAME:\n   lotus-sched worker run - ")
    assert own_process("--version").out.startswith("lotus-sched version ")


@pytest.mark.captures
@pytest.mark.parametrize(
    "command", [c for c in COMMANDS if not c.startswith("lotus-sched") and not is_ours(c)]
)
def test_lotuss_flags_are_all_there_with_their_defaults_and_environment(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = need_captures() / "cli" / "help" / f"{command.replace(' ', '_')}_-h.stdout.txt"
    ours, theirs = flags(help_of(command, capsys)), flags(path.read_text())
    missing = theirs.keys() - ours.keys() - NOT_SERVED.get(command, set())
    assert not missing
    for name in theirs.keys() & ours.keys():
        assert ours[name][1:] == theirs[name][1:], name


def flags(text: str) -> dict[str, tuple[str, bool, str]]:
    """Flag → (its line, whether it takes a value, its environment names)."""
    found = {}
    for line in text.split("OPTIONS:\n")[1].splitlines():
        left, _, right = line.strip().partition("  ")
        envs = re.search(r"\[(\$.*)\]$", right)
        for name in re.findall(r"--?([\w-]+)", left):
            found[name] = (line, " value" in left, envs[1] if envs else "")
    return found
