"""Merge: what two parents changed since their nearest common ancestor, brought together line by line."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from merge3 import Merge3

from genome.genome import Genome, GenomeError
from genome.individual import Individual, Offspring
from genome.operator import Lore, NoOffspring
from genome.soundness import new_problems, runnable

TRIES = 6
IDEA_CHARS = 80  # of each parent's idea in the offspring's


class Merge:
    """Crossover of two parents by a three-way merge; where both changed the same lines, chance takes one side."""

    name = "merge"
    arity = 2

    def breed(self, parents: Sequence[Individual], lore: Lore, rng: np.random.Generator) -> Offspring:
        """Return the merge of the two; NoOffspring where it is a parent, was born before, or cannot run."""
        a, b = parents
        base = _common_ancestor(a, b, lore)
        idea = f"merge #{a.id} ({_short(a)}) with #{b.id} ({_short(b)})"
        reason = "all that one changed, the other has too"
        for _ in range(TRIES):
            try:
                genome, conflicts = merged(base.genome, a.genome, b.genome, rng)
            except GenomeError as error:
                genome, conflicts, reason = None, 1, str(error)
            if genome is not None and genome.digest not in (a.genome.digest, b.genome.digest):
                reason = _refusal(genome, a.genome, b.genome, lore)
                if not reason:
                    return Offspring(genome, self.name, (a.id, b.id), idea)
            if not conflicts:
                break  # no chance in it: another try gives the same
        raise NoOffspring(f"#{a.id} and #{b.id} give nothing new: {reason}")


def merged(base: Genome, a: Genome, b: Genome, rng: np.random.Generator) -> tuple[Genome, int]:
    """Return the three-way merge of two genomes and the number of conflicts that chance decided.

    Raises:
        GenomeError: the result does not parse.
    """
    files, conflicts = {}, 0
    for path in sorted({*a.files, *b.files}):
        if path not in a.files or path not in b.files:
            kept = a.files.get(path, b.files.get(path))
            if kept is not None and path not in base.files:  # added on one side; a file taken out stays out
                files[path] = kept
            continue
        old = _lines(base.files.get(path, ""))
        for group in Merge3(old, _lines(a.files[path]), _lines(b.files[path])).merge_groups():
            lines: Sequence[str] = group[1]
            if len(group) == 4:
                lines, chosen = _settle(group[1], group[2], group[3], rng)
                conflicts += chosen
            files[path] = files.get(path, "") + "".join(lines)
        files.setdefault(path, "")
    return Genome(files), conflicts


def _settle(
    base: Sequence[str], a: Sequence[str], b: Sequence[str], rng: np.random.Generator
) -> tuple[Sequence[str], int]:
    """Return the lines of one conflicting hunk, and how often chance took a side.

    Neighbouring constants changed by different parents look like one conflict; line by line they are none.
    """
    if not len(base) == len(a) == len(b):
        return (b if rng.random() < 0.5 else a), 1
    lines, chosen = [], 0
    for old, ours, theirs in zip(base, a, b, strict=True):
        clash = old != ours != theirs != old
        chosen += clash
        take_theirs = rng.random() < 0.5 if clash else ours == old
        lines.append(theirs if take_theirs else ours)
    return lines, chosen


def _common_ancestor(a: Individual, b: Individual, lore: Lore) -> Individual:
    base = lore.ancestor(a.id, b.id)
    if base is None:
        raise NoOffspring(f"#{a.id} and #{b.id} have no common ancestor")
    if base.id in (a.id, b.id):
        raise NoOffspring(f"#{base.id} is an ancestor of the other parent: there is nothing to bring together")
    return base


def _refusal(genome: Genome, a: Genome, b: Genome, lore: Lore) -> str:
    """Return why this merge is no offspring, or an empty text."""
    if lore.seen(genome):
        return "their merge was born before"
    if not runnable(genome):
        return "their merge does not compile"
    broken = new_problems(genome, (a, b))
    return f"their merge {broken[0]}" if broken else ""


def _lines(text: str) -> list[str]:
    """Return the lines with their ends, the last one ended too, so that no two lines can run together."""
    lines = text.splitlines(keepends=True)
    return [*lines[:-1], lines[-1] + "\n"] if lines and not lines[-1].endswith(("\n", "\r")) else lines


def _short(parent: Individual) -> str:
    if parent.operator == Merge.name:
        return "merge of " + " and ".join(f"#{id}" for id in parent.parents)
    line = " ".join(parent.idea.split())
    return line if len(line) <= IDEA_CHARS else line[: IDEA_CHARS - 1].rstrip() + "…"
