"""The whole search with operators that ask a real endpoint over HTTP, one that often fails."""

from __future__ import annotations

import itertools
import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archive import Archive, Settings
from archive.calls import models_asked, stored_replies
from archive.earnings import costs
from evolve import Budget, Mix, Search, Tournament
from evolve.mix import Share
from llm_mutator.chat import Chat
from llm_mutator.operators import Edit, Repair
from llm_mutator.replay import Replay
from llm_mutator.scripted import Scripted
from tests.api_server import Respond, drops, fails, says, sends, serving
from tests.parts import Arithmetic, Step, make_task

BAD: tuple[Respond, ...] = (
    fails(500),
    fails(429, retry_after="0"),
    drops,
    sends('{"choices": ['),
    sends("<html>busy</html>", kind="text/html"),
    says("I would rather talk about the weather."),
)


def edit_of(prompt: str, number: int) -> str:
    found = re.search(r"^A = .*$", prompt, re.MULTILINE)
    assert found is not None
    return (
        f"IDEA: a smaller A\n<<<<<<< SEARCH\n{found.group(0)}\n=======\nA = {1 / (number + 2):.9f}\n>>>>>>> REPLACE\n"
    )


def writer(bad_share: float = 0.0) -> Any:
    """Return a model's behaviour: a fresh edit for each request, and each so-manieth request fails in some way."""
    numbers, faults, debt = itertools.count(1), itertools.cycle(BAD), itertools.count(1)

    def respond(request: dict[str, Any]) -> Respond:
        turn = next(debt)
        if int(turn * bad_share) > int((turn - 1) * bad_share):
            return next(faults)
        return says(edit_of(request["messages"][1]["content"], next(numbers)))

    return respond


def search(archive: Archive, llm: Any, evaluations: int = 1, evaluator: Any = None, **options: Any) -> Search:
    mix = options.pop("mix", None) or Mix({"edit": Share(Edit(llm), 1.0)})
    return Search(
        archive,
        evaluator or Arithmetic(),
        mix,
        Tournament(4, 2),
        options.pop("budget", None) or Budget(evaluations=evaluations),
        workspaces=archive.folder / "workspaces",
        llm=llm,
        **options,
    )


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    return "sk-very-secret"


def test_sixty_births_end_complete_at_thirty_percent_failing_calls(tmp_path: Path, key: str) -> None:
    archive = Archive.open(tmp_path / "run", make_task(tmp_path), Settings())
    evaluator = Arithmetic()
    with serving() as api:
        api.respond = writer(0.3)
        llm = Chat(["good"], base_url=api.url, timeout_s=5, probe_s=0.05)
        search(archive, llm, 61, evaluator, slots=2).run()
        llm.close()
    assert archive.counts().evaluations == evaluator.calls == 61
    assert not [entry for entry in archive.entries() if entry.failure]
    hashes = [prompt for prompt, reply in stored_replies(archive.store) if reply.text and not reply.error]
    assert len(hashes) >= 60
    (cost,) = costs(archive)
    assert cost.calls >= 60
    assert cost.tokens_in >= 100 * 60
    archive.close()
    assert key.encode() not in b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_an_endpoint_that_goes_away_is_bridged_by_the_fallback_and_taken_back(tmp_path: Path, key: str) -> None:
    archive = Archive.open(tmp_path / "run", make_task(tmp_path), Settings())
    with serving() as api:
        good, answered, bridged = writer(), list[int](), list[int]()
        api.respond = lambda request: fails(503)
        api.models = fails(503)
        llm = Chat(["good"], base_url=api.url, attempts=1, timeout_s=5, probe_s=0.02)

        def come_back(_genome: Any, _seed: int) -> None:
            bridged.extend([1] if llm.away else [])
            if len(bridged) > 12:
                api.models = says("")
                api.respond = lambda request: answered.append(1) or good(request)
            if len(answered) > 5:
                running.stop("it is back")

        evaluator = Arithmetic(on_call=come_back)
        fallback = Mix({"step": Share(Step(), 1.0)})
        running = search(archive, llm, 100_000, evaluator, fallback=fallback)
        thread = threading.Timer(60, running.stop, ["too slow"])
        thread.start()
        assert running.run() == "it is back"
        thread.cancel()
        llm.close()
    operators = {entry.operator for entry in archive.entries()}
    notes = [text for _, kind, text in archive.events() if kind == "llm"]
    assert operators == {"seed", "step", "edit"}
    assert "away" in notes[0]
    assert "answers again" in notes[1]
    archive.close()


def test_a_kill_between_reply_and_birth_buys_no_reply_twice(tmp_path: Path) -> None:
    archive = Archive.open(tmp_path / "run", make_task(tmp_path), Settings())
    search(archive, None, 1, mix=Mix({"step": Share(Step(), 1.0)})).run()
    numbers = itertools.count(1)
    llm = Scripted(lambda call: edit_of(call.messages[1]["content"], next(numbers)))
    birth = archive.conceive("edit", (1,))
    call = next(Edit(llm).breed([archive.seed()], archive, np.random.default_rng([0, birth, 1])))
    archive.finish_call(archive.start_call(birth, call), llm.answer(call))
    archive.close()  # as a kill leaves it: the reply is stored, nothing was born
    archive = Archive.open(tmp_path / "run", make_task(tmp_path), Settings())
    search(archive, llm, 2).run()
    assert archive.individual(birth).operator == "edit"
    assert len(archive.replies_of(birth)) == 1
    archive.close()


def test_a_replayed_search_repeats_a_former_one_without_asking(tmp_path: Path) -> None:
    stories = []
    numbers = itertools.count(1)
    llm: Any = Scripted(lambda call: edit_of(call.messages[1]["content"], next(numbers)))
    for name in ("former", "again"):
        folder = tmp_path / name
        folder.mkdir()
        archive = Archive.open(folder / "run", make_task(folder), Settings())
        search(archive, llm, 15, callers=1).run()
        stories.append(
            [(entry.id, entry.operator, entry.parents, entry.idea, entry.score) for entry in archive.entries()]
        )
        llm = Replay(stored_replies(archive.store), models_asked(archive.store))
        archive.close()
    assert stories[0][:12] == stories[1][:12]


def test_repair_takes_a_crashed_individual_as_its_parent_once(tmp_path: Path) -> None:
    numbers = itertools.count(1)
    llm = Scripted(lambda call: edit_of(call.messages[1]["content"], next(numbers)))
    mix = Mix({"step": Share(Step(), 1.0), "repair": Share(Repair(llm), 1.0)})
    archive = Archive.open(tmp_path / "run", make_task(tmp_path), Settings())
    search(archive, llm, 40, Arithmetic(fails=0.5), mix=mix).run()
    by_id = {entry.id: entry for entry in archive.entries()}
    repaired = [by_id[entry.parents[0]] for entry in by_id.values() if entry.operator == "repair"]
    assert repaired
    assert all(parent.failure for parent in repaired)
    assert len({parent.id for parent in repaired}) == len(repaired)
    archive.close()


def test_money_in_flight_counts_against_the_budget(tmp_path: Path) -> None:
    class Dear(Scripted):
        def bound(self, call: Any) -> float:
            return 1.0

    numbers = itertools.count(1)
    llm = Dear(lambda call: edit_of(call.messages[1]["content"], next(numbers)), seconds=0.05)
    archive = Archive.open(tmp_path / "run", make_task(tmp_path), Settings())
    running = search(archive, llm, budget=Budget(usd=0.5))
    assert "0.5 dollars" in running.run()
    assert len(stored_replies(archive.store)) <= 3
    archive.close()


def test_cancelling_does_not_wait_for_a_slow_model_and_the_birth_asks_again(tmp_path: Path) -> None:
    archive = Archive.open(tmp_path / "run", make_task(tmp_path), Settings())
    slow = Scripted(seconds=3600)
    running = search(archive, slow, 10)
    timer = threading.Timer(0.5, running.cancel, ["now"])
    timer.start()
    assert running.run() == "now"
    timer.join()
    open_before = [birth.id for birth in archive.open_births()]
    assert open_before
    archive.close()
    archive = Archive.open(tmp_path / "run", make_task(tmp_path), Settings())
    search(archive, Scripted(), 4).run()
    assert not set(open_before) & {birth.id for birth in archive.open_births()}
    archive.close()


def test_a_free_slot_does_not_wait_for_a_slow_model(tmp_path: Path) -> None:
    archive = Archive.open(tmp_path / "run", make_task(tmp_path), Settings())

    def enough(_genome: Any, _seed: int) -> None:
        if evaluator.calls == 12:
            running.cancel("twelve are done")

    evaluator = Arithmetic(on_call=enough)
    running = search(archive, Scripted(seconds=3600), 100, evaluator, fallback=Mix({"step": Share(Step(), 1.0)}))
    assert running.run() == "twelve are done"
    assert {entry.operator for entry in archive.entries()} == {"seed", "step"}
    assert archive.open_births()
    archive.close()
