"""What a command was told by the flags of its program: repos, colour, layout."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .errors import CliError
from .golang import Context, program_context

LAYOUTS: Final = ("rich", "plain", "classic")
FORMATS: Final = ("json", "jsonl", "csv")


@dataclass(frozen=True, slots=True)
class Globals:
    """The program's flags, as given by flag, environment or default."""

    miner_repo: str = "~/.lotusminer"
    worker_repo: str = "~/.lotusworker"
    miner_api_url: str = ""
    worker_api_url: str = ""
    enable_gpu_proving: bool = True
    color: bool | None = None
    layout: str = ""
    format: str = ""
    watch: str = ""
    vv: bool = False

    @classmethod
    def of(cls, ctx: Context) -> Globals:
        """Read when it is needed: flags of the program may also stand after the command."""
        known = cls.__dataclass_fields__
        params = program_context(ctx).params
        return cls(**{name: value for name, value in params.items() if name in known})

    def use_color(self, *, classic: bool = False) -> bool:
        """Lotus's rule (``cli/util.go``): NO_COLOR wins, then the flag, then a terminal or GOLOG_LOG_FMT=color.

        The releases of 2020 (``classic``) showed colours only where the flag asked for them.
        """
        if os.environ.get("NO_COLOR"):
            return False
        if self.color is not None:
            return self.color
        if classic:
            return False
        return sys.stdout.isatty() or os.environ.get("GOLOG_LOG_FMT") == "color"

    def layout_name(self) -> str:
        """The renderer's name. Raises CliError for one that does not exist."""
        if self.layout == "":
            dumb = os.environ.get("TERM") == "dumb"
            return "rich" if sys.stdout.isatty() and not dumb else "plain"
        if self.layout not in LAYOUTS:
            raise CliError(f'unknown layout "{self.layout}"', f"use one of {', '.join(LAYOUTS)}")
        return self.layout

    def format_name(self) -> str:
        """``json``, ``jsonl``, ``csv`` or nothing. Raises CliError for one that does not exist."""
        if self.format and self.format not in FORMATS:
            raise CliError(f'unknown format "{self.format}"', f"use one of {', '.join(FORMATS)}")
        return self.format

    def watch_seconds(self) -> float | None:
        """Seconds between two looks; None to look once. Raises CliError for a time that is none."""
        if not self.watch:
            return None
        try:
            seconds = float(self.watch)
        except ValueError:
            seconds = 0.0
        if not 0.1 <= seconds <= 86400:
            raise CliError(f'--watch "{self.watch}" is no time', "give seconds from 0.1 to 86400")
        return seconds


def expand(path: str) -> Path:
    """A path as the operator typed it, ``~`` expanded. Raises CliError for an empty one: it would be this folder."""
    if not path:
        raise CliError(
            "a folder's name is empty", "name one with --miner-repo or --worker-repo, . for this one"
        )
    return Path(path).expanduser()
