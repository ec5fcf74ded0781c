"""What the pipeline remembers of one sector, and the settings that it goes by."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from lotus_sched_cli.core.tasks import SectorId, TaskType

from .states import State

#: Shared by all sectors that have none; never written to.
NO_FAILURES: Final[Mapping[str, int]] = {}


class Moment(NamedTuple):
    """When something happens: unix seconds, and the chain's head (epoch)."""

    time: float
    epoch: int


@dataclass(frozen=True, slots=True)
class PipelineSettings:
    """What the pipeline goes by. Seconds for delays, epochs for the chain's rules (Lotus ``policy``, cli §7.3)."""

    retry_delay: float = 60.0
    retry_delay_max: float = 1800.0
    finalize_early: bool = False
    make_cc_available: bool = False
    #: A ticket is drawn from this many epochs before the head.
    ticket_lookback: int = 900
    #: An older ticket is not worth a PreCommit1, and the network refuses it.
    ticket_max_age: int = 3780
    #: The seed's epoch after the precommit's (PreCommitChallengeDelay).
    challenge_delay: int = 150
    #: The seed is taken when the head is this much past its epoch.
    seed_confidence: int = 6
    #: Life of a committed capacity sector.
    lifetime: int = 1_555_200


@dataclass(frozen=True, slots=True)
class Piece:
    """``size`` in padded bytes, ``cid`` its CommP as text."""

    size: int
    cid: str


@dataclass(slots=True)
class Sector:
    """One sector's way through the pipeline. Changed by the machine only; plain data, so that it can be stored.

    ``turn`` numbers what the pipeline asked for (a task, a ticket, a timer …); an answer names it, and one that names an
    older turn comes too late and changes nothing. ``task`` is the type of the task that is out, None if the present turn
    is something else. PreCommit1's output and the proof are big: they are kept aside (action Keep), here stands only
    whether they exist.
    """

    id: SectorId
    proof: int
    state: State
    created_at: float
    entered_at: float
    turn: int = 0
    task: TaskType | None = None
    #: When a task of ``queued_task`` was first queued; kept when such a task is queued again.
    queued_task: TaskType | None = None
    queued_at: float = 0.0
    #: How far a state of several steps is: ``check`` a proof, ``bad`` proof, ``retry`` the delay is over.
    part: str = ""
    log_count: int = 0
    pieces: tuple[Piece, ...] = ()
    ticket: bytes | None = None
    ticket_epoch: int = 0
    has_pc1_out: bool = False
    comm_d: str | None = None
    comm_r: str | None = None
    precommit_message: str | None = None
    #: Epoch at which the precommit landed; None: not on chain as far as we know.
    precommit_epoch: int | None = None
    #: CommR that the precommit on chain names.
    chain_comm_r: str | None = None
    seed: bytes | None = None
    seed_epoch: int = 0
    has_proof: bool = False
    commit_message: str | None = None
    #: Proven to the chain (SectorProving was said).
    proven: bool = False
    unsealed_released: bool = False
    cache_cleared: bool = False
    finalized: bool = False
    #: Lotus's Retries: proofs that turned out invalid.
    invalid_proofs: int = 0
    #: PreCommit2 failures in a row.
    precommit2_fails: int = 0
    #: The last failure was an operator's abort: it counts against nobody.
    uncounted: bool = False
    #: Failures in a row by step, for the growing delays.
    failures: Mapping[str, int] = field(default_factory=lambda: NO_FAILURES)
    retry_at: float | None = None
    last_error: str = ""

    def count_failures(self, step: str, count: int) -> None:
        """Set how many there were in a row; 0 forgets them."""
        if count:
            self.failures = {**self.failures, step: count}
        elif step in self.failures:
            self.failures = {one: n for one, n in self.failures.items() if one != step} or NO_FAILURES

    def clone(self) -> Sector:
        """A copy to try an event on."""
        return copy.copy(self)
