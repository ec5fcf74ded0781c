"""What the pipeline wants done. The driver stores the sector first, then carries these out in order.

Each action with a ``turn`` is answered by one event that names it; after a restart ``resume`` gives the action again.
"""

from __future__ import annotations

import json
from binascii import b2a_base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from lotus_sched_cli.core.tasks import FileType, TaskType

from .sector import Piece, Sector

#: Lotus cuts a log line's message here.
MESSAGE_LIMIT: Final = 8000


def base64(value: bytes | None) -> str | None:
    """Bytes as Go's JSON has them."""
    return None if value is None else b2a_base64(value, newline=False).decode()


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A line of the sector's log: Lotus's event name, its payload (JSON values), the error text."""

    event: str
    at: float
    payload: Mapping[str, Any] = field(default_factory=dict)
    trace: str = ""

    @property
    def kind(self) -> str:
        return f"event;sealing.{self.event}"

    @property
    def message(self) -> str:
        """JSON as Go writes it, cut as Lotus cuts it."""
        text = json.dumps({"User": self.payload}, separators=(",", ":"), ensure_ascii=False)
        for char in "<>&":
            text = text.replace(char, f"\\u{ord(char):04x}")
        return text if len(text) <= MESSAGE_LIMIT else text[:MESSAGE_LIMIT] + "... truncated"


class Action:
    """Anything in ``Step.actions``."""

    __slots__ = ()


# -- tasks -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AddPiece:
    """Zeros: ``size`` unpadded bytes after the ``existing`` ones."""

    existing: tuple[int, ...]
    size: int


@dataclass(frozen=True, slots=True)
class PreCommit1:
    ticket: bytes
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class PreCommit2:
    """``pc1_out`` None: the one that was kept."""

    pc1_out: bytes | None


@dataclass(frozen=True, slots=True)
class Commit1:
    ticket: bytes
    seed: bytes
    pieces: tuple[Piece, ...]
    comm_d: str
    comm_r: str


@dataclass(frozen=True, slots=True)
class Commit2:
    """``c1_out`` as JSON text."""

    c1_out: bytes


@dataclass(frozen=True, slots=True)
class ReleaseUnsealed:
    """Nothing of the unsealed file is kept: a sector without deals needs none."""


@dataclass(frozen=True, slots=True)
class Finalize:
    pass


@dataclass(frozen=True, slots=True)
class Move:
    """To long-term storage."""

    files: FileType


Params = AddPiece | PreCommit1 | PreCommit2 | Commit1 | Commit2 | ReleaseUnsealed | Finalize | Move


@dataclass(frozen=True, slots=True)
class RunTask(Action):
    """Have a worker do this. Stored with the sector; its id follows from the turn."""

    turn: int
    type: TaskType
    params: Params

    @property
    def files(self) -> FileType:
        return self.params.files if isinstance(self.params, Move) else FileType.NONE

    @property
    def first_piece(self) -> bool:
        return not (isinstance(self.params, AddPiece) and self.params.existing)


@dataclass(frozen=True, slots=True)
class CancelTask(Action):
    """The task of this turn is no longer wanted: end its work. No answer is expected."""

    turn: int


@dataclass(frozen=True, slots=True)
class Keep(Action):
    """Store this big value beside the sector, in the same transaction; None forgets it."""

    name: str
    data: bytes | None


# -- chain -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AskTicket(Action):
    turn: int
    lookback: int


@dataclass(frozen=True, slots=True)
class WatchTicket(Action):
    """If the task of this turn is still queued when the head reaches ``epoch``: TicketOld. Else no answer."""

    turn: int
    epoch: int


@dataclass(frozen=True, slots=True)
class AskSeed(Action):
    """The seed of ``epoch``, once the head has reached ``ready_at``."""

    turn: int
    epoch: int
    ready_at: int


@dataclass(frozen=True, slots=True)
class SendPreCommit(Action):
    turn: int
    expiration: int


@dataclass(frozen=True, slots=True)
class SendCommit(Action):
    """With the proof that was kept."""

    turn: int


@dataclass(frozen=True, slots=True)
class WaitMessage(Action):
    turn: int
    cid: str


@dataclass(frozen=True, slots=True)
class AskChain(Action):
    """How does the chain see this sector? Answered by OnChain."""

    turn: int


@dataclass(frozen=True, slots=True)
class CheckProof(Action):
    """Verify the proof that was kept, before anything is sent."""

    turn: int


# -- the rest --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WaitUntil(Action):
    """``why`` is the state and delay as Lotus says it in its log."""

    turn: int
    at: float
    why: str = ""


@dataclass(frozen=True, slots=True)
class RemoveFiles(Action):
    """Delete the sector's files everywhere."""

    turn: int


@dataclass(frozen=True, slots=True)
class Hold(Action):
    """Whether the sector's files fill P1 holds from now on."""

    held: bool


@dataclass(frozen=True, slots=True)
class Step:
    """The sector after an event (the same object, changed), what its log says, what is to be done."""

    sector: Sector
    log: tuple[LogEntry, ...]
    actions: tuple[Action, ...]
