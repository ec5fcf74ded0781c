"""What a command does around the daemon that it becomes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lotus_sched_cli.cli.errors import CliError


@contextmanager
def log_to_stderr() -> Iterator[None]:
    """Write log lines as the ``GOLOG_…`` variables say; an error that ends it is shown after the last of them.

    Raises CliError for a file that cannot be opened.
    """
    from lotus_sched_cli.lotus import logs

    try:
        logs.setup()
    except logs.LogConfigError as e:
        raise CliError(str(e)) from e
    try:
        yield
    finally:
        logs.flush()
