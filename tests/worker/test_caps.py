"""Caps that change while the worker runs: the worker owns them, stores them, and tells the miner."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lotus_sched_cli.core.caps import Caps
from lotus_sched_cli.core.proofs import GIB
from lotus_sched_cli.core.tasks import TaskType
from lotus_sched_cli.lotus.errors import UserError
from lotus_sched_cli.lotus.extras import CapRow
from lotus_sched_cli.lotus.rpc.errors import RpcError
from lotus_sched_cli.lotus.types import WorkerInfo
from lotus_sched_cli.worker.caps import FILE, LiveCaps, resolve
from lotus_sched_cli.worker.options import RunOptions

from .fake_miner import FakeMiner
from .workers import Farm, stock


def live(file: Path, **flags: int) -> LiveCaps:
    return LiveCaps(resolve(RunOptions(**flags), {}, 32 * GIB), file)  # type: ignore[arg-type]


def row(caps: LiveCaps, name: str) -> CapRow:
    return next(r for r in caps.rows() if r.Name == name)


def test_a_live_value_outlives_restarts_until_it_is_reset(tmp_path: Path) -> None:
    caps = live(tmp_path / FILE)
    caps.set({"precommit1max": "9", "addpiecemax": "2", "precommit1interval": "10m"})
    again = live(tmp_path / FILE)
    assert again.load() == []
    assert again.caps == Caps(
        precommit1_max=9, task_max=((TaskType.ADD_PIECE, 2),), precommit1_interval=600.0
    )
    found = row(again, "precommit1max")
    assert (found.Value, found.Source, found.Started, found.StartedSource) == ("9", "live", "7", "default")
    assert row(again, "commit2max") == CapRow("commit2max", "1", "default")
    again.reset(["precommit1max"])
    third = live(tmp_path / FILE)
    third.load()
    assert third.caps.precommit1_max == 7 and third.caps.most(TaskType.ADD_PIECE) == 2
    third.reset(())
    assert third.caps == Caps()


def test_a_start_with_another_value_of_the_flag_ends_the_live_one(tmp_path: Path) -> None:
    live(tmp_path / FILE, precommit1max=5).set({"precommit1max": "9"})
    same = live(tmp_path / FILE, precommit1max=5)
    assert same.load() == [] and same.caps.precommit1_max == 9
    other = live(tmp_path / FILE, precommit1max=6)
    assert "precommit1max: this start says 6 (flag), it was 5 when 9 was set live" in other.load()[0]
    assert other.caps.precommit1_max == 6
    back = live(tmp_path / FILE, precommit1max=5)
    assert back.load() == [] and back.caps.precommit1_max == 5


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"precommit1max": "-1"}, 'invalid value "-1" for precommit1max: give a whole number'),
        ({"commit2max": "2", "precommit1maxx": "3"}, "no cap; did you mean precommit1max"),
        ({"allowp2c2parallel": "maybe"}, "give true or false"),
        ({"precommit1interval": "soon"}, "give a duration like 30s"),
        ({"precommit1max": "none"}, "give a whole number"),
    ],
)
def test_one_bad_value_changes_nothing(tmp_path: Path, values: dict[str, str], text: str) -> None:
    caps = live(tmp_path / FILE)
    with pytest.raises(UserError, match=text):
        caps.set(values)
    assert caps.caps == Caps() and not (tmp_path / FILE).exists()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"precommit1max": 9}')
    with pytest.raises(UserError, match=r"caps.json is damaged .*; remove it"):
        live(tmp_path / FILE).load()


async def test_the_miner_hears_of_a_change_and_a_cap_of_none_ends_the_offer(
    farm: Farm, miner: FakeMiner
) -> None:
    task = await farm.start()
    caller = miner.worker()
    try:
        rows = await caller.call("CapsSet", {"precommit1max": "0", "addpiecemax": "3"}, result=list[CapRow])
        assert next(r for r in rows if r.Name == "precommit1max").Source == "live"
        assert "WorkerChanged" in miner.calls
        info = await caller.call("Info", result=WorkerInfo)
        assert info.Resources.PreCommit1Max == 0
        assert info.Resources.Resources["seal/v0/addpiece"]["8"].MaxConcurrent == 3
        assert "seal/v0/precommit/1" not in await caller.call("TaskTypes")
        await caller.call("CapsReset", ["precommit1max"])
        assert "seal/v0/precommit/1" in await caller.call("TaskTypes")
        with pytest.raises(RpcError, match='"x" is no cap'):
            await caller.call("CapsSet", {"x": "1"})
        assert json.loads((farm.root / "w1" / FILE).read_text())["addpiecemax"]["value"] == "3"
    finally:
        await caller.close()
    await farm.stop(task)


async def test_under_a_stock_miner_the_worker_says_that_it_hears_later(
    farm: Farm, miner: FakeMiner, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stock(farm, monkeypatch)
    await farm.start()
    caller = miner.worker()
    try:
        await caller.call("CapsSet", {"precommit1max": "0"})
        assert "seal/v0/precommit/1" not in await caller.call("TaskTypes")
        assert "WorkerChanged" not in miner.calls
    finally:
        await caller.close()
