"""``lotus-miner sectors numbers``: which are taken, reserved, free (Lotus: ``cli/miner/sectors.go``)."""

from __future__ import annotations

from typing import Annotated

import typer

from lotus_sched_cli.cli.connect import miner_api
from lotus_sched_cli.cli.errors import CliError
from lotus_sched_cli.cli.golang import GoCommand, ReadCommand, argument, flag
from lotus_sched_cli.cli.render import show
from lotus_sched_cli.cli.views.numbers import numbers_view, reservations_view
from lotus_sched_cli.lotus.units import parse_ranges, rle_of_runs

app = typer.Typer(add_completion=False)


@app.command("info", cls=ReadCommand, help="tell the next number, those taken and those reserved")
def info(ctx: typer.Context) -> None:
    show(ctx, numbers_view(miner_api(ctx).call("SectorNumAssignerMeta")))


@app.command("reservations", cls=ReadCommand, help="list reservations of numbers")
def reservations(ctx: typer.Context) -> None:
    show(ctx, reservations_view(miner_api(ctx).call("SectorNumReservations") or {}))


@app.command("reserve", cls=GoCommand, help="keep numbers for later use")
def reserve(
    ctx: typer.Context,
    name: Annotated[str, argument("NAME")],
    ranges: Annotated[str, argument("RANGES")],
    force: Annotated[bool, flag("--force", help="also where it collides with others")] = False,
) -> None:
    try:
        runs = parse_ranges(ranges)
    except ValueError as error:
        raise CliError(f"parsing ranges: {error}", "give numbers and ranges like 5-9,12") from None
    miner_api(ctx).call("SectorNumReserve", name, rle_of_runs(runs), force, timeout=None)


@app.command("free", cls=GoCommand, help="give a reservation up")
def free(ctx: typer.Context, name: Annotated[str, argument("NAME")]) -> None:
    miner_api(ctx).call("SectorNumFree", name, timeout=None)
