"""What the archive knows that helps on these parents: what was tried, what failed, and what others do differently."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from genome.individual import Individual
from genome.operator import Lore
from genome.patch import diff
from llm_mutator.prompt import Section, outcome, standing
from llm_mutator.text import clean, fence, one_line

ANCESTORS = 8
IDEAS = 12
RECENT = 60
CAUSES = 5
DETAIL_CHARS = 160
BEST = 12
DIFF_CHARS = 3_000


def lineage(parents: Sequence[Individual], lore: Lore) -> Section:
    """Return the ideas tried on these parents and their ancestors, newest first, with what came of each."""
    ids = [parent.id for parent in parents]
    for parent in parents:
        ids += [id for id in lore.ancestors(parent.id)[:ANCESTORS] if id not in ids]
    inherited = set(ids)
    lines = []
    for child in list(lore.offspring(ids))[:IDEAS]:
        mark = " (inherited)" if child.id in inherited else ""
        lines.append(outcome(child, lore.individual(child.parents[0]), lore.task.objective) + mark)
    return Section("Tried on this lineage, newest first", tuple(lines))


def failures(lore: Lore) -> Section:
    """Return why recent individuals gave no score, one line for each cause, the most frequent first."""
    causes: dict[tuple[str, str], list[Individual]] = {}
    for individual in lore.recent(RECENT):
        if individual.failure is not None:
            detail = one_line(individual.failure.detail, DETAIL_CHARS)
            causes.setdefault((one_line(individual.failure.kind, 40), re.sub(r"\d+", "N", detail)), []).append(
                individual
            )
    lines = []
    for (kind, _), found in sorted(causes.items(), key=lambda cause: -len(cause[1]))[:CAUSES]:
        detail = one_line(found[0].failure.detail, DETAIL_CHARS) if found[0].failure else ""
        lines.append(f"{len(found)} × {kind}: {detail} (last: {one_line(found[0].idea, DETAIL_CHARS)})")
    return Section("Recent failures by cause", tuple(lines))


def inspirations(
    parent: Individual, lore: Lore, rng: np.random.Generator, count: int
) -> tuple[Section, tuple[int, ...]]:
    """Return good individuals of other lineages as what they change in the parent, and their ids."""
    kin = {parent.id, *lore.ancestors(parent.id)}
    others = [one for one in lore.best(BEST) if one.id not in kin and one.genome.digest != parent.genome.digest]
    chosen = sorted(rng.choice(len(others), min(count, len(others)), replace=False)) if others else []
    shown = [others[int(at)] for at in chosen]
    items = [
        f"{standing(one, lore.task.objective, lore.sigma)}\n{fence(one_line(one.idea), 'data')}\n"
        + fence(clean(diff(parent.genome, one.genome, context=1), DIFF_CHARS), "diff")
        for one in shown
    ]
    section = Section("Others that do well, each as a diff against the parent", tuple(items), fenced=False)
    return section, tuple(one.id for one in shown)
