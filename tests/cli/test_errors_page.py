"""docs/errors.md: every error of the commands with its exit code, and each of them provoked here."""

from __future__ import annotations

import ast
import io
import re
from pathlib import Path
from typing import Any

import pytest

import lotus_sched_cli.cli
from lotus_sched_cli.cli.main import execute, miner_program, sched_program, worker_program

from .conftest import FakeApi
from .error_cases import CASES, Case, page_rows, prepare

PAGE = (Path(__file__).parents[2] / "docs/errors.md").read_text()
PROGRAMS: dict[str, Any] = {"miner": miner_program, "worker": worker_program, "sched": sched_program}
ROOM = Path(lotus_sched_cli.cli.__file__).parent


def pattern(text: str) -> str:
    """The page's text as a regular expression."""
    return "".join(".*" if part.startswith("<") else re.escape(part) for part in re.split(r"(<[^>]+>)", text))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_an_error_is_one_line_with_the_pages_text_and_exit_code(
    case: Case,
    api: FakeApi,
    clean_env: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    def setenv(name: str, value: str | None) -> None:
        clean_env.delenv(name, raising=False) if value is None else clean_env.setenv(name, value)

    setenv("MINER_API_INFO", api.info)
    setenv("WORKER_API_INFO", api.info)
    clean_env.setattr("sys.stdin", io.StringIO())
    name = f"lotus-{case.words[0]}"
    words = prepare(case, api, tmp_path, setenv)
    if (tmp_path / "again").exists():
        assert execute(PROGRAMS["miner"](), name, words) == 0
    capsys.readouterr()
    code = execute(PROGRAMS[case.words[0]](), name, words)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("ERROR: ")]
    assert re.match(pattern(case.text), line.removeprefix("ERROR: ")), line
    assert code == case.code


def test_the_page_has_these_errors_and_no_others() -> None:
    assert page_rows(PAGE) == [(case.group, case.text, case.code) for case in CASES]


def texts(room: Path) -> set[str]:
    """The first words of every error that the commands raise, ``*`` for what varies; those that only pass one on left out."""
    found = set()
    for file in room.rglob("*.py"):
        if "demo" in file.parts:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "CliError":
                text = literal(node.args[0])
                if text.replace("*", "").strip(" :"):
                    found.add(text)
    return found


def literal(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(v.value) if isinstance(v, ast.Constant) else "*" for v in node.values)
    return "*"


def test_no_error_of_the_commands_is_missing_on_the_page() -> None:
    known = [re.sub(r"(<[^>]+>)+", "*", text) for _, text, _ in page_rows(PAGE)]
    missing = {
        text for text in texts(ROOM) if not any(same(re.sub(r"\*+", "*", text), other) for other in known)
    }
    assert missing - RARE == set()


def same(raised: str, page: str) -> bool:
    """Whether one is the other with a part of it left open."""
    return any(
        re.fullmatch(".*".join(map(re.escape, a.split("*"))), b) for a, b in ((raised, page), (page, raised))
    )


#: Provoked in the tests of their commands: they need a worker that stays busy, hours of simulation, or a broken machine.
RARE = {
    "--json *: *",
    "* is not empty after * s: *",
    "* under * came to a standstill",
    "matplotlib is not installed",
    "no cap is named",
    "no worker is connected",
    "this is no table: it cannot be CSV",
    "no worker takes AP",
    "job with specified id prefix not found: the id is empty",
}
