"""How views look. A renderer is a module with ``render(view, *, color) -> str``, imported when it is chosen.

``plain`` is Lotus's layout; ``rich`` is for terminals. More (JSON, CSV, the 2020 tables) are added to `RENDERERS`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Final

from lotus_sched_cli.cli.golang import Context
from lotus_sched_cli.cli.state import Globals

RENDERERS: Final = {"plain": "plain", "rich": "rich"}


def show(ctx: Context, view: object) -> None:
    """Write a view on stdout in the layout that flags, environment and terminal ask for."""
    options = Globals.of(ctx)
    module = import_module(f".{RENDERERS[options.layout_name()]}", __name__)
    sys.stdout.write(module.render(view, color=options.use_color()))


def notice(ctx: Context, text: str) -> None:
    """A remark for people, on stdout where Lotus has it there."""
    print(text, flush=True)
