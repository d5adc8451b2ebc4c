"""Operators that ask a model: edit, rewrite, simplify, repair and tune from one parent, crossover from two."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from genome.genome import Genome, GenomeError
from genome.individual import Individual, Offspring
from genome.literals import Number, numbers
from genome.literals import rewrite as rewrite_numbers
from genome.operator import Birth, Lore, NoOffspring
from genome.patch import apply_edits, diff
from llm_mutator import conflicts, context, prompt, reply, requests
from llm_mutator.prompt import Section
from llm_mutator.reply import Refused
from llm_mutator.text import clean, fence, one_line
from llm_mutator.writer import Writer, Written, examine

LOG_CHARS = 3_000
MENDABLE = ("crash", "oom", "timeout", "non_finite", "over_budget")
NUMBERS_SHOWN = 60


class Edit(Writer):
    """Mutation by search/replace blocks: one idea, few lines."""

    name = "edit"
    arity = 1

    def breed(self, parents: Sequence[Individual], lore: Lore, rng: np.random.Generator) -> Birth:
        """Ask for an offspring of one parent."""
        (parent,) = parents
        section, others = context.inspirations(parent, lore, rng, self.inspirations)
        sections = [context.lineage(parents, lore), context.failures(lore), section]
        messages, shown = self.messages(self.subject(parent, lore), sections, self.request(parent, lore), lore)
        genome, idea = yield from self.ask(messages, lambda text: self.read(text, parent, lore), parents, lore, rng)
        return Offspring(genome, self.name, (parent.id,), idea, others[: len(shown[-1].items)])

    def subject(self, parent: Individual, lore: Lore) -> str:
        """Return the part of the question that is never shortened."""
        return prompt.parent_part(parent, lore.task.objective, lore.sigma)

    def request(self, parent: Individual, lore: Lore) -> str:
        """Return what to do and how to answer."""
        return requests.edit(list(parent.genome.files))

    def read(self, text: str, parent: Individual, lore: Lore) -> Written:
        """Return the genome and the idea of an answer.

        Raises:
            Refused, PatchError, GenomeError: it gives none; the message is for the model.
        """
        blocks = reply.edits(text, list(parent.genome.files))
        return apply_edits(parent.genome, blocks).genome, reply.idea(text)


class Rewrite(Edit):
    """Mutation by whole files, for changes that are too large for blocks."""

    name = "rewrite"

    def request(self, parent: Individual, lore: Lore) -> str:
        marks = fence("".join(parent.genome.files.values()), "").split("\n")[0]
        return requests.rewrite(list(parent.genome.files), marks)

    def read(self, text: str, parent: Individual, lore: Lore) -> Written:
        genome = parent.genome
        for path, content in reply.whole_files(text, list(genome.files)).items():
            genome = genome.replaced(path, content)
        return genome, reply.idea(text)


class Simplify(Edit):
    """Mutation that deletes: the offspring is smaller, or refused."""

    name = "simplify"

    def request(self, parent: Individual, lore: Lore) -> str:
        return requests.simplify(list(parent.genome.files), lore.task.objective.name, lore.price, lore.sigma)

    def read(self, text: str, parent: Individual, lore: Lore) -> Written:
        genome, idea = super().read(text, parent, lore)
        if genome.size >= parent.genome.size:
            raise Refused(f"it is not smaller: {parent.genome.size} nodes before, {genome.size} after")
        return genome, idea


class Repair(Edit):
    """Mutation of an individual that failed when it ran, with the tail of its log; once, and not for cheats."""

    name = "repair"

    def mends(self, individual: Individual) -> bool:
        """Whether this individual is worth a repair: it failed by mishap, and is not a repair itself."""
        failure = individual.failure
        return failure is not None and failure.kind in MENDABLE and individual.operator != self.name

    def breed(self, parents: Sequence[Individual], lore: Lore, rng: np.random.Generator) -> Birth:
        """Ask for a repair; NoOffspring for what did not fail, failed for good reason, or is a repair itself."""
        (parent,) = parents
        if not self.mends(parent):
            if parent.operator == self.name:
                raise NoOffspring(f"#{parent.id} is a repair already; a second one is not tried")
            what = f"failed as {parent.failure.kind}" if parent.failure else "did not fail"
            raise NoOffspring(f"#{parent.id} {what}: only {', '.join(MENDABLE)} can be repaired")
        return self._breed(parent, lore, rng)

    def subject(self, parent: Individual, lore: Lore) -> str:
        log = "\n".join(evaluation.log for evaluation in lore.evaluations(parent.id)[-1:])
        printed = fence(clean(log, LOG_CHARS, tail=True), "data") if log.strip() else "It printed nothing."
        return f"{super().subject(parent, lore)}\n\n# The end of its log\n{printed}"

    def request(self, parent: Individual, lore: Lore) -> str:
        return requests.repair(list(parent.genome.files))

    def _breed(self, parent: Individual, lore: Lore, rng: np.random.Generator) -> Birth:
        sections = [context.failures(lore)]
        if parent.parents:
            origin = lore.individual(parent.parents[0])
            changed = clean(diff(origin.genome, parent.genome, context=1), context.DIFF_CHARS)
            sections.insert(0, Section(f"What it changed in #{origin.id}", (fence(changed, "diff"),), fenced=False))
        messages, _ = self.messages(self.subject(parent, lore), sections, self.request(parent, lore), lore)
        genome, idea = yield from self.ask(messages, lambda text: self.read(text, parent, lore), [parent], lore, rng)
        return Offspring(genome, self.name, (parent.id,), idea)


class TuneByLLM(Writer):
    """Mutation of one number, answered as JSON that the endpoint can be held to; even a small model can do it."""

    name = "tune_llm"
    arity = 1

    def breed(self, parents: Sequence[Individual], lore: Lore, rng: np.random.Generator) -> Birth:
        """Ask for a name and a value; NoOffspring where the parent has no number."""
        (parent,) = parents
        tunable = _named_numbers(parent.genome)
        if not tunable:
            raise NoOffspring(f"#{parent.id} has no number to tune")
        return self._breed(parent, tunable, lore, rng)

    def _breed(self, parent: Individual, tunable: dict[str, Number], lore: Lore, rng: np.random.Generator) -> Birth:
        listed = fence("\n".join(f"{name} = {number.written}" for name, number in tunable.items()), "data")
        subject = f"# Parent {prompt.standing(parent, lore.task.objective, lore.sigma)}\nIts numbers:\n{listed}"
        messages, _ = self.messages(subject, [context.lineage([parent], lore)], requests.tune(), lore)
        options = {"response_format": requests.tune_schema(list(tunable))}
        genome, idea = yield from self.ask(
            messages, lambda text: _tuned(text, parent.genome, tunable), [parent], lore, rng, options
        )
        return Offspring(genome, self.name, (parent.id,), idea)


class Crossover(Writer):
    """Crossover of two parents: what merges by itself is merged, the model settles the conflicts, if there are any."""

    name = "crossover"
    arity = 2

    def breed(self, parents: Sequence[Individual], lore: Lore, rng: np.random.Generator) -> Offspring | Birth:
        """Return the merge where there is no conflict, at no cost; else ask."""
        a, b = parents
        base = lore.ancestor(a.id, b.id)
        if base is None or base.id in (a.id, b.id):
            raise NoOffspring(f"#{a.id} and #{b.id} have no common ancestor apart from themselves: nothing to combine")
        draft = conflicts.merge(base.genome, a.genome, b.genome)
        if draft.conflicts:
            return self._breed(a, b, base, draft, lore, rng)
        try:
            genome = draft.settled(())
            examine(genome, parents, lore)
        except (Refused, GenomeError) as error:
            raise NoOffspring(f"#{a.id} and #{b.id} merge without conflict, but {error}") from None
        idea = f"merge #{a.id} ({one_line(a.idea)}) with #{b.id} ({one_line(b.idea)})"
        return Offspring(genome, self.name, (a.id, b.id), idea)

    def _breed(
        self,
        a: Individual,
        b: Individual,
        base: Individual,
        draft: conflicts.Draft,
        lore: Lore,
        rng: np.random.Generator,
    ) -> Birth:
        subject = "\n".join(
            f"# {title} {prompt.standing(one, lore.task.objective, lore.sigma)}\n{prompt.idea(one)}"
            for title, one in (("Parent A,", a), ("Parent B,", b), ("Their ancestor,", base))
        )
        subject += f"\n\n# Their merge\n{prompt.files(draft.shown())}"
        sections = [context.lineage([a, b], lore), context.failures(lore)]
        messages, _ = self.messages(subject, sections, requests.crossover(draft.conflicts), lore)

        def read(text: str) -> Written:
            return draft.settled(reply.resolutions(text, draft.conflicts)), reply.idea(text)

        genome, idea = yield from self.ask(messages, read, (a, b), lore, rng)
        return Offspring(genome, self.name, (a.id, b.id), idea)


def _named_numbers(genome: Genome) -> dict[str, Number]:
    """Return the numbers of a genome by a name that is unique, the weightiest first where there are many."""
    several = len(genome.files) > 1
    ranked = sorted(numbers(genome), key=lambda number: -number.weight)[:NUMBERS_SHOWN]
    return {f"{number.key[0]}: {number.name}" if several else number.name: number for number in ranked}


def _tuned(text: str, genome: Genome, tunable: Mapping[str, Number]) -> Written:
    chosen = reply.json_object(text, ("name", "value"))
    name, value = chosen["name"], chosen["value"]
    number = tunable.get(name) if isinstance(name, str) else None
    if number is None:
        raise Refused(f"{one_line(name, 80)!r} is not in the list of numbers")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53:
        raise Refused(f"the value of {name} is a number from 0 up; got {one_line(value, 80)!r}")
    whole = not any(mark in number.written.lower() for mark in ".e")
    written = str(round(value)) if whole else repr(float(f"{value:.12g}"))
    if math.isclose(float(written), number.value):
        raise Refused(f"{name} is {number.written} already")
    return rewrite_numbers(genome, [(number, written)]), f"{name} {number.written} → {written}"
