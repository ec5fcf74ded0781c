"""One event being worked on: the sector that it changes, what is said and wanted meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lotus_sched_cli.core.tasks import TaskType

from .actions import Action, CancelTask, Hold, LogEntry, Params, RunTask, Step, WaitUntil
from .sector import Moment, PipelineSettings, Sector
from .states import State, held


class Run:
    """Collects log entries and actions; ``enter`` starts the state that the sector has just come to."""

    def __init__(
        self, sector: Sector, at: Moment, settings: PipelineSettings, enter: Callable[[Run], None]
    ) -> None:
        self.sector = sector
        self.at = at
        self.settings = settings
        #: The task that was out when the event came.
        self.was = sector.task
        self._enter = enter
        self._log: list[LogEntry] = []
        self._actions: list[Action] = []

    def step(self) -> Step:
        return Step(self.sector, tuple(self._log), tuple(self._actions))

    def say(self, event: str, payload: Mapping[str, Any] | None = None, trace: str = "") -> None:
        """A line for the sector's log."""
        self._log.append(LogEntry(event, self.at.time, payload or {}, trace))
        self.sector.log_count += 1
        if trace:
            self.sector.last_error = trace

    def act(self, action: Action) -> None:
        self._actions.append(action)

    def turn(self) -> int:
        """A new turn: whatever was asked for before is answered too late from here on."""
        self.sector.turn += 1
        self.sector.task = None
        return self.sector.turn

    def task(self, kind: TaskType, params: Params) -> None:
        turn = self.turn()
        self.sector.task = kind
        if self.sector.queued_task is not kind:
            self.sector.queued_task, self.sector.queued_at = kind, self.at.time
        self.act(RunTask(turn, kind, params))

    def drop_task(self) -> None:
        """Cancel the task that is out, if one is."""
        if self.sector.task is not None:
            self.act(CancelTask(self.sector.turn))
            self.turn()

    def go(self, state: State, part: str = "") -> None:
        """To a state, and start it."""
        self.settle(state, part)
        self._enter(self)

    def again(self, part: str = "") -> None:
        """The present state's next part."""
        self.sector.part = part
        self.sector.retry_at = None
        self._enter(self)

    def settle(self, state: State, part: str = "") -> None:
        """To a state, without starting anything."""
        sector = self.sector
        if held(sector.state) != held(state):
            self.act(Hold(held(state)))
        sector.state, sector.part = state, part
        sector.entered_at = self.at.time
        sector.retry_at = None
        self.succeeded("ask")
        self.turn()

    # -- failures ----------------------------------------------------------------------------------------------------

    def failed(self, step: str) -> int:
        """Count a failure of a step; how many there were in a row, this one included."""
        count = self.sector.failures.get(step, 0) + 1
        self.sector.count_failures(step, count)
        return count

    def succeeded(self, *steps: str) -> None:
        for step in steps:
            self.sector.count_failures(step, 0)
        if not self.sector.failures:
            self.sector.last_error = ""

    def delay(self, count: int) -> float:
        """Seconds to wait after the ``count``-th failure in a row: doubled each time, up to the most."""
        settings = self.settings
        # The exponent is bounded so that a sector that fails for years does not overflow a float.
        return float(min(settings.retry_delay * 2.0 ** min(count - 1, 60), settings.retry_delay_max))

    def wait(self, seconds: float) -> None:
        """Nothing before then; TimeUp comes back."""
        sector = self.sector
        sector.retry_at = self.at.time + seconds
        why = f"{sector.state.value}({sector.id.number}), waiting {seconds:g}s before retrying"
        self.act(WaitUntil(self.turn(), sector.retry_at, why))

    def fail(self, event: str, state: State, step: str, trace: str) -> None:
        """A step failed: say so, go to its failure state, try again after the growing delay."""
        self.say(event, trace=trace)
        count = self.failed(step)
        self.settle(state)
        self.wait(self.delay(count))
