"""Cells as a picture in the terminal: size across, score down, the better the higher."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from archive.records import Cell
from archive.view import View

ROWS = 12
MARGIN = 11  # the score's column


@dataclass(frozen=True)
class _Grid:
    """Where an individual falls: columns are one or several cells wide, the last row takes all that is worse."""

    first_cell: int
    cells_per_column: int
    columns: int
    best: float
    step: float

    def column(self, cell: int) -> int:
        return (cell - self.first_cell) // self.cells_per_column

    def row(self, signed: float) -> int:
        return min(ROWS, int((signed - self.best) / self.step))


def picture(view: View, cells: Sequence[Cell], width: int) -> Text:
    """Return the occupied cells as a grid: how many individuals fall where, ● on the front, ★ the champion."""
    standings, sign = view.standings, view.objective.sign
    signed = {id: sign * mean for cell in cells for id in cell.ids if (mean := standings[id].mean) is not None}
    grid = _grid(cells, signed, signed.get(1), width)
    counts: Counter[tuple[int, int]] = Counter()
    where: dict[int, tuple[int, int]] = {}
    for cell in cells:
        for id in cell.ids:
            where[id] = (grid.row(signed[id]), grid.column(cell.number))
            counts[where[id]] += 1
    marks = {where[id]: "●" for id in standings.front()} | {where[standings.best(1)[0]]: "★"}
    text = Text()
    for row in range(max(place[0] for place in counts) + 1):
        text.append(_label(grid, row, sign), style="dim")
        for column in range(grid.columns):
            text.append(*_spot(counts[row, column], marks.get((row, column))))
        text.append("\n")
    text.append(_axis(view, grid), style="dim")
    return text


def _grid(cells: Sequence[Cell], signed: dict[int, float], seed: float | None, width: int) -> _Grid:
    span = cells[-1].number - cells[0].number + 1
    room = max(10, width - MARGIN - 1)
    per_column = -(-span // room)
    ordered = sorted(signed.values())
    # up to the seed or the middle of the pack: a few hopeless ones do not squeeze the rest into one row
    worst = max(ordered[len(ordered) // 2], ordered[0] if seed is None else seed)
    step = (worst - ordered[0]) / (ROWS - 1) or 1.0
    return _Grid(cells[0].number, per_column, -(-span // per_column), ordered[0], step)


def _spot(count: int, mark: str | None) -> tuple[str, str]:
    if mark == "★":
        return mark, "bold yellow"
    if mark:
        return mark, "bold green"
    if not count:
        return "·", "dim"
    return (str(count), "") if count < 10 else ("+", "")


def _label(grid: _Grid, row: int, sign: int) -> str:
    if row == ROWS:
        return f"{'worse':>{MARGIN - 1}} "
    return f"{sign * (grid.best + row * grid.step):>{MARGIN - 1}.4f} "


def _axis(view: View, grid: _Grid) -> str:
    percent = view.settings.cell_percent
    left = f"{100 + grid.first_cell * percent:g} %"
    right = f"{100 + (grid.first_cell + grid.columns * grid.cells_per_column) * percent:g} % of the seed's size"
    share = percent * grid.cells_per_column
    gap = max(1, grid.columns - len(left) - len(right))
    legend = f"a column is {share:g} %; digits count, + is ten or more, ● front, ★ champion"
    return f"{' ' * MARGIN}{left}{' ' * gap}{right}\n{legend}"
