"""``proofs.toml``: how the sealer ``proofs`` runs its program. Every part may be left out.

::

    program = "/opt/lotus-proofs"      # else LOTUS_PROOFS, the PATH, what `make proofs` built

    [limits]                           # a task that takes longer is ended; without one it may take for ever
    PC1 = "12h"

    [environment]                      # what the program gets beside the worker's own environment
    FIL_PROOFS_PARENT_CACHE = "/fast/parents"
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from lotus_sched_cli.core.tasks import BY_SHORT, TaskType
from lotus_sched_cli.lotus import units
from lotus_sched_cli.lotus.errors import UserError


@dataclass(frozen=True, slots=True)
class ProofsConfig:
    """``limits`` in seconds, by task type."""

    program: Path | None = None
    limits: Mapping[TaskType, float] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


def load(file: Path) -> ProofsConfig:
    """Read a settings file. Raises UserError with file, key and remedy."""
    raw = read(file)
    known(file, raw, {"program", "limits", "environment"})
    program = raw.get("program")
    if program is not None and (not isinstance(program, str) or not Path(program).expanduser().is_file()):
        bad(file, "program", program, "the path of lotus-proofs")
    environment = texts(file, raw, "environment")
    for name, text in environment.items():
        if not name or "=" in name or "\0" in name:
            bad(file, f"environment.{name}", text, "a variable's name")
    return ProofsConfig(Path(program).expanduser() if program else None, limits(file, raw), environment)


def read(file: Path) -> dict[str, Any]:
    """The TOML of a settings file. Raises UserError."""
    try:
        return tomllib.loads(file.read_text())
    except UnicodeDecodeError as why:
        raise UserError(f"cannot read the sealer's settings {file}: it is no UTF-8 text") from why
    except OSError as why:
        raise UserError(f"cannot read the sealer's settings {file}: {why.strerror or why}") from why
    except tomllib.TOMLDecodeError as why:
        raise UserError(f"{file} is no TOML: {why}; correct it there") from why


def known(file: Path, raw: Mapping[str, Any], keys: set[str]) -> None:
    for key in raw:
        if key not in keys:
            raise UserError(f"{file}: unknown key {key}; known are {', '.join(sorted(keys))}")


def limits(file: Path, raw: Mapping[str, Any]) -> dict[TaskType, float]:
    """``[limits]``: seconds by task type, from durations by short names."""
    found = {}
    for name, text in texts(file, raw, "limits").items():
        if name not in BY_SHORT:
            bad(file, f"limits.{name}", text, f"one of {' '.join(BY_SHORT)} as the name")
        try:
            seconds = units.parse_duration(text) / 1e9
        except ValueError:
            seconds = 0.0
        if seconds <= 0:
            bad(file, f"limits.{name}", text, 'a duration like "12h" or "90m"')
        found[BY_SHORT[name]] = seconds
    return found


def texts(file: Path, raw: Mapping[str, Any], section: str) -> dict[str, str]:
    """A section of texts."""
    found = raw.get(section, {})
    if not isinstance(found, dict):
        bad(file, section, found, f"a section [{section}]")
    for name, text in found.items():
        if not isinstance(text, str) or "\0" in text:
            bad(file, f"{section}.{name}", text, "a text in quotes, without a zero byte")
    return dict(found)


def bad(file: Path, key: str, value: object, wanted: str) -> NoReturn:
    raise UserError(f"{file}: {key} = {value!r} cannot be; give {wanted}")
