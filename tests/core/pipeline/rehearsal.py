"""One sector on a stage: its actions are remembered, the test plays the worker, the chain and the clock."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from lotus_sched_cli.core.pipeline import (
    Action,
    LogEntry,
    Moment,
    Piece,
    PipelineSettings,
    Sector,
    State,
    Step,
    handle,
    resume,
    start,
)
from lotus_sched_cli.core.pipeline import actions as act
from lotus_sched_cli.core.pipeline import events as ev
from lotus_sched_cli.core.tasks import SectorId, TaskType

A = TypeVar("A", bound=Action)

KIB = 2048
PROOF = 5
PIECE = Piece(KIB, "baga6ea4seaqpiece")
SETTINGS = PipelineSettings()


class Rehearsal:
    """A sector from its pledge on. ``do`` plays an event in, ``the`` gives the one action that waits for an answer."""

    def __init__(self, settings: PipelineSettings = SETTINGS) -> None:
        self.settings = settings
        self.now = Moment(1_600_000_000.0, 5000)
        self.log: list[LogEntry] = []
        self.actions: list[Action] = []
        self.everything: list[Action] = []
        self.sector: Sector
        self._took(start(SectorId(1000, 15), PROOF, self.now, settings))

    def _took(self, step: Step) -> None:
        self.sector = step.sector
        self.log += step.log
        self.actions = list(step.actions)
        self.everything += step.actions

    def do(self, event: ev.SectorEvent) -> Rehearsal:
        self._took(handle(self.sector, event, self.now, self.settings))
        return self

    def restart(self, *, task_alive: bool = True) -> Rehearsal:
        """The miner dies and comes back."""
        self._took(resume(self.sector.clone(), self.now, self.settings, task_alive=task_alive))
        return self

    def pass_time(self, seconds: float = 0, epochs: int = 0) -> Rehearsal:
        self.now = Moment(self.now.time + seconds, self.now.epoch + epochs)
        return self

    @property
    def state(self) -> State:
        return self.sector.state

    @property
    def turn(self) -> int:
        return self.sector.turn

    @property
    def said(self) -> list[str]:
        """Names of the log's events."""
        return [entry.event for entry in self.log]

    def payload(self, event: str) -> Any:
        """What the log shows of the last such event."""
        entry = next(entry for entry in reversed(self.log) if entry.event == event)
        return json.loads(entry.message)["User"]

    def trace(self, event: str) -> str:
        return next(entry for entry in reversed(self.log) if entry.event == event).trace

    def the(self, kind: type[A]) -> A:
        """The one action of this kind that the last event gave."""
        (found,) = (action for action in self.actions if isinstance(action, kind))
        return found

    def task(self) -> TaskType:
        return self.the(act.RunTask).type

    # -- everyone does his part --------------------------------------------------------------------------------------

    def work(self) -> Rehearsal:
        """Whatever the sector waits for goes well."""
        for action in reversed(self.actions):
            event = well(action, self)
            if event is not None:
                if isinstance(action, act.WaitUntil):
                    self.now = Moment(max(self.now.time, action.at), self.now.epoch)
                return self.do(event)
        raise AssertionError(f"{self.state} waits for nothing: {self.actions}")

    def until(self, state: State, most: int = 60) -> Rehearsal:
        """Everything goes well up to a state."""
        for _ in range(most):
            if self.state is state:
                return self
            self.work()
        raise AssertionError(f"{state} was not reached, but {self.state}: {self.said}")

    def until_task(self, task: TaskType) -> Rehearsal:
        for _ in range(60):
            if self.sector.task is task:
                return self
            self.work()
        raise AssertionError(f"{task} never came: {self.said}")

    def fail(self, text: str = "storage call error 0: broken [name: w]: broken", **more: bool) -> Rehearsal:
        """The task that is out fails."""
        return self.do(ev.TaskFailed(self.turn, text, **more))

    def wait(self) -> float:
        """The timer runs out; how long that took."""
        timer = self.the(act.WaitUntil)
        waited = timer.at - self.now.time
        self.now = Moment(timer.at, self.now.epoch)
        self.do(ev.TimeUp(timer.turn))
        return waited


def well(action: Action, r: Rehearsal) -> ev.SectorEvent | None:
    """The good answer to an action, None if it needs none."""
    match action:
        case act.RunTask(turn, task):
            return {
                TaskType.ADD_PIECE: ev.PieceAdded(turn, PIECE),
                TaskType.PRECOMMIT1: ev.PreCommit1Done(turn, b"pc1-out"),
                TaskType.PRECOMMIT2: ev.PreCommit2Done(turn, PIECE.cid, "bagboea4b5abcsealed"),
                TaskType.COMMIT1: ev.Commit1Done(turn, b'"YzE="'),
                TaskType.COMMIT2: ev.Commit2Done(turn, b"proof"),
            }.get(task, ev.TaskOver(turn))
        case act.AskTicket(turn, lookback):
            return ev.TicketReady(turn, b"t" * 32, r.now.epoch - lookback)
        case act.AskSeed(turn, epoch):
            return ev.SeedReady(turn, b"s" * 32, epoch)
        case act.SendPreCommit(turn):
            return ev.Sent(turn, "bafyprecommit", {"SectorNumber": 15})
        case act.SendCommit(turn):
            return ev.Sent(turn, "bafycommit")
        case act.WaitMessage(turn):
            return ev.Landed(turn, r.now.epoch + 1, ("bafytipset",))
        case act.CheckProof(turn):
            return ev.ProofChecked(turn, b"proof", True)
        case act.AskChain(turn):
            epoch = r.sector.precommit_epoch
            return ev.OnChain(
                turn,
                precommit_epoch=epoch,
                comm_r=r.sector.chain_comm_r,
                proven=r.sector.proven,
                precommit_message="landed" if epoch is not None else "",
                commit_message="landed" if r.sector.proven else "",
            )
        case act.WaitUntil(turn):
            return ev.TimeUp(turn)
        case act.RemoveFiles(turn):
            return ev.FilesRemoved(turn)
    return None
