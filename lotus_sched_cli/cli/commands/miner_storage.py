"""``lotus-miner storage``: attach, list, find (Lotus: ``cli/miner/storage.go``)."""

from __future__ import annotations

import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from lotus_sched_cli.cli.connect import Api, miner_api
from lotus_sched_cli.cli.errors import CliError
from lotus_sched_cli.cli.golang import GoCommand, GoGroup, argument, flag
from lotus_sched_cli.cli.render import show
from lotus_sched_cli.cli.sources import MAX_CONNECTIONS, actor_number
from lotus_sched_cli.cli.views.storage import COUNTED, Asked, find_view, storage_view
from lotus_sched_cli.lotus.units import parse_size

from .miner_sectors import sector_number

app = typer.Typer(cls=GoGroup, help="attach, list and search storage paths", add_completion=False)

META: Final = "sectorstore.json"
#: Seconds that a path's host gets to tell its space; one that hangs must not hold up the others.
STAT_SECONDS: Final = 10.0


@app.command("attach", cls=GoCommand, help="give the miner a path for sector files")
def attach(
    ctx: typer.Context,
    path: Annotated[str, argument("PATH")],
    init: Annotated[bool, flag("--init", help="make the path's sectorstore.json first")] = False,
    weight: Annotated[int, flag("--weight", help="(with init) higher draws more files")] = 10,
    seal: Annotated[bool, flag("--seal", help="(with init) for sectors in the works")] = False,
    store: Annotated[bool, flag("--store", help="(with init) for finished sectors")] = False,
    max_storage: Annotated[
        str, flag("--max-storage", help="(with init) use no more than this, like 10TiB")
    ] = "",
    groups: Annotated[list[str] | None, flag("--groups", help="(with init) groups of the path")] = None,
    allow_to: Annotated[
        list[str] | None, flag("--allow-to", help="(with init) groups that may fetch from it (default: all)")
    ] = None,
) -> None:
    api = miner_api(ctx)
    folder = Path(path).expanduser().absolute()
    if init:
        init_path(folder, weight, seal, store, max_storage, groups or [], allow_to or [])
    elif weight != 10 or seal or store or max_storage or groups or allow_to:
        raise CliError("flags of a new path without --init", f"add --init, or edit {folder / META} first")
    api.call("StorageAddLocal", str(folder), timeout=None)


def init_path(
    folder: Path,
    weight: int,
    seal: bool,
    store: bool,
    max_storage: str,
    groups: list[str],
    allow_to: list[str],
) -> None:
    """Write ``sectorstore.json`` as Lotus does; all is checked before anything is made."""
    limit = size_of(max_storage)
    if not (seal or store):
        raise CliError("must specify at least one of --store or --seal", f"for {folder}")
    if weight < 0:
        raise CliError(f"--weight {weight} is negative", "give 0 or more")
    if (folder / META).exists():
        raise CliError(f"path is already initialized: {folder}", "attach it without --init")
    meta = {
        "ID": str(uuid.uuid4()),
        "Weight": weight,
        "CanSeal": seal,
        "CanStore": store,
        "MaxStorage": limit,
        "Groups": groups or None,
        "AllowTo": allow_to or None,
        "AllowTypes": None,
        "DenyTypes": None,
        "AllowMiners": None,
        "DenyMiners": None,
    }
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    (folder / META).write_text(json.dumps(meta, indent=2))


def size_of(text: str) -> int:
    if not text:
        return 0
    try:
        return parse_size(text)
    except ValueError as error:
        raise CliError(f"parsing max-storage: {error}", "give a size like 10TiB") from None


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
