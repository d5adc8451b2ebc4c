"""What turns parents into offspring: the Operator Protocol and what an operator may know."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from genome.genome import Genome
from genome.individual import Evaluation, Individual, Offspring
from genome.task import Task


class NoOffspring(Exception):
    """The operator found nothing to try on these parents; the message says why. Data, not a defect."""


@dataclass(frozen=True)
class Call:
    """Something slow that an operator asks for: an LLM's completion or an agent's work.

    Attributes:
        model: which model or command is asked.
        messages: chat messages as `{"role": ..., "content": ...}`.
        options: what else goes into the request, such as response_format; plain JSON.
    """

    model: str
    messages: tuple[Mapping[str, str], ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def prompt(self) -> str:
        """What is asked, as one JSON text; the model is no part of it."""
        return json.dumps({"messages": [dict(message) for message in self.messages], "options": dict(self.options)})

    @property
    def prompt_hash(self) -> str:
        """Hexadecimal sha256 of the prompt; a replay finds its replies by it."""
        return hashlib.sha256(self.prompt.encode()).hexdigest()


@dataclass(frozen=True)
class Reply:
    """What came back for a Call.

    Attributes:
        text: the answer; untrusted. Empty when none came; beside an `error` it is an answer that was cut off.
        error: why there is no usable answer, in one line, or None.
        tokens_in, tokens_cached, tokens_out: as the endpoint counted them; cached ones are part of tokens_in.
        usd: price of this call, 0.0 where the model has no price.
        seconds: wall time, retries included.
    """

    text: str
    error: str | None = None
    tokens_in: int = 0
    tokens_cached: int = 0
    tokens_out: int = 0
    usd: float = 0.0
    seconds: float = 0.0


Birth = Generator[Call, Reply, Offspring]


class Lore(Protocol):
    """What an operator may ask of the archive; all answers come from the coordinator's own thread."""

    @property
    def task(self) -> Task: ...

    @property
    def sigma(self) -> float | None:
        """Spread of one evaluation in the score's unit, or None while nothing was run twice."""
        ...

    @property
    def price(self) -> float:
        """Score that one syntax node must earn."""
        ...

    def seen(self, genome: Genome) -> bool:
        """Whether an equal genome (by digest) was born before."""
        ...

    def individual(self, id: int) -> Individual: ...

    def evaluations(self, id: int) -> Sequence[Evaluation]:
        """Return the finished evaluations of an individual, oldest first, with what they printed."""
        ...

    def ancestor(self, a: int, b: int) -> Individual | None:
        """Return the nearest common ancestor of two individuals; one of them where it is the other's ancestor."""
        ...

    def ancestors(self, id: int) -> Sequence[int]:
        """Return ids of all ancestors, newest first, without the individual itself."""
        ...

    def offspring(self, ids: Sequence[int]) -> Sequence[Individual]:
        """Return the evaluated children of these individuals, newest first."""
        ...

    def recent(self, limit: int) -> Sequence[Individual]:
        """Return the individuals evaluated last, newest first, failed ones included."""
        ...

    def best(self, limit: int) -> Sequence[Individual]:
        """Return the best individuals by priced score, best first."""
        ...


@runtime_checkable
class Operator(Protocol):
    """Mutation from one parent or crossover from two.

    An operator that waits for nothing returns its Offspring. One that asks an LLM is a generator: it yields each
    `Call`, is sent the `Reply`, and returns its Offspring at the end. It runs in the coordinator's thread; only
    `answer` runs elsewhere. All chance comes from `rng`, so that a birth can be repeated.

    Attributes:
        name: as it stands in the archive.
        arity: how many parents it takes, 1 or 2.

    Raises:
        NoOffspring: nothing to try on these parents.
    """

    name: str
    arity: int

    def breed(self, parents: Sequence[Individual], lore: Lore, rng: np.random.Generator) -> Offspring | Birth: ...


@runtime_checkable
class Asks(Protocol):
    """An operator whose births yield Calls; `answer` blocks and is called from another thread."""

    def answer(self, call: Call) -> Reply: ...
