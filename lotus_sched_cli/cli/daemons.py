"""What a command does before it becomes a daemon."""

from __future__ import annotations

from lotus_sched_cli.cli.errors import CliError


def log_to_stderr() -> None:
    """Write log lines as the ``GOLOG_…`` variables say. Raises CliError for a file that cannot be opened."""
    from lotus_sched_cli.lotus import logs

    try:
        logs.setup()
    except logs.LogConfigError as e:
        raise CliError(str(e)) from e
