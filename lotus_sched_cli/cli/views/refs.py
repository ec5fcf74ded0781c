"""``sectors refs``: which sectors hold the data of deals (Lotus: ``cli/miner/sectors.go``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Ref:
    """A piece of a deal's data; ``offset`` and ``size`` in bytes."""

    deal: str
    sector: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Refs:
    """By deal, as the miner lists them."""

    rows: tuple[Ref, ...]


def refs_view(refs: Mapping[str, Sequence[Mapping[str, Any]] | None]) -> Refs:
    """Of ``SectorsRefs``."""
    return Refs(
        tuple(
            Ref(deal, piece["SectorID"], piece["Offset"], piece["Size"])
            for deal, pieces in refs.items()
            for piece in pieces or ()
        )
    )
