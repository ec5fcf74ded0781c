"""docs/interop.md is what the code and the recordings say today."""

from __future__ import annotations

import pytest

from lotus_sched_cli.lotus import methods

from .recording import need
from .report import PAGE, answers, page

pytestmark = pytest.mark.captures


def test_the_page_is_up_to_date() -> None:
    need()
    assert PAGE.read_text() == page(), "run python -m tests.interop.report"


@pytest.mark.parametrize("side", ["miner", "worker"])
def test_every_method_of_ours_answers(side: str) -> None:
    """What extras lists as ours is served, so a page that says *ours* is true."""
    table = methods.MINER if side == "miner" else methods.WORKER
    assert all(answers(side, name) == "served" for name, spec in table.items() if spec.ours)
