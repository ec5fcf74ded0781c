"""A command that only asks one thing must start fast: what it imports is held here."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("msgspec", "aiohttp", "httpx", "jwt", "asyncio", "logging", "rich", "typer", "sqlalchemy")


@pytest.mark.parametrize("module", ["units", "apiinfo", "repo", "rpc.oneshot", "rpc.errors"])
def test_commands_modules_need_the_standard_library_only(module: str) -> None:
    code = f"import sys, lotus_sched_cli.lotus.{module}; print(*{{m.partition('.')[0] for m in sys.modules}})"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not set(HEAVY) & set(loaded)
