"""An LLM that says what a test tells it to."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError

from genome.operator import Call, Reply
from llm_mutator.ensemble import Ensemble

Script = Callable[[Call], "str | Reply"]


class Scripted:
    """Answers from a function, or from a list that starts over when it ends.

    Args:
        replies: the function or the list; without one, `nudge` answers.
        seconds: how long each answer takes, as a real model would.
    """

    def __init__(self, replies: Script | Sequence[str | Reply] | None = None, seconds: float = 0.0) -> None:
        self.models = Ensemble(["scripted"])
        self.away: str | None = None
        self.unpriced: tuple[str, ...] = ()
        self._seconds = seconds
        self._closed = threading.Event()
        self._lock = threading.Lock()
        if isinstance(replies, Sequence) and replies:
            cycle = itertools.cycle(replies)
            self._script: Script = lambda call: next(cycle)
        elif callable(replies):
            self._script = replies
        else:
            self._script = nudge

    def check(self) -> list[Reply]:
        return []

    def bound(self, call: Call) -> float:
        return 0.0

    def answer(self, call: Call) -> Reply:
        if self._closed.wait(self._seconds):
            raise CancelledError("the LLM is closed")
        with self._lock:
            said = self._script(call)
        return said if isinstance(said, Reply) else Reply(said, seconds=self._seconds)

    def close(self) -> None:
        self._closed.set()


def nudge(call: Call) -> str:
    """Return an edit that moves the first line `NAME = number` of the parent, by an amount that the prompt decides."""
    found = re.search(r"^([A-Z][A-Z0-9_]*) = (\d+\.\d+|\d+)$", call.messages[1]["content"], re.MULTILINE)
    if found is None:
        return "I see no constant that I could move."
    name, value = found.groups()
    factor = 0.5 + int(call.prompt_hash[:6], 16) / 0xFFFFFF
    moved = f"{float(value) * factor:.6f}" if "." in value else str(max(1, round(int(value) * (factor + 0.25)) + 1))
    return (
        f"IDEA: {name} works better at {moved} than at {value}.\n\n"
        f"<<<<<<< SEARCH\n{name} = {value}\n=======\n{name} = {moved}\n>>>>>>> REPLACE\n"
    )
