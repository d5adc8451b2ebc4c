"""What all operators that ask a model share: the question, the answer, one more chance, and what is refused."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

import numpy as np

from genome.forbidden import refusal
from genome.genome import Genome, GenomeError
from genome.individual import Individual, Offspring
from genome.operator import Birth, Call, Lore, NoOffspring, Reply
from genome.patch import PatchError
from genome.soundness import new_problems, runnable
from llm_mutator import prompt
from llm_mutator.llm import Llm
from llm_mutator.prompt import Message, Section
from llm_mutator.reply import Refused
from llm_mutator.text import one_line, tokens

TRIES = 2  # the first answer, and one more after it was told what was wrong

Written = tuple[Genome, str]
Asked = Generator[Call, Reply, Written]


class Writer(ABC):
    """An operator that asks a model.

    Args:
        llm: who answers.
        prompt_tokens: about how long a question may be; the parent, the brief and the task are never shortened.
        inspirations: how many good individuals of other lineages are shown, as diffs.
    """

    name: str
    arity: int

    def __init__(self, llm: Llm, prompt_tokens: int = 11_000, inspirations: int = 2) -> None:
        self.llm = llm
        self.prompt_tokens = prompt_tokens
        self.inspirations = inspirations

    @abstractmethod
    def breed(self, parents: Sequence[Individual], lore: Lore, rng: np.random.Generator) -> Offspring | Birth:
        """Return a birth that asks, or an offspring where there is nothing to ask; see `Operator`."""

    def answer(self, call: Call) -> Reply:
        """Wait for the model; called from another thread."""
        return self.llm.answer(call)

    def messages(
        self, subject: str, sections: Sequence[Section], request: str, lore: Lore
    ) -> tuple[tuple[Message, ...], list[Section]]:
        """Return the conversation to begin with, and the sections as far as there was room for them."""
        stable = prompt.system(lore.task, lore.sigma, lore.price)
        room = self.prompt_tokens - tokens(stable) - tokens(subject) - tokens(request)
        shown = prompt.shorten(sections, room)
        return prompt.conversation(stable, prompt.user(subject, shown, request)), shown

    def ask(
        self,
        messages: tuple[Message, ...],
        read: Callable[[str], Written],
        parents: Sequence[Individual],
        lore: Lore,
        rng: np.random.Generator,
        options: Mapping[str, Any] | None = None,
    ) -> Asked:
        """Yield calls until an answer gives a genome worth an evaluation, twice at most.

        Raises:
            NoOffspring: no answer came, or the last one cannot be used.
        """
        model = self.llm.models.choose(rng)
        problem = ""
        for _ in range(TRIES):
            answer = yield Call(model, messages, dict(options or {}))
            if answer.error and not answer.text:
                raise NoOffspring(answer.error)
            try:
                if answer.error:
                    raise Refused(answer.error)
                genome, idea = read(answer.text)
                examine(genome, parents, lore)
                return genome, idea
            except (Refused, PatchError, GenomeError) as error:
                problem = str(error)
            messages = prompt.retry(messages, answer.text, problem)
        raise NoOffspring(f"refused {TRIES} times, at last: {one_line(problem, 1000)}")


def examine(genome: Genome, parents: Sequence[Individual], lore: Lore) -> None:
    """Refuse what is not worth an evaluation.

    Raises:
        Refused: nothing changed, it was there before, it does not compile, or it uses what is forbidden or missing.
    """
    for parent in parents:
        if genome.digest == parent.genome.digest:
            raise Refused(f"the program is the same as #{parent.id}: layout, comments and docstrings do not count")
    if lore.seen(genome):
        raise Refused("this very program was tried before; do something that is not in the list of what was tried")
    if not runnable(genome):
        raise Refused("the program parses but does not compile: look at return, break and await outside their place")
    forbidden = refusal(genome)
    if forbidden:
        raise Refused(f"the program is forbidden: {forbidden}")
    problems = new_problems(genome, [parent.genome for parent in parents])
    if problems:
        raise Refused(f"the program {'; '.join(problems[:5])}")
