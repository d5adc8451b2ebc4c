"""Cells: fixed intervals of size relative to the seed's, so that bins never move while a search runs."""

from __future__ import annotations

import math


def cell_of(size: int, seed_size: int, cell_percent: float) -> int:
    """Return the number of the cell that a size falls into: 0 starts at the seed's size, smaller genomes lie below.

    Cell k holds sizes from `1 + k * cell_percent / 100` times the seed's size up to the next cell's start.
    """
    return math.floor((size - seed_size) / _width(seed_size, cell_percent))


def cell_start(cell: int, seed_size: int, cell_percent: float) -> int:
    """Return the smallest size that falls into a cell; a cell ends where the next one starts."""
    start = math.ceil(seed_size + cell * _width(seed_size, cell_percent))
    # rounding in the division may put the edge itself one cell lower
    return start if cell_of(start, seed_size, cell_percent) >= cell else start + 1


def _width(seed_size: int, cell_percent: float) -> float:
    return max(seed_size, 1) * cell_percent / 100
