"""``lotus-worker tasks``: which task types the worker takes, until its next start (Lotus: ``cli/worker/tasks.go``)."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated, Final

import typer

from lotus_sched_cli.cli.connect import worker_api
from lotus_sched_cli.cli.errors import CliError
from lotus_sched_cli.cli.golang import GoCommand, GoGroup, argument, flag
from lotus_sched_cli.core.tasks import TaskType

app = typer.Typer(
    cls=GoGroup, help="switch task types on and off while the worker runs", add_completion=False
)

#: The types that can be switched, in the order in which Lotus names them.
SETTABLE: Final = {
    task.short: task
    for task in (
        TaskType.UNSEAL,
        TaskType.COMMIT2,
        TaskType.PRECOMMIT2,
        TaskType.PRECOMMIT1,
        TaskType.PROVE_REPLICA_UPDATE2,
        TaskType.REPLICA_UPDATE,
        TaskType.ADD_PIECE,
        TaskType.DATA_CID,
        TaskType.REGEN_SECTOR_KEY,
    )
}
USAGE: Final = "|".join(SETTABLE)


@app.command("enable", cls=GoCommand, help="take tasks of a type again")
def enable(
    ctx: typer.Context,
    types: Annotated[list[str] | None, argument(USAGE)] = None,
    all: Annotated[bool, flag("--all", help="every type")] = False,
) -> None:
    switch(ctx, "TaskEnable", types or [], every=all)


@app.command("disable", cls=GoCommand, help="take no more tasks of a type; running ones go on")
def disable(
    ctx: typer.Context,
    types: Annotated[list[str] | None, argument(USAGE)] = None,
    all: Annotated[bool, flag("--all", help="every type")] = False,
) -> None:
    switch(ctx, "TaskDisable", types or [], every=all)


def switch(ctx: typer.Context, method: str, names: list[str], *, every: bool) -> None:
    """Tell the worker. With ``--all``, what its sealer cannot do anyway is left out."""
    if every and names:
        raise CliError("Cannot use --all flag with task type argument", "leave one out")
    if not every and len(names) != 1:
        raise CliError("Expected 1 argument or use --all flag", f"got {len(names)}; the types are {USAGE}")
    chosen = list(SETTABLE.values()) if every else [task_named(names[0])]
    api = worker_api(ctx)
    refused = []
    for task in chosen:
        try:
            api.call(method, task.value)
        except CliError as error:
            if not every or "cannot do" not in str(error):
                raise
            refused.append(error)
    if len(refused) == len(chosen):
        raise refused[0]


def task_named(name: str) -> TaskType:
    """Lotus is strict about case; so are we, but we say what was meant."""
    if name in SETTABLE:
        return SETTABLE[name]
    nearest = [name.upper()] if name.upper() in SETTABLE else get_close_matches(name.upper(), SETTABLE, 1)
    raise CliError(
        f"unknown task type '{name}'", f"did you mean {nearest[0]}?" if nearest else f"use one of {USAGE}"
    )
