"""``sectorstore.json`` in the root of a path, ``storage.json`` in a repo, and the names of sector files.

Source: Lotus ``storage/sealer/storiface/storage.go``, ``storage/paths/local.go``, ``cmd/lotus-miner/storage.go``.
"""

from __future__ import annotations

import os
import re
import uuid
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from lotus_sched_cli.core.tasks import SectorId
from lotus_sched_cli.lotus.types import LocalStorageMeta, StorageConfig, StorageLocalPath

from .errors import StorageError

META_FILE = "sectorstore.json"
CONFIG_FILE = "storage.json"

T = TypeVar("T")
_NAME = re.compile(r"s-t0([0-9]{1,20})-([0-9]{1,20})")


def parse_name(name: str) -> SectorId:
    """The sector of a file name. Raises StorageError with Lotus's text.

    Lotus looks at the start of a name only and takes ``s-t01000-1.tmp`` for sector 1; here that is a foreign file.
    """
    match = _NAME.fullmatch(name)
    if match is None or max(map(int, match.groups())) >= 1 << 64:
        raise StorageError(
            f"parse sector id {name}: sscanf sector name ('{name}'): input does not match format"
        )
    return SectorId(int(match[1]), int(match[2]))


def read_meta(root: Path) -> LocalStorageMeta:
    """Raises StorageError: not there, not JSON, no ID."""
    file = root / META_FILE
    try:
        raw = file.read_bytes()
    except OSError as err:
        why = os.strerror(err.errno or 0).lower()
        hint = "; storage attach --init makes a new path" if isinstance(err, FileNotFoundError) else ""
        raise StorageError(f"reading storage metadata for {root}: open {file}: {why}{hint}") from None
    try:
        meta = msgspec.json.decode(raw, type=LocalStorageMeta)
    except msgspec.DecodeError as err:
        raise StorageError(f"unmarshalling storage metadata for {root}: {err} (in {file})") from None
    if not meta.ID:
        raise StorageError(f"unmarshalling storage metadata for {root}: no ID in {file}")
    return meta


def init_path(
    root: Path,
    *,
    seal: bool,
    store: bool,
    weight: int = 10,
    max_storage: int = 0,
    groups: list[str] | None = None,
    allow_to: list[str] | None = None,
) -> LocalStorageMeta:
    """Makes ``root`` a storage path (``storage attach --init``). Raises StorageError with Lotus's texts."""
    if not seal and not store:
        raise StorageError("must specify at least one of --store or --seal")
    meta = LocalStorageMeta(
        ID=str(uuid.uuid4()),
        Weight=weight,
        CanSeal=seal,
        CanStore=store,
        MaxStorage=max_storage,
        Groups=groups or None,
        AllowTo=allow_to or None,
    )
    try:
        root.mkdir(mode=0o755, parents=True, exist_ok=True)
        if (root / META_FILE).exists():
            raise StorageError(f"path is already initialized: {root / META_FILE}")
        write_json(root / META_FILE, meta)
    except OSError as err:
        raise StorageError(f"creating {root}: {os.strerror(err.errno or 0).lower()}") from None
    return meta


def read_config(repo: Path) -> StorageConfig:
    """``storage.json`` of a repo. Raises StorageError."""
    file = repo / CONFIG_FILE
    try:
        return msgspec.json.decode(file.read_bytes(), type=StorageConfig)
    except OSError as err:
        raise StorageError(f"reading {file}: {os.strerror(err.errno or 0).lower()}") from None
    except msgspec.DecodeError as err:
        raise StorageError(f"reading {file}: {err}") from None


def change_config(repo: Path, add: str = "", drop: str = "") -> StorageConfig:
    """Adds or drops one path in ``storage.json``, in place and whole at every moment. Raises StorageError."""
    paths = [p for p in read_config(repo).StoragePaths or [] if p.Path != drop]
    if add and all(p.Path != add for p in paths):
        paths.append(StorageLocalPath(add))
    config = StorageConfig(paths)
    try:
        write_json(repo / CONFIG_FILE, config)
    except OSError as err:
        raise StorageError(f"writing {repo / CONFIG_FILE}: {os.strerror(err.errno or 0).lower()}") from None
    return config


def write_json(file: Path, value: Any) -> None:
    """As Lotus writes it (mode 0644, indented by 2, no final newline), never half. Raises OSError."""
    temp = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with temp.open("wb") as out:
            os.fchmod(out.fileno(), 0o644)
            out.write(msgspec.json.format(msgspec.json.encode(value), indent=2))
            out.flush()
            os.fsync(out.fileno())
        temp.replace(file)
    finally:
        temp.unlink(missing_ok=True)
