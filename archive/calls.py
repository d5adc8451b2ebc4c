"""The ledger of LLM calls: a row before money is spent, the reply stored the moment it arrives."""

from __future__ import annotations

import time

from archive.store import Store
from archive.texts import DETAIL_CHARS, one_line, pack, unpack
from genome.operator import Call, Reply


class Ledger:
    """Every paid call of a run, by the birth that asked for it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._spent_usd = float(store.value("SELECT coalesce(sum(usd), 0) FROM calls"))

    @property
    def spent_usd(self) -> float:
        """What all replies so far cost; calls whose reply a kill lost are not known and not in it."""
        return self._spent_usd

    def start(self, birth: int, call: Call) -> int:
        """Note a call that is about to be made; returns its number."""
        with self._store.transaction() as connection:
            cursor = connection.execute(
                "INSERT INTO calls (birth, ordinal, model, operator, prompt_hash, prompt, started) VALUES"
                " (?1, (SELECT count(*) FROM calls WHERE birth = ?1), ?2,"
                " (SELECT operator FROM births WHERE id = ?1), ?3, ?4, ?5)",
                (birth, call.model, call.prompt_hash, pack(call.prompt), time.time()),
            )
        return int(cursor.lastrowid or 0)

    def finish(self, id: int, reply: Reply) -> None:
        """Store what came back, an error too.

        Raises:
            ValueError: there is no such call, or its reply is stored already.
        """
        error = None if reply.error is None else one_line(reply.error, DETAIL_CHARS)
        with self._store.transaction() as connection:
            changed = connection.execute(
                "UPDATE calls SET reply = ?, error = ?, tokens_in = ?, tokens_cached = ?, tokens_out = ?, usd = ?,"
                " seconds = ? WHERE id = ? AND reply IS NULL",
                (
                    pack(reply.text),
                    error,
                    reply.tokens_in,
                    reply.tokens_cached,
                    reply.tokens_out,
                    reply.usd,
                    reply.seconds,
                    id,
                ),
            ).rowcount
            if not changed:
                raise ValueError(f"call {id} is not waiting for a reply")
        self._spent_usd += reply.usd

    def replies(self, birth: int) -> list[Reply]:
        """Return the replies of a birth in the order of its calls; a call whose reply never came is left out."""
        rows = self._store.rows(
            "SELECT reply, error, tokens_in, tokens_cached, tokens_out, usd, seconds FROM calls"
            " WHERE birth = ? AND reply IS NOT NULL ORDER BY ordinal",
            birth,
        )
        return [Reply(unpack(reply), *rest) for reply, *rest in rows]


def stored_replies(store: Store) -> list[tuple[str, Reply]]:
    """Return (prompt hash, reply) of every answered call of a run, in the order in which they were asked."""
    rows = store.rows(
        "SELECT prompt_hash, reply, error, tokens_in, tokens_cached, tokens_out, usd, seconds FROM calls"
        " WHERE reply IS NOT NULL ORDER BY id"
    )
    return [(prompt, Reply(unpack(reply), *rest)) for prompt, reply, *rest in rows]


def models_asked(store: Store) -> list[str]:
    """Return the models of a run, in the order in which each was first asked."""
    return [model for (model,) in store.rows("SELECT model FROM calls GROUP BY model ORDER BY min(id)")]
