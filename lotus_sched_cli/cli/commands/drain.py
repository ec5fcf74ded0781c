"""Drain: a worker takes no more work; a line tells what is left until it is empty. From the miner or the worker's host."""

from __future__ import annotations

import sys
import time
from typing import Annotated, Any, Final, TextIO

import typer

from lotus_sched_cli.cli.connect import Api, NoSuchMethod, miner_api
from lotus_sched_cli.cli.errors import CliError
from lotus_sched_cli.cli.golang import Context, GoCommand, argument, flag
from lotus_sched_cli.cli.render import show
from lotus_sched_cli.cli.state import Globals, expand
from lotus_sched_cli.cli.visible import visible

worker_drain = typer.Typer(add_completion=False)
worker_undrain = typer.Typer(add_completion=False)

#: Seconds between two looks at what is left.
PAUSE: Final = 2.0
NEW_SECTORS: Final = flag(
    "--new-sectors", help="only no new sectors: go on with the tasks of those whose files it has"
)
TIMEOUT: Final = flag(
    "--timeout", help="longest wait until it is empty, like 6h; then exit with 1", default="none"
)
NO_WAIT: Final = flag("--no-wait", help="do not wait until it is empty")
UNTIL_RESTART: Final = flag(
    "--until-restart", help="over when the worker starts again; for its unit's ExecStop"
)


def drain(
    ctx: typer.Context,
    worker: Annotated[str, argument("WORKER")],
    new_sectors: Annotated[bool, NEW_SECTORS] = False,
    timeout: Annotated[str, TIMEOUT] = "",
    no_wait: Annotated[bool, NO_WAIT] = False,
    until_restart: Annotated[bool, UNTIL_RESTART] = False,
) -> None:
    """``lotus-miner sealing drain``."""
    run(ctx, worker, new_sectors, timeout, no_wait, until_restart)


def undrain(ctx: typer.Context, worker: Annotated[str, argument("WORKER")]) -> None:
    """``lotus-miner sealing undrain``."""
    release(ctx, worker)


@worker_drain.command("drain", cls=GoCommand, help="take no more work, and wait until the worker is empty")
def worker_drain_(
    ctx: typer.Context,
    new_sectors: Annotated[bool, NEW_SECTORS] = False,
    timeout: Annotated[str, TIMEOUT] = "",
    no_wait: Annotated[bool, NO_WAIT] = False,
    until_restart: Annotated[bool, UNTIL_RESTART] = False,
) -> None:
    run(ctx, own_id(ctx), new_sectors, timeout, no_wait, until_restart)


@worker_undrain.command("undrain", cls=GoCommand, help="take work again")
def worker_undrain_(ctx: typer.Context) -> None:
    release(ctx, own_id(ctx))


def own_id(ctx: Context) -> str:
    """The lasting id of the worker of this repo."""
    from lotus_sched_cli.lotus.repo import Repo

    path = expand(Globals.of(ctx).worker_repo)
    repo = Repo(path, "worker", flag="--worker-repo")
    found = str(repo.marker().get("WorkerID") or "") if repo.is_ours() else ""
    if not found:
        raise CliError(f"{path} is no repo of a worker of this program", "name it with --worker-repo")
    return found


def run(
    ctx: Context, worker: str, new_sectors: bool, timeout: str, no_wait: bool, until_restart: bool
) -> None:
    from .worker_run import seconds

    limit = seconds("timeout", timeout) if timeout else None
    api = miner_api(ctx)
    load = ask(api, "SealingDrain", worker, "sectors" if new_sectors else "tasks", until_restart)
    if no_wait:
        say(ctx, f"{name(load)} takes no new {load['Drain']}; {left(load)}")
        return
    until_empty(ctx, api, load, limit)


def release(ctx: Context, worker: str) -> None:
    load = ask(miner_api(ctx), "SealingDrain", worker, "", False)
    say(ctx, f"{name(load)} takes work again")


def until_empty(ctx: Context, api: Api, load: dict[str, Any], limit: float | None) -> None:
    """Look until nothing is carried. Raises CliError when the time is over."""
    progress = Progress(sys.stderr if Globals.of(ctx).format_name() else sys.stdout)
    started = time.monotonic()
    while load["Carried"]:
        progress.say(f"{name(load)}: {left(load)}")
        if limit is not None and time.monotonic() - started >= limit:
            progress.end()
            raise CliError(
                f"{name(load)} is not empty after {limit:g} s: {left(load)}",
                "it stays drained; see 'undrain'",
            )
        time.sleep(PAUSE if limit is None else min(PAUSE, max(0.05, limit / 10)))
        load = api.call_or_none("SealingLoad", load["ID"]) or load
    progress.end()
    say(ctx, f"{name(load)} is empty")


def say(ctx: Context, text: str) -> None:
    from lotus_sched_cli.cli.views.text import Lines

    show(ctx, Lines.of(text))


class Progress:
    """One line that is rewritten on a terminal; elsewhere a line for each change."""

    def __init__(self, out: TextIO) -> None:
        self._last = ""
        self._out = out
        self._live = out.isatty()

    def say(self, text: str) -> None:
        if text == self._last:
            return
        self._last = text
        text = visible(text)
        self._out.write(f"\r\x1b[K{text}" if self._live else f"{text}\n")
        self._out.flush()

    def end(self) -> None:
        if self._live and self._last:
            self._out.write("\r\x1b[K")


def name(load: dict[str, Any]) -> str:
    return f"{load['Name']} ({load['Session'][:8]})"


def left(load: dict[str, Any]) -> str:
    """``3 PC1, 1 PC2 left``."""
    from lotus_sched_cli.cli.views.wire import order, short

    tasks = sorted(load["Carried"].items(), key=lambda item: (order(item[0]), item[0]))
    return ", ".join(f"{count} {short(task)}" for task, count in tasks) + " left" if tasks else "nothing left"


def ask(api: Api, method: str, *params: Any) -> Any:
    try:
        return api.call(method, *params)
    except NoSuchMethod as why:
        raise CliError(
            f"this lotus-miner is a stock one ({why.version}) and cannot drain a worker",
            "on the worker's host: 'lotus-worker set --enabled=false', then 'lotus-worker wait-quiet'",
        ) from None
