"""An LLM that says again what was said in a former run, so that a whole search can be repeated without a key."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable, Sequence

from genome.operator import Call, Reply
from llm_mutator.ensemble import Ensemble


class Replay:
    """Replies of a former run: by prompt where the prompt is the same, else the oldest that is left.

    Args:
        replies: (prompt hash, reply) in the order of the former run's calls; see `Call.prompt_hash`.
        models: the models of the former run, so that each birth draws as it did there.
        given: prompt hashes of the calls that this run has answered already, when it is resumed.

    Attributes:
        strays: replies that were given to another prompt than theirs; above 0 the run has left the former one's path.
    """

    def __init__(
        self, replies: Iterable[tuple[str, Reply]], models: Sequence[str] = ("replay",), given: Iterable[str] = ()
    ) -> None:
        self.models = Ensemble(list(models))
        self.away: str | None = None
        self.unpriced: tuple[str, ...] = ()
        self.strays = 0
        self._lock = threading.Lock()
        self._order = deque(replies)
        self._left = Counter(prompt for prompt, _ in self._order)
        for prompt in given:
            self._take(prompt)
        self.strays = 0

    def check(self) -> list[Reply]:
        return []

    def bound(self, call: Call) -> float:
        return 0.0

    def answer(self, call: Call) -> Reply:
        """Return the former reply as it was, its tokens too; it costs nothing now."""
        with self._lock:
            reply = self._take(call.prompt_hash)
        if reply is None:
            return Reply("", "the replayed run has no reply left")
        return Reply(
            reply.text, reply.error, reply.tokens_in, reply.tokens_cached, reply.tokens_out, 0.0, reply.seconds
        )

    def close(self) -> None:
        """Nothing is held."""

    def _take(self, prompt: str) -> Reply | None:
        if not self._order:
            return None
        at = 0
        if self._left[prompt]:
            at = next(index for index, (hash, _) in enumerate(self._order) if hash == prompt)
        else:
            self.strays += 1
        hash, reply = self._order[at]
        del self._order[at]
        self._left[hash] -= 1
        return reply
