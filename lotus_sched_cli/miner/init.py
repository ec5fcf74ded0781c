"""``lotus-miner init``: a repo for a miner on its own simulated chain.

Everything is made in a folder beside the target and moved there whole, so that a failure leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from lotus_sched_cli.core.proofs import SECTOR_SIZES, SIZE_NAMES
from lotus_sched_cli.lotus import logs
from lotus_sched_cli.lotus.errors import UserError
from lotus_sched_cli.lotus.repo import MARKER, Repo, RepoError
from lotus_sched_cli.lotus.types import StorageConfig, StorageLocalPath
from lotus_sched_cli.sealers import prover
from lotus_sched_cli.storage import meta
from lotus_sched_cli.storage.errors import StorageError

from . import chain
from .config import default_text
from .options import PROOFS, MinerInitOptions
from .store import Store, StoreError

__all__ = ["STORE", "MinerInitOptions", "init"]

log = logs.get("lotus-miner")

#: The store's file in the repo.
STORE: Final = "lotus-sched.db"


def init(options: MinerInitOptions) -> None:
    """Make the repo. Raises UserError with one line, and then nothing has changed."""
    target = options.miner_repo.expanduser().absolute()
    shown = options.repo_text or str(target)
    actor = parse_actor(options.actor)
    size = parse_sector_size(options.sector_size)
    proofs = choose_proofs(options.proofs, os.environ if options.environ is None else options.environ)
    _check_first(options.first_sector)
    _check_target(target, shown)
    log.info("Initializing lotus miner")
    temp = target.with_name(f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        try:
            temp.mkdir(mode=0o755, parents=True)
            _fill(temp, target, options, actor, size, proofs)
            _move(temp, target)
        except (OSError, RepoError, StorageError, StoreError) as e:
            why = e.strerror if isinstance(e, OSError) and e.strerror else str(e)
            raise UserError(
                f"cannot make the miner's repo at {shown}: {why}; choose another folder with --miner-repo"
            ) from e
    finally:
        shutil.rmtree(temp, ignore_errors=True)
    log.info("Miner successfully created, you can now start it with 'lotus-miner run'")


def parse_actor(text: str) -> int:
    """The number of an actor's id address, ``t01000`` → 1000. Raises UserError."""
    match = re.fullmatch(r"[tf]0(\d{1,18})", text)
    if match is None:
        raise UserError(
            f'invalid value "{text}" for --actor: give the id address of a miner actor, like t01000'
        )
    return int(match[1])


def parse_sector_size(text: str) -> int:
    """Bytes of a sector size. Raises UserError."""
    for size in SECTOR_SIZES:
        if text.lower() == SIZE_NAMES[size].lower():
            return size
    raise UserError(
        f'invalid value "{text}" for --sector-size: give one of {", ".join(SIZE_NAMES[s] for s in SECTOR_SIZES)}'
    )


def choose_proofs(text: str | None, environ: Mapping[str, str]) -> str:
    """What the chain takes as proof: what was asked for, else real where the prover is found. Raises UserError."""
    if text is None:
        return "real" if prover.find(environ) is not None else "stand-in"
    if text not in PROOFS:
        raise UserError(f'invalid value "{text}" for --proofs: give {" or ".join(PROOFS)}')
    if text == "real":
        prover.need(environ, "--proofs real")
    return text


def _check_first(number: int | None) -> None:
    if number is not None and number < 0:
        raise UserError(f'invalid value "{number}" for --first-sector: give a number from 0 up')


def _check_target(target: Path, shown: str) -> None:
    repo = Repo(target, "miner")
    if repo.is_ours():
        raise UserError(f"repo at '{shown}' is already initialized")
    try:
        repo.check_writable()
    except RepoError as e:
        raise UserError(str(e)) from e
    if target.exists() and not target.is_dir():
        raise UserError(f"{shown} is not a folder; choose another one with --miner-repo")


def _fill(temp: Path, target: Path, options: MinerInitOptions, actor: int, size: int, proofs: str) -> None:
    Repo(temp, "miner").init()  # first: its mark says whose the rest is
    (temp / "config.toml").write_text(default_text())
    paths = []
    if not options.no_local_storage:
        meta.init_path(temp, seal=True, store=True)
        paths.append(StorageLocalPath(str(target)))
    listed = StorageConfig(paths or None)
    (temp / "storage.json").write_bytes(msgspec.json.format(msgspec.json.encode(listed), indent=2))
    asyncio.run(_make_store(temp / STORE, actor, size, proofs, options.first_sector))


async def _make_store(file: Path, actor: int, size: int, proofs: str, first: int | None) -> None:
    store = await Store.open(file)
    try:
        writes = store.writes()
        writes.meta("actor", actor)
        writes.meta("sector_size", size)
        writes.meta("first_sector", first or 0)
        await writes.commit()
        await chain.found(store, seed=secrets.token_bytes(32), proofs=proofs, now=time.time())
    finally:
        await store.close()


def _move(temp: Path, target: Path) -> None:
    """Into place: at once where nothing is there, else file by file with our mark last."""
    if not target.exists() or not any(target.iterdir()):
        temp.rename(target)
        return
    names = sorted((p.name for p in temp.iterdir()), key=lambda name: name == MARKER)
    if taken := [name for name in names if (target / name).exists()]:
        raise UserError(f"{target} already has {', '.join(taken)}; choose another folder with --miner-repo")
    moved: list[str] = []
    try:
        for name in names:
            shutil.move(temp / name, target / name)
            moved.append(name)
    except OSError:
        for name in moved:
            with contextlib.suppress(OSError):
                shutil.move(target / name, temp / name)
        raise
