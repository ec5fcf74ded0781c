"""``lotus-sched sim``: a farm from its file in virtual time, under one policy or several."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lotus_sched_cli.cli.connect import warn
from lotus_sched_cli.cli.errors import CliError
from lotus_sched_cli.cli.golang import GoCommand, argument, flag
from lotus_sched_cli.cli.render import show

if TYPE_CHECKING:
    from lotus_sched_cli.sim.farm import FarmSpec
    from lotus_sched_cli.sim.trace import Trace

app = typer.Typer(add_completion=False)

#: Seconds between two lines of progress: on a terminal, where one line is written over, and elsewhere.
TTY_PAUSE, LINE_PAUSE = 0.2, 10.0


@app.command("sim", cls=GoCommand, help="simulate a farm in virtual time, and compare policies")
def sim(
    ctx: typer.Context,
    farm: Annotated[str, argument("FARM.toml")] = "",
    list_: Annotated[bool, flag("--list", help="name the farms that come with the program")] = False,
    print_: Annotated[bool, flag("--print", help="print the farm file, to change it")] = False,
    policy: Annotated[
        list[str] | None,
        flag(
            "--policy",
            help="simulate this policy only (several: repeat it)",
            default="those of the farm file",
        ),
    ] = None,
    json_: Annotated[str, flag("--json", help="write everything as JSON into this file (- for stdout)")] = "",
    plot: Annotated[
        list[str] | None,
        flag(
            "--plot",
            help="draw a Gantt chart and utilisation curves into this file, .png or .svg (several: repeat it)",
            default=False,
        ),
    ] = None,
    suggest: Annotated[
        bool, flag("--suggest", help="search caps that seal more per day within memory and disk")
    ] = False,
) -> None:
    from lotus_sched_cli.cli.views.simulation import FarmList, Simulated
    from lotus_sched_cli.sim import farmfile
    from lotus_sched_cli.sim.farm import FarmError
    from lotus_sched_cli.sim.report import report

    if list_:
        show(ctx, FarmList(tuple(farmfile.shipped().items())))
        return
    if not farm:
        raise CliError("no farm file", "'lotus-sched sim --list' names those that come with the program")
    try:
        spec = farmfile.load(farm)
    except FarmError as why:
        raise CliError(str(why)) from why
    if print_:
        sys.stdout.write(farmfile.text_of(farm))
        return
    for name in plot or ():
        check_plot(name)
    if json_ not in ("", "-"):
        check_folder("--json", json_)
    if suggest:
        search(ctx, spec, json_)
        return
    traces = [run(spec, name) for name in chosen_policies(spec, policy)]
    view = Simulated(spec.note, tuple(report(trace) for trace in traces))
    if json_:
        write_json(json_, view.data())
    if json_ != "-":
        show(ctx, view)
    for name in plot or ():
        draw(traces, name)
    stuck = next((one for one in view.reports if one.stuck), None)
    if stuck is not None:
        raise CliError(f"{spec.name} under {stuck.policy} came to a standstill", stuck.stuck)


def chosen_policies(spec: FarmSpec, asked: list[str] | None) -> list[str]:
    """Those asked for, else those of the farm that this program has. Raises CliError."""
    from lotus_sched_cli.core.policies import POLICIES

    wanted = list(dict.fromkeys(asked or spec.policies))
    missing = [name for name in wanted if name.partition(":")[0] not in POLICIES]
    if missing and (asked or missing == wanted):
        raise CliError(f'policy "{missing[0]}" is unknown', f"use {' or '.join(POLICIES)}")
    for name in missing:
        warn(f'policy "{name}" is not in this program: left out of the comparison')
    return [name for name in wanted if name not in missing]


def run(spec: FarmSpec, policy: str) -> Trace:
    """One simulation, with its progress on stderr. Raises CliError for settings that the scheduler refuses."""
    from lotus_sched_cli.sim.run import simulate

    shown = ProgressLine(f"{spec.name}, {policy}")
    try:
        return simulate(spec, policy, shown)
    except ValueError as why:
        raise CliError(str(why)) from why
    finally:
        shown.end()


def search(ctx: typer.Context, spec: FarmSpec, json_: str) -> None:
    from lotus_sched_cli.cli.views.simulation import Suggested
    from lotus_sched_cli.sim.suggest import suggest

    shown = ProgressLine(f"{spec.name}, searching caps")
    try:
        view = Suggested(suggest(spec, shown.tried, shown))
    finally:
        shown.end()
    if json_:
        write_json(json_, view.data())
    if json_ != "-":
        show(ctx, view)


def check_plot(name: str) -> None:
    """Before minutes of simulation: whether the picture can be drawn at its end. Raises CliError."""
    from importlib.util import find_spec

    if Path(name).suffix.lower() not in (".png", ".svg"):
        raise CliError(f"--plot {name}: unknown kind of picture", "end its name with .png or .svg")
    check_folder("--plot", name)
    if find_spec("matplotlib") is None:
        raise CliError(
            "matplotlib is not installed",
            "plots need it: pip install 'lotus-sched-cli[plots]', or leave --plot out",
        )


def check_folder(flag_: str, name: str) -> None:
    """Raises CliError if the file could not be written there."""
    from tempfile import TemporaryFile

    path = Path(name).expanduser().absolute()
    if not path.parent.is_dir():
        raise CliError(f"{flag_} {name}: there is no such folder", "make it first, or name another")
    if path.exists():
        return
    try:
        with TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise CliError(f"{flag_} {name}: {error.strerror}", "name a file that can be written") from None


def draw(traces: list[Trace], name: str) -> None:
    from lotus_sched_cli.sim.plots import draw as draw_plot

    for path in draw_plot(traces, Path(name).expanduser()):
        print(f"wrote {path}", file=sys.stderr)


def write_json(name: str, data: object) -> None:
    text = json.dumps(data, indent=2) + "\n"
    if name == "-":
        sys.stdout.write(text)
    else:
        try:
            Path(name).expanduser().write_text(text, encoding="utf-8")
        except OSError as error:
            raise CliError(f"--json {name}: {error.strerror}", "name a file that can be written") from None


class ProgressLine:
    """What a long simulation is at, on stderr; nothing of one that is soon over."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._tty = sys.stderr.isatty()
        self._started = self._last = time.monotonic()
        self._shown = False

    def __call__(self, at: float, done: int, total: int) -> None:
        self._say(lambda: f"{days(at)} simulated, {done} of {total} sectors sealed")

    def tried(self, number: int, best: float) -> None:
        self._say(lambda: f"{number} settings tried, best {best:.1f} sectors a day")

    def _say(self, text: Callable[[], str]) -> None:
        now = time.monotonic()
        if now - self._last < (TTY_PAUSE if self._tty else LINE_PAUSE):
            return
        self._last = now
        line = f"{self._what}: {text()} after {now - self._started:.0f}s"
        print(
            f"\r\x1b[K{line}" if self._tty else line,
            end="" if self._tty else "\n",
            file=sys.stderr,
            flush=True,
        )
        self._shown = True

    def end(self) -> None:
        if self._shown and self._tty:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def days(seconds: float) -> str:
    return f"{seconds / 86400:.2f} days" if seconds >= 86400 else f"{seconds / 3600:.1f} hours"
