"""FinalizeSector and Removing: where a sector's files go in the end.

Source: Lotus ``storage/pipeline/states_sealing.go`` (cli facts §7.2, §7.3).
"""

from __future__ import annotations

from typing import Final

from lotus_sched_cli.core.tasks import FileType, TaskType

from .actions import Finalize, Move, ReleaseUnsealed, RemoveFiles
from .events import FilesRemoved, RemovalFailed, SectorEvent, TaskFailed, TaskOver
from .run import Run
from .states import State

#: What moves to long-term storage once a sector is finalized.
FINAL_FILES: Final = FileType.SEALED | FileType.CACHE


# -- FinalizeSector ----------------------------------------------------------------------------------------------------


def finalize(run: Run) -> None:
    """FUS, FIN, the move: the first that is not done yet."""
    sector = run.sector
    if sector.finalized:
        finalized(run)
    elif not sector.unsealed_released:
        run.task(TaskType.FINALIZE_UNSEALED, ReleaseUnsealed())
    elif not sector.cache_cleared:
        run.task(TaskType.FINALIZE, Finalize())
    else:
        run.task(TaskType.FETCH, Move(FINAL_FILES))


def finalized(run: Run) -> None:
    run.succeeded("FinalizeSector")
    if run.sector.state is State.COMMIT_FINALIZE:
        run.say("SectorFinalized")
        run.go(State.SUBMIT_COMMIT)
    elif run.settings.make_cc_available:
        run.say("SectorFinalizedAvailable")
        run.go(State.AVAILABLE)
    else:
        run.say("SectorFinalized")
        run.go(State.PROVING)


def finalize_answer(run: Run, event: SectorEvent) -> None:
    sector = run.sector
    match event:
        case TaskOver():
            if run.was is TaskType.FINALIZE_UNSEALED:
                sector.unsealed_released = True
            elif run.was is TaskType.FINALIZE:
                sector.cache_cleared = True
            else:
                sector.finalized = True
            run.again()
        case TaskFailed(_, error):
            what = "release unsealed" if run.was is TaskType.FINALIZE_UNSEALED else "finalize sector"
            if run.was is TaskType.FETCH:
                what += ": moving sector to storage"
            early = sector.state is State.COMMIT_FINALIZE
            failed = State.COMMIT_FINALIZE_FAILED if early else State.FINALIZE_FAILED
            run.fail("SectorFinalizeFailed", failed, "FinalizeSector", f"{what}: {error}")


# -- Removing ----------------------------------------------------------------------------------------------------------


def removing(run: Run) -> None:
    run.act(RemoveFiles(run.turn()))


def removing_answer(run: Run, event: SectorEvent) -> None:
    match event:
        case FilesRemoved():
            run.say("SectorRemoved")
            run.go(State.REMOVED)
        case RemovalFailed(_, error):
            run.fail("SectorRemoveFailed", State.REMOVE_FAILED, "Removing", error)
