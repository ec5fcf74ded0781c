"""``lotus-miner storage`` (Lotus: ``cli/miner/storage.go``). Views are imported where they are used: help needs none."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from lotus_sched_cli.cli.connect import Api, miner_api, warn
from lotus_sched_cli.cli.errors import CliError, UnknownCommand
from lotus_sched_cli.cli.golang import GoCommand, GoGroup, ReadCommand, argument, flag
from lotus_sched_cli.cli.render import notice, show
from lotus_sched_cli.cli.sources import MAX_CONNECTIONS, actor_number, many, statuses

from . import paths
from .miner_sectors import sector_number

if TYPE_CHECKING:
    from lotus_sched_cli.cli.views.files import StoredFiles
    from lotus_sched_cli.cli.views.storage import Asked

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


@app.command("list", cls=ReadCommand, help="list storage paths with their room; 'list sectors' their files")
def list_(ctx: typer.Context, what: Annotated[str, argument("sectors")] = "") -> None:
    from concurrent.futures import ThreadPoolExecutor

    from lotus_sched_cli.cli.views.storage import storage_view

    api = miner_api(ctx)
    if what == "sectors":
        show(ctx, stored_files(api))
        return
    if what:
        raise UnknownCommand(what, "sectors" if what.startswith("se") else None, "lotus-miner storage list")
    files: dict[str, Any] = api.call("StorageList")
    local: dict[str, str] = api.call("StorageLocal") or {}
    with ThreadPoolExecutor(max(1, min(MAX_CONNECTIONS, len(files)))) as pool:
        asked = dict(zip(files, pool.map(lambda path_id: ask_path(api, path_id), files), strict=True))
    show(ctx, storage_view(files, local, asked))


def stored_files(api: Api) -> StoredFiles:
    """Every file of every path: what paths list, then each sector's places and state, over a few connections."""
    from lotus_sched_cli.cli.views.files import stored_view
    from lotus_sched_cli.cli.views.storage import COUNTED

    listed: dict[str, Any] = api.call("StorageList")
    kinds = {
        (entry["Number"], kind)
        for entries in listed.values()
        for entry in entries or ()
        for kind in COUNTED
        if entry["SectorFileType"] & kind
    }
    numbers = sorted({number for number, _ in kinds})
    actor = actor_number(api)
    places = many(
        api,
        "StorageFindSector",
        [({"Miner": actor, "Number": number}, int(kind), 0, False) for number, kind in sorted(kinds)],
    )
    states = {number: status for number, status, _ in statuses(api, numbers, on_chain=False, at_once=300)}
    return stored_view(dict(zip(sorted(kinds), places, strict=True)), states)


def ask_path(api: Api, path_id: str) -> Asked:
    """Its space with the time that the answer took, and its settings."""
    from lotus_sched_cli.cli.views.storage import Asked

    start = time.monotonic()
    try:
        stat = api.call("StorageStat", path_id, timeout=STAT_SECONDS)
        seconds = time.monotonic() - start
        return Asked(api.call("StorageInfo", path_id), stat, seconds)
    except CliError as error:
        return Asked(None, None, error=f"{error}:")  # Go prints a wrapped error so


@app.command("find", cls=ReadCommand, help="tell where the files of a sector are")
def find(ctx: typer.Context, number: Annotated[str, argument("N")]) -> None:
    from lotus_sched_cli.cli.views.storage import COUNTED, find_view

    sector = sector_number(number, prefix="")
    api = miner_api(ctx)
    ref = {"Miner": actor_number(api), "Number": sector}
    found = {kind: api.call("StorageFindSector", ref, int(kind), 0, False) for kind in COUNTED}
    show(ctx, find_view(found, api.call("StorageLocal") or {}))


@app.command("cleanup", cls=GoCommand, help="delete what is left of removed sectors")
def cleanup(
    ctx: typer.Context,
    removed: Annotated[bool, flag("--removed", help="of sectors in state Removed")] = True,
) -> None:
    if not removed:
        return
    api = miner_api(ctx)
    gone = set(api.call("SectorsListInStates", ["Removed"]) or ())
    left = {
        entry["Number"]
        for entries in api.call("StorageList").values()
        for entry in entries or ()
        if entry["SectorFileType"]
    }
    for number in sorted(gone & left):
        notice(ctx, f"cleaning up data for sector {number}")
        try:
            api.call("SectorRemove", number, timeout=None)
        except CliError as error:
            warn(f"sector {number}: {error}")


@app.command("locks", cls=ReadCommand, help="list sectors whose files are in use")
def locks(ctx: typer.Context) -> None:
    from lotus_sched_cli.cli.views.files import locks_view

    api = miner_api(ctx)
    held = api.call("StorageGetLocks").get("Locks") or []
    numbers = sorted({lock["Sector"]["Number"] for lock in held})
    states = {number: status for number, status, _ in statuses(api, numbers, on_chain=False, at_once=300)}
    show(ctx, locks_view(held, states))
