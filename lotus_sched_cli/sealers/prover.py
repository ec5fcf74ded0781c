"""Where ``lotus-proofs`` is, the program that runs the field's own proofs, and the environment that it gets.

Its contract is proofs/README.md.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from lotus_sched_cli.core.proofs import MIB
from lotus_sched_cli.lotus.errors import UserError

PROGRAM: Final = "lotus-proofs"
#: Its exit codes (its contract, 1) that mean more than a failure.
NO_PARAMETERS, NO_SPACE, INVALID_PROOF, REPLICA_TOUCHED = 3, 4, 5, 6
#: Names the program where it is neither on the PATH nor in the cache folder.
VARIABLE: Final = "LOTUS_PROOFS"
PARAMETERS: Final = "FIL_PROOFS_PARAMETER_CACHE"
#: Where the proofs library looks without it.
FIELD_PARAMETERS: Final = "/var/tmp/filecoin-proof-parameters"
#: In the environment of each child: the repo of the worker that started it. What a killed worker left is found by it.
MARK: Final = "LOTUS_SCHED_CHILD_OF"
#: How to get it, for error texts.
REMEDY: Final = (
    f"make proofs builds it (needs Rust and a C compiler); {VARIABLE} names one that lies elsewhere"
)

#: Settings and tokens of ours that a child does not need.
_PRIVATE: Final = ("LOTUS_", "MINER_API_INFO", "WORKER_API_INFO", "FULLNODE_API_INFO", "STORAGE_API_INFO")
#: Up to this size parameters are made for test networks, in our cache folder.
_TEST_SIZE: Final = 512 * MIB


def find(environ: Mapping[str, str]) -> Path | None:
    """The program: by ``LOTUS_PROOFS``, on the PATH, or what ``make proofs`` built last. None: it is nowhere.

    Raises UserError where ``LOTUS_PROOFS`` names no program.
    """
    if named := environ.get(VARIABLE):
        path = Path(named).expanduser()
        if not _runs(path):
            raise UserError(f"{VARIABLE}={named} is no program; correct it, or unset it to look elsewhere")
        return path.absolute()
    if "PATH" in environ and (on_path := shutil.which(PROGRAM, path=environ["PATH"])):
        return Path(on_path).absolute()
    folder = cache_folder(environ)
    built = [] if folder is None else [p for p in (folder / "proofs").glob(f"*/{PROGRAM}") if _runs(p)]
    return max(built, key=lambda p: p.stat().st_mtime, default=None)


def need(environ: Mapping[str, str], what: str) -> Path:
    """The program. Raises UserError: ``what`` needs it, and how to get it."""
    found = find(environ)
    if found is None:
        raise UserError(f"{what} needs the program {PROGRAM}, which is not here: {REMEDY}")
    return found


def cache_folder(environ: Mapping[str, str]) -> Path | None:
    """Where ``make proofs`` puts program and parameters."""
    base = environ.get("XDG_CACHE_HOME") or (f"{environ['HOME']}/.cache" if environ.get("HOME") else "")
    return Path(base) / "lotus-sched-cli" if base else None


def environment(environ: Mapping[str, str], sector_size: int, gpu: int | None = None) -> dict[str, str]:
    """What a child gets: the worker's own without its tokens; one card, and that card's lock to itself.

    ``gpu`` is NVML's index; CUDA counts in the same order only when told so.
    """
    env = {name: value for name, value in environ.items() if not name.startswith(_PRIVATE)}
    folder = cache_folder(environ)
    if PARAMETERS not in env and folder is not None and sector_size <= _TEST_SIZE:
        ours = folder / "proof-parameters"
        if ours.is_dir():
            env[PARAMETERS] = str(ours)
    if gpu is not None:
        env |= {
            "CUDA_VISIBLE_DEVICES": str(gpu),
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
            "BELLPERSON_GPUS_PER_LOCK": "1",
        }
    return env


def _runs(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
