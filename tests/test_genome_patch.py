"""Search/replace edits: what is accepted, and what a model is told otherwise; diffs and edit sets."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genome import Genome
from genome.patch import PatchError, SearchReplace, apply_edits, diff, edit_set

TEXT = """import math

RATE = 0.1


def halve(x):
    y = x * 0.5
    return y


def double(x):
    y = x * 2
    if y > 10:
        y = 10
    return y


print(halve(1), double(2), math.pi, RATE)
"""


def of(text: str = TEXT) -> Genome:
    return Genome({"train.py": text})


def edit(search: str, replace: str, path: str = "train.py") -> SearchReplace:
    return SearchReplace(path, search, replace)


def refused(*edits: SearchReplace) -> str:
    with pytest.raises(PatchError) as caught:
        apply_edits(of(), edits)
    return str(caught.value)


def test_an_exact_text_that_occurs_once_is_replaced_and_nothing_else() -> None:
    patched = apply_edits(of(), [edit("x * 0.5", "x / 2"), edit("RATE = 0.1", "RATE = 0.2")])
    assert patched.genome.files["train.py"] == TEXT.replace("x * 0.5", "x / 2").replace("RATE = 0.1", "RATE = 0.2")
    assert patched.notes == ()


def test_a_later_edit_sees_what_an_earlier_one_wrote() -> None:
    patched = apply_edits(of(), [edit("RATE = 0.1", "SPEED = 0.1"), edit("SPEED = 0.1", "RATE = 0.3")])
    assert patched.genome.files["train.py"] == TEXT.replace("0.1", "0.3")


def test_other_white_space_is_met_and_the_replacement_takes_the_files_indentation() -> None:
    patched = apply_edits(of(), [edit("if y>10:\n    y  =  10\n", "if y > 20:\n    y = 20\n")])
    expected = TEXT.replace("    if y > 10:\n        y = 10\n", "    if y > 20:\n        y = 20\n")
    assert patched.genome.files["train.py"] == expected
    assert patched.notes == ()


def test_blank_lines_and_trailing_space_do_not_hinder_a_match() -> None:
    patched = apply_edits(of(), [edit("RATE = 0.1   \n\ndef halve(x):\n", "RATE = 0.3\n\n\ndef halve(x):\n")])
    assert patched.genome.files["train.py"] == TEXT.replace("0.1", "0.3")


def test_the_one_nearly_equal_window_is_taken_and_its_difference_noted() -> None:
    search = "def double(x):\n    y = x * 2\n    if y > 11:\n        y = 10\n    return y\n"
    patched = apply_edits(of(), [edit(search, "def double(x):\n    return x * 2\n")])
    assert "def double(x):\n    return x * 2\n\n\nprint" in patched.genome.files["train.py"]
    (note,) = patched.notes
    assert "line 11 of train.py" in note
    assert "-     if y > 11:\n+     if y > 10:" in note


def test_lines_can_be_deleted_by_an_empty_replacement() -> None:
    patched = apply_edits(of(), [edit("    if y > 10:\n        y = 10\n", "")])
    assert patched.genome.files["train.py"] == TEXT.replace("    if y > 10:\n        y = 10\n", "")


def test_no_match_shows_the_closest_lines() -> None:
    message = refused(edit("def triple(x):\n    z = x + 3\n    return z\n", ""))
    assert "edit 1 of 1: the search text does not occur in train.py" in message
    assert "begin at line 6" in message
    assert "- def triple(x):\n" in message
    assert "+ def halve(x):" in message


def test_several_matches_name_their_lines() -> None:
    assert "occurs 2 times in train.py (lines 8, 15); add neighbouring lines" in refused(edit("    return y\n", ""))
    assert "but for white space, the search text occurs 2 times" in refused(edit("return  y", "return z"))


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        ([], "holds no edit"),
        ([edit("RATE", "SPEED", "prepare.py")], "'prepare.py' is not a file of this program; it has train.py"),
        ([edit("  \n", "x = 1")], "search text is empty"),
        ([edit("RATE = 0.1", "RATE = 0.1")], "the same text"),
        ([edit("RATE = 0.1", "RATE = 0.1  # new")], "change nothing but layout, comments or docstrings"),
        ([edit("RATE = 0.1", "RATE = = 0.1")], "after the edits train.py does not parse: invalid syntax (line 3)"),
        ([edit("RATE = 0.1", "RATE = = 0.1")], "3: RATE = = 0.1"),
        ([edit("RATE = 0.1", "RATE = 0.2"), edit("RATE = 0.2", "RATE = 0.1")], "change nothing"),
        ([edit("a\n" * 200, "")], "fewer lines than the search text"),
    ],
)
def test_a_refusal_says_what_was_wrong(edits: list[SearchReplace], said: str) -> None:
    assert said in refused(*edits)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 17), st.integers(1, 5), st.sampled_from(["", "  ", "\t"]))
def test_any_run_of_lines_is_found_again_or_refused_as_ambiguous(start: int, count: int, surplus: str) -> None:
    lines = TEXT.splitlines(keepends=True)[start : start + count]
    search = "".join(surplus + line for line in lines)
    try:
        patched = apply_edits(of(), [edit(search, "")])
    except PatchError as error:
        assert any(word in str(error) for word in ("times", "empty", "parse", "nothing"))  # noqa: PT017
        return
    assert patched.genome.files["train.py"].count("\n") < TEXT.count("\n")


def test_a_diff_can_be_applied_by_git(tmp_path: Path) -> None:
    old = Genome({"train.py": TEXT, "gone.txt": "a\n", "last.txt": "no end"})
    new = Genome({"train.py": TEXT.replace("0.1", "0.2"), "new.txt": "b\n", "last.txt": "no end yet"})
    for path, text in old.files.items():
        (tmp_path / path).write_text(text, encoding="utf-8")
    subprocess.run(["git", "apply"], input=diff(old, new), text=True, cwd=tmp_path, check=True)
    assert {p.name: p.read_text(encoding="utf-8") for p in tmp_path.iterdir()} == dict(new.files)
    assert diff(old, old) == ""


def test_an_edit_set_ignores_layout_comments_and_docstrings() -> None:
    changed = TEXT.replace("RATE = 0.1", "RATE = 0.2")
    noisy = changed.replace("    y = x * 2\n", '    """Twice."""\n    # a comment\n    y = (x  *  2)\n')
    assert edit_set(of(changed), of()) == {"train.py:-RATE = 0.1", "train.py:+RATE = 0.2"}
    assert edit_set(of(noisy), of()) == edit_set(of(changed), of())
    assert edit_set(of(), of()) == frozenset()
