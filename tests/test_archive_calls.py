"""The ledger: a row before the money, the reply the moment it comes, nothing bought twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from archive import Archive
from genome import Call, Reply
from tests.archives import started, task

CALL = Call("large", ({"role": "user", "content": "naïve \x00 prompt " * 1000},), {"temperature": 1.0})


def test_stored_replies_come_back_in_the_order_of_their_calls_after_a_restart(tmp_path: Path) -> None:
    archive = started(tmp_path / "run")
    birth, other = archive.conceive("edit", (1,)), archive.conceive("edit", (1,))
    replies = [
        Reply("first\ud800", None, 1000, 200, 30, 0.25, 2.0),
        Reply("", "the endpoint said\nno", usd=0.5),
        Reply("cut off", "length limit", 1, 0, 9, 0.125, 1.0),
    ]
    first, lost, second, third = (archive.start_call(birth, CALL) for _ in range(4))
    archive.finish_call(archive.start_call(other, CALL), Reply("of another birth"))
    for call, reply in ((third, replies[2]), (first, replies[0]), (second, replies[1])):
        archive.finish_call(call, reply)
    archive.close()
    with Archive.open(tmp_path / "run", task()) as again:
        kept = again.replies_of(birth)
        assert kept == [replies[0], Reply("", "the endpoint said no", usd=0.5), replies[2]]
        assert again.spent_usd() == 0.875
        row = again.store.rows(
            "SELECT model, operator, prompt_hash, reply, length(prompt) FROM calls WHERE id = ?", lost
        )[0]
        assert row[:4] == ("large", "edit", CALL.prompt_hash, None)
        assert row[4] < len(CALL.prompt) / 20


def test_a_reply_is_stored_once(tmp_path: Path) -> None:
    with started(tmp_path / "run") as archive:
        call = archive.start_call(archive.conceive("edit", (1,)), CALL)
        archive.finish_call(call, Reply("a", usd=1.0))
        with pytest.raises(ValueError, match="not waiting"):
            archive.finish_call(call, Reply("b", usd=1.0))
        assert archive.spent_usd() == 1.0
