"""A repo: the folder in which a miner or worker keeps its API address, token, keys and paths, laid out as Lotus's.

Ours is marked by a file ``lotus-sched``; one that Lotus itself made (same default folders) is read, never written to.
Standard library only, for the commands' start. Source: Lotus ``node/repo/fsrepo.go``.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import fcntl
import json
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from .errors import UserError

__all__ = ["JWT_SECRET", "MARKER", "SCHEMA", "Repo", "RepoError", "default_path", "write_atomic"]

MARKER: Final = "lotus-sched"
SCHEMA: Final = 1
#: What marks a repo, whichever part of it is left (a miner's, a worker's, one whose keys lie elsewhere).
LOTUS_MADE: Final = ("datastore", "keystore", "storage.json")
#: Names of Lotus's keys, and the type of the token secret.
JWT_SECRET: Final = "auth-jwt-private"
_JWT_TYPE: Final = "jwt-hmac-secret"


class RepoError(UserError):
    """What is wrong with a repo: one line with its path and the remedy."""


def default_path(envs: tuple[str, ...], default: str, environ: Mapping[str, str] | None = None) -> str:
    """The repo's path from the first variable that is set, else the default."""
    env = os.environ if environ is None else environ
    return next((env[name] for name in envs if env.get(name)), default)


class Repo:
    """One repo folder. ``kind`` is ``miner`` or ``worker``; ``flag`` names the option that chooses another folder."""

    def __init__(self, path: str | Path, kind: str = "", *, flag: str = "") -> None:
        self.path = Path(path).expanduser().absolute()
        self.kind = kind
        self.flag = flag or (f"--{kind}-repo" if kind else "--miner-repo or --worker-repo")
        self._lock: int | None = None

    # what it is

    def is_ours(self) -> bool:
        return (self.path / MARKER).is_file()

    def is_lotus_made(self) -> bool:
        """Whether Lotus itself made it: what every repo of Lotus has, without our mark."""
        return not self.is_ours() and any((self.path / name).exists() for name in LOTUS_MADE)

    def exists(self) -> bool:
        """Whether it is initialised, by us or by Lotus."""
        return self.is_ours() or self.is_lotus_made()

    def check_writable(self) -> None:
        """Raises RepoError when this program must not write here."""
        if self.is_lotus_made():
            raise RepoError(
                f"the repo at {self.path} was made by Lotus itself and is left alone; choose another folder with {self.flag}"
            )
        if not self.is_ours():
            return
        mark = self.marker()
        if mark.get("schema", 0) > SCHEMA:
            raise RepoError(
                f"the repo at {self.path} was made by a newer version (schema {mark['schema']}, known: {SCHEMA}); update this program"
            )
        if self.kind and mark.get("kind") not in (None, "", self.kind):
            raise RepoError(
                f"the repo at {self.path} is a {mark['kind']}'s, not a {self.kind}'s; choose another folder with {self.flag}"
            )

    def marker(self) -> dict[str, Any]:
        """What our mark says: schema, kind, and whatever else was given to `init`."""
        try:
            mark = json.loads((self.path / MARKER).read_text())
        except (OSError, ValueError) as error:
            raise RepoError(
                f"cannot read {self.path / MARKER}: {error}; restore it or choose another folder with {self.flag}"
            ) from None
        if not isinstance(mark, dict) or not isinstance(mark.get("schema", 0), int):
            raise RepoError(
                f"{self.path / MARKER} is not what this program writes; restore it or choose another folder with {self.flag}"
            )
        return mark

    def init(self, **more: Any) -> None:
        """Make it, or complete it if it is ours already. Raises RepoError (Lotus's, no right to write, disk full)."""
        self.check_writable()
        try:
            self.path.mkdir(mode=0o755, parents=True, exist_ok=True)
            # The mark comes first: a keystore without it would look like Lotus's after a crash in between.
            if not self.is_ours():
                write_atomic(self.path / MARKER, _indented({"schema": SCHEMA, "kind": self.kind, **more}))
            (self.path / "keystore").mkdir(mode=0o700, exist_ok=True)
            if not (self.path / "storage.json").exists():
                write_atomic(self.path / "storage.json", _indented({"StoragePaths": None}))
        except OSError as error:
            raise RepoError(
                f"cannot make a repo at {self.path}: {error.strerror or error}; choose another folder with {self.flag}"
            ) from None

    # lock

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold ``repo.lock`` while running. Raises RepoError if another process does."""
        self.acquire()
        try:
            yield
        finally:
            self.release()

    def acquire(self) -> None:
        if self._lock is not None:
            raise RepoError("repo is already locked (process is already running)")
        try:
            fd = os.open(self.path / "repo.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise RepoError(
                f"cannot open {self.path / 'repo.lock'}: {error.strerror}; run this as the user that owns the repo, or choose "
                f"another folder with {self.flag}"
            ) from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise RepoError("repo is already locked (process is already running)") from None
            raise RepoError(f"cannot lock {self.path / 'repo.lock'}: {error.strerror}") from None
        self._lock = fd

    def release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # API address and token

    def api(self) -> str:
        """The running daemon's address, a multiaddr. Raises RepoError if it is not running."""
        try:
            text = (self.path / "api").read_text().strip()
        except FileNotFoundError:
            text = ""
        except OSError as error:
            raise RepoError(f"could not get api endpoint: {error.strerror} ({self.path}/api)") from None
        if not text:
            raise RepoError(
                f"could not get api endpoint: No file ({self.path}/api): API not running (no endpoint)"
            )
        return text

    def set_api(self, address: str) -> None:
        write_atomic(self.path / "api", address.encode())

    def clear_api(self) -> None:
        """At a clean stop."""
        with contextlib.suppress(FileNotFoundError):
            (self.path / "api").unlink()

    def token(self) -> str:
        """The API token; empty if there is none."""
        try:
            return (self.path / "token").read_text().strip()
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise RepoError(
                f"cannot read {self.path / 'token'}: {error.strerror}; run this as the user that runs the daemon"
            ) from None

    def set_token(self, token: str) -> None:
        write_atomic(self.path / "token", token.encode(), mode=0o600)

    # storage.json

    def storage_paths(self) -> list[str]:
        """The paths in ``storage.json``. Raises RepoError if it is missing or broken."""
        file = self.path / "storage.json"
        try:
            got = json.loads(file.read_text())
            return [str(p["Path"]) for p in got.get("StoragePaths") or []]
        except FileNotFoundError:
            raise RepoError(f"{file} is missing; restore it (the paths' data is untouched)") from None
        except OSError as error:
            raise RepoError(f"cannot read {file}: {error.strerror}") from None
        except (ValueError, AttributeError, KeyError, TypeError) as error:
            raise RepoError(
                f'{file} is not what Lotus writes, {{"StoragePaths": [{{"Path": "/data"}}]}}: {error}'
            ) from None

    def set_storage_paths(self, paths: list[str]) -> None:
        write_atomic(
            self.path / "storage.json", _indented({"StoragePaths": [{"Path": p} for p in paths] or None})
        )

    # keys

    def key(self, name: str) -> tuple[str, bytes] | None:
        """A key's type and bytes, None if there is none. Raises RepoError when others could read it."""
        file = self._key_file(name)
        try:
            mode = file.stat().st_mode
            if mode & 0o077:
                raise RepoError(
                    f"permissions of key: '{name}' are too relaxed, required: 0600, got: {stat.S_IMODE(mode):#o}; chmod 600 {file}"
                )
            got = json.loads(file.read_text())
            return str(got["Type"]), base64.b64decode(got["PrivateKey"])
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RepoError(f"cannot read key '{name}' ({file}): {error.strerror}") from None
        except (ValueError, KeyError, TypeError) as error:
            raise RepoError(f"key '{name}' ({file}) is damaged: {error}; restore it from a backup") from None

    def put_key(self, name: str, type_: str, private: bytes) -> None:
        """Store a key that is not there yet."""
        file = self._key_file(name)
        if file.exists():
            raise RepoError(f"key '{name}' exists already ({file})")
        file.parent.mkdir(mode=0o700, exist_ok=True)
        text = json.dumps(
            {"Type": type_, "PrivateKey": base64.b64encode(private).decode()}, separators=(",", ":")
        )
        write_atomic(file, text.encode(), mode=0o600)

    def secret(self) -> bytes:
        """The token secret; made at first use."""
        got = self.key(JWT_SECRET)
        if got is None:
            self.put_key(JWT_SECRET, _JWT_TYPE, os.urandom(32))
            got = self.key(JWT_SECRET)
        assert got is not None
        return got[1]

    def _key_file(self, name: str) -> Path:
        return self.path / "keystore" / base64.b32encode(name.encode()).decode().rstrip("=")


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replace a file whole or not at all, on disk before this returns; never readable by others in between."""
    temp = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(fd, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temp.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temp.unlink()
        raise
    with contextlib.suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _indented(value: Any) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode()
