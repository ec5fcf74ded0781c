"""``--watch``: look again and again; on a terminal in place, in a pipe one look after the other."""

from __future__ import annotations

import io
import os
import re
import shutil
import sys
from collections.abc import Callable
from time import sleep
from typing import Any, Final, TextIO

from lotus_sched_cli.lotus.errors import UserError

from .errors import DaemonError
from .golang import Context
from .state import Globals
from .visible import error_line

CODES: Final = re.compile(r"\x1b\[[0-9;]*m")


def watch(look: Callable[[], Any], ctx: Context) -> None:
    """Look until Ctrl-C. An error is shown and the next look may go well: miners are restarted.

    Raises UserError for a first look that fails at the command line itself: no look would go well.
    """
    seconds = Globals.of(ctx).watch_seconds()
    assert seconds is not None
    out = sys.stdout
    draws = out.isatty() and os.environ.get("TERM") != "dumb" and not Globals.of(ctx).format_name()
    screen: Screen | Scroll = Screen(out) if draws else Scroll(out, blank=not Globals.of(ctx).format_name())
    first = True
    try:
        while True:
            text, error = one_look(look, out)
            if first and error and not isinstance(error, DaemonError):
                raise error
            first = False
            screen.show(text, error_line(str(error)) if error else "")
            sleep(seconds)
    except KeyboardInterrupt:
        return


class Held(io.StringIO):
    """What a look writes; commands see the terminal that is behind it."""

    def __init__(self, out: TextIO) -> None:
        super().__init__()
        self._out = out

    def isatty(self) -> bool:
        return self._out.isatty()


def one_look(look: Callable[[], Any], out: TextIO) -> tuple[str, UserError | None]:
    """What it wrote, and its error."""
    sys.stdout = held = Held(out)
    try:
        look()
    except UserError as error:
        return held.getvalue(), error
    finally:
        sys.stdout = out
    return held.getvalue(), None


class Scroll:
    """A pipe: looks follow each other, errors go to stderr."""

    def __init__(self, out: TextIO, *, blank: bool) -> None:
        self._out, self._blank, self._first = out, blank, True

    def show(self, text: str, error: str) -> None:
        if error:
            print(error, file=sys.stderr)
        self._out.write(text if self._first or not self._blank else f"\n{text}")
        self._out.flush()
        self._first = False


class Screen:
    """A terminal: each look is drawn over the one before it, without clearing what stands above."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._rows = out, 0

    def show(self, text: str, error: str) -> None:
        columns, height = shutil.get_terminal_size()
        lines = [*text.splitlines(), *([error] if error else [])]
        kept, rows = fitting(lines, columns, height - 1)
        up = f"\x1b[{self._rows}F" if self._rows else ""
        self._out.write(up + "".join(f"{line}\x1b[K\n" for line in kept) + "\x1b[J")
        self._out.flush()
        self._rows = rows


def fitting(lines: list[str], columns: int, height: int) -> tuple[list[str], int]:
    """The lines that a screen holds, whole, and how many of its rows they take; the last says what is left out."""
    sizes = [rows_of(line, columns) for line in lines]
    if sum(sizes) <= height:
        return lines, sum(sizes)
    kept, rows = 0, 0
    while kept < len(lines) and rows + sizes[kept] < height:
        rows += sizes[kept]
        kept += 1
    return [*lines[:kept], f"{len(lines) - kept} more lines"], rows + 1


def rows_of(line: str, columns: int) -> int:
    """Rows that a line takes where the terminal breaks it; wide characters take two places."""
    from rich.cells import cell_len

    width = cell_len(CODES.sub("", line).expandtabs(8))
    return max(1, -(-width // max(1, columns)))
