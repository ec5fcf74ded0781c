"""``lotus-miner sectors batching``: messages that wait for more sectors (Lotus: ``cli/miner/sectors.go``)."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from lotus_sched_cli.cli.connect import Api, miner_api
from lotus_sched_cli.cli.errors import CliError
from lotus_sched_cli.cli.golang import GoCommand, flag
from lotus_sched_cli.cli.render import show
from lotus_sched_cli.cli.views.batches import batches_view
from lotus_sched_cli.cli.views.text import Pending

app = typer.Typer(add_completion=False)

PUBLISH = flag("--publish-now", help="send them without asking")
ASK = "Do you want to publish these sectors now? (yes/no): "


@app.command("commit", cls=GoCommand, help="list sectors whose commit waits, and send it")
def commit(ctx: typer.Context, publish_now: Annotated[bool, PUBLISH] = False) -> None:
    batching(ctx, "SectorCommitPending", "SectorCommitFlush", now=publish_now)


@app.command("precommit", cls=GoCommand, help="list sectors whose precommit waits, and send it")
def precommit(ctx: typer.Context, publish_now: Annotated[bool, PUBLISH] = False) -> None:
    batching(ctx, "SectorPreCommitPending", "SectorPreCommitFlush", now=publish_now)


def batching(ctx: typer.Context, pending: str, flush: str, *, now: bool) -> None:
    api = miner_api(ctx)
    if not now:
        rows = api.call(pending) or ()
        show(ctx, Pending(tuple(row["Number"] for row in rows), "No sectors queued to be committed"))
        if not rows or not wants():
            return
    publish(ctx, api, flush)


def wants() -> bool:
    """The operator's word on stdin. Raises CliError where nobody answers (cron)."""
    print(ASK, end="", flush=True)
    answer = sys.stdin.readline()
    if not answer:
        print()
        raise CliError("reading user input: EOF", "add --publish-now where nobody can answer")
    if answer.strip() not in ("yes", "no"):
        print("Invalid input. Please answer with 'yes' or 'no'.")
    return answer.strip() == "yes"


def publish(ctx: typer.Context, api: Api, flush: str) -> None:
    try:
        sent = api.call(flush, timeout=None)
    except CliError as error:
        raise CliError(f"flush: {error}") from None
    if not sent:
        raise CliError("no sectors to publish", "none waits")
    show(ctx, batches_view(sent))
