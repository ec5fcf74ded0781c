"""``lotus-miner sealing forget``: a worker that is gone for good."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lotus_sched_cli.cli.connect import NoSuchMethod, miner_api
from lotus_sched_cli.cli.errors import CliError
from lotus_sched_cli.cli.golang import argument, flag
from lotus_sched_cli.cli.render import show


def forget(
    ctx: typer.Context,
    worker: Annotated[str, argument("WORKER")],
    force: Annotated[bool, flag("--force", help="though it still answers")] = False,
) -> None:
    from lotus_sched_cli.cli.views.text import Lines

    try:
        done = miner_api(ctx).call("SealingForget", worker, force, timeout=None)
    except NoSuchMethod as why:
        raise CliError(
            f"this lotus-miner is a stock one ({why.version}) and cannot forget a worker", "restart it"
        ) from None
    show(ctx, Lines.of(*told(done)))


def told(done: dict[str, Any]) -> list[str]:
    """What was done, a line each."""
    from lotus_sched_cli.cli.render.numbers import many
    from lotus_sched_cli.cli.views.wire import short

    jobs, paths, lost = done["Jobs"] or [], done["Paths"] or [], done["Lost"] or []
    lines = [
        f"{done['Name']} ({done['Session'][:8]}) is forgotten: {many(len(jobs), 'job')} ended, "
        f"{many(len(paths), 'path')} out of the index, {many(len(lost), 'sector')} lost the only copy of files"
    ]
    jobs = sorted(jobs, key=lambda job: job["Sector"])
    lines += [f"{short(job['Task'])} of sector {job['Sector']} goes on elsewhere" for job in jobs]
    return lines + [sector_line(sector) for sector in lost]


def sector_line(sector: dict[str, Any]) -> str:
    types = ", ".join(sector["Types"])
    what = f"sector {sector['Sector']} lost its only copy of {types}"
    match sector["Next"]:
        case "":
            return f"{what}; it is {sector['State'] or 'unknown to the pipeline'} and left as it is"
        case "later":
            return f"{what}; it goes back to PreCommit1 when it needs them"
        case state:
            return f"{what}; it goes back to {state}"
