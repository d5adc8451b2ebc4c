"""Three-way merges: what is inherited from whom, and when there is no offspring."""

from __future__ import annotations

import numpy as np
import pytest

from genome import Genome, Individual, NoOffspring, Offspring
from genome.merge import Merge
from tests.lore import MemoryLore

BASE = """A = 1
B = 2
C = 3


def f(x):
    y = x + A
    return y


def g(x):
    return x * B


print(f(1), g(2), C)
"""


def family(a: str, b: str, base: str = BASE) -> MemoryLore:
    lore = MemoryLore(Genome({"train.py": base}))
    lore.bear(Offspring(Genome({"train.py": a}), "tune", (1,), "idea of a"), 1.0)
    lore.bear(Offspring(Genome({"train.py": b}), "ablate", (1,), "idea of b"), 1.0)
    return lore


def breed(lore: MemoryLore, a: int = 2, b: int = 3, seed: int = 0) -> Offspring:
    return Merge().breed([lore.individual(a), lore.individual(b)], lore, np.random.default_rng(seed))


def test_changes_in_different_places_are_both_inherited() -> None:
    lore = family(BASE.replace("A = 1", "A = 10"), BASE.replace("x * B", "x - B"))
    offspring = breed(lore)
    assert offspring.genome.files["train.py"] == BASE.replace("A = 1", "A = 10").replace("x * B", "x - B")
    assert (offspring.operator, offspring.parents) == ("merge", (2, 3))
    assert offspring.idea == "merge #2 (idea of a) with #3 (idea of b)"


def test_neighbouring_lines_changed_by_different_parents_are_both_inherited() -> None:
    lore = family(BASE.replace("A = 1", "A = 10"), BASE.replace("B = 2", "B = 20"))
    assert breed(lore).genome.files["train.py"] == BASE.replace("A = 1", "A = 10").replace("B = 2", "B = 20")


def test_a_conflict_takes_one_side_by_chance() -> None:
    lore = family(
        BASE.replace("A = 1", "A = 10").replace("x * B", "x - B"),
        BASE.replace("A = 1", "A = 11").replace("print(f(1)", "print(f(9)"),
    )
    texts = {breed(lore, seed=seed).genome.files["train.py"] for seed in range(20)}
    rest = BASE.replace("x * B", "x - B").replace("print(f(1)", "print(f(9)")
    assert texts == {rest.replace("A = 1", "A = 10"), rest.replace("A = 1", "A = 11")}


def test_an_ancestor_and_its_descendant_have_no_offspring() -> None:
    lore = family(BASE.replace("A = 1", "A = 10"), BASE.replace("B = 2", "B = 20"))
    with pytest.raises(NoOffspring, match="#1 is an ancestor"):
        breed(lore, 1, 2)
    with pytest.raises(NoOffspring, match="#2 is an ancestor"):
        breed(lore, 2, 2)


def test_a_merge_equal_to_a_parent_is_no_offspring() -> None:
    both = BASE.replace("A = 1", "A = 10").replace("B = 2", "B = 20")
    with pytest.raises(NoOffspring, match="the other has too"):
        breed(family(both, BASE.replace("A = 1", "A = 10")))


def test_a_merge_born_before_is_no_offspring() -> None:
    lore = family(BASE.replace("A = 1", "A = 10"), BASE.replace("x * B", "x - B"))
    lore.bear(breed(lore), 1.0)
    with pytest.raises(NoOffspring, match="born before"):
        breed(lore)


def test_a_merge_that_reads_a_name_one_parent_deleted_is_no_offspring() -> None:
    uses = BASE.replace("return y", "return y + C")
    deletes = BASE.replace("C = 3\n", "").replace(", C)", ")")
    with pytest.raises(NoOffspring, match="lacks C"):
        breed(family(uses, deletes))


def test_a_merge_that_does_not_parse_is_no_offspring() -> None:
    base = "x = [\n    1,\n    2,\n    3,\n]\n"
    # a tuple on one side, a longer list on the other: either bracket taken wrongly does not parse
    lore = family(base.replace("[", "(").replace("]", ")"), base.replace("]", "] + [4]"), base)
    for seed in range(10):
        with pytest.raises(NoOffspring, match="#2 and #3 give nothing new"):
            breed(lore, seed=seed)


def test_files_are_merged_one_by_one_and_a_file_of_one_parent_is_inherited() -> None:
    lore = MemoryLore(Genome({"a.py": "X = 1\n", "notes.txt": "one\ntwo\nthree\n"}))
    left = Genome({"a.py": "X = 2\n", "notes.txt": "one\ntwo\nthree\n"})
    right = Genome({"a.py": "X = 1\n", "notes.txt": "one\ntwo\n3\n", "b.py": "Y = 1\n"})
    lore.bear(Offspring(left, "tune", (1,), "left"), 1.0)
    lore.bear(Offspring(right, "edit", (1,), "right"), 1.0)
    assert dict(breed(lore).genome.files) == {"a.py": "X = 2\n", "b.py": "Y = 1\n", "notes.txt": "one\ntwo\n3\n"}


def test_a_last_line_without_an_end_does_not_run_into_the_next() -> None:
    lore = family("A = 1\nB = 2\nC = 3\nD = 4", "A = 0\nB = 2\nC = 3", "A = 1\nB = 2\nC = 3")
    assert breed(lore).genome.files["train.py"] == "A = 0\nB = 2\nC = 3\nD = 4\n"


def test_ideas_stay_short_over_many_generations() -> None:
    lore = family(BASE.replace("A = 1", "A = 10"), BASE.replace("x * B", "x - B"))
    merged = lore.bear(breed(lore), 1.0)
    changed = merged.genome.replaced("train.py", merged.genome.files["train.py"].replace("C = 3", "C = 30"))
    lore.bear(Offspring(changed, "edit", (4,), "a word " * 100), 1.0)
    other = BASE.replace("A = 1", "A = 10").replace("print(f(1)", "print(f(9)")
    lore.bear(Offspring(Genome({"train.py": other}), "edit", (2,), "other"), 1.0)
    assert breed(lore, 4, 6).idea == "merge #4 (merge of #2 and #3) with #6 (other)"
    assert len(breed(lore, 5, 6).idea) < 200


def test_the_same_chance_gives_the_same_merge() -> None:
    lore = family(BASE.replace("A = 1", "A = 10\nZ = 1"), BASE.replace("A = 1", "A = 11\nZ = 2\nQ = 1"))
    parents: list[Individual] = [lore.individual(2), lore.individual(3)]

    def outcome(seed: int) -> str:
        try:
            return Merge().breed(parents, lore, np.random.default_rng(seed)).genome.digest
        except NoOffspring as error:
            return str(error)

    assert [outcome(s) for s in range(5)] == [outcome(s) for s in range(5)]
