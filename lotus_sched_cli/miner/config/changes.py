"""What differs between the settings that are in force and those of config.toml now, and when each counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from .keys import KEYS, MAP, Key
from .read import Config
from .write import toml_text, written_value

NOW: Final = "in force"
RESTART: Final = "after a restart of the miner"
NEVER: Final = "without effect here"
LEVELS: Final = "Logging.SubsystemLevels"


@dataclass(frozen=True, slots=True)
class Change:
    """One key whose value is another than the one in force. ``old`` and ``new`` are TOML texts, empty for none."""

    key: str
    old: str
    new: str
    effect: str


def changes(running: Config, fresh: Config) -> tuple[Change, ...]:
    """In the order of the file; levels of loggers last."""
    found = [
        Change(k.path, _shown(k, running.values[k.path]), _shown(k, fresh.values[k.path]), _effect(k))
        for k in KEYS
        if k.type != MAP and running.values[k.path] != fresh.values[k.path]
    ]
    for name in dict.fromkeys((*running.levels, *fresh.levels)):
        old, new = running.levels.get(name, ""), fresh.levels.get(name, "")
        if old.lower() != new.lower():
            found.append(Change(f"{LEVELS}.{name}", old, new, NOW))
    return tuple(found)


def taken_over(running: Config, fresh: Config) -> Config:
    """The settings in force after a reload: what needs a restart stays as it is until then."""
    values: Mapping[str, Any] = {
        **running.values,
        **{k.path: fresh.values[k.path] for k in KEYS if k.type != MAP and (k.live or k.kept)},
    }
    return replace(fresh, values=values)


def _effect(key: Key) -> str:
    return NEVER if key.kept else NOW if key.live else RESTART


def _shown(key: Key, value: Any) -> str:
    return toml_text(key, written_value(key, value))
