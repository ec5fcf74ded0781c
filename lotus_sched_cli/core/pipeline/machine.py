"""The pipeline of one sector: a pure state machine, from Packing to Proving, failures and removal included.

``start``, ``handle`` and ``resume`` change the sector that they are given and answer with a Step. The driver stores the
sector and the log, in one transaction with the tasks that the step adds and ends, and only then carries out the actions.
If storing fails, the step is forgotten: work on a ``clone()``.

States, event names and payloads are Lotus's (``storage/pipeline/fsm.go``, ``states_sealing.go``, ``states_failed.go``).
Different on purpose:

- ``update-state`` and ``remove`` act at once and cancel the running task; Lotus waits for its end.
- A failed AddPiece goes to AddPieceFailed and is tried again after the delay (event SectorRetryPacking, ours); in Lotus the
  sector stays in Packing until the miner restarts.
- No sector is removed because it failed: after any number of PreCommit1 failures it tries again.
- Delays grow (RetryDelay, doubled up to RetryDelayMax, per sector and step) instead of a fixed minute.
- A ticket whose PreCommit1 waits long for a worker is drawn anew (SectorOldTicket); Lotus finds out after the PreCommit1.
- What a chain call or a check could not do is tried again by itself; in Lotus the sector waits for a restart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from lotus_sched_cli.core.tasks import SectorId, TaskType

from . import failures, path, sealing
from .actions import Hold, Step
from .events import Answer, AskFailed, FilesLost, ForceState, Remove, SectorEvent, TimeUp
from .run import Run
from .sector import Moment, PipelineSettings, Sector
from .states import State

__all__ = ["handle", "resume", "start"]


def start(sector_id: SectorId, proof: int, at: Moment, settings: PipelineSettings) -> Step:
    """A new committed capacity sector."""
    sector = Sector(sector_id, proof, State.UNDEFINED, created_at=at.time, entered_at=at.time)
    run = Run(sector, at, settings, _enter)
    run.say("SectorStartCC", {"ID": sector_id.number, "SectorType": proof})
    run.act(Hold(True))
    run.go(State.PACKING)
    return run.step()


def handle(sector: Sector, event: SectorEvent, at: Moment, settings: PipelineSettings) -> Step:
    """Take an event in. One that comes too late, or that the state does not know, changes nothing."""
    run = Run(sector, at, settings, _enter)
    match event:
        case ForceState(state):
            _force(run, state)
        case Remove():
            run.say("SectorRemove")
            run.drop_task()
            run.go(State.REMOVING)
        case Answer(turn) if turn != sector.turn:
            pass
        case AskFailed(_, error):
            sector.last_error = error
            run.wait(run.delay(run.failed("ask")))
        case TimeUp():
            _time_up(run)
        case FilesLost(_, types):
            failures.files_lost(run, types)
        case _:
            handler = _ANSWERS.get(sector.state)
            if handler is not None:
                run.succeeded("ask")
                handler(run, event)
    return run.step()


def resume(sector: Sector, at: Moment, settings: PipelineSettings, *, task_alive: bool) -> Step:
    """After a restart: what the present state waits for. ``task_alive``: the task that was out is still stored."""
    run = Run(sector, at, settings, _enter)
    if sector.task is not None and task_alive:
        if sector.task is TaskType.PRECOMMIT1:
            sealing.watch_ticket(run)
        return run.step()
    if sector.retry_at is not None:
        run.wait(max(0.0, sector.retry_at - at.time))
    else:
        _enter(run)
    return run.step()


def _enter(run: Run) -> None:
    begin = _BEGIN.get(run.sector.state)
    if begin is not None:
        begin(run)


def _force(run: Run, state: State) -> None:
    run.say("SectorForceState", {"State": state.value})
    run.drop_task()
    sector = run.sector
    if state is State.FINALIZE_SECTOR:
        # Whoever forces it wants the files looked at again.
        sector.cache_cleared = sector.finalized = False
    run.go(state)


def _time_up(run: Run) -> None:
    retry = failures.RETRY.get(run.sector.state)
    if retry is not None and "ask" not in run.sector.failures:
        retry(run)
    else:
        run.again(run.sector.part)


_BEGIN: Final[dict[State, Callable[[Run], None]]] = {**path.BEGIN, **failures.BEGIN}
_ANSWERS: Final[dict[State, Callable[[Run, SectorEvent], None]]] = {**path.ANSWERS, **failures.ANSWERS}
