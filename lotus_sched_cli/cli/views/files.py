"""``storage list sectors`` and ``storage locks`` (Lotus: ``cli/miner/storage.go``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lotus_sched_cli.core.tasks import FileType

from .storage import COUNTED, TYPE_NAMES

TYPE_OF: Final = dict(zip(COUNTED, TYPE_NAMES, strict=False))


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of a sector on a path. ``role``: ``primary``, ``copy`` (one of several), ``main`` (the only one, no primary)."""

    storage: str
    sector: int
    type: str
    state: str
    role: str
    can_seal: bool
    can_store: bool
    urls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StoredFiles:
    """Paths for finished sectors first, then by path, sector and type."""

    rows: tuple[StoredFile, ...]


def stored_view(
    places: Mapping[tuple[int, FileType], Sequence[Mapping[str, Any]] | None],
    states: Mapping[int, Mapping[str, Any] | None],
) -> StoredFiles:
    """Of ``StorageFindSector`` for each sector and type, and the sectors' ``SectorsStatus``."""
    found = []
    for (number, kind), entries in places.items():
        for entry in entries or ():
            row = StoredFile(
                storage=entry["ID"],
                sector=number,
                type=TYPE_OF[kind],
                state=(states.get(number) or {}).get("State", ""),
                role="primary" if entry["Primary"] else "copy" if len(entries or ()) > 1 else "main",
                can_seal=entry["CanSeal"],
                can_store=entry["CanStore"],
                urls=tuple(entry["URLs"] or ()),
            )
            found.append(((not row.can_store, row.storage, number, int(kind)), row))
    return StoredFiles(tuple(row for _, row in sorted(found, key=lambda pair: pair[0])))


@dataclass(frozen=True, slots=True)
class Lock:
    """A file type of a sector in use: written, or read by so many."""

    type: str
    write: bool
    reads: int


@dataclass(frozen=True, slots=True)
class SectorLocks:
    """What of a sector is in use."""

    sector: int
    state: str
    locks: tuple[Lock, ...]


@dataclass(frozen=True, slots=True)
class Locks:
    """By sector number."""

    rows: tuple[SectorLocks, ...]


def locks_view(held: Sequence[Mapping[str, Any]], states: Mapping[int, Mapping[str, Any] | None]) -> Locks:
    """Of ``StorageGetLocks`` and the sectors' ``SectorsStatus``."""
    rows = []
    for entry in sorted(held, key=lambda entry: int(entry["Sector"]["Number"])):
        number = entry["Sector"]["Number"]
        kinds = tuple(
            Lock(name, write > 0, read)
            for name, write, read in zip(TYPE_NAMES, entry["Write"], entry["Read"], strict=False)
            if write or read
        )
        rows.append(SectorLocks(number, (states.get(number) or {}).get("State", ""), kinds))
    return Locks(tuple(rows))
