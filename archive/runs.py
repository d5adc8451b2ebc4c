"""Where runs are: one to read by its name or folder, or the one that was written last."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from archive.errors import NoRun
from archive.store import DATABASE, Store
from archive.view import View


def open_run(folder: str | Path, runs: str | Path = "runs") -> View:
    """Return a read-only view of a run, by its folder or by its name under `runs`; works while a search is writing.

    Raises:
        NoRun: there is no such run.
        NewerSchema: a newer genepool wrote it.
    """
    named = Path(runs) / folder
    place = named if (named / DATABASE).is_file() else Path(folder)
    if not (place / DATABASE).is_file():
        known = sorted(database.parent.name for database in Path(runs).glob(f"*/{DATABASE}"))
        there = f"it holds {', '.join(known[:8])}{', …' if len(known) > 8 else ''}" if known else "it holds none"
        raise NoRun(f"no run {folder} in {runs}; {there}")
    store = Store.reading(place / DATABASE)
    try:
        return View(place, store)
    except BaseException:
        store.close()
        raise


def newest(runs_dir: Path) -> str:
    """Return the name of the run that was written last."""
    found = [(_written(place), place.parent.name) for place in runs_dir.glob(f"*/{DATABASE}")]
    if not found:
        raise NoRun(f"no runs in {runs_dir.resolve()}; start one with `evolve`, or say where they are: --runs-dir DIR")
    return max(found)[1]


def _written(database: Path) -> int:
    times = []
    for file in (database, database.with_name(f"{DATABASE}-wal")):
        with suppress(FileNotFoundError):  # a log file goes when its writer ends
            times.append(file.stat().st_mtime_ns)
    return max(times, default=0)
