"""Command lines as Go programs read them (urfave/cli 2.27), on typer's commands.

``-name`` and ``--name`` are one flag; a value follows after ``=`` or as the next word; a bool takes a value only with
``=``. Unlike Lotus's, flags are also read after arguments, and the flags of the program itself also after the command.
An environment name that exists counts, even when it is empty (then a bool is false and a text is empty).
"""

from __future__ import annotations

import gc
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from .errors import ArgumentCount, CliError, UnknownCommand, UnknownFlag
from .usage import help_text

#: typer's own context; its class is private to typer, so it is not named here.
Context = Any
Parameter = Any

TRUE: Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})
FALSE: Final = frozenset({"0", "f", "F", "false", "FALSE", "False"})
HELP: Final = frozenset({"help", "h"})
VERSION: Final = frozenset({"version", "v"})
#: What is taken for the value of a flag whose value may be left out.
NUMBER: Final = re.compile(r"[0-9]+(\.[0-9]+)?|\.[0-9]+")


def program_context(ctx: Context) -> Context:
    """The context of the program (``lotus-miner``, or ``miner`` of ``lotus-sched``) that a command belongs to."""
    while ctx.parent is not None and not getattr(ctx.command, "is_program", False):
        ctx = ctx.parent
    return ctx


class GoCommand(TyperCommand):
    """A command with flags and arguments."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        given, rest = read_words(ctx, args, interspersed=True)
        if given.help:
            show_help(ctx)
        words = list(rest)
        for param in arguments(ctx):
            if param.required and not words:
                raise ArgumentCount(len(rest), usage_line(ctx))
            if param.nargs == -1:
                given.values[param.name], words = words, []
            elif words:
                given.values[param.name] = words.pop(0)
        if words:
            raise ArgumentCount(len(rest), usage_line(ctx))
        hand_over(ctx, given)
        return []

    def invoke(self, ctx: Context) -> Any:
        if program_context(ctx).params.get("watch"):
            raise CliError(f"--watch: '{ctx.command_path}' does more than read", "leave it out")
        return super().invoke(ctx)


class ReadCommand(GoCommand):
    """A command that only reads: ``--watch`` runs it again and again."""

    def invoke(self, ctx: Context) -> Any:
        if not program_context(ctx).params.get("watch"):
            return self.once(ctx)
        from .watch import watch

        return watch(lambda: TyperCommand.invoke(self, ctx), ctx)

    def once(self, ctx: Context) -> Any:
        """Look once. It builds thousands of rows and then ends: looking for garbage meanwhile finds none and takes time."""
        was = gc.isenabled()
        gc.disable()
        try:
            return TyperCommand.invoke(self, ctx)
        finally:
            if was:
                gc.enable()


class GoGroup(TyperGroup):
    """A command that has subcommands; with ``lazy`` they are imported when they are used."""

    lazy: dict[str, Lazy]
    #: A program has ``--version`` and its flags are global options.
    is_program: bool = False
    version_text: str = ""
    #: Where Lotus lists the group in its help.
    category: str = ""

    def __init__(self, **attrs: Any) -> None:
        self.lazy = {}
        super().__init__(**attrs)
        self.invoke_without_command = True

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        given, rest = read_words(ctx, args, interspersed=False)
        hand_over(ctx, given)
        if given.version:
            typer.echo(f"{ctx.command_path} version {self.version_text}")
            raise typer.Exit(0)
        if given.help or not rest:
            show_help(ctx)
        if rest[0] in HELP:
            self.help_for(ctx, rest[1:])
        self.check(ctx, rest[0])
        ctx._protected_args, ctx.args = rest[:1], list(rest[1:])
        return list(ctx.args)

    def get_command(self, ctx: Context, cmd_name: str) -> Any:
        for name, lazy in self.lazy.items():
            if cmd_name == name or cmd_name in lazy.aliases:
                return lazy.load(name)
        return super().get_command(ctx, cmd_name)

    def list_commands(self, ctx: Context) -> list[str]:
        return [*self.lazy, *super().list_commands(ctx)]

    def check(self, ctx: Context, name: str) -> None:
        """Raises UnknownCommand with the nearest name, or with the groups that have a command of this name."""
        if self.get_command(ctx, name) is None:
            nearest = self._grouped(ctx, name) or get_close_matches(name, self.list_commands(ctx), 1)
            raise UnknownCommand(name, "' or '".join(nearest) or None, ctx.command_path)

    def _grouped(self, ctx: Context, name: str) -> list[str]:
        groups = {group: self.get_command(ctx, group) for group in self.list_commands(ctx)}
        return [
            f"{group} {name}"
            for group, made in groups.items()
            if isinstance(made, GoGroup) and name in made.list_commands(ctx)
        ]

    def help_for(self, ctx: Context, topic: Sequence[str]) -> None:
        """``help``, ``help CMD``, ``help GROUP CMD``: Lotus's subcommand of every group."""
        command: Any = self
        for name in topic:
            if isinstance(command, GoGroup):
                command.check(ctx, name)
                command = command.get_command(ctx, name)
                ctx = command.context_class(command, info_name=name, parent=ctx)
        show_help(ctx)


class Lazy:
    """A subcommand that is known by its line in the help until it is used.

    ``target`` is ``module:attribute`` below ``lotus_sched_cli.cli``, a ``typer.Typer``, or one of its commands with
    ``module:attribute.command``.
    """

    def __init__(
        self,
        target: str,
        help: str,
        category: str = "",
        *,
        hidden: bool = False,
        aliases: tuple[str, ...] = (),
    ) -> None:
        self.target, self.help, self.category = target, help, category
        self.hidden, self.aliases = hidden, aliases

    def load(self, name: str) -> Any:
        module, _, attribute = self.target.partition(":")
        attribute, _, one = attribute.partition(".")
        app = getattr(import_module(f"lotus_sched_cli.cli.{module}"), attribute)
        command: Any = app if isinstance(app, GoGroup) else command_of(app, one)
        command.name = name
        command.category = self.category
        return command


class Registered(Lazy):
    """A command of a group whose module is loaded; its parameters are looked at when it is used."""

    def __init__(self, info: Any) -> None:
        super().__init__("", info.help or "", hidden=info.hidden)
        self.info = info

    def load(self, name: str) -> Any:
        return typer.main.get_command_from_info(
            self.info, pretty_exceptions_short=False, rich_markup_mode=None
        )


class Nested(Lazy):
    """A group within a group whose module is loaded."""

    def __init__(self, app: typer.Typer) -> None:
        super().__init__("", str(app.info.help or ""))
        self.app = app

    def load(self, name: str) -> Any:
        group = command_of(self.app)
        group.name = name
        return group


def command_of(app: typer.Typer, one: str = "") -> Any:
    """The command of an app (that named ``one``), or its group with the commands still to be built."""
    commands = {info.name or "": Registered(info) for info in app.registered_commands}
    if one:
        return commands[one].load(one)
    if app.info.cls is not GoGroup:
        (only,) = commands.values()
        return only.load("")
    group = GoGroup(name=app.info.name, help=app.info.help)
    nested = {
        info.name: Nested(info.typer_instance)
        for info in app.registered_groups
        if info.name and info.typer_instance
    }
    group.lazy = {**commands, **nested}
    return group


def no_flags(ctx: typer.Context) -> None:
    """For a group that has none of its own."""


def lazy_group(
    name: str, help: str, commands: dict[str, Lazy], flags: Callable[..., None] = no_flags
) -> GoGroup:
    """A program or group whose subcommands are imported when used; ``flags`` has its own flags as parameters."""
    app = typer.Typer(name=name, cls=GoGroup, help=help, add_completion=False)
    app.callback()(flags)
    group = typer.main.get_group(app)
    assert isinstance(group, GoGroup)
    group.lazy = commands
    return group


# --- flags ---------------------------------------------------------------------------------------------------------


def flag(
    *names: str,
    help: str = "",
    env: Sequence[str] = (),
    default: str | bool = True,
    hidden: bool = False,
    optional: str = "",
) -> Any:
    """A flag of a command, for ``Annotated[type, flag(…)]`` with bool, int, str (or None) or ``list[str] | None``.

    ``default`` is the text after ``default:`` in the help (strings with their quotes, as Go's), True for the value of
    the parameter, False for none. ``env`` are the environment names, the first that exists wins. ``optional``: the
    value may be left out and is then this one; only a number after it is taken for a value.
    """
    return typer.Option(
        *names,
        help=help,
        envvar=list(env) or None,
        show_default=default,
        hidden=hidden,
        metavar=f"[{optional}]" if optional else "value",
    )


def argument(name: str) -> Any:
    """An argument, for ``Annotated[str, argument("N")]``."""
    return typer.Argument(metavar=name, show_default=False)


def parse_bool(text: str) -> bool | None:
    """Go's ``strconv.ParseBool``; None for anything else."""
    return True if text in TRUE else False if text in FALSE else None


def option_names(param: Parameter) -> list[str]:
    """The names without dashes: ``show-ret-done``, ``l``."""
    return [name.lstrip("-") for name in (*param.opts, *param.secondary_opts)]


# --- reading -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Given:
    """What the words said: values by parameter name, and whether help or the version was asked for."""

    values: dict[str, Any] = field(default_factory=dict)
    help: bool = False
    version: bool = False


def read_words(ctx: Context, args: Sequence[str], *, interspersed: bool) -> tuple[Given, list[str]]:
    """Split the words into flags and arguments. ``interspersed``: go on reading flags after the first argument."""
    given, rest = Given(), []
    words = list(args)
    own = flags_of(ctx)
    while words:
        word = words.pop(0)
        if word == "--":
            rest += words
            break
        if not word.startswith("-") or word == "-":
            rest.append(word)
            if not interspersed:
                rest += words
                break
            continue
        name, equals, value = word.removeprefix("-").removeprefix("-").partition("=")
        if name in HELP and name not in own:
            given.help = True
            continue
        if name in VERSION and name not in own and getattr(ctx.command, "is_program", False):
            given.version = True
            continue
        owner, param = find_flag(ctx, own, name)
        target = given.values if owner is ctx else None
        text: str | None = value if equals else None
        if text is None and str(param.metavar).startswith("["):
            text = words.pop(0) if words and NUMBER.fullmatch(words[0]) else param.metavar[1:-1]
        if not is_bool(param) and text is None:
            if not words:
                raise CliError(f"flag needs an argument: -{name}", f"give it as --{name}=VALUE")
            text = words.pop(0)
        store(owner, param, target, name, text)
    return given, rest


def find_flag(ctx: Context, own: dict[str, Parameter], name: str) -> tuple[Context, Parameter]:
    """The flag of this command, else of the programs above it. Raises UnknownFlag."""
    if name in own:
        return ctx, own[name]
    known = list(own)
    parent = ctx.parent
    while parent is not None:
        above = flags_of(parent)
        if name in above:
            return parent, above[name]
        known += above
        parent = parent.parent
    nearest = get_close_matches(name, [k for k in known if len(k) > 1], 1)
    raise UnknownFlag(name, f"--{nearest[0]}" if nearest else None, ctx.command_path)


def store(
    owner: Context, param: Parameter, target: dict[str, Any] | None, name: str, text: str | None
) -> None:
    """Keep a flag's value: for this command until all words are read, for a program above it at once."""
    value: Any = text
    if is_bool(param):
        value = True if text is None else parse_bool(text)
        if value is None:
            raise CliError(f'invalid boolean value "{text}" for -{name}: parse error', "use true or false")
    if target is None:
        owner.params[param.name] = whole_number(name, value, "") if is_number(param) else value
    elif param.multiple:
        target.setdefault(param.name, []).extend(part for part in str(value).split(","))
    else:
        target[param.name] = value


def hand_over(ctx: Context, given: Given) -> None:
    """Fill in the environment and the defaults, and give the command its parameters.

    typer's own conversion would do the same with pydantic, whose import alone takes longer than a whole command may.
    """
    for param in ctx.command.params:
        env = ""
        if param.name not in given.values and param.envvar:
            env = from_env(param, given.values)
        value = given.values.get(param.name)
        if isinstance(value, str) and is_number(param):
            value = whole_number(max(option_names(param), key=len), value, env)
        ctx.params[param.name] = param.default if value is None else value
    ctx.args = []


def from_env(param: Parameter, values: dict[str, Any]) -> str:
    """Take the value of the first environment name that exists; that name, or nothing."""
    names = [param.envvar] if isinstance(param.envvar, str) else param.envvar
    for env in names:
        if env not in os.environ:
            continue
        text = os.environ[env]
        if is_bool(param):
            value = False if text == "" else parse_bool(text)
            if value is None:
                flag_name = max(option_names(param), key=len)
                raise CliError(
                    f'could not parse "{text}" as bool value from environment variable "{env}" for flag {flag_name}',
                    "use true or false",
                )
            values[param.name] = value
        elif param.multiple:
            values[param.name] = [part for part in text.split(",") if part]
        elif text != "" or not is_number(param):
            values[param.name] = text
        return str(env)
    return ""


def whole_number(name: str, text: str, env: str) -> int:
    """A whole number, or Go's words about what is none, with the value and where it comes from."""
    try:
        return int(text, 10)
    except ValueError:
        where = f'could not parse "{text}" as int value from environment variable "{env}" for flag {name}'
        bad = f'invalid value "{text}" for flag -{name}: parse error'
        raise CliError(where if env else bad, "give a whole number") from None


def is_bool(param: Parameter) -> bool:
    return bool(getattr(param, "is_bool_flag", False) or getattr(param, "is_flag", False))


def is_number(param: Parameter) -> bool:
    return getattr(getattr(param, "type_descriptor", None), "annotation", None) is int


def flags_of(ctx: Context) -> dict[str, Parameter]:
    """Flags of this command by name without dashes."""
    return {n: p for p in ctx.command.params if p.param_type_name == "option" for n in option_names(p)}


def arguments(ctx: Context) -> Iterator[Parameter]:
    return (p for p in ctx.command.params if p.param_type_name == "argument")


def usage_line(ctx: Context) -> str:
    """``lotus-miner sectors status [command options] N``."""
    parts = [ctx.command_path, "[command options]"]
    for param in arguments(ctx):
        name = param.metavar or param.name.upper()
        parts.append(name if param.required else f"[{name}]")
    return " ".join(parts)


def show_help(ctx: Context) -> None:
    """Print the help on stdout and end the command with 0."""
    typer.echo(help_text(ctx), nl=False)
    raise typer.Exit(0)
