"""Births in progress: draws parents, runs operators, and waits for what they ask."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from archive import Archive
from archive.earnings import Earning
from evolve.mix import Mix
from evolve.selection import Selection
from genome import Asks, Birth, Call, Individual, NoOffspring, Offspring, Operator, Reply
from llm_mutator.llm import Llm

USD_PER_SLOT_HOUR = 2.0  # about what an hour of one large GPU is rented for
RECENT_FAILURES = 32  # results back in which an operator that mends looks for a failure
FRUITLESS_TRIES = 32  # births in a row that came to nothing before breeding waits for news


@dataclass(frozen=True)
class Replied:
    """A call came back; `outcome` is what `Operator.answer` returned or raised."""

    birth: int
    call: int
    outcome: Reply | BaseException


@dataclass
class _Pending:
    operator: Operator
    parents: tuple[int, ...]
    steps: Birth


@runtime_checkable
class Mends(Protocol):
    """An operator whose parent is an individual that failed."""

    def mends(self, individual: Individual) -> bool: ...


class Breeding:
    """Births from drawing parents to a new individual; used from the coordinator's thread only.

    Every birth has its own random generator, made from the run's seed and the birth's number: a birth can be repeated
    after a kill, and nothing of the generator's state needs to be stored.

    Args:
        callers: births that may wait for a reply at once.
        llm: who answers the operators that ask; while it is away, the `fallback` mix breeds.
        fallback: operators that need nobody, for when the LLM is away or slower than the slots; None lets slots wait.
        post: called from other threads with a `Replied`; the coordinator hands it back to `replied`.
    """

    def __init__(
        self,
        archive: Archive,
        mix: Mix,
        selection: Selection,
        *,
        seed: int,
        post: Callable[[Replied], None],
        callers: int = 8,
        llm: Llm | None = None,
        fallback: Mix | None = None,
    ) -> None:
        self._archive = archive
        self._mix = mix
        self._selection = selection
        self._seed = seed
        self._post = post
        self._callers = ThreadPoolExecutor(callers, thread_name_prefix="call")
        self._llm = llm
        self._fallback = fallback
        self._pending: dict[int, _Pending] = {}
        self._bounds: dict[int, float] = {}

    @property
    def away(self) -> str | None:
        """Why no LLM answers at the moment, or None."""
        return self._llm.away if self._llm is not None else None

    @property
    def usd_in_flight(self) -> float:
        """The most that the calls in flight can cost."""
        return sum(self._bounds.values())

    @property
    def in_progress(self) -> int:
        """Births that wait for a reply."""
        return len(self._pending)

    def begin(self, count: int, *, at_once: bool = False) -> list[Individual]:
        """Begin so many births; return those that are born at once, the others wait for a reply.

        Args:
            at_once: breed with the fallback alone, because a slot is free now; without one, nothing is begun.
        """
        born: list[Individual] = []
        begun = fruitless = 0
        while begun < count and fruitless < FRUITLESS_TRIES:
            waiting = len(self._pending)
            individual = self._conceive(self._mix if self.away is None and not at_once else self._fallback)
            if individual is not None:
                born.append(individual)
            elif len(self._pending) == waiting:
                fruitless += 1
                continue
            begun += 1
            fruitless = 0
        return born

    def resume(self) -> list[Individual]:
        """Go on with the births that a kill interrupted: same parents, same chance, stored replies first."""
        born = []
        for birth in self._archive.open_births():
            mixes = (self._mix, self._fallback)
            operator = next((found for mix in mixes if mix and (found := mix.named(birth.operator))), None)
            if operator is None:
                self._archive.abandon(birth.id, f"operator {birth.operator} is not in the mix any more")
                continue
            individual = self._run(birth.id, operator, birth.parents, list(self._archive.replies_of(birth.id)))
            if individual is not None:
                born.append(individual)
        return born

    def replied(self, event: Replied) -> Individual | None:
        """Store a reply and let its birth go on; return the individual if one was born."""
        pending = self._pending.pop(event.birth)
        self._bounds.pop(event.birth)
        if isinstance(event.outcome, CancelledError):
            return None  # called off: the birth stays open, and asks again on resume
        if isinstance(event.outcome, BaseException):
            raise event.outcome
        self._archive.finish_call(event.call, event.outcome)
        return self._advance(event.birth, pending, event.outcome)

    def credit(self, earning: Earning) -> None:
        """Let what a birth cost and gained count in the shares of operators and models.

        Slot time is turned into dollars, so that an operator without calls is not free.
        """
        cost = earning.usd + earning.slot_s / 3600 * USD_PER_SLOT_HOUR
        for mix in (self._mix, self._fallback):
            if mix is not None:
                mix.credit(earning.operator, earning.gain, cost)
        if self._llm is not None and earning.model is not None:
            self._llm.models.credit(earning.model, earning.gain, cost)

    def abort(self) -> None:
        """Call off what is being waited for."""
        for closeable in (self._llm, *(mix for mix in (self._mix, self._fallback) if mix is not None)):
            if closeable is not None:
                closeable.close()

    def close(self) -> None:
        """Wait for calls in flight; their replies are paid for."""
        self._callers.shutdown(wait=True)

    def _conceive(self, mix: Mix | None) -> Individual | None:
        if mix is None:
            return None
        rng = self._chance(self._archive.counts().births + 1, stage=0)
        operator = mix.draw(rng, parents=min(2, len(self._archive.best(2))))
        if operator is None:
            return None
        parents = tuple(parent.id for parent in self._parents(operator, rng))
        if len(parents) < operator.arity:
            return None
        birth = self._archive.conceive(operator.name, parents)
        return self._run(birth, operator, parents, [])

    def _parents(self, operator: Operator, rng: np.random.Generator) -> list[Individual]:
        if not isinstance(operator, Mends):
            return self._selection.parents(self._archive, operator.arity, rng)
        failed = [one for one in self._archive.recent(RECENT_FAILURES) if one.failure is not None]
        return [one for one in failed if operator.mends(one) and not self._archive.tried(operator.name, [one.id])][:1]

    def _run(self, birth: int, operator: Operator, parents: tuple[int, ...], replies: list[Reply]) -> Individual | None:
        individuals = [self._archive.individual(id) for id in parents]
        try:
            result = operator.breed(individuals, self._archive, self._chance(birth, stage=1))
        except NoOffspring as reason:
            self._archive.abandon(birth, str(reason))
            return None
        if isinstance(result, Offspring):
            return self._bear(birth, result)
        return self._advance(birth, _Pending(operator, parents, result), None, replies)

    def _advance(
        self, birth: int, pending: _Pending, reply: Reply | None, stored: list[Reply] | None = None
    ) -> Individual | None:
        """Step an operator that asks until it waits for a reply that is not stored yet, or ends."""
        stored = stored or []
        try:
            call = next(pending.steps) if reply is None else pending.steps.send(reply)
            while stored:
                call = pending.steps.send(stored.pop(0))
        except StopIteration as end:
            return self._bear(birth, end.value)
        except NoOffspring as reason:
            self._archive.abandon(birth, str(reason))
            return None
        self._ask(birth, pending, call)
        return None

    def _ask(self, birth: int, pending: _Pending, call: Call) -> None:
        assert isinstance(pending.operator, Asks)  # only such an operator yields calls
        answer = pending.operator.answer
        row = self._archive.start_call(birth, call)
        self._pending[birth] = pending
        self._bounds[birth] = self._llm.bound(call) if self._llm is not None else 0.0

        def wait() -> None:
            try:
                outcome: Reply | BaseException = answer(call)
            except BaseException as error:  # noqa: BLE001 - carried to the coordinator, which raises it
                outcome = error
            self._post(Replied(birth, row, outcome))

        self._callers.submit(wait)

    def _bear(self, birth: int, offspring: Offspring) -> Individual | None:
        if self._archive.seen(offspring.genome):
            self._archive.abandon(birth, "equal to a genome that was born before")
            return None
        return self._archive.bear(birth, offspring)

    def _chance(self, birth: int, stage: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, birth, stage])
