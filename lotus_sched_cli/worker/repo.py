"""The worker's repo at start: never one that Lotus made, locked, with its lasting id and its first storage path."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lotus_sched_cli.lotus import logs
from lotus_sched_cli.lotus.errors import UserError
from lotus_sched_cli.lotus.repo import Repo, RepoError
from lotus_sched_cli.storage.errors import StorageError
from lotus_sched_cli.storage.meta import META_FILE, init_path

log: Final = logs.get("repo")

#: The store of open calls.
CALLS: Final = "calls.db"
_FLAG: Final = "--worker-repo"


@dataclass(frozen=True, slots=True)
class WorkerRepo:
    """A locked repo. ``id`` is the worker's lasting id."""

    repo: Repo
    id: str

    @property
    def calls(self) -> Path:
        return self.repo.path / CALLS

    def storage_paths(self) -> list[Path]:
        """Raises UserError."""
        try:
            return [Path(path).expanduser() for path in self.repo.storage_paths()]
        except RepoError as why:
            raise UserError(str(why)) from why


def check(path: Path) -> None:
    """Before anything is asked or written. Raises UserError for a repo that is not for us."""
    try:
        Repo(path, "worker", flag=_FLAG).check_writable()
    except RepoError as why:
        raise UserError(str(why)) from why


def open_repo(path: Path, *, local_storage: bool) -> WorkerRepo:
    """Make or open it and take its lock. Raises UserError.

    ``local_storage``: at the first run the repo itself becomes a sealing path.
    """
    repo = Repo(path, "worker", flag=_FLAG)
    try:
        repo.check_writable()
        if not repo.exists():
            log.info(f"Initializing repo at '{repo.path}'", place="repo/fsrepo.go:230")
        repo.init(WorkerID=str(uuid.uuid4()), LocalStorage=local_storage)
        _lock(repo)
    except RepoError as why:
        raise UserError(str(why)) from why
    try:
        mark = repo.marker()
        if mark.get("LocalStorage", False):
            _first_path(repo)
        return WorkerRepo(repo, str(mark.get("WorkerID") or ""))
    except (RepoError, StorageError, OSError) as why:
        repo.release()
        raise UserError(str(why)) from why


def _lock(repo: Repo) -> None:
    try:
        repo.acquire()
    except RepoError as why:
        if "already locked" in str(why):
            raise UserError(
                f"{why}: {repo.path}; stop that worker, or give another folder with {_FLAG}"
            ) from why
        raise


def _first_path(repo: Repo) -> None:
    """The repo as a sealing path, weight 10; finished here if an earlier first run was cut off in between."""
    own = str(repo.path)
    if (repo.path / META_FILE).exists() or repo.storage_paths() not in ([], [own]):
        return
    repo.set_storage_paths([own])
    init_path(repo.path, seal=True, store=False)
