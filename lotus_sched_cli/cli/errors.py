"""What a command says when it cannot do its work: one line, an exit code, never a traceback."""

from __future__ import annotations

from lotus_sched_cli.lotus.errors import UserError

__all__ = [
    "UNKNOWN_COMMAND",
    "ArgumentCount",
    "CliError",
    "DaemonError",
    "UnknownCommand",
    "UnknownFlag",
    "UserError",
]

#: Lotus's exit code for a command that it does not know (urfave/cli).
UNKNOWN_COMMAND = 3


class CliError(UserError):
    """``text`` is Lotus's where it has one; ``remedy`` says what to do. Together they are the line after ``ERROR: ``."""

    def __init__(self, text: str, remedy: str = "", code: int = 1) -> None:
        super().__init__(f"{text}; {remedy}" if remedy else text, code)
        self.text = text


class DaemonError(CliError):
    """What a daemon refused, or that none answered: asked again later, it may go well."""


class UnknownFlag(CliError):
    """A flag that the command does not have; the nearest one that it has is named."""

    def __init__(self, name: str, nearest: str | None, command: str) -> None:
        remedy = f"did you mean {nearest}?" if nearest else f"'{command} -h' lists the flags"
        super().__init__(f"flag provided but not defined: -{name}", remedy)


class UnknownCommand(CliError):
    """A command that does not exist."""

    def __init__(self, name: str, nearest: str | None, group: str) -> None:
        remedy = f"did you mean '{nearest}'?" if nearest else f"'{group} -h' lists the commands"
        super().__init__(f"No help topic for '{name}'", remedy, UNKNOWN_COMMAND)


class ArgumentCount(CliError):
    """Too few or too many arguments (Lotus: the shared text of its commands, ``cli/helper.go``)."""

    def __init__(self, got: int, usage: str) -> None:
        super().__init__(f"incorrect number of arguments, got {got}", f"usage: {usage}")
