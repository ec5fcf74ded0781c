"""How long tasks took on each worker: what `sealing record` writes into a farm file.

The last few of each kind are kept, by the worker's lasting number, in the store; one lost with a crash does no harm.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

from lotus_sched_cli.core.proofs import sector_size, space
from lotus_sched_cli.core.tasks import TaskType
from lotus_sched_cli.miner.records import TaskRow
from lotus_sched_cli.miner.store import Store
from lotus_sched_cli.miner.writes import Writes

#: Durations kept of each kind: enough for a median, few enough for a small record.
KEPT: Final = 32
_KEY: Final = "measured/"


@dataclass(slots=True)
class Kind:
    """One task type on one worker: seconds of those that succeeded last, and how many ended so or so in all."""

    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))
    done: int = 0
    failed: int = 0


@dataclass(slots=True)
class Record:
    """One worker. ``rates`` are bytes per second of its last fetches, by the files' sizes."""

    kinds: dict[TaskType, Kind] = field(default_factory=dict)
    rates: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))

    def packed(self) -> dict[str, Any]:
        kinds = {t.value: [k.done, k.failed, [round(s, 3) for s in k.seconds]] for t, k in self.kinds.items()}
        return {"kinds": kinds, "rates": [round(rate) for rate in self.rates]}

    @classmethod
    def unpacked(cls, data: dict[str, Any]) -> Record:
        kinds = {
            TaskType(name): Kind(deque(seconds, KEPT), done, failed)
            for name, (done, failed, seconds) in data["kinds"].items()
        }
        return cls(kinds, deque(data["rates"], KEPT))


class Measured:
    """Records by the worker's number."""

    def __init__(self) -> None:
        self.records: dict[int, Record] = {}

    async def load(self, store: Store, numbers: list[int]) -> None:
        for number in numbers:
            kept = await store.meta(f"{_KEY}{number}")
            if kept is not None:
                self.records[number] = Record.unpacked(kept)

    def ended(self, writes: Writes, number: int, row: TaskRow, now: float, *, failed: bool) -> None:
        """A task's own call is over: remember how long it took, and let it be stored with its end."""
        if row.accepted_at is None:
            return
        record = self.records.setdefault(number, Record())
        kind = record.kinds.setdefault(row.type, Kind())
        if failed:
            kind.failed += 1
        else:
            kind.done += 1
            kind.seconds.append(max(0.0, now - row.accepted_at))
        if row.fetched_at is not None and row.fetch_sent_at is not None:
            took = max(0.001, row.fetched_at - row.fetch_sent_at)
            record.rates.append(space(row.fetch, sector_size(row.proof)) / took)
        writes.meta(f"{_KEY}{number}", record.packed())
