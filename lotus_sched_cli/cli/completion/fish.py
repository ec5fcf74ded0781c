"""The completion script for fish: a line per flag, subcommand and argument."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .tree import DYNAMIC, FILES, Flag, Node

# Where the cursor is: the words typed so far without flags and their values, as far as they are commands.
_WALK: Final = r"""
function @fn@_at
    set -l at @name@
    set -l skip 0
    set -l words (commandline -opc)
    for word in $words[2..-1]
        if test $skip = 1
            set skip 0
        else if string match -q -- '-*=*' $word
            continue
        else if string match -q -- '-?*' $word
            set -l flag (string replace -r -- '^-+' '' $word)
            contains -- $flag $@fn@_takes; and set skip 1
        else if contains -- "$at $word" $@fn@_paths
            set at "$at $word"
        end
    end
    echo $at
end

function @fn@_is
    test (@fn@_at) = "$argv"
end

function @fn@_in
    set -l at (@fn@_at)
    string match -q -- "$argv*" $at
end

function @fn@_values
    @name@ --generate-values $argv[1] -- (commandline -opc)[2..-1] 2>/dev/null
end
"""


def script(program: Node, kinds: Mapping[str, tuple[str, ...]]) -> str:
    """The whole script of one program."""
    fn = "__" + program.name.replace("-", "_")
    nodes = list(program.walk())
    takes = sorted({n.lstrip("-") for node in nodes for f in node.flags if f.kind for n in f.names})
    paths = [_quoted(node.path) for node in nodes]
    lines = [
        f"# Completion of {program.name} for fish, made from its commands by `make docs`. Do not edit.",
        f"set -g {fn}_takes {' '.join(takes)}",
        f"set -g {fn}_paths {' '.join(paths)}",
        _WALK.replace("@fn@", fn).replace("@name@", program.name),
        f"complete -c {program.name} -f",
    ]
    for node in nodes:
        here = f"complete -c {program.name} -n {_quoted(f'{fn}_is {node.path}')}"
        below = f"complete -c {program.name} -n {_quoted(f'{fn}_in {node.path}')}"
        lines += [f"{here} -a {_quoted(c.name)} -d {_quoted(c.help)}" for c in node.children]
        for flag in node.flags:
            lines.append(f"{below if node.program else here}{_flag(flag, fn, kinds)}")
        lines.append(f"{here} -l help -s h -d 'show help'")
        for kind in dict.fromkeys(node.arguments):
            if action := _action(kind, fn, kinds):
                lines.append(f"{here}{action}")
    return "\n".join(lines) + "\n"


def _flag(flag: Flag, fn: str, kinds: Mapping[str, tuple[str, ...]]) -> str:
    names = "".join(
        f" -s {n[1:]}" if len(n) == 2 else f" -l {n[2:]}" if len(n) > 3 else "" for n in flag.names
    )
    value = f" -r{_action(flag.kind, fn, kinds)}" if flag.kind else ""
    return f"{names}{value} -d {_quoted(flag.help)}"


def _action(kind: str, fn: str, kinds: Mapping[str, tuple[str, ...]]) -> str:
    if kind in DYNAMIC:
        return f" -a {_quoted(f'({fn}_values {kind})')}"
    if kind == FILES:
        return " -F"
    words = kind[1:].split(" ") if kind.startswith("=") else kinds.get(kind, ())
    return f" -a {_quoted(' '.join(words))}" if words else ""


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
