"""What operators grep in the miner's log, and that it is not flooded."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

import pytest
from miner.dispatch_stage import Stage

from lotus_sched_cli.core.decisions import Refusal, Refused, Why
from lotus_sched_cli.core.events import TaskSpec
from lotus_sched_cli.core.tasks import SectorId, TaskType
from lotus_sched_cli.lotus import logs
from lotus_sched_cli.miner.dispatch import lines

P1, C2 = TaskType.PRECOMMIT1, TaskType.COMMIT2


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    out = io.StringIO()
    logs.setup({}, stderr=out)
    yield out
    logs.shutdown()


def said(log: io.StringIO) -> list[str]:
    logs.flush()
    return log.getvalue().splitlines()


def grep(pattern: str, log: io.StringIO) -> list[str]:
    return [line for line in said(log) if pattern in line]


async def test_grep_trysched_mine_shows_every_assignment_and_nothing_else(s: Stage, log: io.StringIO) -> None:
    worker = await s.worker("host", C2)
    for number in (15, 16):
        row = await s.submit(number, C2)
        await s.until(lambda: worker.calls and s.dispatch.desk.flights[row.id].row.call_id)  # noqa: B023
        await s.returned(worker.last, C2, "")
        await s.until(lambda: s.phase(row) == "gone")  # noqa: B023
    found = grep("trySchedMine", log)
    assert len(found) == 2
    time, level, logger, _place, message = found[0].split("\t")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d{4})", time)
    assert (level, logger) == ("INFO", "advmgr")
    assert message == (
        "trySchedMine has sucessfully scheduled for sector s-t01000-15 taskType seal/v0/commit/2 "
        f"to worker {worker.session[:8]}@host"
    )


@pytest.mark.parametrize(
    ("kind", "refusal", "text"),
    [
        (P1, Refusal(Why.PRECOMMIT1_MAX, {"need": 1, "in_use": 7, "max": 7}),
         "not enough PreCommit1 quota, 1 need, 7 in use, PreCommit1Max is 7"),
        (TaskType.PRECOMMIT2, Refusal(Why.PRECOMMIT2_MAX, {"need": 1, "in_use": 1, "max": 1}),
         "not enough PreCommit2 quota, 1 need, 1 in use, PreCommit2Max is 1"),
        (C2, Refusal(Why.COMMIT2_MAX, {"need": 1, "in_use": 2, "max": 2}),
         "not enough Commit2 quota, 1 need, 2 in use, Commit2Max is 2"),
        (P1, Refusal(Why.PRECOMMIT1_HOLD, {"in_use": 25, "max": 25}),
         "not enough PreCommit1Hold quota, 25 in use, PreCommit1HoldMax is 25"),
        (TaskType.PRECOMMIT2, Refusal(Why.BOUND_P2), "It only receives P2 from the local P1."),
        (P1, Refusal(Why.DRAINING), "It plans offline maintenance"),
        (P1, Refusal(Why.OFFLINE), "Maybe it's offline."),
    ],
)  # fmt: skip
def test_a_refusal_is_the_line_that_runbooks_grep(
    kind: TaskType, refusal: Refusal, text: str, log: io.StringIO
) -> None:
    task = TaskSpec("t", SectorId(1000, 15), 8, kind)
    lines.refused(Refused(task, "w", "76f1988b@host", refusal, 3))
    (line,) = grep("not scheduling", log)
    _time, level, logger, _place, message, fields = line.split("\t")
    assert (level, logger, fields) == ("DEBUG", "advmgr", '{"behind": 3}')
    assert message == f"sector s-t01000-15 sched: not scheduling on worker 76f1988b@host for {kind}; {text}"


async def test_forty_waiting_tasks_are_one_line_per_worker_and_reason(s: Stage, log: io.StringIO) -> None:
    worker = await s.worker("host", C2)
    for number in range(41):
        await s.submit(number, C2)
    await s.until(lambda: worker.calls)
    await s.until(lambda: grep("not scheduling", log))
    (line,) = grep("not scheduling", log)
    assert "not enough Commit2 quota, 1 need, 1 in use, Commit2Max is 1" in line
    assert '{"behind": 39}' in line


async def test_a_worker_that_is_in_and_out_of_reach_a_thousand_times(s: Stage, log: io.StringIO) -> None:
    fake = await s.worker("host", C2)
    for number in range(3):
        await s.submit(number, C2)
    await s.until(lambda: fake.calls)
    (worker,) = s.registry.live()
    for _ in range(1000):
        for away in (True, False):
            fake.away = away
            s.offset += 10
            await s.registry._beat(worker)
            assert worker.online is not away
    await s.written()
    assert len(said(log)) < 100


async def test_a_worker_that_restarts_a_thousand_times(s: Stage, log: io.StringIO) -> None:
    fake = await s.worker("host", C2)
    await s.submit(15, C2)
    await s.until(lambda: fake.calls)
    for _ in range(1000):
        fake.restart()
        s.offset += 10
        await s.registry.connect(fake.url)
    await s.written()
    assert len(said(log)) < 100
