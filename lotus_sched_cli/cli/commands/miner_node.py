"""``lotus-miner stop`` and ``info``."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from lotus_sched_cli.cli.connect import miner_api
from lotus_sched_cli.cli.golang import GoCommand, flag
from lotus_sched_cli.cli.render import show
from lotus_sched_cli.cli.sources import chain_state
from lotus_sched_cli.cli.views.info import miner_view

stop = typer.Typer(add_completion=False)
info = typer.Typer(add_completion=False)


@stop.command("stop", cls=GoCommand, help="stop the running miner")
def stop_(ctx: typer.Context) -> None:
    miner_api(ctx).call("Shutdown")


@info.command("info", cls=GoCommand, help="what the miner is and how its sectors stand")
def info_(
    ctx: typer.Context,
    hide_sectors_info: Annotated[bool, flag("--hide-sectors-info", help="leave the sectors out")] = False,
    blocks: Annotated[int, flag("--blocks", help="taken and without effect: no blocks are won here")] = 0,
) -> None:
    api = miner_api(ctx)
    actor = api.call("ActorAddress")
    stats: dict[str, Any] = api.call("WorkerStats")
    show(
        ctx,
        miner_view(
            subsystems=api.call("RuntimeSubsystems") or (),
            start=api.call("StartTime"),
            alerts=api.call("LogAlerts") or (),
            actor=actor,
            sector_size=api.call_or_none("ActorSectorSize", actor),
            version=api.call("Version")["Version"],
            chain=chain_state(api),
            summary=None if hide_sectors_info else api.call("SectorsSummary") or {},
            stats=stats,
            now=time.time(),
        ),
    )
