"""What the command `archive` prints: for programs one JSON array of objects, for people tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from archive.records import Entry, Trial
from archive.view import View

if TYPE_CHECKING:
    from rich.console import RenderableType


def ranking(view: View, ids: Sequence[int], as_json: bool, title: str) -> None:
    """Print individuals as a table in the order given; exit 1 where there are none."""
    entries = view.entries(ids)
    if as_json:
        print_json(entries)
        return
    require(view, entries)
    from archive import tables

    screen(tables.ranking(view, entries, title))


def lines(entries: Sequence[Entry], as_json: bool) -> None:
    """Print individuals as a line each."""
    if as_json:
        print_json(entries)
        return
    from archive import tables

    click.echo(tables.lines(entries))


def print_json(entries: Sequence[Entry], more: Sequence[Mapping[str, Any]] = ()) -> None:
    """Print the entries as one JSON array, each with what belongs to it beside its own fields."""
    rows = [vars(entry) | (dict(more[place]) if place < len(more) else {}) for place, entry in enumerate(entries)]
    print_rows(rows)


def print_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print one JSON array; exit 1 where it is empty."""
    click.echo(json.dumps(rows, indent=None if len(rows) > 1 else 2))
    if not rows:
        raise SystemExit(1)


def require(view: View, entries: Sequence[Entry]) -> None:
    """End with exit code 1 and a line that says what to look at, where there is nothing to show."""
    if not entries:
        raise click.ClickException(f"nothing in run {view.run.name} has a score yet; what ran so far: archive log")


def trial_record(trial: Trial) -> dict[str, Any]:
    """Return an evaluation as plain JSON."""
    result = trial.result
    fields = {**vars(trial), "result": None}
    if result is not None:
        failure = None if result.failure is None else vars(result.failure)
        fields["result"] = {**vars(result), "failure": failure, "metrics": dict(result.metrics)}
    return fields


def screen(*parts: RenderableType) -> None:
    """Print what rich can draw."""
    from archive import tables

    console = tables.console()
    for part in parts:
        console.print(part)
