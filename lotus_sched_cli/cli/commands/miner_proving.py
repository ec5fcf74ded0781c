"""``lotus-miner proving workers``: ``sealing workers`` for the workers of window and winning proofs."""

from __future__ import annotations

import typer

from lotus_sched_cli.cli.connect import miner_api
from lotus_sched_cli.cli.golang import ReadCommand
from lotus_sched_cli.cli.render import show

app = typer.Typer(add_completion=False)


@app.command("workers", cls=ReadCommand, help="list workers for proofs over time")
def workers(ctx: typer.Context) -> None:
    from lotus_sched_cli.cli.views.workers import workers_view

    show(ctx, workers_view(miner_api(ctx).call("WorkerStats"), post=True))
