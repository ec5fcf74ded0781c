"""The text of ``-h`` in Lotus's layout: one unwrapped line per flag, each flag named nowhere else."""

from __future__ import annotations

from typing import Any

Context = Any
Parameter = Any

HELP_COMMAND = ("help, h", "Shows a list of commands or help for one command")


def help_text(ctx: Context) -> str:
    """The help of the context's command (urfave/cli's templates, ``cli/miner/miner.go`` for the categories)."""
    command, path = ctx.command, ctx.command_path
    is_program = getattr(command, "is_program", False)
    is_group = hasattr(command, "commands")
    title, _, description = (command.help or "").partition("\n\n")
    sections = [f"NAME:\n   {path} - {title}" if title else f"NAME:\n   {path}"]
    sections.append(f"USAGE:\n   {usage(ctx, is_program)}")
    if is_program:
        sections.append(f"VERSION:\n   {command.version_text}")
    elif getattr(command, "category", ""):
        sections.append(f"CATEGORY:\n   {command.category}")
    if description:
        body = "\n".join(f"   {line}".rstrip() for line in description.splitlines())
        sections.append(f"DESCRIPTION:\n{body}")
    if is_group:
        sections.append("COMMANDS:\n" + "\n".join(command_lines(ctx)))
    head = "GLOBAL OPTIONS" if is_program else "OPTIONS"
    sections.append(f"{head}:\n" + "\n".join(flag_lines(ctx)))
    return "\n\n".join(sections) + "\n"


def usage(ctx: Context, is_program: bool) -> str:
    if is_program:
        return f"{ctx.command_path} [global options] command [command options]"
    parts = [ctx.command_path, "[command options]"]
    for param in ctx.command.params:
        if param.param_type_name == "argument":
            name = param.metavar or param.name.upper()
            parts.append(name if param.required else f"[{name}]")
    return " ".join(parts)


def command_lines(ctx: Context) -> list[str]:
    """Subcommands, those without a category first, then by category."""
    rows: list[tuple[str, str, str]] = []
    for name in ctx.command.list_commands(ctx):
        entry = ctx.command.lazy.get(name)
        if entry is None:
            entry = ctx.command.get_command(ctx, name)
        if not entry.hidden:
            text = (entry.help or "").partition("\n\n")[0]
            label = ", ".join((name, *getattr(entry, "aliases", ())))
            rows.append((getattr(entry, "category", ""), label, text))
    lines = []
    categories = list(dict.fromkeys(category for category, _, _ in rows))
    for category in sorted(categories):
        members = [(label, text) for c, label, text in rows if c == category]
        if category:
            lines.append(f"   {category}:")
            lines += columns(members, "     ")
        else:
            lines += columns([*members, HELP_COMMAND], "   ")
    if "" not in categories:
        lines += columns([HELP_COMMAND], "   ")
    return lines


def flag_lines(ctx: Context) -> list[str]:
    rows = [flag_row(p) for p in ctx.command.params if p.param_type_name == "option" and not p.hidden]
    rows.append(("--help, -h", "show help"))
    if getattr(ctx.command, "is_program", False):
        rows.append(("--version, -v", "print the version"))
    return columns(rows, "   ")


def flag_row(param: Parameter) -> tuple[str, str]:
    """``--listen value`` and ``host address … (default: "0.0.0.0:3456") [$LOTUS_WORKER_LISTEN]``."""
    value = "" if param.is_flag else " [seconds]" if str(param.metavar).startswith("[") else " value"
    names = ", ".join(f"{name}{value}" for name in param.opts)
    if param.multiple:
        names = f"{names} [ {names} ]"
    parts = [param.help or ""]
    default = default_text(param)
    if default:
        parts.append(f"(default: {default})")
    if param.envvar:
        envs = [param.envvar] if isinstance(param.envvar, str) else param.envvar
        parts.append("[" + ", ".join(f"${env}" for env in envs) + "]")
    return names, " ".join(part for part in parts if part)


def default_text(param: Parameter) -> str:
    """Go's ``%v`` of the default, strings in quotes; nothing for an empty string or no default."""
    if isinstance(param.show_default, str):
        return param.show_default
    if not param.show_default or param.default is None or param.multiple:
        return ""
    if isinstance(param.default, bool):
        return "true" if param.default else "false"
    if isinstance(param.default, str):
        return f'"{param.default}"' if param.default else ""
    return str(param.default)


def columns(rows: list[tuple[str, str]], indent: str) -> list[str]:
    """Two columns, the first padded to its longest + 2."""
    width = max(len(left) for left, _ in rows) + 2
    return [f"{indent}{left:<{width}}{right}".rstrip() for left, right in rows]
