"""The main path: which function starts each state, and which takes its answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from .ending import finalize, finalize_answer, removing, removing_answer
from .events import SectorEvent
from .proving import (
    commit_wait,
    commit_wait_answer,
    committing,
    committing_answer,
    precommit_wait,
    precommit_wait_answer,
    precommitting,
    precommitting_answer,
    submit_commit,
    submit_commit_answer,
    wait_seed,
    wait_seed_answer,
)
from .run import Run
from .sealing import (
    get_ticket,
    get_ticket_answer,
    packing,
    packing_answer,
    precommit1,
    precommit1_answer,
    precommit2,
    precommit2_answer,
)
from .states import State

BEGIN: Final[dict[State, Callable[[Run], None]]] = {
    State.PACKING: packing,
    State.GET_TICKET: get_ticket,
    State.PRECOMMIT1: precommit1,
    State.PRECOMMIT2: precommit2,
    State.PRECOMMITTING: precommitting,
    State.PRECOMMIT_WAIT: precommit_wait,
    State.WAIT_SEED: wait_seed,
    State.COMMITTING: committing,
    State.COMMIT_FINALIZE: finalize,
    State.SUBMIT_COMMIT: submit_commit,
    State.COMMIT_WAIT: commit_wait,
    State.FINALIZE_SECTOR: finalize,
    State.REMOVING: removing,
}

ANSWERS: Final[dict[State, Callable[[Run, SectorEvent], None]]] = {
    State.PACKING: packing_answer,
    State.GET_TICKET: get_ticket_answer,
    State.PRECOMMIT1: precommit1_answer,
    State.PRECOMMIT2: precommit2_answer,
    State.PRECOMMITTING: precommitting_answer,
    State.PRECOMMIT_WAIT: precommit_wait_answer,
    State.WAIT_SEED: wait_seed_answer,
    State.COMMITTING: committing_answer,
    State.COMMIT_FINALIZE: finalize_answer,
    State.SUBMIT_COMMIT: submit_commit_answer,
    State.COMMIT_WAIT: commit_wait_answer,
    State.FINALIZE_SECTOR: finalize_answer,
    State.REMOVING: removing_answer,
}
