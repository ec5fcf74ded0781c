"""Commands of Lotus's that this program knows and does not serve: one line says why, and what does instead."""

from __future__ import annotations

from typing import Any, Final

from lotus_sched_cli.cli.errors import CliError
from lotus_sched_cli.cli.golang import HELP, Context, GoCommand, Lazy, show_help

CHAIN: Final = "it needs a real chain, and this program asks none"
PROOFS: Final = "window and winning proofs are made by Lotus's own lotus-miner"
BACKUP: Final = "copy the miner's repo while the miner is stopped"
PARAMS: Final = (
    "workers that seal with real proofs say at start which parameters they lack, and where those go"
)
PPROF: Final = "it looks into a Go program"
MARKET: Final = "it needs Lotus's market"


class NotServed(CliError):
    """A command of Lotus's that is not here."""

    def __init__(self, command: str, why: str) -> None:
        remedy = "" if why in (BACKUP, PARAMS) else "on a real chain use Lotus's own lotus-miner for it"
        super().__init__(f"'{command}' is not served: {why}", remedy)


class NotServedCommand(GoCommand):
    """Takes any words, and says no."""

    why: str = ""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        if any(word.lstrip("-") in HELP for word in args):
            show_help(ctx)
        raise NotServed(ctx.command_path, self.why)


class Missing(Lazy):
    """Its place in a group: hidden from help, known to whoever types it."""

    def __init__(self, why: str) -> None:
        super().__init__("", f"not served: {why}", hidden=True)
        self.why = why

    def load(self, name: str) -> Any:
        command = NotServedCommand(name=name, help=self.help)
        command.why = self.why
        return command
