"""Views of a few words: what a command did, and raw JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Line:
    """A line as it stands."""

    text: str


@dataclass(frozen=True, slots=True)
class Lines:
    """Text lines as they stand: a token, an address."""

    rows: tuple[Line, ...]

    @classmethod
    def of(cls, *texts: str) -> Lines:
        return cls(tuple(Line(text) for text in texts))


@dataclass(frozen=True, slots=True)
class Pledged:
    """A new sector; ``state`` is empty where it was not asked for."""

    number: int
    state: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece: its CID and its padded size in bytes."""

    cid: str
    size: int


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The scheduler's insides as the miner answered them (``SealingSchedDiag``)."""

    data: Any


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable and its value."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Variables:
    """``lotus-worker resources``, sorted as whole lines."""

    rows: tuple[Variable, ...]


@dataclass(frozen=True, slots=True)
class Pending:
    """Numbers of sectors that wait for something; ``nothing`` is said where none does."""

    numbers: tuple[int, ...]
    nothing: str = ""


@dataclass(frozen=True, slots=True)
class Batched:
    """The message that was sent for all that waited; None: none did, and ``nothing`` says so."""

    message: str | None
    nothing: str


@dataclass(frozen=True, slots=True)
class Versions:
    """What the daemon is, with its API's version, and what this program is."""

    daemon: str
    local: str
