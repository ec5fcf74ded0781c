"""``lotus-worker resources``: the variables that change what tasks need (Lotus: ``cli/worker/resources.go``)."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from lotus_sched_cli.cli.golang import GoCommand, flag
from lotus_sched_cli.cli.render import show
from lotus_sched_cli.cli.views.text import Variable, Variables

app = typer.Typer(add_completion=False)


@app.command("resources", cls=GoCommand, help="list the variables that change what tasks need")
def resources(
    ctx: typer.Context,
    all: Annotated[bool, flag("--all", help="every variable, with its value or its default")] = False,
    default: Annotated[bool, flag("--default", help="every variable with its default")] = False,
) -> None:
    from lotus_sched_cli.worker.resources import table

    table(os.environ)  # raises for the one variable that Lotus refuses
    known = defaults()
    given = {name: os.environ[name] for name in (*known, *SDR) if name in os.environ}
    shown = known if default else known | given if all else given
    rows = sorted(f"{name}={value}" for name, value in shown.items())
    show(ctx, Variables(tuple(Variable(*row.split("=", 1)) for row in rows)))


def defaults() -> dict[str, str]:
    """Every name with its built-in value; one without a size has that of 32 GiB (Lotus's is of a random size)."""
    from lotus_sched_cli.core.proofs import GIB, SIZE_ENV, V1
    from lotus_sched_cli.worker.resources import FIELDS, table

    found = {}
    for task, rows in table({}).items():
        for column, (size, name) in enumerate(SIZE_ENV.items()):
            for part, member in FIELDS.items():
                value = f"{getattr(rows[V1 + column], member):g}" if part == "GPU_UTILIZATION" else None
                text = value or str(getattr(rows[V1 + column], member))
                found[f"{task.short}_{name}_{part}"] = text
                if size == 32 * GIB:
                    found[f"{task.short}_{part}"] = text
    return found


#: Asked for beside the table's own names; they have no default there.
SDR = ("FIL_PROOFS_USE_MULTICORE_SDR", "FIL_PROOFS_MULTICORE_SDR_PRODUCERS")
