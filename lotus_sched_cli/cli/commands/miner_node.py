"""``lotus-miner stop``, ``info``, ``version`` and ``wait-api``. Views are imported where they are used: help needs none."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lotus_sched_cli.cli.connect import miner_api, warn
from lotus_sched_cli.cli.errors import CliError
from lotus_sched_cli.cli.golang import GoCommand, ReadCommand, flag, program_context
from lotus_sched_cli.cli.render import notice, show
from lotus_sched_cli.lotus.units import parse_duration

if TYPE_CHECKING:
    from lotus_sched_cli.cli.views.actor import ActorOnChain

stop = typer.Typer(add_completion=False)
info = typer.Typer(add_completion=False)
version = typer.Typer(add_completion=False)
wait_api = typer.Typer(add_completion=False)


@stop.command("stop", cls=GoCommand, help="stop the running miner")
def stop_(ctx: typer.Context) -> None:
    miner_api(ctx).call("Shutdown")


@info.command("info", cls=ReadCommand, help="what the miner is and how its sectors stand")
def info_(
    ctx: typer.Context,
    hide_sectors_info: Annotated[bool, flag("--hide-sectors-info", help="leave the sectors out")] = False,
    blocks: Annotated[int, flag("--blocks", help="taken and without effect: no blocks are won here")] = 0,
) -> None:
    from lotus_sched_cli.cli.sources import chain_state
    from lotus_sched_cli.cli.views.info import miner_view

    api = miner_api(ctx)
    actor = api.call("ActorAddress")
    stats: dict[str, Any] = api.call("WorkerStats")
    told = api.call("Version")
    chain = chain_state(api, told)
    on_chain = None if chain else real_chain(actor)
    show(
        ctx,
        miner_view(
            subsystems=api.call("RuntimeSubsystems") or (),
            start=api.call("StartTime"),
            alerts=api.call("LogAlerts") or (),
            actor=actor,
            sector_size=on_chain.sector_size if on_chain else api.call_or_none("ActorSectorSize", actor),
            version=told["Version"],
            chain=chain,
            on_chain=on_chain,
            summary=None if hide_sectors_info else api.call("SectorsSummary") or {},
            stats=stats,
            now=time.time(),
        ),
    )


def real_chain(actor: str) -> ActorOnChain | None:
    """Of the full node that is named here. One that does not answer takes nothing from what the miner tells."""
    from lotus_sched_cli.cli.actor import ask_actor
    from lotus_sched_cli.cli.sources import full_node

    node = full_node()
    if node is None:
        return None
    try:
        return ask_actor(node, actor)
    except CliError as error:
        warn(f"chain, power and balances are left out: {error}")
        return None


@version.command("version", cls=ReadCommand, help="tell what the running miner is, and this program")
def version_(ctx: typer.Context) -> None:
    from lotus_sched_cli.cli.views.text import Versions

    api = miner_api(ctx, common=True)
    told = api.call("Version")
    number = told["APIVersion"]
    numbers = f"{number >> 16}.{number >> 8 & 0xFF}.{number & 0xFF}"
    program = program_context(ctx)
    local = f"lotus-miner version {program.command.version_text}"
    show(ctx, Versions(f"{told['Version']}+api{numbers}", local))


@wait_api.command("wait-api", cls=GoCommand, help="wait until the miner answers")
def wait_api_(
    ctx: typer.Context,
    timeout: Annotated[str, flag("--timeout", help="longest wait", default="30s")] = "30s",
) -> None:
    end = time.monotonic() + seconds(timeout)
    while True:
        try:
            miner_api(ctx, common=True).call("Version", timeout=max(1.0, end - time.monotonic()))
            return
        except CliError as error:
            why = error.text
        if time.monotonic() >= end:
            raise CliError("timed out waiting for api to come online", f"after {timeout}: {why}")
        notice(ctx, f"Not online yet... ({why})")
        time.sleep(min(1.0, max(0.0, end - time.monotonic())))


def seconds(text: str) -> float:
    try:
        return parse_duration(text) / 1e9
    except ValueError as error:
        raise CliError(
            f'invalid value "{text}" for flag -timeout: {error}', "give a duration like 30s"
        ) from None
