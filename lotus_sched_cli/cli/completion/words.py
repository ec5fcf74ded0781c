"""Lotus's own protocol: the words typed so far and ``--generate-bash-completion`` give candidates, one a line.

Source: urfave/cli 2.27 (lotus-cli.md §8.1). The scripts that come with Lotus work with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lotus_sched_cli.cli.golang import Context, GoGroup, flags_of, option_names


def candidates(program: GoGroup, name: str, typed: Sequence[str]) -> list[str]:
    """Subcommands with their aliases, or, where the last word begins with a dash, flags that are not given yet."""
    command: Any = program
    ctx: Context = command.context_class(command, info_name=name)
    last = typed[-1] if typed else ""
    for word in typed[:-1] if last.startswith("-") else typed:
        if word.startswith("-"):
            continue
        below = command.get_command(ctx, word) if isinstance(command, GoGroup) else None
        if below is None:
            continue
        command = below
        ctx = command.context_class(command, info_name=word, parent=ctx)
    if last.startswith("-"):
        return _flags(ctx, last, typed)
    return _commands(command, ctx) if isinstance(command, GoGroup) else []


def _commands(command: GoGroup, ctx: Context) -> list[str]:
    found = []
    for name in command.list_commands(ctx):
        lazy = command.lazy.get(name)
        if lazy is None or not lazy.hidden:
            found += [name, *(lazy.aliases if lazy is not None else ())]
    return [*found, "help", "h"]


def _flags(ctx: Context, last: str, typed: Sequence[str]) -> list[str]:
    start = last.lstrip("-")
    long_only = last.startswith("--")
    params = dict.fromkeys(p for p in flags_of(ctx).values() if not p.hidden)
    given = {word.lstrip("-").partition("=")[0] for word in typed[:-1] if word.startswith("-")}
    names = [n for p in params for n in option_names(p) if not given & set(option_names(p))]
    return [
        f"{'-' if len(n) == 1 else '--'}{n}"
        for n in [*names, "help", "h"]
        if n.startswith(start) and n != start and not (long_only and len(n) == 1)
    ]
