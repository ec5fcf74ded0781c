"""How views look. A renderer is a module with ``render(view, *, color) -> str``, imported when it is chosen.

``plain`` is Lotus's layout, ``rich`` is for terminals, ``classic`` the tables of 2020; ``data`` writes for programs.
"""

from __future__ import annotations

import sys
from importlib import import_module

from lotus_sched_cli.cli.golang import Context
from lotus_sched_cli.cli.state import Globals
from lotus_sched_cli.cli.visible import visible


def show(ctx: Context, view: object) -> None:
    """Write a view on stdout in the layout or format that flags, environment and terminal ask for."""
    options = Globals.of(ctx)
    if options.format_name():
        from . import data

        sys.stdout.write(data.render(view, options.format_name()))
        return
    layout = options.layout_name()
    module = import_module(f".{layout}", __name__)
    sys.stdout.write(module.render(view, color=options.use_color(classic=layout == "classic")))


def notice(ctx: Context, text: str) -> None:
    """A remark for people, on stdout where Lotus has it; programs get none."""
    print(visible(text), flush=True, file=sys.stderr if Globals.of(ctx).format_name() else sys.stdout)
