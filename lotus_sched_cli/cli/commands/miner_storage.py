"""``lotus-miner storage`` (Lotus: ``cli/miner/storage.go``)."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Final

import typer

from lotus_sched_cli.cli.connect import Api, miner_api
from lotus_sched_cli.cli.errors import CliError
from lotus_sched_cli.cli.golang import GoCommand, GoGroup, argument
from lotus_sched_cli.cli.render import show
from lotus_sched_cli.cli.sources import MAX_CONNECTIONS, actor_number
from lotus_sched_cli.cli.views.storage import COUNTED, Asked, find_view, storage_view

from . import paths
from .miner_sectors import sector_number

app = typer.Typer(cls=GoGroup, help="attach, list and search storage paths", add_completion=False)

#: Seconds that a path's host gets to tell its space; one that hangs must not hold up the others.
STAT_SECONDS: Final = 10.0


@app.command("attach", cls=GoCommand, help="give the miner a path for sector files")
def attach(
    ctx: typer.Context,
    path: Annotated[str, argument("PATH")],
    init: Annotated[bool, paths.INIT] = False,
    weight: Annotated[int, paths.WEIGHT] = 10,
    seal: Annotated[bool, paths.SEAL] = False,
    store: Annotated[bool, paths.STORE] = False,
    max_storage: Annotated[str, paths.MAX_STORAGE] = "",
    groups: Annotated[list[str] | None, paths.GROUPS] = None,
    allow_to: Annotated[list[str] | None, paths.ALLOW_TO] = None,
) -> None:
    settings = paths.NewPath(weight, seal, store, max_storage, tuple(groups or ()), tuple(allow_to or ()))
    paths.attach(miner_api(ctx), path, init=init, settings=settings)


@app.command("detach", cls=GoCommand, help="take a path away from the miner; its files stay")
def detach(
    ctx: typer.Context,
    path: Annotated[str, argument("PATH")],
    really_do_it: Annotated[bool, paths.REALLY] = False,
) -> None:
    paths.detach(miner_api(ctx), path, really=really_do_it)


@app.command("redeclare", cls=GoCommand, help="look again at what lies on a path")
def redeclare(
    ctx: typer.Context,
    path: Annotated[str, argument("PATH")] = "",
    id: Annotated[str, paths.ID] = "",
    all: Annotated[bool, paths.ALL] = False,
    drop_missing: Annotated[bool, paths.DROP_MISSING] = True,
) -> None:
    paths.redeclare(miner_api(ctx), path, id, every=all, drop_missing=drop_missing)


@app.command("list", cls=GoCommand, help="list storage paths with their room and files")
def list_(ctx: typer.Context) -> None:
    api = miner_api(ctx)
    files: dict[str, Any] = api.call("StorageList")
    local: dict[str, str] = api.call("StorageLocal") or {}
    with ThreadPoolExecutor(max(1, min(MAX_CONNECTIONS, len(files)))) as pool:
        asked = dict(zip(files, pool.map(lambda path_id: ask_path(api, path_id), files), strict=True))
    show(ctx, storage_view(files, local, asked))


def ask_path(api: Api, path_id: str) -> Asked:
    """Its space with the time that the answer took, and its settings."""
    start = time.monotonic()
    try:
        stat = api.call("StorageStat", path_id, timeout=STAT_SECONDS)
        seconds = time.monotonic() - start
        return Asked(api.call("StorageInfo", path_id), stat, seconds)
    except CliError as error:
        return Asked(None, None, error=f"{error}:")  # Go prints a wrapped error so


@app.command("find", cls=GoCommand, help="tell where the files of a sector are")
def find(ctx: typer.Context, number: Annotated[str, argument("N")]) -> None:
    sector = sector_number(number)
    api = miner_api(ctx)
    ref = {"Miner": actor_number(api), "Number": sector}
    found = {kind: api.call("StorageFindSector", ref, int(kind), 0, False) for kind in COUNTED}
    show(ctx, find_view(found, api.call("StorageLocal") or {}))
