"""A worker's caps and where each comes from (scheduling.md A2); the worker owns them, also those changed while it runs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lotus_sched_cli.core.caps import Caps
from lotus_sched_cli.core.tasks import Kind
from lotus_sched_cli.lotus import caps as names
from lotus_sched_cli.lotus.errors import UserError
from lotus_sched_cli.lotus.extras import CapRow
from lotus_sched_cli.lotus.repo import write_atomic
from lotus_sched_cli.lotus.units import go_time

from . import resources
from .options import RunOptions

_KINDS: Final = {"precommit1max": Kind.P1, "precommit2max": Kind.P2, "commit2max": Kind.C2}
#: Live values, in the worker's repo.
FILE: Final = "caps.json"


@dataclass(frozen=True, slots=True)
class Resolved:
    """The caps, and for each option's name ``flag``, the variable that gave it, or ``default``."""

    caps: Caps
    sources: Mapping[str, str]


def resolve(options: RunOptions, environ: Mapping[str, str], sector_size: int) -> Resolved:
    """Flag, else ``LOTUS_WORKER_…``, else the operator's ``…_MAX_CONCURRENT`` of this sector size, else the default.

    Raises UserError for a value that is none: the name, the value and what is allowed.
    """
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for name in names.OPTIONS:
        values[name], sources[name] = _one(name, options, environ, sector_size)
    return Resolved(names.changed(Caps(), values), sources)


def _one(name: str, options: RunOptions, environ: Mapping[str, str], sector_size: int) -> tuple[Any, str]:
    given = getattr(options, name, None)
    text = options.extra_caps.get(name) if given is None else str(given)
    if text is not None:
        return names.parse(name, text, f"--{name}"), "flag"
    variable = f"LOTUS_WORKER_{name.upper()}"
    if text := environ.get(variable, "").strip():
        return names.parse(name, text, variable), variable
    if kind := _KINDS.get(name):
        most = resources.concurrent(environ, kind, sector_size)
        if most is not None:
            return most, f"{resources.TASK_OF[kind].short}_…_MAX_CONCURRENT"
    return names.value_of(names.DEFAULTS, name), "default"


@dataclass(frozen=True, slots=True)
class Live:
    """A value that was set while the worker ran; ``over`` is the text of the one that it stands in for."""

    value: str
    over: str
    since: str


class LiveCaps:
    """The caps that count: as started, with the live values over them. ``file`` None: live values end with the process."""

    def __init__(self, started: Resolved, file: Path | None = None) -> None:
        self._started = started
        self._file = file
        self._live: dict[str, Live] = {}

    def load(self) -> list[str]:
        """Take the stored live values; one line for each that a changed flag or variable has ended.

        Raises UserError for a damaged file.
        """
        notes: list[str] = []
        for name, live in self._read().items():
            now = self._started_text(name)
            if now == live.over:
                self._live[name] = live
            else:
                notes.append(
                    f"cap {name}: this start says {now} ({self._started.sources[name]}), it was {live.over} when "
                    f"{live.value} was set live: {now} counts"
                )
        if notes:
            self._store(self._live)
        return notes

    @property
    def caps(self) -> Caps:
        """What counts now."""
        return names.changed(
            self._started.caps, {name: names.parse(name, live.value) for name, live in self._live.items()}
        )

    def set(self, values: Mapping[str, str]) -> None:
        """Set caps by name; on disk when this returns. Raises UserError: nothing is changed then."""
        changes = dict(self._live)
        since = go_time(int(time.time()))
        for name, text in values.items():
            value = names.text_of(name, names.parse(name, text))
            changes[name] = Live(value, self._started_text(name), since)
        self._store(changes)
        self._live = changes

    def reset(self, which: Iterable[str]) -> None:
        """Drop live values: these, or all where none are named. Raises UserError for a name that is none."""
        gone = set(which) or set(self._live)
        for name in gone:
            names.option_named(name)
        changes = {name: live for name, live in self._live.items() if name not in gone}
        self._store(changes)
        self._live = changes

    def rows(self) -> list[CapRow]:
        """Every cap with its value, where that comes from, and what it would be without the live value."""
        return [self._row(name) for name in names.OPTIONS]

    def _row(self, name: str) -> CapRow:
        started, source = self._started_text(name), self._started.sources[name]
        live = self._live.get(name)
        if live is None:
            return CapRow(name, started, source)
        return CapRow(name, live.value, "live", live.since, started, source)

    def _started_text(self, name: str) -> str:
        return names.text_of(name, names.value_of(self._started.caps, name))

    def _read(self) -> dict[str, Live]:
        if self._file is None or not self._file.exists():
            return {}
        try:
            stored = json.loads(self._file.read_text())
            found = {}
            for name, entry in stored.items():
                live = Live(str(entry["value"]), str(entry["over"]), str(entry["since"]))
                names.parse(name, live.value)
                found[name] = live
            return found
        except (OSError, ValueError, AttributeError, KeyError, TypeError, UserError) as why:
            raise UserError(
                f"{self._file} is damaged ({why}); remove it and set the caps again with lotus-worker set"
            ) from why

    def _store(self, live: Mapping[str, Live]) -> None:
        if self._file is None:
            return
        body = {
            name: {"value": one.value, "over": one.over, "since": one.since} for name, one in live.items()
        }
        try:
            write_atomic(self._file, (json.dumps(body, indent=2) + "\n").encode())
        except OSError as why:
            raise UserError(f"cannot store the caps in {self._file}: {why.strerror or why}") from why
