"""``lotus-worker storage``: the worker's paths (Lotus: ``cli/worker/storage.go``)."""

from __future__ import annotations

from typing import Annotated

import typer

from lotus_sched_cli.cli.connect import worker_api
from lotus_sched_cli.cli.errors import CliError
from lotus_sched_cli.cli.golang import GoCommand, GoGroup, argument

from . import paths

app = typer.Typer(cls=GoGroup, help="attach and detach the worker's storage paths", add_completion=False)


@app.command("attach", cls=GoCommand, help="give the worker a path for sector files")
def attach(
    ctx: typer.Context,
    path: Annotated[str, argument("PATH")] = "",
    init: Annotated[bool, paths.INIT] = False,
    weight: Annotated[int, paths.WEIGHT] = 10,
    seal: Annotated[bool, paths.SEAL] = False,
    store: Annotated[bool, paths.STORE] = False,
    max_storage: Annotated[str, paths.MAX_STORAGE] = "",
    groups: Annotated[list[str] | None, paths.GROUPS] = None,
    allow_to: Annotated[list[str] | None, paths.ALLOW_TO] = None,
) -> None:
    if not path:
        raise CliError("must specify storage path to attach", "usage: lotus-worker storage attach PATH")
    settings = paths.NewPath(weight, seal, store, max_storage, tuple(groups or ()), tuple(allow_to or ()))
    paths.attach(worker_api(ctx), path, init=init, settings=settings)


@app.command("detach", cls=GoCommand, help="take a path away from the worker; its files stay")
def detach(
    ctx: typer.Context,
    path: Annotated[str, argument("PATH")] = "",
    really_do_it: Annotated[bool, paths.REALLY] = False,
) -> None:
    if not path:
        raise CliError("must specify storage path", "usage: lotus-worker storage detach --really-do-it PATH")
    paths.detach(worker_api(ctx), path, really=really_do_it)


@app.command("redeclare", cls=GoCommand, help="look again at what lies on a path and tell the miner")
def redeclare(
    ctx: typer.Context,
    path: Annotated[str, argument("PATH")] = "",
    id: Annotated[str, paths.ID] = "",
    all: Annotated[bool, paths.ALL] = False,
    drop_missing: Annotated[bool, paths.DROP_MISSING] = True,
) -> None:
    paths.redeclare(worker_api(ctx), path, id, every=all, drop_missing=drop_missing)
