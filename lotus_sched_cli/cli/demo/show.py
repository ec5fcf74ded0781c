"""Showing the demonstration: live tables on a terminal, a line per change in a pipe, a summary at the end."""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Protocol, TextIO

from lotus_sched_cli.cli.render.lotus_workers import counts
from lotus_sched_cli.cli.render.spans import go_table, text_of

from .watch import Snapshot

STEPS: Final = ("AP", "PC1", "PC2", "C1", "C2", "FIN", "GET")
#: What was pretended, for the last line.
SIMULATED: Final = "sealing and chain were simulated"
Placements = Sequence[tuple[int, str, str]]


class Screen(Protocol):
    """Where the demonstration shows itself."""

    def __enter__(self) -> Screen: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def say(self, text: str) -> None: ...
    def update(self, now: Snapshot) -> None: ...
    def close(self, last: Snapshot) -> None: ...
    def summary(self, placements: Placements, seconds: float, what: str = SIMULATED) -> None: ...


def screen_for(out: TextIO) -> Screen:
    """Live tables where ``out`` is a terminal that can show them."""
    if out.isatty() and os.environ.get("TERM") != "dumb":
        return LiveScreen()
    return LineScreen(out)


def done_by(placements: Placements) -> tuple[list[str], list[list[str]]]:
    """Header and rows of who did what: worker, then the sectors of each step."""
    hosts = sorted({host for _, _, host in placements})
    used = [step for step in STEPS if any(task == step for _, task, _ in placements)]
    rows = [
        [
            host,
            *(
                " ".join(str(n) for n, task, at in placements if (task, at) == (step, host)) or "-"
                for step in used
            ),
        ]
        for host in hosts
    ]
    return ["Done by", *used], rows


def closing_line(seconds: float, what: str = SIMULATED) -> str:
    return f"all sectors are Proving after {seconds:.0f} s; {what}"


class LineScreen:
    """A line for each change of a sector's state and each new job."""

    def __init__(self, out: TextIO) -> None:
        self.out = out
        self.states: dict[int, str] = {}
        self.jobs: set[tuple[int, str, str]] = set()

    def __enter__(self) -> LineScreen:
        return self

    def __exit__(self, *_: object) -> None:
        self.out.flush()

    def say(self, text: str) -> None:
        print(text, file=self.out, flush=True)

    def update(self, now: Snapshot) -> None:
        for job in now.jobs.rows:
            key = job.sector, job.task, job.hostname
            if key not in self.jobs:
                self.jobs.add(key)
                self.say(
                    f"{now.seconds:5.1f}s  sector {job.sector}  {job.task} {job.state} on {job.hostname}"
                )
        for number, state in now.sectors:
            if self.states.get(number) != state:
                self.states[number] = state
                self.say(f"{now.seconds:5.1f}s  sector {number}  {state}")

    def close(self, last: Snapshot) -> None:
        """Nothing: every line is out."""

    def summary(self, placements: Placements, seconds: float, what: str = SIMULATED) -> None:
        self.say("")
        self.out.write(text_of(go_table(*done_by(placements))))
        self.say(closing_line(seconds, what))


class LiveScreen:
    """Jobs, workers and sectors, redrawn in place with Rich."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self.console = Console(highlight=False)
        self.live = Live(console=self.console, auto_refresh=False, vertical_overflow="visible")

    def __enter__(self) -> LiveScreen:
        self.live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.live.__exit__(kind, error, trace)

    def say(self, text: str) -> None:
        self.console.print(text, markup=False)

    def update(self, now: Snapshot) -> None:
        self.live.update(picture(now), refresh=True)

    def close(self, last: Snapshot) -> None:
        self.update(last)

    def summary(self, placements: Placements, seconds: float, what: str = SIMULATED) -> None:
        from lotus_sched_cli.cli.render.rich import new_table

        header, rows = done_by(placements)
        table = new_table(header)
        for row in rows:
            table.add_row(*row)
        self.console.print()
        self.console.print(table)
        self.console.print(closing_line(seconds, what), style="green")


def picture(now: Snapshot) -> Any:
    """The three tables under each other."""
    from rich.console import Group
    from rich.text import Text

    from lotus_sched_cli.cli.render import rich
    from lotus_sched_cli.cli.views.states import color_of

    sectors = rich.new_table(("Sector", "State"))
    for number, state in now.sectors:
        sectors.add_row(str(number), Text(state, color_of(state)))
    workers = rich.new_table(("Worker", "Running", "Preparing", "Held"))
    for worker in now.workers:
        if worker.sched:
            s = worker.sched
            workers.add_row(worker.hostname, counts(s.running), counts(s.preparing), str(s.held))
    clock = Text(f"{now.seconds:.0f} s", "bold")
    return Group(clock, sectors, Text(), workers, Text(), rich.jobs(now.jobs), Text())
