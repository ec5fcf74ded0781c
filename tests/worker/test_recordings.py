"""Held against recordings of a real ``lotus-worker``: what it told of itself, and in which order it called its miner."""

from __future__ import annotations

import gzip
import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import recordings

from lotus_sched_cli.core.caps import Caps
from lotus_sched_cli.sealers.simulated import TASKS
from lotus_sched_cli.worker import run as run_module
from lotus_sched_cli.worker.profile import Profile

from .workers import Farm, stock

pytestmark = pytest.mark.captures


@pytest.fixture(scope="session")
def wire() -> Path:
    """The recordings; skipped without them, but not in CI."""
    return recordings.need("wire")


def calls(file: Path, sender: str) -> Iterator[tuple[str, list[Any], Any]]:
    """``(method, params, result)`` of each call that this host made."""
    raw = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    for line in raw.decode().splitlines():
        record = json.loads(line)
        body = record.get("request_body")
        if record["kind"] != "http" or record["from"] != sender or not isinstance(body, str):
            continue
        request = json.loads(body)
        answer = json.loads(record["response_body"]).get("result")
        yield request["method"].removeprefix("Filecoin."), request["params"], answer


def shape(value: Any) -> Any:
    """Member names and JSON types."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value]
    return type(value).__name__


def test_the_resource_table_is_lotuss_to_the_number(wire: Path) -> None:
    told = next(
        answer for name, _, answer in calls(wire / "s02-worker-start.jsonl", "miner") if name == "Info"
    )
    caps = Caps(0, 0, 0, 0)  # no MaxConcurrent of ours
    ours = msgspec.to_builtins(Profile(name="w", id="x", tasks=TASKS, caps=caps).info())
    assert ours["Resources"]["Resources"] == told["Resources"]["Resources"]
    extra = {"PreCommit1Max", "PreCommit1HoldMax", "PreCommit2Max", "Commit2Max", "ForceP2FromLocalP1"}
    assert set(ours["Resources"]) - set(told["Resources"]) == extra
    assert set(ours) - set(told) == {"WorkerID"}


async def test_the_start_calls_a_stock_miner_as_lotuss_does(
    wire: Path,
    farm: Farm,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stock(farm, monkeypatch)
    sent: list[tuple[str, list[Any]]] = []
    call = run_module.MinerConnection.call

    async def listen(self: Any, method: str, *params: Any, **more: Any) -> Any:
        sent.append((method, msgspec.to_builtins(params)))
        return await call(self, method, *params, **more)

    def spoken(told: list[tuple[str, list[Any]]]) -> list[tuple[str, Any]]:
        # the miner decides how often it is asked about its token
        return [(name, shape(list(params))) for name, params in told if name != "AuthVerify"]

    monkeypatch.setattr(run_module.MinerConnection, "call", listen)
    task = await farm.start(farm.options(heartbeat=10))
    await farm.miner.until(lambda: len(spoken(sent)) >= 9, "the first heartbeat")
    recorded = [(name, params) for name, params, _ in calls(wire / "s02-worker-start.jsonl", "worker-1")]

    assert spoken(sent)[:9] == spoken(recorded)[:9]
    signal.raise_signal(signal.SIGTERM)
    await task


def test_restarted_calls_come_back_in_lotuss_words(wire: Path) -> None:
    told = [
        params[-1]
        for name, params, _ in calls(wire / "s06-worker-kill.jsonl.gz", "worker-2")
        if name.startswith("Return") and params[-1]
    ]
    assert {error["Code"] for error in told} == {101}
    assert all(re.fullmatch(r"worker \[name: [\w-]+\] restarted", error["Message"]) for error in told)
