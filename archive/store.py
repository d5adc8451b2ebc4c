"""The database connection: one that writes in whole transactions, or one that only reads; errors with a way out."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from archive.errors import ArchiveError, CannotWrite, DamagedArchive, NoRun
from archive.schema import check_version, migrate

DATABASE = "archive.db"
BUSY_TIMEOUT_S = 10.0  # a reader never blocks the writer in WAL; only a backup or a person's own sqlite3 shell can


class Store:
    """One connection to `archive.db`."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self.connection = connection

    @classmethod
    def writing(cls, path: Path) -> Store:
        """Open for writing, create what is missing and bring it to the newest schema."""
        with explained(path):
            connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
            try:
                connection.execute("PRAGMA journal_mode = wal")
                # a kill loses nothing; only a power cut can lose the last moments, and never the database's integrity
                connection.execute("PRAGMA synchronous = normal")
                connection.execute("PRAGMA foreign_keys = on")
                migrate(connection, str(path))
            except BaseException:
                connection.close()
                raise
        return cls(path, connection)

    @classmethod
    def reading(cls, path: Path) -> Store:
        """Open without any right to write; works while another process writes, and after one was killed.

        Raises:
            NoRun: there is no database.
        """
        if not path.is_file():
            raise NoRun(f"no archive at {path}; name a run's folder, such as runs/night")
        with explained(path):
            uri = path.resolve().as_uri() + "?mode=ro"
            connection = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)
            try:
                if check_version(connection, str(path)) == 0:
                    raise NoRun(f"{path} holds no run yet; its search is just starting, or ended before it began")
            except sqlite3.OperationalError:
                connection.close()
                if path.with_name(f"{path.name}-wal").exists():
                    raise
                # on a read-only medium WAL cannot make its shared memory; without a log file nobody is writing
                connection = sqlite3.connect(uri + "&immutable=1", uri=True, isolation_level=None)
                check_version(connection, str(path))
            except BaseException:
                connection.close()
                raise
            connection.execute("BEGIN")  # one snapshot for all that is asked of this connection
        return cls(path, connection)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write all of the block or none of it."""
        with explained(self.path):
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        with explained(self.path):
            return self.connection.execute(sql, parameters).fetchall()

    def value(self, sql: str, *parameters: Any) -> Any:
        """Return the first column of the first row, or None."""
        with explained(self.path):
            row = self.connection.execute(sql, parameters).fetchone()
        return None if row is None else row[0]

    def close(self) -> None:
        self.connection.close()


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours, which name the file and the way out."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise  # a defect of the caller, such as a parent that does not exist
    except sqlite3.DatabaseError as error:
        raise _explain(error, path) from error


def _explain(error: sqlite3.DatabaseError, path: Path) -> ArchiveError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR:
        return CannotWrite(f"cannot write {path}: {error}; free space on its disk, then run the same command again")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return CannotWrite(f"cannot open {path}: {error}; make its folder writable, or copy the run elsewhere")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return CannotWrite(f"{path} is locked by another program; close what holds it open, then try again")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return DamagedArchive(f"{path} is damaged: {error}; restore a copy, or move the run's folder aside")
    return ArchiveError(f"{path}: {type(error).__name__}: {error}")
