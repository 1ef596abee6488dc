"""Cursors of the server's SQLite database that let go of a statement that failed, so that it can't stop the server.

Until Python 3.12, a cursor keeps a statement that failed (mostly: "database is locked"), and takes it back when it is
collected, wherever that happens; for that it waits until its connection does nothing. In Prefect's server it is
collected in the event loop's thread, while the connection, in its own thread, may wait for a lock that only the event
loop can release: the server then stands still until SQLite gives up, after a minute. See
docs/decisions/failed-statements.md.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Self

from sqlalchemy import Engine, event
from sqlalchemy.engine.interfaces import Dialect


class _Cursor(sqlite3.Cursor):
    """Closed, by the thread that executes, when what it executes fails."""

    def execute(self, sql: str, parameters: Any = (), /) -> Self:
        try:
            return super().execute(sql, parameters)
        except sqlite3.Error:
            self.close()
            raise

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Self:
        try:
            return super().executemany(sql, parameters)
        except sqlite3.Error:
            self.close()
            raise


class _Connection(sqlite3.Connection):
    def cursor(self, factory: type[sqlite3.Cursor] = _Cursor) -> sqlite3.Cursor:  # type: ignore[override]
        return super().cursor(factory)


def close_failed_cursors() -> None:
    """Have all engines that SQLAlchemy makes in this process use such cursors on SQLite."""
    event.listen(Engine, "do_connect", _use_our_connections)


def _use_our_connections(
    dialect: Dialect, _record: object, _arguments: Sequence[object], parameters: dict[str, Any]
) -> None:
    if dialect.name == "sqlite":
        parameters["factory"] = _Connection
