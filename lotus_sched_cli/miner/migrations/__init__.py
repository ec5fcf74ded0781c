"""Alembic migrations of the miner's store, run by the store itself when it opens."""

from __future__ import annotations

from pathlib import Path

from lotus_sched_cli.miner.writer import StoreError


def upgrade(path: Path, at: str | None) -> None:
    """Bring the store at ``path`` (of version ``at``) to the newest version, all or nothing.

    Raises StoreError for a newer store.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util.exc import CommandError
    from sqlalchemy import create_engine, event

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    if at is not None:
        try:
            ScriptDirectory.from_config(config).get_revision(at)
        except CommandError:
            raise StoreError(
                f"{path} was written by a newer version of this program (its tables are at {at}); use that version"
            ) from None
    engine = create_engine(f"sqlite:///{path}")
    # By itself Python's sqlite3 begins no transaction before it makes a table: a kill would leave half of a version.
    event.listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()
