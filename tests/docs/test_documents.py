"""The documents: generated ones are those of the code as it is, and nothing that operators meet lacks its place."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from lotus_sched_cli.cli.advice import ADVICE
from lotus_sched_cli.cli.completion.tree import Node, programs
from lotus_sched_cli.core.decisions import Why
from lotus_sched_cli.miner.config import KEYS

ROOT = Path(__file__).parents[2]
#: Made from what it would be compared with.
GENERATED = ROOT / "docs/commands.md"
#: The maintainers' fact sheets (docs/design.md).
OUTSIDE = {"scheduling.md", "lotus-wire.md", "lotus-cli.md"}
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / room / "README.md" for room in ("completions", "deploy", "proofs")),
    ]
)
CODE = [
    file for room in ("lotus_sched_cli", "bench", "tests", "tools") for file in (ROOT / room).rglob("*.py")
]
NAMED = re.compile(r"(?<![.\w])(?:[a-z]\w*\.py|[A-Za-z][\w-]*(?:\.zh)?\.md)\b")


def nodes() -> list[Node]:
    return [node for program in programs() for node in program.walk()]


def test_generated_documents_are_current() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools/docs.py"), "--check"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_command_and_flag_has_its_place() -> None:
    text = (ROOT / "docs/commands.md").read_text()
    sections = {part.split("\n", 1)[0]: part for part in text.split("\n## ")}
    for node in nodes():
        path = (
            node.path.removeprefix("lotus-sched ")
            if " miner" in node.path or " worker" in node.path
            else node.path
        )
        path = re.sub(r"^(miner|worker)\b", r"lotus-\1", path)
        if path == "lotus-sched":
            continue
        for flag in node.flags:
            assert all(name in sections[path] for name in flag.names), (path, flag.names)


def test_every_setting_has_its_place() -> None:
    text = (ROOT / "docs/settings.md").read_text()
    for key in KEYS:
        section = text.split(f"\n## [{key.section}]\n")[1].split("\n## ")[0]
        assert f"| `{key.name}` |" in section and f"`{key.env}`" in section, key.path


def test_every_refusal_has_its_place_and_advice() -> None:
    text = (ROOT / "docs/refusals.md").read_text()
    assert set(ADVICE) == set(Why)
    for why in Why:
        assert f"\n## {why.value}\n" in text
        assert ADVICE[why].do


def test_files_that_code_and_documents_name_exist() -> None:
    there = {path.name for path in [*CODE, *PAGES]} | OUTSIDE
    for path in [*CODE, *PAGES]:
        assert set(NAMED.findall(path.read_text())) <= there, path.relative_to(ROOT)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        other = (page.parent / file).resolve() if file else page
        assert other.exists(), target
        if anchor:
            assert anchor in anchors(other), target


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {"".join(c for c in t.lower() if c.isalnum() or c in " -_").replace(" ", "-") for t in titles}


def fenced(path: Path) -> list[str]:
    """What a reader is told to type; comments are in his language."""
    blocks = re.findall(r"^```[a-z]*\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)
    return [re.sub(r"\s*#.*", "", block) for block in blocks]


@pytest.mark.parametrize(
    "english", [ROOT / "README.md", *sorted((ROOT / "docs/runbooks").glob("*.md"))], ids=lambda p: p.name
)
def test_both_languages_say_the_same_commands(english: Path) -> None:
    if english.name.endswith(".zh.md"):
        assert english.with_name(english.name.replace(".zh.md", ".md")).exists()
        return
    chinese = english.with_name(english.name.replace(".md", ".zh.md"))
    assert fenced(chinese) == fenced(english)


@pytest.mark.parametrize("page", [p for p in PAGES if p != GENERATED], ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_that_documents_name_exist(page: Path) -> None:
    known = {node.path for node in nodes()}
    groups = {node.path for node in nodes() if node.children}
    text = page.read_text()
    for line in re.findall(r"`([^`\n]+)`", text) + [w for b in fenced(page) for w in b.splitlines()]:
        for words in re.findall(r"^lotus-(?:miner|worker)(?: [a-z][a-z-]*)*", line):
            path = []
            for word in words.split():
                path.append(word)
                if " ".join(path) not in groups:
                    break
            assert " ".join(path) in known or len(path) == 1, f"{page.name}: {words}"


@pytest.mark.parametrize("page", [p for p in PAGES if p != GENERATED], ids=lambda p: str(p.relative_to(ROOT)))
def test_flags_that_documents_type_exist(page: Path) -> None:
    by_path = {node.path: node for node in nodes()}
    for line in (line for block in fenced(page) for line in block.splitlines()):
        words = re.sub(r"^lotus-sched (miner|worker)", r"lotus-\1", line).split()
        if not words or words[0] not in ("lotus-miner", "lotus-worker", "lotus-sched"):
            continue
        path, flags = words[0], {n for f in by_path[words[0]].flags for n in f.names}
        for word in words[1:]:
            if f"{path} {word}" in by_path:
                path = f"{path} {word}"
                flags |= {n for f in by_path[path].flags for n in f.names}
            elif word.startswith("--"):
                name = word.partition("=")[0]
                assert name in flags, f"{page.name}: {line}: {word}"
