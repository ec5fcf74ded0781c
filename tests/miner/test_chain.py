"""The simulated chain: time moves it, messages land after their confidence, what a network refuses is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from miner.pipeline_stage import START, Clock

from lotus_sched_cli.core.pipeline import Piece, PipelineSettings
from lotus_sched_cli.core.tasks import SectorId
from lotus_sched_cli.lotus import cids
from lotus_sched_cli.miner import chain as chains
from lotus_sched_cli.miner.chain import Chain, ChainSettings
from lotus_sched_cli.miner.store import Store
from lotus_sched_cli.sealers.verify import StandInVerifier

SECTOR = SectorId(1000, 15)
COMM_D = cids.zero_piece_cid(2048)
COMM_R = cids.sealed_cid(b"\x07" * 32)
SETTINGS = ChainSettings(block_delay=30, challenge_delay=150, message_confidence=5)


class World:
    """A chain with a clock that the test moves."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store, self.clock = store, clock
        self.chain: Chain

    async def open(self, settings: ChainSettings = SETTINGS) -> Chain:
        self.chain = await Chain.open(self.store, settings, StandInVerifier(), self.clock)
        return self.chain

    def to(self, epoch: int) -> None:
        self.clock.now = self.chain.time_of(epoch)
        assert self.chain.head() == epoch

    async def precommit(self, ticket_epoch: int = 100, comm_r: str = COMM_R) -> str:
        cid, _ = await self.chain.send_precommit(
            SECTOR, 5, comm_r=comm_r, comm_d=COMM_D, ticket_epoch=ticket_epoch, expiration=999_999
        )
        return cid

    async def commit(self, **other: Any) -> str:
        born = (await self.chain.sector(SECTOR)).precommit_epoch or 0
        given: dict[str, Any] = {
            "ticket": self.chain.ticket(SECTOR, 100),
            "ticket_epoch": 100,
            "seed": self.chain.seed(SECTOR, born + 150),
            "seed_epoch": born + 150,
            "comm_d": COMM_D,
            "comm_r": COMM_R,
            "proof": bytes(192),
            "pieces": (Piece(2048, COMM_D),),
        }
        return await self.chain.send_commit(SECTOR, 5, **(given | other))

    async def why(self, cid: str) -> str:
        row = await self.chain.outcome(cid)
        assert row is not None and (row.exit_code != 0) == bool(row.error)
        return row.error


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    store, clock = await Store.open(tmp_path / "miner.db"), Clock()
    await chains.found(store, seed=b"s" * 32, proofs="stand-in", now=START, settings=SETTINGS)
    world = World(store, clock)
    await world.open()
    yield world
    await store.close()


async def test_the_head_moves_with_time_alone(world: World) -> None:
    assert world.chain.head() == 1000
    world.clock.now = START + 29.9
    assert world.chain.head() == 1000
    world.clock.now = START + 30
    assert world.chain.head() == 1001
    assert world.chain.head(START - 500) == 1000


@pytest.mark.parametrize("delay", [0.05, 0.1, 0.3, 1 / 3, 4.0, 30.0])
async def test_a_timer_for_an_epoch_finds_it_begun(world: World, delay: float) -> None:
    await world.open(replace(SETTINGS, block_delay=delay))
    for epoch in range(1000, 3000, 7):
        assert world.chain.head(world.chain.time_of(epoch)) == epoch


async def test_another_epoch_length_never_moves_the_head_back(world: World) -> None:
    world.to(1100)
    await world.open(replace(SETTINGS, block_delay=0.5))
    assert world.chain.head() == 1100
    world.clock.now += 1
    assert world.chain.head() == 1102
    await world.open(SETTINGS)
    assert world.chain.head() == 1102


async def test_randomness_is_the_same_after_a_restart_and_differs_by_sector_and_epoch(world: World) -> None:
    first = world.chain
    again = await world.open()
    assert first.ticket(SECTOR, 5) == again.ticket(SECTOR, 5)
    draws = {
        first.ticket(SECTOR, 5),
        first.ticket(SECTOR, 6),
        first.ticket(SectorId(1000, 16), 5),
        first.seed(SECTOR, 5),
    }
    assert len(draws) == 4 and {len(draw) for draw in draws} == {32}
    assert first.tipset(5)[0].startswith("bafy2bzace")


async def test_a_sector_is_precommitted_then_proven(world: World) -> None:
    message = await world.precommit()
    assert message.startswith("bafy2bzace")
    assert (await world.chain.sector(SECTOR)).precommit_message == "pending"
    row = await world.chain.outcome(message)
    assert row is not None and (row.executed_at, row.lands_at) == (1001, 1006)
    world.to(1006)
    seen = await world.chain.sector(SECTOR)
    assert (seen.precommit_epoch, seen.comm_r, seen.precommit_message) == (1001, COMM_R, "landed")
    assert not seen.proven
    world.to(1157)
    proof = await world.commit()
    assert await world.why(proof) == ""
    world.to(1163)
    seen = await world.chain.sector(SECTOR)
    assert seen.proven and seen.activation == 1158 and seen.expiration == 999_999
    assert seen.commit_message == "landed"


async def test_what_is_on_its_way_is_not_sent_twice_not_even_after_a_restart(world: World) -> None:
    first = await world.precommit()
    await world.open()
    assert await world.precommit() == first
    world.to(1157)
    proof = await world.commit()
    await world.open()
    assert await world.commit() == proof
    assert len(await world.store.messages()) == 2


async def test_an_old_ticket_is_refused(world: World) -> None:
    world.to(100 + 3780)
    refused = await world.precommit(ticket_epoch=100)
    assert "too old" in await world.why(refused)
    world.to(100 + 3790)
    assert (await world.chain.sector(SECTOR)).precommit_message == ""
    assert await world.precommit(ticket_epoch=3000) != refused


async def test_on_a_fast_chain_a_ticket_lives_an_hour(world: World) -> None:
    chain = await world.open(replace(SETTINGS, block_delay=0.1))
    rules = chain.rules(PipelineSettings())
    assert rules.ticket_max_age == 36_000
    assert rules.challenge_delay == 150
    slow = await world.open(SETTINGS)
    assert slow.rules(PipelineSettings()).ticket_max_age == 3780


async def test_a_commr_that_is_none_is_refused(world: World) -> None:
    assert "wrong prefix" in await world.why(await world.precommit(comm_r=COMM_D))


async def test_another_commr_after_the_precommit_is_refused(world: World) -> None:
    await world.precommit()
    other = await world.precommit(comm_r=cids.sealed_cid(b"\x08" * 32))
    assert "another sealed CID" in await world.why(other)


async def test_a_proof_without_precommit_is_refused(world: World) -> None:
    assert "no precommitted sector 15" in await world.why(await world.commit())


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"seed": bytes(32)}, "seed"),
        ({"seed_epoch": 1150}, "seed"),
        ({"comm_r": cids.sealed_cid(b"\x09" * 32)}, "another sealed CID"),
        ({"ticket": bytes(32)}, "another sealed CID"),
        ({"proof": b"short"}, "invalid proof"),
        ({"pieces": (Piece(1024, cids.zero_piece_cid(1024)),) * 3}, "invalid proof"),
    ],
)
async def test_a_wrong_proof_is_refused(world: World, wrong: dict[str, Any], text: str) -> None:
    await world.precommit()
    world.to(1157)
    refused = await world.commit(**wrong)
    assert text in await world.why(refused)
    assert await world.why(await world.commit()) == "", "a good one may follow"


async def test_a_proof_that_comes_a_month_late_is_refused(world: World) -> None:
    await world.precommit()
    world.to(1001 + 30 * 2880 + 150)
    assert "expired" in await world.why(await world.commit())


async def test_a_store_without_a_chain_is_told_what_to_do(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "other.db")
    with pytest.raises(ValueError, match="lotus-miner init"):
        await Chain.open(store, SETTINGS, StandInVerifier(), Clock())
    await store.close()
