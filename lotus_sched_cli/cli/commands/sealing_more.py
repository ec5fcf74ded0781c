"""``lotus-miner sealing``: what operators do now and then; the tables that run under ``watch`` do not load this."""

from __future__ import annotations

import typer

from lotus_sched_cli.cli.golang import GoCommand, ReadCommand

from .assign import assign
from .drain import drain, undrain
from .forget import forget
from .miner_data_cid import data_cid
from .miner_explain import end_rest, explain
from .miner_record import HELP as RECORD_HELP
from .miner_record import record

app = typer.Typer(add_completion=False)

app.command(
    "explain", cls=ReadCommand, help="say why a sector's tasks, or one task, wait or stand where they stand"
)(explain)
app.command("end-rest", cls=GoCommand, help="let a worker take again what it rests from after failures")(
    end_rest
)
app.command("record", cls=GoCommand, help=RECORD_HELP)(record)
app.command("data-cid", cls=GoCommand, help="compute the piece CID of a file or URL with a worker")(data_cid)
app.command("assign", cls=GoCommand, help="give a waiting task ('jobs --queued') to a worker by hand")(assign)
app.command("forget", cls=GoCommand, help="forget a worker that is gone for good")(forget)
app.command("drain", cls=GoCommand, help="let a worker take no more work, and wait until it is empty")(drain)
app.command("undrain", cls=GoCommand, help="let a drained worker work again")(undrain)
