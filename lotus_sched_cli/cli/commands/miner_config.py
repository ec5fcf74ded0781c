"""``lotus-miner config``: the defaults, the file brought up to date, and reading it again while the miner runs."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer

from lotus_sched_cli.cli.connect import miner_api, warn
from lotus_sched_cli.cli.errors import CliError
from lotus_sched_cli.cli.golang import GoCommand, GoGroup, flag
from lotus_sched_cli.cli.render import show
from lotus_sched_cli.cli.state import Globals, expand

app = typer.Typer(cls=GoGroup, name="config", help="the miner's config.toml", add_completion=False)

NO_COMMENT = flag("--no-comment", help="plain TOML: no documentation, nothing commented out")


@app.command("default", cls=GoCommand, help="print the default config.toml")
def default(ctx: typer.Context, no_comment: Annotated[bool, NO_COMMENT] = False) -> None:
    from lotus_sched_cli.miner.config import default_text, load, updated_text

    if no_comment:
        sys.stdout.write(updated_text("", load(None, {}), {}, comments=False) + "\n")
    else:
        sys.stdout.write(default_text() + "\n")


@app.command(
    "updated", cls=GoCommand, help="print the miner's config.toml with every key, changes and comments kept"
)
def updated(ctx: typer.Context, no_comment: Annotated[bool, NO_COMMENT] = False) -> None:
    from lotus_sched_cli.miner.config import load, updated_text

    options = Globals.of(ctx)
    repo = expand(options.miner_repo)
    file = repo / "config.toml"
    if not repo.is_dir():
        raise CliError(
            "repo not initialized", f"looked in {options.miner_repo}: name another with --miner-repo"
        )
    config = load(file, os.environ)
    for text in config.warnings:
        warn(text)
    source = file.read_text(encoding="utf-8") if file.exists() else ""
    sys.stdout.write(updated_text(source, config, os.environ, comments=not no_comment) + "\n")


@app.command("reload", cls=GoCommand, help="let the running miner read config.toml again")
def reload(ctx: typer.Context) -> None:
    from lotus_sched_cli.cli.views.text import Lines

    told: dict[str, Any] = miner_api(ctx).call("ConfigReload")
    for text in told["Warnings"] or ():
        warn(text)
    changes = [
        f"{change['Key']}: {change['Old']} -> {change['New']}  {change['Effect']}"
        for change in told["Changes"] or ()
    ]
    show(ctx, Lines.of(*changes or ["nothing changed"]))
