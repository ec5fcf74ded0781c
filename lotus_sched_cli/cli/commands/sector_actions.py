"""``lotus-miner sectors``: what changes one sector, and the references of deals."""

from __future__ import annotations

import sys
from difflib import get_close_matches
from typing import Annotated

import typer

from lotus_sched_cli.cli.connect import miner_api
from lotus_sched_cli.cli.errors import CliError
from lotus_sched_cli.cli.golang import GoCommand, ReadCommand, argument, flag
from lotus_sched_cli.cli.render import notice, show
from lotus_sched_cli.cli.views.refs import refs_view
from lotus_sched_cli.cli.views.states import COLORS
from lotus_sched_cli.cli.views.text import Batched, Pending

from .miner_sectors import sector_number
from .paths import REALLY

app = typer.Typer(add_completion=False)

ADVANCED = "this is a command for advanced users, only use it if you are sure of what you are doing"


@app.command("refs", cls=ReadCommand, help="list which sectors hold the data of deals")
def refs(ctx: typer.Context) -> None:
    show(ctx, refs_view(miner_api(ctx).call("SectorsRefs") or {}))


@app.command("update-state", cls=GoCommand, help="force a sector into a state")
def update_state(
    ctx: typer.Context,
    number: Annotated[str, argument("N")],
    state: Annotated[str, argument("STATE")],
    really_do_it: Annotated[bool, REALLY] = False,
) -> None:
    sure(really_do_it)
    sector = sector_number(number)
    check_state(state)
    api = miner_api(ctx)
    try:
        api.call("SectorsStatus", sector, False)
    except CliError as error:
        if "No state for" not in str(error):
            raise
        raise CliError(f"sector {sector} not found, could not change state", "see 'sectors list'") from None
    api.call("SectorsUpdate", sector, state, timeout=None)


@app.command("remove", cls=GoCommand, help="forget a sector and delete its files")
def remove(
    ctx: typer.Context,
    number: Annotated[str, argument("N")],
    really_do_it: Annotated[bool, REALLY] = False,
) -> None:
    sure(really_do_it)
    sector = sector_number(number)
    api = miner_api(ctx)
    try:
        api.call("SectorsStatus", sector, False)
    except CliError as error:
        raise CliError(f"sectorID {sector} has not been created yet: {error}") from None
    api.call("SectorRemove", sector, timeout=None)


@app.command("seal", cls=GoCommand, help="seal a sector that waits for deals now")
def seal(ctx: typer.Context, number: Annotated[str, argument("N")]) -> None:
    miner_api(ctx).call("SectorStartSealing", sector_number(number), timeout=None)


@app.command("unseal", cls=GoCommand, help="make a sector's unsealed file again")
def unseal(ctx: typer.Context, number: Annotated[str, argument("N")]) -> None:
    sector = sector_number(number)
    api = miner_api(ctx)
    notice(ctx, f"Unsealing sector {sector}")
    api.call("SectorUnseal", sector, timeout=None)


@app.command("abort-upgrade", cls=GoCommand, help="stop the upgrade of a sector")
def abort_upgrade(
    ctx: typer.Context,
    number: Annotated[str, argument("N")] = "",
    really_do_it: Annotated[bool, REALLY] = False,
) -> None:
    if not number:
        raise CliError("must pass sector number", "usage: lotus-miner sectors abort-upgrade N")
    if not really_do_it:
        raise CliError(
            "--really-do-it must be specified for this action to have an effect; you have been warned"
        )
    miner_api(ctx).call("SectorAbortUpgrade", sector_number(number), timeout=None)


@app.command("terminate", cls=GoCommand, help="give a sector up, on the chain too")
def terminate(
    ctx: typer.Context,
    what: Annotated[str, argument("N|flush|pending")],
    really_do_it: Annotated[bool, REALLY] = False,
) -> None:
    if what == "pending":
        rows = miner_api(ctx).call("SectorTerminatePending") or ()
        show(ctx, Pending(tuple(row["Number"] for row in rows)))
        return
    if what == "flush":
        sent = miner_api(ctx).call("SectorTerminateFlush", timeout=None)
        show(
            ctx,
            Batched(message=sent["/"] if sent else None, nothing="no sectors were queued for termination"),
        )
        return
    sector = sector_number(what)
    if not really_do_it:
        raise CliError("pass --really-do-it to confirm this action", f"sector {sector} is then lost for good")
    miner_api(ctx).call("SectorTerminate", sector, timeout=None)


@app.command("match-pending-pieces", cls=GoCommand, help="put waiting pieces into open sectors")
def match_pending_pieces(ctx: typer.Context) -> None:
    miner_api(ctx).call("SectorMatchPendingPiecesToOpenSectors", timeout=None)


@app.command("set-seal-delay", cls=GoCommand, help="minutes that a sector waits for deals")
def set_seal_delay(
    ctx: typer.Context,
    time: Annotated[str, argument("TIME")],
    seconds: Annotated[bool, flag("--seconds", help="TIME is in seconds")] = False,
) -> None:
    length = sector_number(time) * (1 if seconds else 60)
    miner_api(ctx).call("SectorSetSealDelay", length * 1_000_000_000, timeout=None)


def sure(really: bool) -> None:
    if not really:
        raise CliError(ADVANCED, "add --really-do-it then")


def check_state(state: str) -> None:
    """Lotus lists the states on stdout and exits with 0; a script must see that nothing was done."""
    states = sorted(name for name in COLORS if name)
    if state in states:
        return
    print(f' "{state}" is not a valid state. Possible states for sectors are: ', *states, sep="\n")
    sys.stdout.flush()
    lower = {name.lower(): name for name in states}
    near = get_close_matches(state.lower(), lower, 1)
    hint = f"did you mean {lower[near[0]]}?" if near else "take one of the list"
    raise CliError(f'"{state}" is not a valid state', hint)
