"""``sectors batching … --publish-now``: the messages that were sent (Lotus: ``cli/miner/sectors.go``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .wire import cid


@dataclass(frozen=True, slots=True)
class Batch:
    """One message: ``sectors`` with what was wrong with each (nothing: it is in)."""

    message: str | None
    error: str
    sectors: tuple[tuple[int, str], ...]


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
                    (number, (batch.get("FailedSectors") or {}).get(str(number), ""))
                    for number in batch.get("Sectors") or ()
                ),
            )
            for batch in sent
        )
    )
