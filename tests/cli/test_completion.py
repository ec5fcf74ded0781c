"""Completion as operators meet it: in bash, zsh and fish, and by the scripts that come with Lotus."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lotus_sched_cli.cli.completion import tree, values
from lotus_sched_cli.cli.completion.words import candidates
from lotus_sched_cli.cli.main import execute, miner_program, worker_program

from .conftest import FakeApi

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "completions"
#: The programs of this environment, and nothing of the operator's own shell.
ENV = {
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    "HOME": "/nonexistent",
    "TERM": "dumb",
    "LC_ALL": "C.UTF-8",
}


def bash(line: str, env: dict[str, str] | None = None) -> list[str]:
    """What bash offers for the last word of a line."""
    program = shutil.which("bash")
    if program is None:
        pytest.skip("no bash here")
    words = [part for word in line.split(" ") for part in _at_equals(word)]
    name = words[0]
    script = (
        f"source {SCRIPTS / 'bash' / name}; COMP_WORDS=({' '.join(repr(w) for w in words)}); "
        f'COMP_CWORD={len(words) - 1}; _{name.replace("-", "_")}; printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    done = subprocess.run(
        [program, "--norc", "-c", script], capture_output=True, text=True, env=ENV | (env or {})
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def _at_equals(word: str) -> list[str]:
    name, equals, value = word.partition("=")
    return [name, equals, *([value] if value else [])] if equals and word.startswith("-") else [word]


def fish(line: str) -> list[str]:
    program = shutil.which("fish")
    if program is None:
        pytest.skip("no fish here")
    script = f"source {SCRIPTS / 'fish' / line.split(' ')[0]}.fish; complete -C {line!r}"
    done = subprocess.run([program, "--no-config", "-c", script], capture_output=True, text=True, env=ENV)
    return [row.split("\t")[0] for row in done.stdout.splitlines()]


def test_the_scripts_are_those_of_the_commands_as_they_are() -> None:
    spec = importlib.util.spec_from_file_location("completions", ROOT / "tools/completions.py")
    assert spec is not None and spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    stale = [p.name for p, text in tool.files().items() if not p.exists() or p.read_text() != text]
    assert stale == [], "run `make docs`"


@pytest.mark.parametrize(
    ("line", "offered", "left_out"),
    [
        ("lotus-miner sea", ["sealing"], ["sectors"]),
        ("lotus-miner sealing ", ["jobs", "workers"], ["list"]),
        ("lotus-miner sealing jobs --sh", ["--show-ret-done"], ["--help"]),
        ("lotus-miner --miner-repo /x sealing j", ["jobs"], ["workers"]),
        ("lotus-miner --miner-repo=/x sealing j", ["jobs"], ["workers"]),
        ("lotus-miner sectors list --states Pre", ["PreCommit1", "PreCommit2"], ["Proving"]),
        ("lotus-miner sectors list --states=Pre", ["PreCommit1", "PreCommit2"], ["Proving"]),
        ("lotus-miner auth create-token --perm ", ["read", "write", "sign", "admin"], []),
        ("lotus-miner sectors list -", ["--states", "--layout", "--miner-repo"], ["--perm"]),
        ("lotus-worker tasks disable P", ["PC1", "PC2", "PR2"], ["C2"]),
        (
            "lotus-worker run --precommit1",
            ["--precommit1", "--precommit1max", "--precommit1holdmax"],
            ["--commit"],
        ),
        ("lotus-sched worker run --commit2", ["--commit2max"], ["--commit"]),
        ("lotus-sched mi", ["miner"], ["worker"]),
    ],
)
def test_bash_and_fish_offer_what_fits(line: str, offered: list[str], left_out: list[str]) -> None:
    for shell in (bash, fish):
        found = [word.removeprefix(f"{line.split(' ')[-1].partition('=')[0]}=") for word in shell(line)]
        assert set(offered) <= set(found), shell
        assert not set(left_out) & set(found), shell


def test_zsh_completes_a_command() -> None:
    pexpect = pytest.importorskip("pexpect")
    if shutil.which("zsh") is None:
        pytest.skip("no zsh here")
    shell = pexpect.spawn("zsh", ["-f", "-i"], env=ENV | {"PS1": "% "}, encoding="utf-8", timeout=60)
    shell.sendline(
        f"autoload -U compinit; compinit -D; source {SCRIPTS}/zsh/_lotus-miner; PS1='> '; echo lo''aded"
    )
    shell.expect("loaded")
    shell.send("lotus-miner sealing jo\t")
    shell.expect("sealing jobs")
    shell.send("--show-ret\t")
    shell.expect("show-ret-done")
    shell.sendcontrol("u")
    shell.send("lotus-miner auth create-token --perm sig\t")
    shell.expect("--perm sign")
    shell.sendcontrol("u")
    shell.sendline("exit")
    shell.expect(pexpect.EOF)


@pytest.mark.parametrize("script", sorted((SCRIPTS / "zsh").iterdir()), ids=lambda p: p.name)
def test_zsh_reads_the_scripts(script: Path) -> None:
    program = shutil.which("zsh")
    if program is None:
        pytest.skip("no zsh here")
    done = subprocess.run([program, "-f", "-n", str(script)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_sectors_and_workers_are_those_of_the_running_miner(api: FakeApi) -> None:
    api.answers = {
        "SectorsList": [17, 5, 15],
        "WorkerStats": {"x": {"Info": {"Hostname": "worker-2"}}, "y": {"Info": {"Hostname": "worker-1"}}},
    }
    env = {"MINER_API_INFO": api.info}
    assert bash("lotus-miner sectors status 1", env) == ["15", "17"]
    assert bash("lotus-miner sealing caps set ", env) == ["worker-1", "worker-2"]


def test_a_miner_that_is_slow_or_away_offers_nothing(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    go = threading.Event()
    api.answers = {"SectorsList": lambda: [1] if go.wait(20) else []}
    monkeypatch.setenv("MINER_API_INFO", api.info)
    assert values.lines("sectors", []) == []
    go.set()
    monkeypatch.setenv("MINER_API_INFO", "secret:/ip4/127.0.0.1/tcp/1/http")
    assert values.lines("sectors", []) == []
    assert values.lines("nonsense", []) == []


def test_lotus_s_own_protocol_gives_commands_and_flags() -> None:
    found = candidates(miner_program(), "lotus-miner", ["sealing"])
    assert {"jobs", "workers", "sched-diag", "abort"} <= set(found)
    assert found[-2:] == ["help", "h"]
    assert "--no-swap" in candidates(worker_program(), "lotus-worker", ["run", "--no"])
    found = candidates(miner_program(), "lotus-miner", ["sectors", "status", "-"])
    assert {"--log", "-l", "--help", "-h"} <= set(found)
    assert candidates(miner_program(), "lotus-miner", ["sectors", "status", "--log", "--l"]) == []


def test_asking_for_candidates_runs_nothing(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINER_API_INFO", api.info)
    assert execute(miner_program(), "lotus-miner", ["stop", "--generate-bash-completion"]) == 0
    assert api.calls == []


def test_every_flag_with_a_value_knows_what_it_takes() -> None:
    kinds = tree.kinds()
    for program in tree.programs():
        for node in program.walk():
            for kind in (*(f.kind for f in node.flags), *node.arguments):
                assert kind in ("", "any", tree.FILES, *tree.DYNAMIC, *kinds) or kind.startswith("=")
