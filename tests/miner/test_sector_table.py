"""``SectorsTable``: all sectors in one answer, and the same rows as the status of each would give."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from miner.pipeline_stage import Stage

from lotus_sched_cli.cli.render.lotus import document_of
from lotus_sched_cli.cli.render.spans import text_of
from lotus_sched_cli.cli.views.sectors import Chain, SectorList, SectorRow, row_of_brief, sector_row
from lotus_sched_cli.core.pipeline import State
from lotus_sched_cli.lotus import gojson


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = await Stage(tmp_path).open()
    yield stage
    await stage.close()


async def asked_at_once(stage: Stage) -> list[SectorRow]:
    rows = msgspec.json.decode(msgspec.json.encode(await stage.sectors.briefs(True)))
    return [row_of_brief(row) for row in rows]


async def asked_one_by_one(stage: Stage, chain: Chain) -> list[SectorRow]:
    rows = []
    for number in stage.sectors.numbers():
        status = await stage.sectors.status(number, on_chain=True)
        rows.append(sector_row(number, msgspec.json.decode(gojson.encode(status)), "", chain))
    return rows


def shown(rows: list[SectorRow], chain: Chain) -> str:
    return text_of(document_of(SectorList(tuple(rows), chain, False, True, True, True)))


async def test_the_table_is_that_of_the_statuses(stage: Stage) -> None:
    await asyncio.gather(*(stage.sectors.pledge() for _ in range(3)))
    await stage.until(State.PROVING, 0)
    await stage.sectors.remove(1)
    await stage.until(State.REMOVED, 1)
    await stage.sectors.pledge()
    chain = Chain(stage.chain.head(), 1.0)
    assert await asked_at_once(stage) == await asked_one_by_one(stage, chain)
    table = shown(await asked_at_once(stage), chain)
    assert "Proving" in table and "Removed" in table and "Packing" in table


async def test_the_table_is_the_same_after_a_restart_and_grows(stage: Stage) -> None:
    await stage.sectors.pledge()
    await stage.until(State.PROVING, 0)
    before = await asked_at_once(stage)
    await stage.crash()
    assert await asked_at_once(stage) == before
    await stage.sectors.pledge()
    await stage.until(State.PROVING, 1)
    assert [row.active for row in await asked_at_once(stage)] == [True, True]
