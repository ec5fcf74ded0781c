"""``lotus-miner log``: levels while the miner runs, and its alerts (Lotus: ``cli/log.go``)."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from lotus_sched_cli.cli.connect import miner_api
from lotus_sched_cli.cli.errors import CliError
from lotus_sched_cli.cli.golang import GoCommand, GoGroup, ReadCommand, argument, flag
from lotus_sched_cli.cli.render import show
from lotus_sched_cli.cli.views.logs import LogName, LogNames, alerts_view

app = typer.Typer(cls=GoGroup, help="log levels and alerts of the running miner", add_completion=False)

LEVELS: Final = ("debug", "info", "warn", "error", "dpanic", "panic", "fatal")
EVERY: Final = "*"


@app.command("list", cls=ReadCommand, help="list the miner's loggers")
def list_(ctx: typer.Context) -> None:
    show(ctx, LogNames(tuple(LogName(name) for name in miner_api(ctx, common=True).call("LogList") or ())))


@app.command("set-level", cls=GoCommand, help="change how much is logged, until the miner's next start")
def set_level(
    ctx: typer.Context,
    level: Annotated[str, argument("LEVEL")] = "",
    system: Annotated[list[str] | None, flag("--system", help="only this logger")] = None,
) -> None:
    if not level:
        raise CliError("level is required", f"give one of {', '.join(LEVELS)}")
    api = miner_api(ctx, common=True)
    if level.lower() not in LEVELS:
        where = (system or [EVERY])[0]
        raise CliError(
            f'setting log level on {where}: unrecognized level: "{level}"',
            f"give one of {', '.join(LEVELS)}",
        )
    for name in system or api.call("LogList") or ():
        try:
            api.call("LogSetLevel", name, level)
        except CliError as error:
            raise CliError(f"setting log level on {name}: {error}") from None


@app.command("alerts", cls=ReadCommand, help="list what the miner is worried about")
def alerts(
    ctx: typer.Context,
    all: Annotated[bool, flag("--all", help="list those that are over, too")] = False,
) -> None:
    show(ctx, alerts_view(miner_api(ctx, common=True).call("LogAlerts") or (), every=all))
