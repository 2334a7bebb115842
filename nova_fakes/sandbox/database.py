"""SQLite databases for nova's and placement's own code.

nova's schema migrations run as nova-manage would run them; placement migrates its own database when it starts. Both run
where :mod:`nova_fakes.sandbox.schemas` has no template.
SQLite admits one writer: a second one that already read something fails at once instead of waiting, so writers take
turns before their transaction begins.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["WriterTurns", "create_schema", "url"]


#: How long a connection waits for another one's lock, seconds. SQLite's own 5 are too few on a machine that is busy.
LOCK_TIMEOUT_S = 60


def url(path: Path) -> str:
    """Return SQLAlchemy's URL of a database file."""
    return f"sqlite:///{path}?timeout={LOCK_TIMEOUT_S}"


def create_schema(path: Path, kind: str) -> None:
    """Bring a nova database to the installed nova's newest schema.

    :param path: the file; made when missing
    :param kind: ``api`` or ``main``, as ``nova-manage api_db sync`` and ``nova-manage db sync`` do
    """
    import nova.db
    import sqlalchemy
    from alembic import command
    from alembic.config import Config

    with contextlib.closing(sqlite3.connect(path)) as connection:
        # Readers do not block the writer, nor it them. The mode is kept in the file.
        connection.execute("PRAGMA journal_mode=WAL")
    engine = sqlalchemy.create_engine(url(path))
    config = Config(os.path.join(os.path.dirname(nova.db.__file__), kind, "alembic.ini"))
    config.attributes["configure_logger"] = False
    config.set_main_option("sqlalchemy.url", url(path).replace("%", "%%"))
    with engine.begin() as transaction:
        config.attributes["connection"] = transaction
        command.upgrade(config, "head")
    engine.dispose()


class WriterTurns:
    """Let the writing transactions of one process take turns, database by database.

    A turn belongs to a thread and may nest, as enginefacade's writer scopes do. Installed on oslo.db's transaction
    manager, which nova and placement both use.

    :param shared: take turns with other processes too, by a lock on a file beside the database
    """

    def __init__(self, *, shared: bool = False) -> None:
        self._shared = shared
        self._locked = threading.local()
        self._guard = threading.Lock()
        self._turns: dict[str, threading.RLock] = {}

    @contextlib.contextmanager
    def turn(self, database: str) -> Iterator[None]:
        """Hold the database's one writing turn."""
        with self._guard:
            turn = self._turns.setdefault(database, threading.RLock())
        with turn, self._among_processes(database) if self._shared else contextlib.nullcontext():
            yield

    @contextlib.contextmanager
    def _among_processes(self, database: str) -> Iterator[None]:
        held: set[str] = self._locked.__dict__.setdefault("held", set())
        if database in held:
            yield
            return
        descriptor = os.open(
            database.removeprefix("sqlite:///").partition("?")[0] + ".turn",
            os.O_RDWR | os.O_CREAT | os.O_CLOEXEC,
            0o600,
        )
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # the kernel gives it up with the process
            held.add(database)
            yield
        finally:
            held.discard(database)
            os.close(descriptor)

    def install(self) -> None:
        """Make every enginefacade writer of this process wait for its turn."""
        from oslo_db.sqlalchemy import enginefacade

        manager_class = enginefacade._TransactionContextManager
        scope = manager_class._transaction_scope
        turns = self

        @contextlib.contextmanager
        def in_turn(manager: Any, context: Any) -> Iterator[Any]:
            if manager._mode is not enginefacade._WRITER:
                with scope(manager, context) as resource:
                    yield resource
                return
            with turns.turn(str(manager.get_engine().url)), scope(manager, context) as resource:
                yield resource

        manager_class._transaction_scope = in_turn
