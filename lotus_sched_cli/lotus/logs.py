"""Log lines exactly as Lotus writes them (go-log on zap): text, colour or JSON; levels per subsystem; ``GOLOG_…``.

``log = get("advmgr")``, then ``log.info("SCHED ASSIGNED", sector="15", place="sealer/sched.go:97")``: keywords are the
structured fields, ``place`` stands for the caller where a runbook greps Lotus's. Records are stdlib ``logging`` records, so
libraries' own lines come out in the same layout. Writing is left to one thread: `setup` starts it, exit flushes.

Sources: lotus-cli facts on go-log 2.9.2; Lotus ``lib/lotuslog/levels.go``.
"""

from __future__ import annotations

import atexit
import logging
import os
import queue
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TextIO

from .errors import UserError
from .log_lines import LEVELS, JsonFormatter, TextFormatter, short_place

__all__ = [
    "DEFAULTLEVELS",
    "Log",
    "LogConfigError",
    "flush",
    "get",
    "level_of",
    "names",
    "on_terminal",
    "set_level",
    "setup",
    "show_below",
    "shutdown",
]

#: Lotus's own levels, in force unless GOLOG_LOG_LEVEL is set.
DEFAULTLEVELS: Final[Mapping[str, str]] = {
    "dht": "error",
    "swarm2": "warn",
    "bitswap": "warn",
    "connmgr": "warn",
    "p2p-config": "warn",
    "advmgr": "debug",
    "stores": "debug",
}
#: Loggers that exist from the start, as in Lotus.
KNOWN: Final = (
    "advmgr", "stores", "sectors", "evtsm", "ffiwrapper", "worker", "main", "sealworker", "rpc", "rpcenc", "auth", "node",
    "storageminer", "repo", "modules", "builder", "ulimit", "cli", "cliutil", "lotus-miner", "alerting", "config",
)  # fmt: skip
_ROOT: Final = "lotus"


class LogConfigError(UserError):
    """A ``GOLOG_…`` variable or a level that cannot be used; the text says which, and what to do."""


class Log:
    """A subsystem's logger. Cheap when the level is off: one comparison."""

    __slots__ = ("_logger", "name", "threshold")

    def __init__(self, name: str) -> None:
        self.name = name
        self.threshold = logging.INFO
        self._logger = logging.getLogger(f"{_ROOT}.{name}")

    def enabled(self, level: int) -> bool:
        return level >= self.threshold

    def debug(
        self, message: str, /, *, place: str = "", exc: BaseException | None = None, **fields: Any
    ) -> None:
        if self.threshold <= logging.DEBUG:
            self._say(logging.DEBUG, message, place, exc, fields)

    def info(
        self, message: str, /, *, place: str = "", exc: BaseException | None = None, **fields: Any
    ) -> None:
        if self.threshold <= logging.INFO:
            self._say(logging.INFO, message, place, exc, fields)

    def warn(
        self, message: str, /, *, place: str = "", exc: BaseException | None = None, **fields: Any
    ) -> None:
        if self.threshold <= logging.WARNING:
            self._say(logging.WARNING, message, place, exc, fields)

    warning = warn

    def error(
        self, message: str, /, *, place: str = "", exc: BaseException | None = None, **fields: Any
    ) -> None:
        if self.threshold <= logging.ERROR:
            self._say(logging.ERROR, message, place, exc, fields)

    def _say(
        self, level: int, message: str, place: str, exc: BaseException | None, fields: dict[str, Any]
    ) -> None:
        if not place:
            frame = sys._getframe(2)
            place = f"{short_place(frame.f_code.co_filename)}:{frame.f_lineno}"
        if exc is not None:
            message += "\n" + "".join(traceback.format_exception(exc)).rstrip("\n")
        record = logging.LogRecord(self._logger.name, level, place, 0, message, None, None)
        record.go_name, record.go_place, record.go_fields = self.name, place, fields
        self._logger.handle(record)


_logs: Final[dict[str, Log]] = {}
_levels: Final[dict[str, int]] = {}
_default: int = logging.INFO
_lock: Final = threading.Lock()


def get(name: str) -> Log:
    """The logger of a subsystem, made at first use."""
    log = _logs.get(name)
    if log is None:
        with _lock:
            log = _logs.setdefault(name, Log(name))
            _apply(log)
    return log


def names() -> list[str]:
    """All subsystems, as ``log list`` gives them."""
    return list(dict.fromkeys((*KNOWN, *_logs)))


def set_level(system: str, level: str) -> None:
    """Change a subsystem's level while running; ``*`` is all of them and the default. Raises LogConfigError."""
    global _default
    number = LEVELS.get(level.lower())
    if number is None:
        raise LogConfigError(f'unrecognized level: "{level}"')
    if system == "*":
        _default = number
        _levels.clear()
    else:
        _levels[system] = number
    for log in list(_logs.values()):
        _apply(log)


def level_of(system: str) -> str:
    """The level in force for a subsystem."""
    number = _levels.get(system, _default)
    return next(name for name, n in LEVELS.items() if n == number)


def setup(
    environ: Mapping[str, str] | None = None,
    *,
    stderr: TextIO | None = None,
    stdout: TextIO | None = None,
    levels: Mapping[str, str] | None = None,
) -> None:
    """Write log lines from now on, as the environment's ``GOLOG_…`` say.

    ``levels``: more of them by subsystem (config.toml's ``[Logging.SubsystemLevels]``), in force over the environment.
    Raises LogConfigError for a log file that cannot be opened; an unknown level is said on stderr and left out, as in Lotus.
    """
    env = os.environ if environ is None else environ
    stderr = stderr or sys.stderr
    shutdown()
    _read_levels(env, stderr)
    for system, level in (levels or {}).items():
        set_level(system, level)
    targets = _targets(env, stderr, stdout or sys.stdout)
    fmt = env.get("GOLOG_LOG_FMT", "")
    labels = dict(pair.split("=", 1) for pair in env.get("GOLOG_LOG_LABELS", "").split(",") if "=" in pair)
    if fmt == "json":
        formatter: logging.Formatter = JsonFormatter(labels)
    else:
        colour = fmt == "color" or (
            fmt != "nocolor" and all(t.isatty() for t in targets if hasattr(t, "isatty")) and bool(targets)
        )
        formatter = TextFormatter(labels, colour=colour)
    handler = _Handler(targets, formatter)
    root = logging.getLogger(_ROOT)
    root.setLevel(1)
    root.propagate = False
    root.handlers[:] = [handler]
    other = logging.getLogger()
    other.handlers[:] = [handler]
    other.setLevel(logging.WARNING)


def flush(timeout: float = 5.0) -> None:
    """Wait until what was said so far is written."""
    for handler in logging.getLogger(_ROOT).handlers:
        if isinstance(handler, _Handler):
            handler.drain(timeout)


def shutdown() -> None:
    """Write what is left and stop the writing thread."""
    for handler in logging.getLogger(_ROOT).handlers[:]:
        if isinstance(handler, _Handler):
            handler.close()
            logging.getLogger(_ROOT).removeHandler(handler)
            logging.getLogger().removeHandler(handler)


def on_terminal() -> bool:
    """Whether somebody watches the lines on a terminal."""
    return any(isinstance(h, _Handler) and h.terminals for h in logging.getLogger(_ROOT).handlers)


def show_below(key: int, text: str) -> None:
    """Keep a text below the last line on a terminal, until an empty one takes it away. No target but terminals sees it."""
    for handler in logging.getLogger(_ROOT).handlers:
        if isinstance(handler, _Handler) and handler.terminals:
            handler.below(key, text)


class _Handler(logging.Handler):
    """Hands lines to a thread that writes them in batches; a slow disk does not hold up the caller."""

    def __init__(self, targets: list[TextIO], formatter: logging.Formatter) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self._targets = targets
        self.terminals = [t for t in targets if hasattr(t, "isatty") and t.isatty()]
        self._below: dict[int, str] = {}
        self._drawn = False
        self._queue: queue.SimpleQueue[str | threading.Event | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="log-writer", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def createLock(self) -> None:
        """None is needed: formatting keeps no state, the queue is safe."""
        self.lock = None

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._queue.put(self.format(record))
        except Exception:
            self.handleError(record)

    def below(self, key: int, text: str) -> None:
        if text:
            self._below[key] = text
        elif self._below.pop(key, None) is None:
            return
        self._queue.put("")

    def drain(self, timeout: float) -> None:
        done = threading.Event()
        self._queue.put(done)
        if self._thread.is_alive():
            done.wait(timeout)

    def close(self) -> None:
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join(5)
        atexit.unregister(self.close)
        for target in self._targets:
            if target not in (sys.stderr, sys.stdout) and getattr(target, "name", None) and _is_ours(target):
                target.close()
        super().close()

    def _write(self) -> None:
        while True:
            item = self._queue.get()
            lines: list[str] = []
            waiting: list[threading.Event] = []
            stop = False
            while True:
                if item is None:
                    stop = True
                elif isinstance(item, threading.Event):
                    waiting.append(item)
                elif item or not lines:
                    lines.append(item)
                if stop or len(lines) >= 1000 or self._queue.empty():
                    break
                item = self._queue.get()
            self._put("".join(f"{line}\n" for line in lines if line), redraw=bool(lines))
            for event in waiting:
                event.set()
            if stop:
                return

    def _put(self, text: str, *, redraw: bool) -> None:
        below = "  ".join(list(self._below.values())[:1])
        for target in self._targets:
            watched = target in self.terminals
            if not text and not (watched and redraw):
                continue
            try:
                target.write(f"\r\x1b[0K{text}{below}" if watched and (below or self._drawn) else text)
                target.flush()
            except (OSError, ValueError):
                # A full disk or a closed terminal: losing lines beats ending the program.
                continue
        self._drawn = bool(below)


_opened: Final[set[int]] = set()


def _is_ours(target: TextIO) -> bool:
    return id(target) in _opened


def _targets(env: Mapping[str, str], stderr: TextIO, stdout: TextIO) -> list[TextIO]:
    path = env.get("GOLOG_FILE", "")
    chosen = [part.strip() for part in env.get("GOLOG_OUTPUT", "").split("+") if part.strip()]
    out: list[TextIO] = []
    if path:
        try:
            file = Path(path).open("a", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
        except OSError as error:
            raise LogConfigError(
                f"cannot open log file {path} (GOLOG_FILE): {error.strerror}; make its folder or unset GOLOG_FILE"
            ) from None
        _opened.add(id(file))
        out.append(file)
    if "stderr" in chosen or (not chosen and not path):
        out.append(stderr)
    if "stdout" in chosen:
        out.append(stdout)
    return out


def _read_levels(env: Mapping[str, str], stderr: TextIO) -> None:
    global _default
    _levels.clear()
    text = env.get("GOLOG_LOG_LEVEL")
    if text is None:
        # With IPFS_LOGGING's old name go-log would look on; Lotus sets its own levels.
        _default = logging.INFO
        _levels.update({system: LEVELS[level] for system, level in DEFAULTLEVELS.items()})
    else:
        _default = logging.ERROR
        for part in text.split(","):
            system, equals, level = part.strip().rpartition("=")
            if not part.strip():
                continue
            number = LEVELS.get(level.lower())
            if number is None:
                stderr.write(
                    f'error setting log level {level}: unrecognized level: "{level}" (GOLOG_LOG_LEVEL)\n'
                )
            elif equals:
                _levels[system] = number
            else:
                _default = number
    for log in _logs.values():
        _apply(log)


def _apply(log: Log) -> None:
    log.threshold = _levels.get(log.name, _default)
