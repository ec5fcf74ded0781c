"""The completion script for bash (4 or newer): tables of words, and one function that walks what was typed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from .tree import FILES, Node

_BODY: Final = r"""
@fn@() {
    local cur="${COMP_WORDS[COMP_CWORD]}" at="@name@" flag="" word kind i n=0 ended=
    COMPREPLY=()
    # What stands before the cursor: subcommands, then arguments, with flags in between. "=" is a word of its own here.
    for ((i = 1; i < COMP_CWORD; i++)); do
        word="${COMP_WORDS[i]}"
        if [[ $word == "=" ]]; then
            continue
        elif [[ -n $flag || ${COMP_WORDS[i - 1]} == "=" ]]; then
            flag=""
        elif [[ -z $ended && $word == "--" ]]; then
            ended=1
        elif [[ -z $ended && $word == -?* ]]; then
            word="--${word#-}"
            word="${word/#---/--}"
            kind="$(@fn@_kind "$at" "$word")"
            [[ -n $kind ]] && flag="$word"
        elif [[ " ${@fn@_subs[$at]-} " == *" $word "* ]]; then
            at="$at $word"
        else
            n=$((n + 1))
        fi
    done
    if [[ $cur == "=" ]]; then
        cur=""
        flag="${COMP_WORDS[COMP_CWORD - 1]}"
    elif [[ ${COMP_WORDS[COMP_CWORD - 1]} == "=" ]]; then
        flag="${COMP_WORDS[COMP_CWORD - 2]}"
    fi
    if [[ -n $flag ]]; then
        flag="--${flag#-}"
        @fn@_values "$(@fn@_kind "$at" "${flag/#---/--}")"
    elif [[ -z $ended && $cur == -* ]]; then
        local flags="${@fn@_flags[$at]-}" above="$at"
        while [[ $above == *" "* ]]; do
            above="${above% *}"
            [[ " @programs@ " == *" ${above// /_} "* ]] && flags+=" ${@fn@_flags[$above]-}"
        done
        COMPREPLY=($(compgen -W "$flags" -- "$cur"))
    elif [[ -n ${@fn@_subs[$at]-} ]]; then
        COMPREPLY=($(compgen -W "${@fn@_subs[$at]}" -- "$cur"))
    else
        local kinds=(${@fn@_args[$at]-})
        ((n >= ${#kinds[@]} && ${#kinds[@]} > 0)) && [[ -n ${@fn@_more[$at]-} ]] && n=$((${#kinds[@]} - 1))
        @fn@_values "${kinds[n]-}"
    fi
}

# What follows a flag here or in a program above: nothing for a switch.
@fn@_kind() {
    local at="$1"
    while :; do
        if [[ -n ${@fn@_takes[$at $2]-} ]]; then
            printf %s "${@fn@_takes[$at $2]}"
            return
        fi
        [[ $at == *" "* ]] || return
        at="${at% *}"
    done
}

@fn@_values() {
    local words=""
    case "$1" in
    "" | any) return ;;
    files) COMPREPLY=($(compgen -f -- "$cur")); compopt -o filenames 2>/dev/null; return ;;
    workers | sectors | jobs) words="$("${COMP_WORDS[0]}" --generate-values "$1" -- "${COMP_WORDS[@]:1}" 2>/dev/null)" ;;
    =*) words="${1#=}"; words="${words//,/ }" ;;
    *) words="${@fn@_words[$1]-}" ;;
    esac
    local IFS=$' \t\n'
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
}

complete -F @fn@ @name@
"""


def script(program: Node, kinds: Mapping[str, tuple[str, ...]]) -> str:
    """The whole script of one program."""
    fn = "_" + program.name.replace("-", "_")
    nodes = list(program.walk())
    lines = [f"# Completion of {program.name} for bash, made from its commands by `make docs`. Do not edit."]
    for name in ("subs", "flags", "takes", "args", "more", "words"):
        lines += [f"declare -gA {fn}_{name}=("]
        lines += [f"    [{_quoted(key)}]={_quoted(value)}" for key, value in _table(name, nodes, kinds)]
        lines += [")"]
    marks = " ".join(n.path.replace(" ", "_") for n in nodes if n.program)
    body = _BODY.replace("@fn@", fn).replace("@name@", program.name).replace("@programs@", marks)
    return "\n".join(lines) + body


def _table(name: str, nodes: list[Node], kinds: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, str]]:
    if name == "words":
        yield from ((kind, " ".join(words)) for kind, words in kinds.items())
        return
    for node in nodes:
        if name == "subs" and node.children:
            yield node.path, " ".join(c.name for c in node.children)
        if name == "flags":
            names = [n for f in node.flags for n in f.names if n.startswith("--") and len(n) > 3]
            yield node.path, " ".join([*names, "--help"])
        if name == "takes":
            yield from ((f"{node.path} {n}", _kind(f.kind)) for f in node.flags if f.kind for n in f.names)
        if name == "args" and node.arguments:
            yield node.path, " ".join(_kind(kind) for kind in node.arguments)
        if name == "more" and node.repeated:
            yield node.path, "1"


def _kind(kind: str) -> str:
    """One word: kinds stand in a list parted by blanks."""
    return kind.replace(" ", ",") if kind.startswith("=") else kind or FILES


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
