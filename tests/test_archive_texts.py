"""Text in the archive: it comes back whole, and what is shown is harmless."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.texts import join_files, one_line, pack, plain_lines, split_files, unpack

any_text = st.text(st.characters())  # lone surrogates too


@given(any_text, any_text)
def test_packed_text_comes_back(text: str, like: str) -> None:
    assert unpack(pack(text, like), like) == text
    assert unpack(pack(text)) == text


def test_a_text_that_resembles_another_costs_little() -> None:
    seed = "".join(f"line {number * 7919 % 10_007} of a program\n" for number in range(900))
    changed = seed.replace("line 7919 ", "line 8000 ")
    assert len(pack(changed, seed)) < len(pack(changed)) / 8


def test_a_text_packed_against_another_is_not_unpacked_against_a_third() -> None:
    with pytest.raises(zlib.error):
        unpack(pack("x" * 100, "one"), "two")


@given(st.dictionaries(any_text, any_text, min_size=1))
def test_files_come_back(files: dict[str, str]) -> None:
    assert split_files(join_files(files)) == files
    assert join_files(files).isascii()


@given(any_text, st.integers(1, 50))
def test_one_line_is_printable_short_and_stays_as_it_is(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert line == "" or line.isprintable()
    assert len(line) <= limit
    assert one_line(line, limit) == line
    line.encode("utf-8")


@given(any_text)
def test_plain_lines_hold_nothing_that_moves_the_cursor(text: str) -> None:
    assert all(line == "" or line.isprintable() for line in plain_lines(text))


def test_plain_lines_keep_indentation_and_words() -> None:
    assert plain_lines("def f():\n\treturn 'é'\r\n\x1b[31mred") == ["def f():", "    return 'é'", "\ufffd[31mred"]
