"""``sectors batching … --publish-now``: the messages that were sent (Lotus: ``cli/miner/sectors.go``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .wire import cid


@dataclass(frozen=True, slots=True)
class Sent:
    """A sector of a message; ``error`` is empty where it is in."""

    sector: int
    error: str


@dataclass(frozen=True, slots=True)
class Batch:
    """One message, and what became of each sector."""

    message: str | None
    error: str
    sectors: tuple[Sent, ...]


@dataclass(frozen=True, slots=True)
class Batches:
    """In the order in which they were sent."""

    rows: tuple[Batch, ...]


def batches_view(sent: Sequence[Mapping[str, Any]]) -> Batches:
    """Of ``SectorPreCommitFlush`` or ``SectorCommitFlush``."""
    return Batches(
        tuple(
            Batch(
                cid(batch.get("Msg")),
                batch.get("Error") or "",
                tuple(
                    Sent(number, (batch.get("FailedSectors") or {}).get(str(number), ""))
                    for number in batch.get("Sectors") or ()
                ),
            )
            for batch in sent
        )
    )
