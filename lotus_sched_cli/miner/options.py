"""What ``lotus-miner init`` and ``lotus-miner run`` were told. Standard library only: the commands' help reads defaults here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

#: Values of ``init --proofs``; None picks ``real`` where the prover is found, else ``stand-in``.
PROOFS: Final = ("stand-in", "real")
SECTOR_SIZES: Final = ("2KiB", "8MiB", "512MiB", "32GiB", "64GiB")


@dataclass(frozen=True, slots=True, kw_only=True)
class MinerInitOptions:
    """``lotus-miner init``. Texts as typed; ``init`` checks them and raises ``lotus.errors.UserError``."""

    miner_repo: Path = field(default_factory=lambda: Path("~/.lotusminer").expanduser())
    #: How the repo is named in messages, as the operator gave it (``~/.lotusminer``); empty: the path.
    repo_text: str = ""
    actor: str = "t01000"
    sector_size: str = "32GiB"
    proofs: str | None = None
    no_local_storage: bool = False
    #: Number of the first sector that a pledge makes (hidden flag, for rehearsals with fixed numbers).
    first_sector: int | None = None
    environ: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MinerRunOptions:
    """``lotus-miner run``. The API is at ``[API] ListenAddress`` of config.toml unless ``miner_api`` gives a port."""

    miner_repo: Path = field(default_factory=lambda: Path("~/.lotusminer").expanduser())
    repo_text: str = ""
    #: ``--miner-api PORT``: listen on /ip4/127.0.0.1/tcp/PORT.
    miner_api: str | None = None
    #: ``--nosync``: taken and without effect, there is no node to wait for.
    nosync: bool = False
    enable_gpu_proving: bool = True
    manage_fdlimit: bool = True
    #: The environment that counts; None: the process's.
    environ: Mapping[str, str] | None = None
    #: Seconds between the session checks of a worker (Lotus's ``HeartbeatInterval``).
    heartbeat: float = 10.0
