"""Who answers an operator's calls: the Llm Protocol."""

from __future__ import annotations

from typing import Protocol

from genome.operator import Call, Reply
from llm_mutator.ensemble import Ensemble


class Llm(Protocol):
    """One or several models behind one endpoint, or a stand-in for them.

    Attributes:
        models: chooses the model of each birth; the search credits it with what came of its offspring.
    """

    models: Ensemble

    @property
    def away(self) -> str | None:
        """Why nobody answers at the moment, in one line, or None.

        While it is set the search breeds with operators that need no LLM; it clears by itself.
        """
        ...

    @property
    def unpriced(self) -> tuple[str, ...]:
        """Models that cost something, but not as far as we know; they count as free."""
        ...

    def check(self) -> list[Reply]:
        """Try the endpoint and every model before a search depends on them; returns the answers, which may cost.

        Raises:
            LlmError: no search with this LLM can succeed; one or two lines that say the way out.
        """
        ...

    def bound(self, call: Call) -> float:
        """Return the most that a call can cost in US dollars; 0.0 where the model has no price."""
        ...

    def answer(self, call: Call) -> Reply:
        """Wait for the answer; whatever goes wrong at the endpoint is a Reply with an error.

        Raises:
            concurrent.futures.CancelledError: the LLM was closed meanwhile.
        """
        ...

    def close(self) -> None:
        """End calls in flight; idempotent."""
        ...


class LlmError(RuntimeError):
    """The LLM cannot be used as configured; the message says what is wrong, the value, and the way out."""
