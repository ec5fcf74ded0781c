"""What the pipeline is told about a sector. Answers name the ``turn`` of the action that they answer."""

from __future__ import annotations

from dataclasses import dataclass

from lotus_sched_cli.core.tasks import FileType

from .sector import Piece
from .states import State


class SectorEvent:
    """Anything that ``handle`` takes."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Answer(SectorEvent):
    """An event that answers the action of this turn; it is dropped if the sector has gone on meanwhile."""

    turn: int


# -- tasks -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PieceAdded(Answer):
    piece: Piece


@dataclass(frozen=True, slots=True)
class PreCommit1Done(Answer):
    out: bytes


@dataclass(frozen=True, slots=True)
class PreCommit2Done(Answer):
    """CIDs as text."""

    comm_d: str
    comm_r: str


@dataclass(frozen=True, slots=True)
class Commit1Done(Answer):
    """``out`` is the JSON text as it came (tens of megabytes at 32 GiB), handed on to Commit2 as it is."""

    out: bytes


@dataclass(frozen=True, slots=True)
class Commit2Done(Answer):
    proof: bytes


@dataclass(frozen=True, slots=True)
class TaskOver(Answer):
    """FUS, FIN or a move is done."""


@dataclass(frozen=True, slots=True)
class TaskFailed(Answer):
    """A failure of the step; temporary ones never get here, dispatch queues those tasks again.

    ``error`` is the text that an operator sees (``storage call error 0: …``). ``cancelled``: an operator's abort,
    counts against nobody. ``redo``: a PreCommit2 broke off in the middle of encoding the replica, so that only a new
    PreCommit1 helps.
    """

    error: str
    cancelled: bool = False
    redo: bool = False


@dataclass(frozen=True, slots=True)
class FilesLost(Answer):
    """For long no path has declared the files that the task of this turn needs."""

    types: FileType


# -- chain -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TicketReady(Answer):
    value: bytes
    epoch: int


@dataclass(frozen=True, slots=True)
class SeedReady(Answer):
    value: bytes
    epoch: int


@dataclass(frozen=True, slots=True)
class Sent(Answer):
    """The message is on its way. ``info`` is what the log shows of a precommit (Lotus's PreCommitInfo)."""

    cid: str
    info: dict[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Landed(Answer):
    """The message did what it should. ``epoch`` is where it was executed, ``tipset`` the CIDs that confirm it."""

    epoch: int
    tipset: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MessageFailed(Answer):
    """The message was executed and refused. ``bad_proof``: because the proof is none."""

    error: str
    bad_proof: bool = False


@dataclass(frozen=True, slots=True)
class OnChain(Answer):
    """How the chain sees the sector: message states are ``""`` (none, or refused), ``pending`` or ``landed``."""

    precommit_epoch: int | None
    comm_r: str | None
    proven: bool
    precommit_message: str = ""
    commit_message: str = ""


@dataclass(frozen=True, slots=True)
class ProofChecked(Answer):
    proof: bytes
    valid: bool
    error: str = ""


@dataclass(frozen=True, slots=True)
class AskFailed(Answer):
    """What was asked for could not be had (not a word about the sector): asked again after the growing delay."""

    error: str


@dataclass(frozen=True, slots=True)
class TicketOld(Answer):
    """The PreCommit1 of this turn still waits for a worker, and its ticket has used up half of its life."""


# -- timers, files, the operator -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TimeUp(Answer):
    pass


@dataclass(frozen=True, slots=True)
class FilesRemoved(Answer):
    pass


@dataclass(frozen=True, slots=True)
class RemovalFailed(Answer):
    error: str


@dataclass(frozen=True, slots=True)
class ForceState(SectorEvent):
    """``sectors update-state``: acts at once, what runs is cancelled."""

    state: State


@dataclass(frozen=True, slots=True)
class Remove(SectorEvent):
    """``sectors remove``: acts at once."""
