"""Every command with its flags and arguments, as data: completion scripts and docs/commands.md are made of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from lotus_sched_cli.cli import main
from lotus_sched_cli.cli.golang import Context, GoGroup
from lotus_sched_cli.cli.usage import flag_row, help_text

#: What a value may be: names that a running miner tells,
DYNAMIC: Final = ("workers", "sectors", "jobs")
#: or files and folders, which shells know themselves.
FILES: Final = "files"


@dataclass(frozen=True, slots=True)
class Flag:
    """``names`` with their dashes; ``kind`` is what follows: empty for a switch, ``any``, or a kind of `kinds`."""

    names: tuple[str, ...]
    help: str
    kind: str
    repeated: bool = False
    #: The row of the help: names and value, meaning with default and variables.
    row: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class Node:
    """A program, group or command. ``path`` is what is typed: ``lotus-miner sectors status``."""

    path: str
    help: str
    flags: tuple[Flag, ...]
    #: Kinds of the arguments in their order; the last one may stand any number of times if ``repeated``.
    arguments: tuple[str, ...]
    repeated: bool
    children: tuple[Node, ...]
    #: What ``-h`` prints.
    usage: str = ""
    program: bool = False

    @property
    def name(self) -> str:
        return self.path.rsplit(" ", 1)[-1]

    def walk(self) -> Iterator[Node]:
        """This one and all below."""
        yield self
        for child in self.children:
            yield from child.walk()


def programs() -> tuple[Node, ...]:
    """``lotus-miner``, ``lotus-worker``, ``lotus-sched``. Imports every command."""
    return tuple(
        _node(program, None, name)
        for name, program in (
            ("lotus-miner", main.miner_program()),
            ("lotus-worker", main.worker_program()),
            ("lotus-sched", main.sched_program()),
        )
    )


def _node(command: Any, parent: Context, name: str) -> Node:
    ctx = command.context_class(command, info_name=name, parent=parent)
    children = []
    if isinstance(command, GoGroup):
        for child in command.list_commands(ctx):
            lazy = command.lazy.get(child)
            if lazy is not None and lazy.hidden:
                continue
            loaded = command.get_command(ctx, child)
            if not getattr(loaded, "hidden", False):
                children.append(_node(loaded, ctx, child))
    options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    return Node(
        path=ctx.command_path,
        help=(command.help or "").partition("\n\n")[0],
        flags=tuple(_flag(p) for p in options),
        arguments=tuple(kind_of_argument(p.metavar or "") for p in arguments),
        repeated=any(p.nargs == -1 for p in arguments),
        children=tuple(children),
        usage=help_text(ctx),
        program=bool(getattr(command, "is_program", False)),
    )


def _flag(param: Any) -> Flag:
    names = tuple(param.opts)
    kind = "" if param.is_flag else kind_of_flag(max(names, key=len).lstrip("-"))
    return Flag(names, param.help or "", kind, bool(param.multiple), flag_row(param))


def kind_of_argument(metavar: str) -> str:
    """By the name that usage shows: ``N`` is a sector, ``PATH`` a file, ``A|B`` one of these."""
    name = metavar.rstrip(".").strip("[]<>")
    first, bar, _ = name.partition("|")
    if bar and first not in _ARGUMENTS:
        return "=" + name.replace("|", " ")
    return _ARGUMENTS.get(first, "any")


def kind_of_flag(name: str) -> str:
    """By the flag's long name."""
    return _FLAGS.get(name, "any")


_ARGUMENTS: Final = {
    "N": "sectors", "SECTOR": "sectors", "SECTORS": "sectors", "NUMBER": "sectors", "PATH": FILES, "FILE": FILES,
    "WORKER": "workers", "ID": "jobs", "CALL": "jobs", "STATE": "states", "LEVEL": "levels",
    "TASK": "tasks", "CAP": "caps", "CAP=VALUE": "capvalues",
}  # fmt: skip
_FLAGS: Final = {
    "states": "states", "perm": "perms", "layout": "layouts", "format": "formats", "system": "loggers", "worker": "workers",
    "sector-size": "sizes", "proofs": "proofs", "sealer": "sealers", "sealer-config": FILES, "miner-repo": FILES,
    "worker-repo": FILES, "storagerepo": FILES, "workerrepo": FILES, "task": "tasks", "tasks": "tasks",
}  # fmt: skip


def kinds() -> dict[str, tuple[str, ...]]:
    """The words of each kind that has fixed ones."""
    from lotus_sched_cli.cli import state
    from lotus_sched_cli.cli.commands.miner_auth import PERMISSIONS
    from lotus_sched_cli.core.pipeline.states import State
    from lotus_sched_cli.core.tasks import TaskType
    from lotus_sched_cli.lotus import caps, logs
    from lotus_sched_cli.lotus.log_lines import LEVELS
    from lotus_sched_cli.miner.options import PROOFS, SECTOR_SIZES
    from lotus_sched_cli.worker.options import SEALERS

    return {
        "states": tuple(s.value for s in State if s.value),
        "levels": tuple(LEVELS),
        "perms": PERMISSIONS,
        "layouts": tuple(state.LAYOUTS),
        "formats": tuple(getattr(state, "FORMATS", ())),
        "loggers": logs.KNOWN,
        "sizes": tuple(SECTOR_SIZES),
        "proofs": tuple(PROOFS),
        "sealers": tuple(SEALERS),
        "tasks": tuple(t.short for t in TaskType),
        "caps": tuple(caps.OPTIONS),
        "capvalues": tuple(f"{name}=" for name in caps.OPTIONS),
    }
