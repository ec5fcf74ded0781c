"""What ``storage attach``, ``detach`` and ``redeclare`` share on miner and worker (Lotus: ``cli/miner/storage.go``,
``cli/worker/storage.go``)."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lotus_sched_cli.cli.connect import Api
from lotus_sched_cli.cli.errors import CliError
from lotus_sched_cli.cli.golang import flag
from lotus_sched_cli.lotus.units import parse_size

META: Final = "sectorstore.json"

INIT: Final = flag("--init", help="make the path's sectorstore.json first")
WEIGHT: Final = flag("--weight", help="(with init) higher draws more files")
SEAL: Final = flag("--seal", help="(with init) for sectors in the works")
STORE: Final = flag("--store", help="(with init) for finished sectors")
MAX_STORAGE: Final = flag("--max-storage", help="(with init) use no more than this, like 10TiB")
GROUPS: Final = flag("--groups", help="(with init) groups of the path")
ALLOW_TO: Final = flag("--allow-to", help="(with init) groups that may fetch from it (default: all)")
REALLY: Final = flag("--really-do-it", help="do it: without this flag nothing happens")
ID: Final = flag("--id", help="the path's id, as 'storage list' or 'info' shows it")
ALL: Final = flag("--all", help="every path")
DROP_MISSING: Final = flag("--drop-missing", help="forget files that are not there any more")


@dataclass(frozen=True, slots=True)
class NewPath:
    """The settings of a path that is to be made."""

    weight: int = 10
    seal: bool = False
    store: bool = False
    max_storage: str = ""
    groups: tuple[str, ...] = ()
    allow_to: tuple[str, ...] = ()


def attach(api: Api, path: str, *, init: bool, settings: NewPath) -> None:
    """Give a daemon a path, made before with ``init``."""
    folder = Path(path).expanduser().absolute()
    if init:
        init_path(folder, settings)
    elif settings != NewPath():
        raise CliError("flags of a new path without --init", f"add --init, or edit {folder / META} first")
    following(api, "StorageAddLocal", str(folder))


def following(api: Api, method: str, *params: Any) -> None:
    """A call that makes a daemon declare files, thousands of them at times; how far it is is shown meanwhile."""
    from concurrent.futures import Future
    from concurrent.futures import wait as wait_for
    from threading import Thread

    from lotus_sched_cli.lotus.progress import TICK, Shown

    outcome: Future[Any] = Future()

    def ask() -> None:
        try:
            outcome.set_result(api.call(method, *params, timeout=None))
        except BaseException as error:
            outcome.set_exception(error)

    # A thread that an interrupt does not wait for: the daemon goes on by itself.
    Thread(target=ask, daemon=True).start()
    shown = Shown("declaring", "files")
    try:
        while not wait_for([outcome], TICK).done:
            rows = api.call_or_none("StorageOpening") or []
            if rows:
                shown.tell(sum(r["Done"] for r in rows), sum(r["Total"] for r in rows))
    finally:
        shown.close()
    outcome.result()


def init_path(folder: Path, settings: NewPath) -> None:
    """Write ``sectorstore.json`` as Lotus does; all is checked before anything is made."""
    limit = size_of(settings.max_storage)
    if not (settings.seal or settings.store):
        raise CliError("must specify at least one of --store or --seal", f"for {folder}")
    if settings.weight < 0:
        raise CliError(f"--weight {settings.weight} is negative", "give 0 or more")
    if (folder / META).exists():
        raise CliError(f"path is already initialized: {folder}", "attach it without --init")
    meta = {
        "ID": str(uuid.uuid4()),
        "Weight": settings.weight,
        "CanSeal": settings.seal,
        "CanStore": settings.store,
        "MaxStorage": limit,
        "Groups": list(settings.groups) or None,
        "AllowTo": list(settings.allow_to) or None,
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


def detach(api: Api, path: str, *, really: bool) -> None:
    """Take a path away from a daemon; its files stay."""
    if not really:
        raise CliError(
            "pass --really-do-it to execute the action",
            f"{path} then leaves the index with all that lies there; no file is removed",
        )
    api.call("StorageDetachLocal", str(Path(path).expanduser().absolute()), timeout=None)


def redeclare(api: Api, path: str, path_id: str, *, every: bool, drop_missing: bool) -> None:
    """Let a daemon look again at what lies on a path, or on all of its own."""
    if path_id and every:
        raise CliError("--id and --all can't be passed at the same time", "leave one out")
    if path and every:
        raise CliError("No additional arguments are expected when --all is set", f'leave "{path}" out')
    if not (path or path_id or every):
        raise CliError("You must specify a storage path, or --id, or --all", "'storage list' shows them")
    chosen: Any = None if every else path_id or id_of(Path(path).expanduser())
    following(api, "StorageRedeclareLocal", chosen, drop_missing)


def id_of(folder: Path) -> str:
    """The id in a path's own ``sectorstore.json``. Raises CliError with Go's words."""
    file = folder / META
    try:
        return str(json.loads(file.read_text())["ID"])
    except OSError as error:
        why = (error.strerror or "cannot be read").lower()
        raise CliError(
            f"Failed to open file: open {file}: {why}", "name the path's folder, or give --id"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise CliError(f"Failed to decode file: {file}: {error}", "mend it, or give --id") from None
