"""What is written into the database, row by row; each function runs inside a transaction of its caller's."""

from __future__ import annotations

import json
import math
import platform
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib import metadata

from archive.errors import OtherTask
from archive.records import Settings
from archive.store import Store
from archive.texts import DETAIL_CHARS, join_files, one_line, pack
from genome.individual import Evaluation, Failure, Offspring
from genome.task import Task

KIND_CHARS = 40


def begin_run(store: Store, name: str, task: Task, settings: Settings, config: str) -> None:
    """Write the run and its seed where there is none yet; else note what changed since, and what a kill interrupted.

    Raises:
        OtherTask: the run holds another task, objective or seed.
    """
    with store.transaction() as connection:
        held = connection.execute(
            "SELECT task, objective, direction, seed_digest, settings, config FROM runs"
        ).fetchone()
        if held is None:
            _new_run(connection, name, task, settings, config)
            return
        _check_same(name, held[:4], (task.name, task.objective.name, task.objective.direction, task.seed.digest))
        now = json.dumps(asdict(settings))
        if (now, config) != tuple(held[4:]):
            connection.execute("UPDATE runs SET settings = ?, config = ?", (now, config))
            note(connection, "settings", f"resumed with other settings: {now}, before: {held[4]}")
        lost = connection.execute(
            "UPDATE evaluations SET interrupted = 1, ended = ? WHERE ended IS NULL", (time.time(),)
        )
        if lost.rowcount:
            note(connection, "interrupted", f"{lost.rowcount} evaluations were cut off when the run last ended")


def begin_birth(
    connection: sqlite3.Connection, operator: str, parents: Sequence[int], inspirations: Sequence[int]
) -> int:
    cursor = connection.execute(
        "INSERT INTO births (operator, parents, inspirations, created) VALUES (?, ?, ?, ?)",
        (operator, json.dumps(list(parents)), json.dumps(list(inspirations)), time.time()),
    )
    return int(cursor.lastrowid or 0)


def check_open(connection: sqlite3.Connection, birth: int) -> None:
    """Raise ValueError unless the birth was begun and not ended."""
    row = connection.execute(
        "SELECT abandoned, EXISTS (SELECT 1 FROM individuals WHERE id = ?1) FROM births WHERE id = ?1", (birth,)
    ).fetchone()
    if row is None or row[0] is not None or row[1]:
        raise ValueError(f"birth {birth} is not open: {'unknown' if row is None else 'it has ended'}")


def bear(connection: sqlite3.Connection, id: int, offspring: Offspring, generation: int, like: str) -> None:
    """Write an individual; its genome is packed against the seed's text, which costs some hundred bytes each."""
    genome = offspring.genome
    mother, father = (*offspring.parents, None, None)[:2]
    connection.execute(
        "INSERT INTO individuals (id, operator, inspirations, mother, father, idea, generation, digest, size, lines,"
        " created, genome) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            id,
            offspring.operator,
            json.dumps(list(offspring.inspirations)),
            mother,
            father,
            one_line(offspring.idea),
            generation,
            genome.digest,
            genome.size,
            genome.lines,
            time.time(),
            pack(join_files(genome.files), like),
        ),
    )


def finish(
    connection: sqlite3.Connection, evaluation: int, result: Evaluation, failure: Failure | None, order: int
) -> None:
    """Write a result; `order` counts the finished evaluations of the run."""
    metrics = {name: float(value) for name, value in result.metrics.items() if math.isfinite(value)}
    connection.execute(
        "UPDATE evaluations SET ended = ?, finish = ?, seed = ?, score = ?, failure = ?, detail = ?, seconds = ?,"
        " verified = ?, device = ?, metrics = ?, log = ? WHERE id = ?",
        (
            time.time(),
            order,
            result.seed,
            result.score,
            failure.kind if failure else None,
            failure.detail if failure else None,
            result.seconds,
            result.verified,
            result.device,
            json.dumps(metrics),
            pack(result.log),
            evaluation,
        ),
    )


def told(failure: Failure | None) -> Failure | None:
    """Return a failure whose words fit on a line each."""
    if failure is None:
        return None
    return Failure(one_line(failure.kind, KIND_CHARS) or "unknown", one_line(failure.detail, DETAIL_CHARS))


def note(connection: sqlite3.Connection, kind: str, text: str) -> None:
    connection.execute(
        "INSERT INTO events (time, kind, text) VALUES (?, ?, ?)", (time.time(), kind, one_line(text, DETAIL_CHARS))
    )


def _new_run(connection: sqlite3.Connection, name: str, task: Task, settings: Settings, config: str) -> None:
    objective = task.objective
    connection.execute(
        "INSERT INTO runs (id, name, task, objective, direction, settings, config, seed_digest, versions, created)"
        " VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            name,
            task.name,
            objective.name,
            objective.direction,
            json.dumps(asdict(settings)),
            config,
            task.seed.digest,
            json.dumps(_versions()),
            time.time(),
        ),
    )
    seed = begin_birth(connection, "seed", (), ())
    bear(connection, seed, Offspring(task.seed, "seed", (), f"the seed of {task.name}"), generation=0, like="")


def _check_same(name: str, held: tuple[str, ...], asked: tuple[str, ...]) -> None:
    for what, there, here in zip(("task", "metric", "direction", "seed genome"), held, asked, strict=True):
        if there != here:
            there, here = (there[:12], here[:12]) if what == "seed genome" else (there, here)
            raise OtherTask(f"run {name} holds {what} {there}, not {here}; start this one under another name")


def _versions() -> dict[str, str]:
    try:
        own = metadata.version("genepool-search")
    except metadata.PackageNotFoundError:
        own = "not installed"
    return {"genepool": own, "python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
