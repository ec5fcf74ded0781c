"""``lotus-miner sealing assign``: a waiting task goes to a worker by hand."""

from __future__ import annotations

from typing import Annotated

import typer

from lotus_sched_cli.cli.connect import NoSuchMethod, miner_api
from lotus_sched_cli.cli.errors import CliError
from lotus_sched_cli.cli.golang import argument, flag
from lotus_sched_cli.cli.render import show


def assign(
    ctx: typer.Context,
    task: Annotated[str, argument("TASK")],
    worker: Annotated[str, argument("WORKER")],
    force: Annotated[bool, flag("--force", help="over caps, hold, drain, rest and delays")] = False,
) -> None:
    from lotus_sched_cli.cli.views.text import Lines

    api = miner_api(ctx)
    try:
        queue = api.call("SealingQueue") or []
        found = [entry for entry in queue if task and entry["TaskID"].startswith(task.lower())]
        if len(found) != 1:
            raise CliError(
                f"{task}: {len(found) or 'no'} waiting tasks have ids that begin so",
                "give more of the id" if found else "see 'lotus-miner sealing jobs --queued'",
            )
        load = api.call("SealingAssign", found[0]["TaskID"], worker, force)
    except NoSuchMethod as why:
        raise CliError(
            f"this lotus-miner is a stock one ({why.version}) and places its tasks itself",
            "see its sealing sched-diag",
        ) from None
    who = f"{load['Name']} ({load['Session'][:8]})"
    show(ctx, Lines.of(f"{found[0]['Task']} of sector {found[0]['Sector']} goes to {who}"))
