"""Shares of several models, and the stand-ins for a model."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import CancelledError

import numpy as np
import pytest

from genome import Call, Reply
from llm_mutator.ensemble import Ensemble
from llm_mutator.llm import Llm
from llm_mutator.replay import Replay
from llm_mutator.scripted import Scripted


def drawn(ensemble: Ensemble, count: int = 4000) -> dict[str, float]:
    rng = np.random.default_rng(3)
    names = Counter(ensemble.choose(rng) for _ in range(count))
    return {name: names[name] / count for name in ensemble.names}


def test_names_are_drawn_by_weight() -> None:
    shares = drawn(Ensemble(["a", {"name": "b", "weight": 3}]))
    assert shares["b"] == pytest.approx(0.75, abs=0.03)


def test_weights_are_not_moved_by_what_was_earned() -> None:
    ensemble = Ensemble(["a", "b"])
    ensemble.credit("b", 1.0, 1.0)
    assert ensemble.shares() == {"a": 0.5, "b": 0.5}


def test_a_bandit_begins_with_the_weights() -> None:
    assert Ensemble(["a", {"name": "b", "weight": 3}], "bandit", floor=0.0).shares() == {"a": 0.25, "b": 0.75}


def test_a_bandit_follows_improvement_per_cost_and_keeps_its_floor() -> None:
    ensemble = Ensemble(["cheap", "dear", "useless"], "bandit", floor=0.1)
    for _ in range(60):
        ensemble.credit("cheap", 0.01, 1.0)
        ensemble.credit("dear", 0.01, 10.0)
        ensemble.credit("useless", 0.0, 1.0)
    shares = ensemble.shares()
    assert shares["cheap"] > 0.5
    assert min(shares.values()) >= 0.1
    assert sum(shares.values()) == pytest.approx(1)


def test_a_bandit_forgets_early_gains() -> None:
    ensemble = Ensemble(["a", "b"], "bandit", floor=0.05)
    ensemble.credit("a", 5.0, 1.0)
    for _ in range(300):
        ensemble.credit("a", 0.0, 1.0)
        ensemble.credit("b", 0.01, 1.0)
    assert ensemble.shares()["b"] > 0.6


def test_one_lucky_birth_does_not_take_everything() -> None:
    ensemble = Ensemble(["a", "b", "c"], "bandit", floor=0.0)
    for name in ("a", "b", "c"):
        ensemble.credit(name, 1.0 if name == "a" else 0.0, 1.0)
    assert ensemble.shares()["a"] < 0.6


def test_losses_and_unknown_names_are_no_credit() -> None:
    ensemble = Ensemble(["a", "b"], "bandit")
    ensemble.credit("gone", 100.0, 1.0)
    ensemble.credit("a", -5.0, 1.0)
    ensemble.credit("b", 0.0, 1.0)
    assert ensemble.shares() == {"a": 0.5, "b": 0.5}


def test_the_state_is_a_function_of_the_credits() -> None:
    history = [("a", 0.1, 1.0), ("b", 0.0, 2.0), ("a", 0.3, 1.0)]
    one, two = Ensemble(["a", "b"], "bandit"), Ensemble(["a", "b"], "bandit")
    for name, gain, cost in history:
        one.credit(name, gain, cost)
        two.credit(name, gain, cost)
    assert one.shares() == two.shares()


def test_a_draw_takes_one_number_whatever_the_models() -> None:
    used = []
    for models in (["a"], ["a", "b", "c"]):
        rng = np.random.default_rng(1)
        Ensemble(models).choose(rng)
        used.append(rng.random())
    assert used[0] == used[1]


@pytest.mark.parametrize(
    ("models", "options", "words"),
    [
        ([], {}, "at least one"),
        (["a", "a"], {}, "each model once"),
        ([{"name": "a", "weight": 0}], {}, "above 0"),
        ([{"nam": "a"}], {}, "with name and weight"),
        (["a"], {"choice": "best"}, "weights or bandit"),
        (["a", "b"], {"floor": 0.6}, "between 0 and 1"),
    ],
)
def test_a_bad_ensemble_is_refused_with_its_value(models: list[object], options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Ensemble(models, **options)  # type: ignore[arg-type]


def call(text: str = "hi") -> Call:
    return Call("m", ({"role": "user", "content": text},))


def said(llm: Llm, text: str = "hi") -> str | None:
    reply = llm.answer(call(text))
    return reply.error or reply.text


def test_scripted_says_its_list_over_and_over() -> None:
    llm = Scripted(["a", Reply("", "down")])
    assert [said(llm) for _ in range(3)] == ["a", "down", "a"]


def test_scripted_takes_its_time_and_can_be_closed_meanwhile() -> None:
    llm = Scripted(lambda call: call.messages[0]["content"].upper(), seconds=0.05)
    started = time.monotonic()
    assert said(llm, "slow") == "SLOW"
    assert time.monotonic() - started >= 0.05
    endless = Scripted(["never"], seconds=600)
    threading.Timer(0.1, endless.close).start()
    with pytest.raises(CancelledError):
        said(endless)


def former(*texts: str) -> list[tuple[str, Reply]]:
    return [(call(text).prompt_hash, Reply(text.upper(), tokens_in=5, usd=0.5)) for text in texts]


def test_replay_finds_replies_by_their_prompt_in_any_order() -> None:
    llm = Replay(former("a", "b", "a"))
    assert [said(llm, text) for text in ("b", "a", "a")] == ["B", "A", "A"]
    assert llm.strays == 0


def test_replay_gives_an_unknown_prompt_the_oldest_reply_and_counts_it() -> None:
    llm = Replay(former("a", "b"))
    assert [said(llm, text) for text in ("x", "b", "y")] == ["A", "B", "the replayed run has no reply left"]
    assert llm.strays == 1


def test_replay_costs_nothing_and_keeps_the_tokens() -> None:
    reply = Replay(former("a")).answer(call("a"))
    assert (reply.usd, reply.tokens_in) == (0.0, 5)


def test_a_resumed_replay_does_not_say_again_what_was_said() -> None:
    llm = Replay(former("a", "b", "c"), given=[call("b").prompt_hash, call("unknown").prompt_hash])
    assert [said(llm, text) for text in ("c", "z")] == ["C", "the replayed run has no reply left"]
