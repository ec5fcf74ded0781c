"""Which number a new sector gets, and the reservations that keep numbers for later (Lotus ``storage/pipeline/numassign.go``).

A new sector gets the lowest number that no sector has or had and that nobody has reserved: gaps are filled.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Sequence
from typing import Final

from lotus_sched_cli.lotus.rpc.errors import RpcError

from .store import Store

#: First and last number.
Run = tuple[int, int]

KEY: Final = "number_reservations"
HIGHEST: Final = (1 << 63) - 1
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")


class Numbers:
    """The reservations, as stored, and where the free numbers begin."""

    def __init__(self, store: Store, first: int = 0) -> None:
        self._store = store
        self._first = self._lowest = first
        self.reservations: dict[str, list[Run]] = {}

    async def load(self) -> None:
        stored = await self._store.meta(KEY) or {}
        self.reservations = {name: [(a, b) for a, b in runs] for name, runs in stored.items()}

    def next(self, taken: Container[int]) -> int:
        """The number of the next sector; it stays free until it is in ``taken``."""
        while self._lowest in taken:
            self._lowest += 1
        number, reserved = self._lowest, self.reserved
        while True:
            last = next((b for a, b in reserved if a <= number <= b), None)
            if last is not None:
                number = last + 1
            elif number in taken:
                number += 1
            else:
                return number

    def give_back(self, number: int) -> None:
        """A number that was handed out is free again."""
        self._lowest = min(self._lowest, number)

    @property
    def reserved(self) -> list[Run]:
        """All reserved numbers, ascending and not touching."""
        return merged(run for runs in self.reservations.values() for run in runs)

    async def reserve(self, name: str, runs: Sequence[Run], taken: Iterable[int], *, force: bool) -> None:
        """Raises RpcError in Lotus's words; ``force`` passes over collisions."""
        if not _NAME.fullmatch(name):
            raise RpcError(
                1, "reservation name contained disallowed characters (allowed: a-z, A-Z, 0-9, '-', '_')"
            )
        if runs and runs[-1][1] > HIGHEST:
            raise RpcError(1, f"sector number {runs[-1][1]} is above the highest, {HIGHEST}")
        if not force:
            if name in self.reservations:
                raise RpcError(1, "reservation with this name already exists")
            if any(a <= d and c <= b for a, b in runs for c, d in self.reserved):
                raise RpcError(1, "new reservation is colliding with another existing reservation")
            if any(a <= number <= b for number in taken for a, b in runs):
                raise RpcError(1, "new reservation is colliding with allocated sector numbers")
        await self._keep(self.reservations | {name: list(runs)})

    async def reserve_count(self, name: str, count: int, taken: Container[int]) -> list[Run]:
        """Reserve the next ``count`` free numbers; says which."""
        found: list[int] = []
        held = set[int]()
        while len(found) < count:
            found.append(self.next(_Both(taken, held)))
            held.add(found[-1])
        runs = merged((number, number) for number in found)
        await self.reserve(name, runs, (), force=False)
        return runs

    async def free(self, name: str) -> None:
        if name not in self.reservations:
            raise RpcError(1, "reservation with this name doesn't exist")
        await self._keep({other: runs for other, runs in self.reservations.items() if other != name})
        self._lowest = self._first

    async def _keep(self, reservations: dict[str, list[Run]]) -> None:
        await self._store.set_meta(KEY, reservations)
        self.reservations = reservations


class _Both:
    """In either of two."""

    def __init__(self, one: Container[int], other: Container[int]) -> None:
        self._one, self._other = one, other

    def __contains__(self, number: object) -> bool:
        return number in self._one or number in self._other


def merged(runs: Iterable[Run]) -> list[Run]:
    """Ascending runs that do not touch."""
    out: list[Run] = []
    for first, last in sorted(runs):
        if out and first <= out[-1][1] + 1:
            out[-1] = (out[-1][0], max(out[-1][1], last))
        else:
            out.append((first, last))
    return out
