"""Write the generated documents anew (`make docs`): completions/, docs/commands.md, settings.md and refusals.md.

With --check only say what is stale (exit 1). Texts come from the commands, the keys of config.toml and the refusals.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import completions
from lotus_sched_cli.cli.advice import ADVICE
from lotus_sched_cli.cli.completion.tree import programs
from lotus_sched_cli.core.decisions import Refusal, Why
from lotus_sched_cli.miner.config import KEYS, Key

ROOT = Path(__file__).resolve().parents[1]
MADE: Final = "<!-- made by `make docs`; do not edit -->\n\n"


def files() -> dict[Path, str]:
    """Every generated file by its place."""
    return {
        **completions.files(),
        ROOT / "docs/commands.md": commands(),
        ROOT / "docs/settings.md": settings(),
        ROOT / "docs/refusals.md": refusals(),
    }


# -- commands --------------------------------------------------------------------------------------------------------


def commands() -> str:
    """Every command and flag: what ``-h`` prints, under a heading per command."""
    *trees, sched = programs()
    trees += [child for child in sched.children if child.name not in ("miner", "worker")]
    lines = [
        "# Commands",
        "",
        MADE.strip(),
        "",
        "What `-h` prints, command by command. `lotus-sched miner …` and `lotus-sched worker …` are the same programs.",
        "Flags may stand before or after arguments, with one dash or two, as `--name value` or `--name=value`; a switch",
        "takes a value only with `=` (`--commit=false`). A variable in brackets is read where the flag is not given.",
        "",
    ]
    for program in trees:
        lines += [
            f"{'  ' * node.path.count(' ')}- [{node.path}](#{_anchor(node.path)}): {node.help}"
            for node in program.walk()
        ]
    for program in trees:
        for node in program.walk():
            lines += ["", f"## {node.path}", "", "```", node.usage.rstrip("\n"), "```"]
    return "\n".join(lines) + "\n"


def _anchor(title: str) -> str:
    kept = "".join(c for c in title.lower() if c.isalnum() or c in " -_")
    return kept.replace(" ", "-")


# -- settings --------------------------------------------------------------------------------------------------------

SETTINGS_HEAD: Final = """\
# Settings

@made@

`config.toml` lies in the miner's repo (`~/.lotusminer`). It has Lotus's names and layout; a key that is commented out has
its default. `lotus-miner config default` prints a new file, `lotus-miner config updated` yours with every key, your changes
and your comments kept.

- A value comes from the variable named here, else from the file, else it is the default.
- An unknown key is a warning that names the nearest one. A wrong value is refused with key, value and what is allowed.
- **at once**: `lotus-miner config reload`, `systemctl reload lotus-miner` or SIGHUP puts a changed value into force while
  the miner runs, and says which changed keys need a **restart**. Keys marked **none** are read and checked, so that the file
  of a Lotus miner can be used as it is; they have no effect here.
- Durations are Go's (`1h30m`, `45s`, no days), amounts `0.05 FIL`, lists `["a", "b"]` (variables: `a,b`).

Caps of workers are flags of `lotus-worker run`: [commands.md](commands.md#lotus-worker-run).
"""

VARIABLES: Final = """\

## Variables that are no keys

| variable | read by | meaning |
|---|---|---|
| `MINER_API_INFO`, `WORKER_API_INFO` | commands, workers | address and token, `TOKEN:/ip4/10.0.0.1/tcp/2345/http` |
| `LOTUS_MINER_PATH`, `LOTUS_WORKER_PATH` | all | the repo's folder |
| `LOTUS_LAYOUT` | commands | how tables look, as `--layout` |
| `NO_COLOR` | commands | not empty: no colour |
| `GOLOG_LOG_LEVEL` | daemons | `info,advmgr=debug`; where it exists, even empty, Lotus's own levels are off (advmgr and stores at debug, the rest at info), and what it does not name is at error |
| `GOLOG_LOG_FMT` | daemons | `color`, `nocolor`, `json`; else colour on a terminal only |
| `GOLOG_FILE` | daemons | log lines go to this file (appended, not rotated) |
| `GOLOG_OUTPUT` | daemons | `stderr`, `stdout`, `stderr+stdout`; with `GOLOG_FILE` the file goes along |
| `GOLOG_LOG_LABELS` | daemons | `host=a,farm=b`: fields in every line |
| `LOTUS_PROOFS` | daemons | the program of real proofs, where it is not on the PATH |
| `FIL_PROOFS_PARAMETER_CACHE` | daemons | folder of the proof parameters |
| `LOTUS_SCHED_TRACE` | commands | 1: show where an error came from |
"""


def settings() -> str:
    """Every key of config.toml, in the file's order."""
    lines = [SETTINGS_HEAD.replace("@made@", MADE.strip()).rstrip("\n")]
    section = ""
    for key in KEYS:
        if key.section != section:
            section = key.section
            lines += [
                "",
                f"## [{section}]",
                "",
                "| key | default | in force | meaning, and its variable |",
                "|---|---|---|---|",
            ]
        lines.append(_key(key))
    return "\n".join(lines) + "\n" + VARIABLES


def _key(key: Key) -> str:
    when = "none" if key.kept else "at once" if key.live else "restart"
    meaning = " ".join(key.doc).rstrip(".")
    if key.choices:
        meaning += ". One of " + ", ".join(f"`{c}`" for c in key.choices if c)
    elif key.least is not None and key.type != "Duration":
        meaning += f". From {key.least:g} up"
    return f"| `{key.name}` | `{key.default}` | {when} | {meaning}. `{key.env}` |"


# -- refusals --------------------------------------------------------------------------------------------------------

REFUSALS_HEAD: Final = """\
# Why a worker does not take a task

@made@

The scheduler asks the questions below in their order for each task and worker; the first that fails is the reason. The same
reason is shown everywhere: in the miner's log (`grep "not scheduling" miner.log`: the first waiting task of each type, once
per worker and reason, again every hour), in `lotus-miner sealing sched-diag`, and in JSON by the name in each heading here.
A worker that does not offer the type at all has no line there; `lotus-miner sealing explain SECTOR` names it.

The figures in the examples are made up.
"""

#: Figures for an example of each reason.
EXAMPLES: Final[dict[Why, dict[str, object]]] = {
    Why.RESTING: {"task": "PC2", "failures": 2, "until": "2026-08-06T19:02:39Z"},
    Why.STORAGE: {"types": "sealed, cache"},
    Why.NO_FILES: {"types": "sealed, cache"},
    Why.SPACE: {"need": 557155876864, "free": 107374182400},
    Why.PRECOMMIT1_MAX: {"need": 1, "in_use": 7, "max": 7},
    Why.PRECOMMIT2_MAX: {"need": 1, "in_use": 1, "max": 1},
    Why.COMMIT2_MAX: {"need": 1, "in_use": 1, "max": 1},
    Why.TASK_LIMIT: {"task": "seal/v0/fetch", "in_use": 4},
    Why.PRECOMMIT1_HOLD: {"in_use": 25, "max": 25},
    Why.PRECOMMIT1_INTERVAL: {"interval": 600, "until": "2026-08-06T19:02:39Z"},
    Why.PREFETCHED: {"worker": "2a0d91c7@worker-2", "until": "2026-08-06T19:02:39Z"},
    Why.RETRY_LATER: {"until": "2026-08-06T19:02:39Z"},
    Why.MEMORY: {"need": 60 << 30, "have": 30 << 30},
    Why.VIRTUAL_MEMORY: {"need": 64 << 30, "have": 40 << 30},
    Why.THREADS: {"need": 1, "in_use": 64, "max": 64},
    Why.WINDOWS: {"waiting": 3},
    Why.IN_WINDOW: {"window": 1, "worker": "76f1988b@worker-2"},
    Why.STARTING: {"until": "2026-08-06T19:02:39Z"},
}


def refusals() -> str:
    """Every reason in the order in which they are judged."""
    lines = [REFUSALS_HEAD.replace("@made@", MADE.strip()).rstrip("\n")]
    for why in Why:
        lines += ["", *_reason(why)]
    return "\n".join(lines) + "\n"


def _reason(why: Why) -> Iterator[str]:
    advice = ADVICE[why]
    yield f"## {why.value}"
    yield ""
    logged = "" if why is Why.TASK_TYPE else "… not scheduling on worker 76f1988b@worker-1 …; "
    yield f"`{logged}{Refusal(why, EXAMPLES.get(why, {})).text}`"
    yield ""
    yield advice.means
    yield ""
    yield from (f"- {line}" for line in advice.do)


def main() -> int:
    check = "--check" in sys.argv
    stale = {p: t for p, t in files().items() if not p.exists() or p.read_text(encoding="utf-8") != t}
    for path, text in stale.items():
        print(f"{'stale, run make docs' if check else 'written'}: {path.relative_to(ROOT)}")
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
