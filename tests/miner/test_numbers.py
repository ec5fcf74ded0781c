"""Sector numbers: gaps are filled, reserved ones kept, over a restart too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lotus_sched_cli.lotus.rpc.errors import RpcError
from lotus_sched_cli.lotus.units import rle_encode, rle_of_runs, runs_of_rle
from lotus_sched_cli.miner.numbers import Numbers, merged
from lotus_sched_cli.miner.store import Store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store.open(tmp_path / "miner.db")
    yield store
    await store.close()


async def test_the_lowest_free_number_is_next_and_reserved_ones_are_jumped_over(store: Store) -> None:
    numbers = Numbers(store, first=15)
    assert numbers.next({15, 16, 18}) == 17
    await numbers.reserve("mine", [(17, 19), (21, 21)], [15, 16], force=False)
    assert [numbers.next({15, 16}), numbers.next({15, 16, 20})] == [20, 22]
    await numbers.free("mine")
    assert numbers.next({15, 16}) == 17


async def test_a_reservation_outlives_the_miner(store: Store) -> None:
    await Numbers(store).reserve("mine", [(0, 4)], [], force=False)
    again = Numbers(store)
    await again.load()
    assert again.next(()) == 5 and again.reservations == {"mine": [(0, 4)]}


async def test_a_colliding_reservation_is_refused_in_lotuss_words_and_forced_if_meant(store: Store) -> None:
    numbers = Numbers(store)
    await numbers.reserve("mine", [(100, 110), (120, 120)], [1], force=False)
    for name, runs, text in (
        ("mine", [(200, 200)], "reservation with this name already exists"),
        ("a b", [(200, 200)], "reservation name contained disallowed characters"),
        ("b3", [(105, 105)], "colliding with another existing reservation"),
        ("b4", [(1, 3)], "colliding with allocated sector numbers"),
        ("b5", [(1, 1 << 63)], "above the highest"),
    ):
        with pytest.raises(RpcError, match=text):
            await numbers.reserve(name, runs, [1], force=False)
    await numbers.reserve("b3", [(1, 105)], [1], force=True)
    assert numbers.reserved == [(1, 110), (120, 120)]
    with pytest.raises(RpcError, match="reservation with this name doesn't exist"):
        await numbers.free("b4")


async def test_so_many_free_numbers_are_reserved(store: Store) -> None:
    numbers = Numbers(store)
    await numbers.reserve("mine", [(2, 3)], [], force=False)
    assert await numbers.reserve_count("more", 3, {0}) == [(1, 1), (4, 5)]


@given(st.sets(st.integers(0, 60)))
def test_runs_and_bit_fields_say_the_same(numbers: set[int]) -> None:
    runs = merged((n, n) for n in numbers)
    assert rle_of_runs(runs) == rle_encode(numbers)
    assert runs_of_rle(rle_of_runs(runs)) == runs
