"""Cells: fixed intervals of size that cover every size once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from archive.cells import cell_of, cell_start


@given(st.integers(0, 20_000), st.integers(1, 10_000), st.floats(0.01, 100))
def test_a_size_lies_in_its_cell(size: int, seed_size: int, percent: float) -> None:
    cell = cell_of(size, seed_size, percent)
    assert cell_start(cell, seed_size, percent) <= size < cell_start(cell + 1, seed_size, percent)


@given(st.integers(1, 10_000), st.floats(0.01, 100))
def test_the_seed_starts_cell_zero(seed_size: int, percent: float) -> None:
    assert cell_of(seed_size, seed_size, percent) == 0
    assert cell_of(seed_size - 1, seed_size, percent) < 0


@given(st.integers(0, 20_000), st.integers(0, 20_000), st.integers(1, 10_000), st.floats(0.01, 100))
def test_a_larger_size_never_lies_in_a_lower_cell(a: int, b: int, seed_size: int, percent: float) -> None:
    small, large = sorted((a, b))
    assert cell_of(small, seed_size, percent) <= cell_of(large, seed_size, percent)
