"""The law over any course of events: a sector is never stuck, never removed by failures, always sealed in the end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from core.pipeline.rehearsal import SETTINGS, Rehearsal, well
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lotus_sched_cli.core.pipeline import Action, State
from lotus_sched_cli.core.pipeline import actions as act
from lotus_sched_cli.core.pipeline import events as ev
from lotus_sched_cli.core.pipeline.states import WORKING
from lotus_sched_cli.core.tasks import FileType, TaskType

texts = st.sampled_from(["storage call error 0: x", "task aborted", "replica is half encoded"])


def bad(action: Action, r: Rehearsal, text: str, flag: bool) -> ev.SectorEvent | None:
    """A bad answer to an action."""
    match action:
        case act.RunTask(turn):
            if flag:
                return ev.FilesLost(turn, FileType.SEALED | FileType.CACHE)
            return ev.TaskFailed(turn, text, text == "task aborted", text == "replica is half encoded")
        case act.CheckProof(turn):
            return ev.AskFailed(turn, text) if flag else ev.ProofChecked(turn, b"p", False, text)
        case act.WaitMessage(turn):
            return ev.MessageFailed(turn, text, bad_proof=flag)
        case act.RemoveFiles(turn):
            return ev.RemovalFailed(turn, text)
        case act.AskChain(turn):
            if flag:
                return ev.OnChain(turn, None, None, False)
            return ev.OnChain(turn, r.now.epoch - 1, "bagboother", False, "landed")
        case act.AskTicket(turn) | act.AskSeed(turn) | act.SendPreCommit(turn) | act.SendCommit(turn):
            return ev.AskFailed(turn, text)
    return None


class AnyCourse(RuleBasedStateMachine):
    """Workers fail, files vanish, the chain refuses, the miner dies, time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.r = Rehearsal(replace(SETTINGS, finalize_early=False))
        self.by_hand = False

    def out(self) -> Action | None:
        """The action that the sector waits for."""
        for action in reversed(self.r.everything):
            if getattr(action, "turn", None) == self.r.turn and not isinstance(
                action, act.CancelTask | act.WatchTicket
            ):
                return action
        return None

    def play(self, event: ev.SectorEvent | None) -> None:
        if event is not None:
            self.r.do(event)

    @rule()
    def it_goes_well(self) -> None:
        if (action := self.out()) is not None:
            if isinstance(action, act.WaitUntil):
                self.r.pass_time(max(0.0, action.at - self.r.now.time))
            self.play(well(action, self.r))

    @rule(text=texts, flag=st.booleans())
    def it_goes_wrong(self, text: str, flag: bool) -> None:
        if (action := self.out()) is not None:
            self.play(bad(action, self.r, text, flag))

    @precondition(lambda self: self.r.sector.task is TaskType.PRECOMMIT1)
    @rule()
    def the_ticket_ages_in_the_queue(self) -> None:
        self.play(ev.TicketOld(self.r.turn))

    @rule(back=st.integers(1, 5))
    def an_old_answer_comes(self, back: int) -> None:
        turn, said = self.r.turn, len(self.r.said)
        self.play(ev.TaskFailed(self.r.turn - back, "late"))
        assert (self.r.turn, len(self.r.said)) == (turn, said)

    @rule(epochs=st.integers(0, 5000))
    def time_passes(self, epochs: int) -> None:
        self.r.pass_time(seconds=epochs * 30.0, epochs=epochs)

    @rule()
    def the_miner_dies(self) -> None:
        self.r.restart(task_alive=self.r.sector.task is not None)

    @precondition(lambda self: len(self.r.said) > 40)
    @rule(state=st.sampled_from(sorted(WORKING)))
    def someone_forces_a_state(self, state: State) -> None:
        self.by_hand = True
        self.r.do(ev.ForceState(state))

    @invariant()
    def something_is_always_on_its_way(self) -> None:
        if self.r.state in WORKING:
            assert self.out() is not None, f"{self.r.state} waits for nothing"

    @invariant()
    def failures_remove_nothing(self) -> None:
        if not self.by_hand:
            assert self.r.state not in (State.REMOVING, State.REMOVED, State.REMOVE_FAILED)

    @invariant()
    def the_log_is_counted(self) -> None:
        assert self.r.sector.log_count == len(self.r.said)

    @invariant()
    def one_task_at_most_is_out(self) -> None:
        out = {a.turn for a in self.r.everything if isinstance(a, act.RunTask)}
        if self.r.sector.task is not None:
            assert self.r.turn in out

    def teardown(self) -> None:
        """Whatever has happened: if all goes well from here on, it ends."""
        if self.r.state in WORKING:
            for _ in range(80):
                if self.r.state not in WORKING:
                    break
                self.it_goes_well()
            assert self.r.state in (State.PROVING, State.REMOVED), self.r.state


TestAnyCourse = AnyCourse.TestCase
TestAnyCourse.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)


@pytest.mark.slow
class TestManyMoreCourses(AnyCourse.TestCase):  # type: ignore[name-defined, misc]
    settings = settings(max_examples=600, stateful_step_count=60, deadline=None)


@given(fails=st.lists(st.booleans(), max_size=200))
def test_delays_never_pass_the_most_and_never_come_to_nothing(fails: list[bool]) -> None:
    r = Rehearsal()
    for failed in fails:
        if r.state is State.PROVING:
            return
        task: Any = r.sector.task
        if failed and task is not None:
            r.fail()
            if r.state is not State.COMMIT_FAILED:
                assert 60 <= r.wait() <= 1800
        else:
            r.work()
