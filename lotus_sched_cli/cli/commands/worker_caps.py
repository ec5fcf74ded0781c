"""``lotus-worker caps``: what this worker may carry, changed while it runs, without asking the miner."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lotus_sched_cli.cli.connect import Api, NoSuchMethod, worker_api
from lotus_sched_cli.cli.errors import CliError
from lotus_sched_cli.cli.golang import Context, GoCommand, GoGroup, ReadCommand, argument, flag

from .miner_caps import assignments, names, show_caps

app = typer.Typer(
    cls=GoGroup, help="what the worker may carry, and where that comes from", add_completion=False
)


@app.command("list", cls=ReadCommand, help="list caps with where each comes from")
def list_(
    ctx: typer.Context,
    all_caps: Annotated[bool, flag("--all", help="list caps that are not set, too")] = False,
) -> None:
    api = worker_api(ctx)
    show_own(ctx, api, ask(api, "CapsList"), all_caps)


@app.command("set", cls=GoCommand, help="change caps, like precommit1max=9")
def set_(ctx: typer.Context, caps: Annotated[list[str], argument("CAP=VALUE...")]) -> None:
    api = worker_api(ctx)
    show_own(ctx, api, ask(api, "CapsSet", assignments(caps)))


@app.command("reset", cls=GoCommand, help="drop changed caps: those named, or all")
def reset(ctx: typer.Context, caps: Annotated[list[str] | None, argument("CAP...")] = None) -> None:
    api = worker_api(ctx)
    show_own(ctx, api, ask(api, "CapsReset", names(caps or [])))


def ask(api: Api, method: str, *params: Any) -> Any:
    try:
        return api.call(method, *params)
    except NoSuchMethod as why:
        raise CliError(
            f"this lotus-worker is a stock one ({why.version}) and knows no caps",
            "its limits are PC1_MAX_CONCURRENT and the like",
        ) from None


def show_own(ctx: Context, api: Api, rows: list[dict[str, Any]], all_caps: bool = False) -> None:
    """This worker's caps as ``sealing caps list`` shows them."""
    worker = {
        "Session": api.call("ProcessSession"),
        "Name": api.call("Info")["Hostname"],
        "Owner": "worker",
        "Caps": rows,
    }
    show_caps(ctx, [worker], all_caps)
