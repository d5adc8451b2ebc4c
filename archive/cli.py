"""The command `archive`: look into a run, also while a search is writing it."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from archive import output
from archive.errors import ArchiveError
from archive.runs import newest, open_run
from archive.view import View
from genome.patch import diff as changes


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def main() -> None:
    """Look into a run's archive: who is best, who is smallest, what was tried and what came of it.

    Every command reads the newest run below ./runs unless told otherwise, works while a search is writing, and prints
    a table for people or, with --json, one array of objects.

    \b
    archive front                     what is worth looking at first
    archive diff 57                   what individual 57 changed against the seed
    archive log --run night --json    all of run `night`, for a program
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without − or σ shows ? instead of a traceback


def _command(function: Callable[..., None]) -> Callable[..., None]:
    """Make a command of a function of a view, and give it the options that all commands share."""

    @functools.wraps(function)
    def run(*, run: str | None, runs_dir: Path, as_json: bool, **arguments: Any) -> None:
        with _opened(run, runs_dir) as view:
            function(view, as_json=as_json, **arguments)

    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON array of objects instead of a table."),
        click.option(
            "--runs-dir",
            type=click.Path(path_type=Path),
            default="runs",
            show_default=True,
            envvar="GENEPOOL_RUNS",
            show_envvar=True,
            help="Where runs are kept.",
        ),
        click.option("--run", metavar="NAME", help="Which run, by name or folder. Default: the one written last."),
    ):
        run = option(run)
    return main.command()(run)


@contextmanager
def _opened(run: str | None, runs_dir: Path) -> Iterator[View]:
    try:
        with open_run(run if run is not None else newest(runs_dir), runs_dir) as view:
            yield view
    except ArchiveError as error:
        raise click.ClickException(str(error)) from error


@_command
def best(view: View, *, as_json: bool) -> None:
    """Show the champion: the best score with its size paid for.

    \b
    archive best --json
    """
    output.ranking(view, view.standings.best(1), as_json, f"champion of {view.run.name}")


@_command
@click.option("--limit", "-n", type=click.IntRange(1), default=16, show_default=True, help="How many to show.")
def top(view: View, *, as_json: bool, limit: int) -> None:
    """List the best individuals by priced score: score plus size at the price of a node.

    \b
    archive top -n 5
    """
    output.ranking(view, view.standings.best(limit), as_json, f"best of {view.run.name} by priced score")


@_command
def front(view: View, *, as_json: bool) -> None:
    """List the front: individuals that no other beats in both score and size, smallest first.

    \b
    archive front --run night
    """
    output.ranking(view, view.standings.front(), as_json, f"front of {view.run.name}, smallest first")


@_command
@click.option(
    "--within",
    type=click.FloatRange(0),
    metavar="SCORE",
    help="How much worse than the best is still fine. Default: z·σ.",
)
@click.option("--limit", "-n", type=click.IntRange(1), default=16, show_default=True, help="How many to show.")
def simple(view: View, *, as_json: bool, within: float | None, limit: int) -> None:
    """List the smallest individuals whose score is close to the best, smallest first.

    \b
    archive simple --within 0.002
    """
    if within is not None:
        reach = f"{within:g}"
    else:
        reach = "0 (σ is not known yet)" if view.sigma is None else f"{view.settings.z * view.sigma:.2g} (z·σ)"
    title = f"smallest of {view.run.name} within {reach} of the best score"
    output.ranking(view, view.simple(within)[:limit], as_json, title)


@_command
def cells(view: View, *, as_json: bool) -> None:
    """Draw the archive: size across, score down, and list the best of each cell of size.

    \b
    archive cells
    """
    found = view.cells()
    entries = view.entries([cell.ids[0] for cell in found])
    if as_json:
        places = [
            {"cell": cell.number, "from": cell.start, "below": cell.end, "count": len(cell.ids)} for cell in found
        ]
        output.print_json(entries, places)
        return
    output.require(view, entries)
    from archive import picture, tables

    screen = tables.console()
    screen.print(picture.picture(view, found, screen.width))
    screen.print(tables.ranking(view, entries, f"\nelites of {view.run.name}: the best of each cell, smallest first"))


@_command
@click.argument("id", type=int)
@click.option("--log-lines", type=click.IntRange(0), default=10, show_default=True, help="Lines of each log to show.")
def show(view: View, *, as_json: bool, id: int, log_lines: int) -> None:
    """Show one individual: birth, verdict with its arithmetic, every evaluation with its log's end, and the genome.

    \b
    archive show 57
    """
    entry, trials, genome = view.entry(id), view.trials(id), view.individual(id).genome
    if as_json:
        evaluations = [output.trial_record(trial) for trial in trials]
        output.print_json([entry], [{"files": dict(genome.files), "evaluations": evaluations}])
        return
    from archive import tables

    output.screen(tables.portrait(view, entry, trials, log_lines), tables.genome_text(genome.files.items()))


@_command
@click.argument("a", type=int)
@click.argument("b", type=int, required=False)
def diff(view: View, *, as_json: bool, a: int, b: int | None) -> None:
    """Show what changed: from the seed to individual A, or from A to B.

    \b
    archive diff 57
    archive diff 12 57
    """
    before, after = (1, a) if b is None else (a, b)
    text = changes(view.individual(before).genome, view.individual(after).genome)
    entries = view.entries([before, after])
    if as_json:
        output.print_json(entries, [{}, {"diff": text}])
        return
    from archive import tables

    if not text:
        raise click.ClickException(f"#{before} and #{after} are equal to the letter")
    output.screen(tables.ranking(view, entries, ""), tables.coloured(text))


@_command
@click.argument("id", type=int)
def lineage(view: View, *, as_json: bool, id: int) -> None:
    """List an individual's ancestors from the seed down to itself.

    \b
    archive lineage 57
    """
    output.lines(view.entries([*reversed(view.ancestors(id)), id]), as_json)


@_command
def log(view: View, *, as_json: bool) -> None:
    """List all individuals in order of birth, a line each.

    \b
    archive log | grep simpler
    """
    output.lines(view.entries(), as_json)


@_command
@click.option(
    "--limit", "-n", type=click.IntRange(1), default=8, show_default=True, help="How many of each kind to show."
)
def failures(view: View, *, as_json: bool, limit: int) -> None:
    """List what failed and why, by kind.

    \b
    archive failures -n 3
    """
    entries = view.entries([standing.id for standing in view.standings if standing.failure is not None])
    abandoned = view.abandoned()
    if as_json:
        output.print_json(entries)
        return
    if not entries and not abandoned:
        raise click.ClickException(f"nothing failed in run {view.run.name}")
    from archive import tables

    output.screen(tables.failures(entries, abandoned, limit))


if __name__ == "__main__":
    main()


@_command
def cost(view: View, *, as_json: bool) -> None:
    """Sum up calls, tokens, dollars and slot time by operator and model, and what an improvement cost.

    \b
    archive cost
    """
    from archive.earnings import costs

    found = costs(view)
    if as_json:
        output.print_rows([vars(one) for one in found])
        return
    if not found:
        raise click.ClickException(f"nothing was bred in run {view.run.name} yet; what ran so far: archive log")
    from archive import tables

    output.screen(tables.costs(found))
