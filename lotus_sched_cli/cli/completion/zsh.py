"""The completion script for zsh: one function per command on ``_arguments``."""

from __future__ import annotations

from collections.abc import Mapping

from .tree import DYNAMIC, FILES, Flag, Node


def script(program: Node, kinds: Mapping[str, tuple[str, ...]]) -> str:
    """The whole script of one program, to be put on ``$fpath`` as ``_NAME``."""
    base = _function(program.path)
    lines = [
        f"#compdef {program.name}",
        f"# Completion of {program.name} for zsh, made from its commands by `make docs`. Do not edit.",
        "",
    ]
    for node in program.walk():
        lines += _command(node, program, kinds)
    lines += [
        f"{base}_values() {{",
        "    local -a found",
        f'    found=(${{(f)"$({program.name} --generate-values $1 -- ${{words[2,-1]}} 2>/dev/null)"}})',
        "    compadd -a found",
        "}",
        "",
        f'if [[ "$funcstack[1]" == "{base}" ]]; then',
        f'    {base} "$@"',
        "else",
        f"    compdef {base} {program.name}",
        "fi",
        "",
    ]
    return "\n".join(lines)


def _command(node: Node, program: Node, kinds: Mapping[str, tuple[str, ...]]) -> list[str]:
    base = _function(program.path)
    specs = [spec for flag in node.flags for spec in _flag(flag, base, kinds)]
    specs.append("'(- *)'{--help,-h}'[show help]'")
    lines = [f"{_function(node.path)}() {{"]
    if node.children:
        lines += ["    local context state state_descr line", "    typeset -A opt_args"]
        specs += ["'1: :->command'", "'*:: :->rest'"]
        lines += [
            "    _arguments -C \\",
            *(f"        {spec} \\" for spec in specs[:-1]),
            f"        {specs[-1]}",
        ]
        lines += ['    case "$state" in', "    command)", "        local -a commands", "        commands=("]
        lines += [f"            {_quoted(_escaped(c.name) + ':' + c.help)}" for c in node.children]
        lines += ["        )", "        _describe command commands", "        ;;", "    rest)"]
        lines += ['        case "$line[1]" in']
        lines += [f"        {c.name}) {_function(c.path)} ;;" for c in node.children]
        lines += ["        esac", "        ;;", "    esac"]
    else:
        for i, kind in enumerate(node.arguments, 1):
            place = "*" if node.repeated and i == len(node.arguments) else str(i)
            specs.append(_quoted(f"{place}: :") + _action(kind, base, kinds))
        lines += ["    _arguments \\", *(f"        {spec} \\" for spec in specs[:-1]), f"        {specs[-1]}"]
    return [*lines, "}", ""]


def _flag(flag: Flag, base: str, kinds: Mapping[str, tuple[str, ...]]) -> list[str]:
    help_ = flag.help.replace("[", "(").replace("]", ")")
    specs = []
    for name in flag.names:
        star = "*" if flag.repeated else ""
        if not flag.kind:
            specs.append(_quoted(f"{star}{name}[{help_}]"))
        else:
            specs.append(_quoted(f"{star}{name}=[{help_}]:value:") + _action(flag.kind, base, kinds))
    return specs


def _action(kind: str, base: str, kinds: Mapping[str, tuple[str, ...]]) -> str:
    if kind in DYNAMIC:
        return _quoted(f"{{{base}_values {kind}}}")
    if kind == FILES:
        return "_files"
    words = kind[1:].split(" ") if kind.startswith("=") else kinds.get(kind, ())
    if any(word.endswith("=") for word in words):
        return _quoted("{compadd -S '' -- " + " ".join(words) + "}")
    return _quoted("(" + " ".join(_escaped(w) for w in words) + ")") if words else "' '"


def _escaped(text: str) -> str:
    return text.replace(":", "\\:")


def _function(path: str) -> str:
    return "_" + path.replace("-", "_").replace(" ", "__")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
