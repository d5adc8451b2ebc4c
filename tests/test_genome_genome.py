"""Size, digest and refusals of a genome."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genome import Genome, GenomeError
from genome.genome import code_size

PLAIN = '''"""A file."""
RATE = 0.5


def halve(values):
    """Halve each."""
    total = [value * RATE for value in values]
    return total
'''
REAL = Path(ast.__file__).read_text(encoding="utf-8")


def of(text: str) -> Genome:
    return Genome({"train.py": text})


@pytest.mark.parametrize(
    "other",
    [
        PLAIN.replace("    total", "    # a comment\n    total"),
        PLAIN.replace('"""Halve each."""', '"""Another docstring,\n\n    longer."""'),
        PLAIN.replace('    """Halve each."""\n', ""),
        PLAIN.replace("\n\n\n", "\n").replace("    ", "\t"),
        PLAIN.replace("value * RATE", "(value)\\\n * (RATE)"),
        PLAIN.replace("RATE = 0.5", "RATE = 5e-1;"),
        PLAIN.replace("\n", "\r\n"),
    ],
    ids=["comment", "docstring", "no docstring", "layout", "parentheses", "notation", "line ends"],
)
def test_layout_comments_and_docstrings_change_neither_size_nor_digest(other: str) -> None:
    assert of(other).size == of(PLAIN).size
    assert of(other).digest == of(PLAIN).digest


def test_formatting_a_real_file_anew_changes_neither_size_nor_digest() -> None:
    formatted = ast.unparse(ast.parse(REAL))
    assert (of(formatted).size, of(formatted).digest) == (of(REAL).size, of(REAL).digest)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("value * RATE", "RATE * value"),
        ("0.5", "0.25"),
        ("0.5", "'0.5'"),
        ("total", "sum_"),
        ("return total", "return None"),
    ],
)
def test_what_the_program_does_changes_the_digest(old: str, new: str) -> None:
    assert of(PLAIN.replace(old, new)).digest != of(PLAIN).digest


def test_the_same_text_under_another_path_is_another_genome() -> None:
    assert Genome({"a.py": PLAIN}).digest != Genome({"b.py": PLAIN}).digest


def test_short_names_are_free_and_very_long_ones_are_paid_for_as_text() -> None:
    assert of(PLAIN.replace("values", "v")).size == of(PLAIN).size
    assert of(PLAIN.replace("total", "t" * 32)).size == of(PLAIN).size
    assert of(PLAIN.replace("total", "t" * 132)).size == of(PLAIN).size + 200


@given(st.integers(min_value=5, max_value=400))
def test_text_bytes_and_numbers_cost_at_least_their_length(length: int) -> None:
    assert code_size(f"x = {'a' * length!r}", "a.py") - code_size("x = ''", "a.py") == length
    assert code_size(f"x = {b'a' * length!r}", "a.py") - code_size("x = b''", "a.py") == length
    assert code_size("x = " + "7" * length, "a.py") > code_size("x = 7", "a.py") + 0.8 * length - 5


def test_a_record_costs_the_same_in_both_notations() -> None:
    assert code_size("x = dict(rate=1)", "a.py") >= code_size("x = {'rate': 1}", "a.py")


def test_other_text_counts_words_and_marks_and_a_long_word_by_its_length() -> None:
    assert code_size("one two, three.", "notes.txt") == 5
    assert code_size("w" * 160, "notes.txt") == 10


def test_size_of_a_genome_is_the_sum_over_its_files_and_needs_no_order() -> None:
    both = Genome({"b.py": PLAIN, "a.txt": "one two"})
    assert both.size == of(PLAIN).size + 2
    assert both.digest == Genome({"a.txt": "one two", "b.py": PLAIN}).digest
    assert list(both.files) == ["a.txt", "b.py"]


def test_lines_are_those_that_hold_code() -> None:
    assert of("# a\n\nx = 1  # b\n\n  # c\ny = 2\n").lines == 2


@pytest.mark.parametrize("text", ["def f(:", "x = 1\n  y = 2", "x = '\0'", "(" * 300, "return ="])
def test_python_that_does_not_parse_is_refused_with_one_line(text: str) -> None:
    with pytest.raises(GenomeError, match=r"^train.py does not parse: [^\n]+$"):
        of(text)


def test_a_file_that_is_not_python_need_not_parse() -> None:
    assert Genome({"notes.txt": "def f(:"}).size == 4


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../train.py", "a/../../b.py", "a\\b.py", "./train.py", "a//b.py"])
def test_a_path_that_leaves_the_workspace_or_has_two_spellings_is_refused(path: str) -> None:
    with pytest.raises(GenomeError, match="path"):
        Genome({path: "x = 1"})


def test_a_genome_has_a_file() -> None:
    with pytest.raises(GenomeError, match="at least one file"):
        Genome({})


def test_only_a_file_of_the_genome_can_be_replaced() -> None:
    assert of(PLAIN).replaced("train.py", "x = 1").size == of("x = 1").size
    with pytest.raises(GenomeError, match=r"other.py is not a file of this genome; it has train.py"):
        of(PLAIN).replaced("other.py", "x = 1")


def test_genomes_with_equal_files_are_equal_and_their_files_cannot_change() -> None:
    assert of(PLAIN) == of(PLAIN)
    assert hash(of(PLAIN)) == hash(of(PLAIN))
    with pytest.raises(TypeError):
        of(PLAIN).files["train.py"] = ""  # type: ignore[index]


def test_huge_numbers_are_measured_without_running_into_a_limit() -> None:
    assert of("x = " + hex(10**6000)).size > 4000
    assert of("x = " + hex(10**6000)).digest != of("x = " + hex(10**6000 + 1)).digest
