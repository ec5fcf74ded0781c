"""What stock workers, commands and scripts asked the recorded miner, our miner is asked, in its order."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import left_out
from .player import differences, playing
from .recording import exchanges, need, scenarios
from .stage import staged

pytestmark = pytest.mark.captures


#: In the quick suite; the others are slow.
QUICK = ("s02-worker-start", "s12-errors")


def scenes() -> list[object]:
    return [pytest.param(s, marks=() if s in QUICK else pytest.mark.slow) for s in scenarios() or ["none"]]


@pytest.mark.parametrize("scenario", scenes())
async def test_our_miner_answers_as_lotuss_did(
    scenario: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need()
    told = [e for e in exchanges(scenario) if e.to == "miner" and left_out.why(e) is None]
    async with staged(scenario, tmp_path, monkeypatch) as stage:
        url = f"http://127.0.0.1:{stage.mapping.ports['miner']}"
        async with playing(url, stage.mapping) as player:
            found = await player.play(told, stage.before, differences)
    assert not found, f"{len(found)} of {len(told)} differ:\n" + "\n".join(found[:60])
