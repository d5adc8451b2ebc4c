"""The database's shape: one function a version, applied in order, each in a transaction of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from archive.errors import NewerSchema

if TYPE_CHECKING:
    import sqlite3

    from sqlite_utils import Database


def version_1(db: Database) -> None:
    """Runs, births, individuals, evaluations, events, and the ledger of paid calls."""
    for statement in _TABLES_1.split(";\n\n"):
        db.execute(statement)


MIGRATIONS: tuple[Callable[[Database], None], ...] = (version_1,)
VERSION = len(MIGRATIONS)


def check_version(connection: sqlite3.Connection, place: str) -> int:
    """Return the version of the database.

    Raises:
        NewerSchema: this code knows only older ones.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > VERSION:
        raise NewerSchema(f"{place} has schema {version}, this genepool knows up to {VERSION}; use a newer genepool")
    return version


def migrate(connection: sqlite3.Connection, place: str) -> None:
    """Bring the database to the newest version; data of older ones is kept."""
    version = check_version(connection, place)
    if version == VERSION:
        return
    from sqlite_utils import Database  # 0.25 s to import, needed once a database

    db = Database(connection, execute_plugins=False)
    for number, migration in enumerate(MIGRATIONS[version:], start=version + 1):
        with db.atomic():
            migration(db)
            db.execute(f"PRAGMA user_version = {number}")


# Times are seconds since 1970. A genome is packed against the seed's (texts.pack), logs, prompts and replies alone.
_TABLES_1 = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    name TEXT NOT NULL,
    task TEXT NOT NULL,
    objective TEXT NOT NULL,
    direction TEXT NOT NULL,
    settings TEXT NOT NULL,
    config TEXT NOT NULL,
    seed_digest TEXT NOT NULL,
    versions TEXT NOT NULL,
    created REAL NOT NULL
);

CREATE TABLE births (
    id INTEGER PRIMARY KEY,
    operator TEXT NOT NULL,
    parents TEXT NOT NULL,
    inspirations TEXT NOT NULL,
    created REAL NOT NULL,
    abandoned TEXT
);

CREATE TABLE individuals (
    id INTEGER PRIMARY KEY REFERENCES births(id),
    operator TEXT NOT NULL,
    inspirations TEXT NOT NULL,
    mother INTEGER REFERENCES individuals(id),
    father INTEGER REFERENCES individuals(id),
    idea TEXT NOT NULL,
    generation INTEGER NOT NULL,
    digest TEXT NOT NULL,
    size INTEGER NOT NULL,
    lines INTEGER NOT NULL,
    created REAL NOT NULL,
    verdict TEXT CHECK (verdict IN ('seed', 'better', 'simpler', 'kept', 'failed')),
    words TEXT,
    incumbent INTEGER REFERENCES individuals(id),
    genome BLOB NOT NULL
);

CREATE INDEX individuals_by_digest ON individuals(digest);

CREATE INDEX individuals_by_mother ON individuals(mother);

CREATE INDEX individuals_by_father ON individuals(father) WHERE father IS NOT NULL;

CREATE TABLE evaluations (
    id INTEGER PRIMARY KEY,
    individual INTEGER NOT NULL REFERENCES individuals(id),
    purpose TEXT NOT NULL CHECK (purpose IN ('first', 'repeat', 'confirm', 'control')),
    seed INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    started REAL NOT NULL,
    ended REAL,
    finish INTEGER UNIQUE,
    interrupted INTEGER NOT NULL DEFAULT 0,
    score REAL,
    failure TEXT,
    detail TEXT,
    seconds REAL,
    verified INTEGER,
    device TEXT,
    metrics TEXT,
    log BLOB,
    CHECK ((score IS NOT NULL) + (failure IS NOT NULL) = (finish IS NOT NULL)),
    CHECK (interrupted = 0 OR finish IS NULL),
    CHECK ((ended IS NOT NULL) = (interrupted = 1 OR finish IS NOT NULL))
);

CREATE INDEX evaluations_by_individual ON evaluations(individual);

CREATE TABLE calls (
    id INTEGER PRIMARY KEY,
    birth INTEGER NOT NULL REFERENCES births(id),
    ordinal INTEGER NOT NULL,
    model TEXT NOT NULL,
    operator TEXT NOT NULL,
    prompt_hash TEXT NOT NULL,
    prompt BLOB NOT NULL,
    reply BLOB,
    error TEXT,
    tokens_in INTEGER,
    tokens_cached INTEGER,
    tokens_out INTEGER,
    usd REAL,
    started REAL NOT NULL,
    seconds REAL,
    UNIQUE (birth, ordinal)
);

CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    time REAL NOT NULL,
    kind TEXT NOT NULL,
    text TEXT NOT NULL
);

CREATE VIEW scores AS
    SELECT i.id, i.operator, i.generation, i.mother, i.father, i.idea, i.size, i.lines, i.verdict, i.words,
           CASE WHEN count(e.failure) = 0 THEN avg(e.score) END AS score, count(e.score) AS n,
           min(e.verified) AS verified, max(e.failure) AS failure
    FROM individuals i LEFT JOIN evaluations e ON e.individual = i.id AND e.finish IS NOT NULL
    GROUP BY i.id
""".strip()
