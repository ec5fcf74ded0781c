"""Reading config.toml: defaults, then the file, then the environment (lotus-cli.md §5.2).

What Lotus lets pass in silence is said here: an unknown key is a warning with the nearest known one, a wrong value
is refused with key, value and what is allowed.
"""

from __future__ import annotations

import difflib
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from lotus_sched_cli.core.events import Settings
from lotus_sched_cli.core.pipeline import PipelineSettings
from lotus_sched_cli.lotus.errors import UserError

from .keys import BOOL, FLOAT, INT, KEYS, LIST, MAP, UINT, Key

_BY_PATH: Final = {k.path: k for k in KEYS if k.type != MAP}
_BY_LOWER: Final = {k.path.lower(): k for k in KEYS if k.type != MAP}
_LEVELS_SECTION: Final = "Logging.SubsystemLevels"
#: Bytes of a config.toml at most; the whole of the keys with their comments takes 16 KiB.
MOST: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of one miner. ``values`` holds every key of ``keys.KEYS`` by its path, durations in seconds.

    ``changed`` are the paths whose value comes from the file or the environment; ``warnings`` are to be logged.
    """

    values: Mapping[str, Any]
    levels: Mapping[str, str] = field(default_factory=dict)
    changed: frozenset[str] = frozenset()
    warnings: tuple[str, ...] = ()

    def text(self, path: str) -> str:
        return str(self.values[path])

    def flag(self, path: str) -> bool:
        return bool(self.values[path])

    def number(self, path: str) -> int:
        return int(self.values[path])

    def seconds(self, path: str) -> float:
        return float(self.values[path])

    def scheduler(self) -> Settings:
        """The part that the scheduler reads."""
        return Settings(
            policy="balanced" if self.flag("Storage.AllowMyScheduler") else "windowed",
            spread_by=self.text("Storage.SpreadBy"),
            retry_delay=self.seconds("Storage.RetryDelay"),
            retry_delay_max=self.seconds("Storage.RetryDelayMax"),
            disallow_remote_finalize=self.flag("Storage.DisallowRemoteFinalize"),
            assigner=self.text("Storage.Assigner") or "utilization",
        )

    def pipeline(self) -> PipelineSettings:
        """The part that the sector pipeline reads."""
        return PipelineSettings(
            retry_delay=self.seconds("Storage.RetryDelay"),
            retry_delay_max=self.seconds("Storage.RetryDelayMax"),
            lifetime=int(self.seconds("Sealing.CommittedCapacitySectorLifetime") // 30),
        )


def load(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Read the file (None, or a file that is not there: defaults) and the overrides of the environment.

    Raises UserError, one line with the file, the key, its value and what is allowed.
    """
    values: dict[str, Any] = {k.path: default_value(k) for k in _BY_PATH.values()}
    levels: dict[str, str] = {}
    changed: set[str] = set()
    warnings: list[str] = []
    if path is not None and path.exists():
        where = str(path)
        for name, value in _flatten(_parse(path)):
            if name.lower().startswith(_LEVELS_SECTION.lower() + "."):
                levels[name.split(".", 2)[2]] = str(value)
                continue
            key = _BY_PATH.get(name) or _BY_LOWER.get(name.lower())
            if key is None:
                warnings.append(f"{where}: {_unknown(name)}")
                continue
            values[key.path] = _convert(key, value, f"{where}: {key.path}")
            changed.add(key.path)
    for key in _BY_PATH.values():
        if key.env in environ:
            values[key.path] = _convert(key, _from_env(key, environ[key.env]), key.env)
            changed.add(key.path)
    for entry in filter(None, environ.get("LOTUS_LOGGING_SUBSYSTEMLEVELS", "").split(",")):
        name, _, level = entry.partition(":")
        levels[name.strip()] = level.strip()
    config = Config(values, levels, frozenset(changed), tuple(warnings))
    _check_whole(config, str(path) if path else "config.toml")
    return config


def default_value(key: Key) -> Any:
    """A key's default as `Config` holds it."""
    return _convert(key, _literal(key.default), key.path)


def _parse(path: Path) -> Mapping[str, Any]:
    # Its comments are for ``updated`` to keep; the standard library's reader takes less time and memory.
    import tomllib

    try:
        return tomllib.loads(_text(path))
    except tomllib.TOMLDecodeError as e:
        raise UserError(
            f"{path}: {e}: correct that line, or move the file away to start from the defaults"
        ) from e
    except UnicodeDecodeError as e:
        raise UserError(f"{path}: not UTF-8 text ({e.reason} at byte {e.start})") from e
    except OSError as e:
        raise UserError(f"{path}: cannot be read: {e.strerror}") from e


def _text(path: Path) -> str:
    """The file's text. Raises OSError, UnicodeDecodeError, and UserError for what the running miner would stand still
    over: a pipe that nobody writes into, or more than anyone writes by hand."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise UserError(f"{path}: is no regular file: put one there, or move it away for the defaults")
        raw = file.read(MOST + 1)
    if len(raw) > MOST:
        raise UserError(
            f"{path}: longer than {MOST} bytes: shorten it, or move it away to start from the defaults"
        )
    return raw.decode()


def _flatten(table: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    out: list[tuple[str, Any]] = []
    for name, value in table.items():
        if isinstance(value, Mapping):
            out += _flatten(value, f"{prefix}{name}.")
        else:
            out.append((prefix + name, value))
    return out


def _unknown(name: str) -> str:
    section, _, last = name.lower().rpartition(".")
    # The section alone makes any two of its keys alike, so the names are compared without it.
    here = {p.rpartition(".")[2]: p for p in _BY_LOWER if p.rpartition(".")[0] == section}
    near = [p for p in _BY_LOWER if p.rpartition(".")[2] == last]
    near = near or [here[n] for n in difflib.get_close_matches(last, here, 1)]
    near = near or difflib.get_close_matches(name.lower(), _BY_LOWER, 1, 0.85)
    hint = f", did you mean {_BY_LOWER[near[0]].path}?" if near else ""
    return f"unknown key {name} is ignored{hint}"


def _literal(text: str) -> Any:
    """A default of the table; only the forms that stand there."""
    if text in ("true", "false"):
        return text == "true"
    if text.startswith("["):
        return re.findall(r'"([^"]*)"', text)
    if text.startswith('"'):
        return text[1:-1]
    return float(text) if "." in text else int(text)


#: Go's biggest ``int``.
_MOST: Final = (1 << 63) - 1
_TRUE: Final = ("1", "t", "T", "TRUE", "true", "True")
_FALSE: Final = ("0", "f", "F", "FALSE", "false", "False")


def _from_env(key: Key, text: str) -> Any:
    if key.type == BOOL:
        return True if text in _TRUE else False if text in _FALSE else text
    if key.type == LIST:
        return [part for part in text.split(",") if part]
    if key.type in (INT, UINT):
        try:
            return int(text)
        except ValueError:
            return text
    if key.type == FLOAT:
        try:
            return float(text)
        except ValueError:
            return text
    return text


def _convert(key: Key, value: Any, where: str) -> Any:
    """Check one value; durations become seconds. Raises UserError."""
    match key.type:
        case "bool":
            if isinstance(value, bool):
                return value
            raise _wrong(where, value, "true or false")
        case "int" | "uint64":
            least = key.least if key.least is not None else (0 if key.type == UINT else None)
            allowed = "a whole number" + ("" if least is None else f" from {least:g} up")
            if isinstance(value, bool) or not isinstance(value, int) or (least is not None and value < least):
                raise _wrong(where, value, allowed)
            if value > _MOST:
                raise _wrong(where, value, f"{allowed}, to {_MOST} at most")
            return value
        case "float64":
            allowed = f"a number from {key.least:g} up"
            if isinstance(value, bool) or not isinstance(value, (int, float)) or value < (key.least or 0):
                raise _wrong(where, value, allowed)
            return float(value)
        case "Duration":
            return _duration(key, value, where)
        case "[]string":
            if isinstance(value, list) and all(isinstance(v, str) for v in value):
                return tuple(value)
            raise _wrong(where, value, 'a list of texts, ["a", "b"]')
        case "types.FIL":
            text = value if isinstance(value, str) else str(value)
            if re.fullmatch(r"\s*[0-9]*\.?[0-9]+\s*(fil|attofil|afil)?\s*", text, re.IGNORECASE):
                return text
            raise _wrong(where, value, 'an amount, "0.05 FIL"')
        case _:
            if not isinstance(value, str):
                raise _wrong(where, value, "a text in quotes")
            if key.choices and value not in key.choices:
                raise _wrong(where, value, " or ".join(f'"{c}"' for c in key.choices if c))
            return value


def _duration(key: Key, value: Any, where: str) -> float:
    from lotus_sched_cli.lotus.units import parse_duration

    allowed = 'a duration with units, as in "1h30m" or "45s"'
    if not isinstance(value, str):
        raise _wrong(where, value, allowed)
    try:
        seconds = parse_duration(value) / 1_000_000_000
    except ValueError:
        raise _wrong(where, value, allowed) from None
    if key.least is not None and seconds < key.least:
        raise _wrong(where, value, allowed + ", not below 0")
    return seconds


def _wrong(where: str, value: Any, allowed: str) -> UserError:
    shown = (
        f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else value
    )
    return UserError(f"{where} = {shown}: allowed is {allowed}")


def _check_whole(config: Config, where: str) -> None:
    if config.seconds("Storage.RetryDelayMax") < config.seconds("Storage.RetryDelay"):
        raise UserError(f"{where}: Storage.RetryDelayMax: allowed is a duration not below Storage.RetryDelay")
    lifetime = config.seconds("Sealing.CommittedCapacitySectorLifetime") / 86400
    if not 180 <= lifetime <= 1278:
        raise UserError(
            f"{where}: Sealing.CommittedCapacitySectorLifetime: allowed is 180 to 1278 days (4320h0m0s to 30672h0m0s)"
        )
