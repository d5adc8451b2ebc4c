"""Births by a model: what becomes an offspring, what is refused and told, and that no reply is asked for twice."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from genome import Call, Failure, Genome, Individual, NoOffspring, Offspring, Operator, Reply, Task
from genome.operator import Asks
from llm_mutator import chat as chat_module
from llm_mutator import operators
from llm_mutator.chat import Chat
from llm_mutator.scripted import Scripted, nudge
from llm_mutator.writer import Writer
from tests.api_server import Api, Respond, drops, fails, says, sends, serving
from tests.lore import MemoryLore

TEXT = "LR = 0.1\nWIDTH = 8\nUNUSED = 3\n\n\ndef grow(n):\n    return n * WIDTH\n\n\nprint(grow(2))\nprint(grow(2))\n"


@pytest.fixture
def lore(tmp_path: Path) -> MemoryLore:
    brief = tmp_path / "program.md"
    brief.write_text("Lower is better.\n")
    made = MemoryLore(Genome({"train.py": TEXT}), score=2.0)
    made.task = Task("toy", brief, made.task.seed)
    return made


def block(search: str, new: str) -> str:
    return f"IDEA: try {new.strip() or 'less'}\n<<<<<<< SEARCH\n{search}\n=======\n{new}\n>>>>>>> REPLACE\n"


GOOD = block("LR = 0.1", "LR = 0.2")


def born(
    operator: Writer, lore: MemoryLore, replies: Sequence[str | Reply], *parents: Individual
) -> tuple[Offspring, list[Call]]:
    """Drive one birth with these replies; returns the offspring and what was asked."""
    birth = operator.breed(parents or [lore.individual(1)], lore, np.random.default_rng(1))
    if isinstance(birth, Offspring):
        return birth, []
    asked = [next(birth)]
    waiting = [reply if isinstance(reply, Reply) else Reply(reply) for reply in replies]
    try:
        while True:
            asked.append(birth.send(waiting.pop(0)))
    except StopIteration as end:
        return end.value, asked


def test_an_edit_becomes_an_offspring_with_its_idea(lore: MemoryLore) -> None:
    offspring, asked = born(operators.Edit(Scripted()), lore, [GOOD])
    assert offspring == Offspring(Genome({"train.py": TEXT.replace("0.1", "0.2")}), "edit", (1,), "try LR = 0.2")
    assert len(asked) == 1


REFUSED = [
    ("no match", block("LR = 7", "LR = 8"), "does not occur"),
    ("several matches", block("print(grow(2))", "print(LR)"), "occurs 2 times"),
    ("no-op", block("LR = 0.1", "LR = 0.1"), "same text"),
    ("only a comment", block("LR = 0.1", "LR = 0.1  # rate"), "nothing but layout"),
    ("does not parse", block("LR = 0.1", "LR = = 0.2"), "does not parse"),
    ("does not compile", block("LR = 0.1", "LR = 0.2\nreturn LR"), "does not compile"),
    ("unknown name", block("LR = 0.1", "LR = RATE"), "lacks RATE"),
    ("forbidden", block("LR = 0.1", "LR = eval('0.2')"), "forbidden.*eval"),
    ("another file", "prepare.py\n" + GOOD, "prepare.py, which is not a file"),
    ("no block", "I would rather not.", "no block of the form"),
    ("cut off", Reply(GOOD[:40], "the answer was cut off at its length limit, 12 tokens"), "cut off at its length"),
]


@pytest.mark.parametrize(("reply", "words"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_a_refused_reply_is_told_why_and_may_be_mended_once(reply: str | Reply, words: str, lore: MemoryLore) -> None:
    offspring, asked = born(operators.Edit(Scripted()), lore, [reply, GOOD])
    assert offspring.genome.files["train.py"] == TEXT.replace("0.1", "0.2")
    first, second = asked
    assert second.messages[: len(first.messages)] == first.messages
    assert [message["role"] for message in second.messages[-2:]] == ["assistant", "user"]
    assert words.split(".*")[0] in second.messages[-1]["content"]
    with pytest.raises(NoOffspring, match=f"(?s)refused 2 times.*{words}"):
        born(operators.Edit(Scripted()), lore, [reply, reply])


def test_what_was_born_before_is_refused(lore: MemoryLore) -> None:
    lore.bear(Offspring(Genome({"train.py": TEXT.replace("0.1", "0.2")}), "edit", (1,), "x"), 1.9)
    with pytest.raises(NoOffspring, match="tried before"):
        born(operators.Edit(Scripted()), lore, [GOOD, GOOD])


def test_an_endpoints_failure_ends_the_birth_with_its_reason(lore: MemoryLore) -> None:
    with pytest.raises(NoOffspring, match=r"^HTTP 500: oops$"):
        born(operators.Edit(Scripted()), lore, [Reply("", "HTTP 500: oops")])


def test_a_birth_is_a_function_of_parents_chance_and_replies(lore: MemoryLore) -> None:
    replies = ["no", GOOD]
    first, second = (born(operators.Edit(Scripted()), lore, replies) for _ in range(2))
    assert first == second


def test_a_changed_prompt_does_not_matter_to_stored_replies(lore: MemoryLore) -> None:
    before, asked = born(operators.Edit(Scripted()), lore, ["no", GOOD])
    lore.bear(Offspring(Genome({"train.py": TEXT.replace("8", "9")}), "edit", (1,), "wider"), 1.5)
    after, asked_again = born(operators.Edit(Scripted()), lore, ["no", GOOD])
    assert asked[0] != asked_again[0]
    assert (before.genome, before.idea) == (after.genome, after.idea)


def test_inspirations_that_were_shown_are_named(lore: MemoryLore) -> None:
    for value in ("9", "10", "11"):
        lore.bear(Offspring(Genome({"train.py": TEXT.replace("8", value)}), "edit", (1,), "wider"), 1.5)
    offspring, asked = born(operators.Edit(Scripted(), inspirations=2), lore, [GOOD])
    assert len(offspring.inspirations) == 2
    assert all(f"#{id}: val_bpb" in asked[0].messages[1]["content"] for id in offspring.inspirations)
    offspring, _ = born(operators.Edit(Scripted(), prompt_tokens=0), lore, [GOOD])
    assert offspring.inspirations == ()


def test_rewrite_takes_the_whole_file(lore: MemoryLore) -> None:
    offspring, _ = born(operators.Rewrite(Scripted()), lore, ["IDEA: less\n```python\nprint(0.1)\n```"])
    assert offspring == Offspring(Genome({"train.py": "print(0.1)\n"}), "rewrite", (1,), "less")


def test_rewrite_leaves_files_that_the_reply_does_not_name(lore: MemoryLore) -> None:
    parent = lore.bear(Offspring(Genome({"a.py": "x = 1\n", "b.py": "y = 1\n"}), "seed", (), "two files"), 1.0)
    offspring, asked = born(operators.Rewrite(Scripted()), lore, ["IDEA: z\nb.py\n```\ny = 2\n```"], parent)
    assert dict(offspring.genome.files) == {"a.py": "x = 1\n", "b.py": "y = 2\n"}
    assert "<path of the file>\n```python" in asked[0].messages[1]["content"]


def test_simplify_refuses_what_is_not_smaller(lore: MemoryLore) -> None:
    smaller = block("UNUSED = 3\n", "")
    offspring, asked = born(operators.Simplify(Scripted()), lore, [block("LR = 0.1", "LR = 0.2\nMORE = 1"), smaller])
    assert offspring.genome.size < lore.individual(1).genome.size
    assert "it is not smaller" in asked[1].messages[-1]["content"]


def failed(lore: MemoryLore, kind: str = "crash", operator: str = "edit") -> Individual:
    genome = Genome({"train.py": TEXT + f"\nprint({lore.task.seed.size + len(kind)} / 0)\n"})
    return lore.bear(Offspring(genome, operator, (1,), "divide"), failure=Failure(kind, "ZeroDivisionError"))


def test_repair_mends_what_crashed(lore: MemoryLore) -> None:
    parent = failed(lore)
    line = parent.genome.files["train.py"].splitlines()[-1]
    offspring, _ = born(operators.Repair(Scripted()), lore, [block(line, line.replace("/ 0", "/ 2"))], parent)
    assert offspring.parents == (parent.id,)
    assert "/ 2" in offspring.genome.files["train.py"]


def test_repair_leaves_alone_what_is_whole_what_cheats_and_what_is_a_repair(lore: MemoryLore) -> None:
    for parent in (lore.individual(1), failed(lore, "tampered"), failed(lore, "oom", operator="repair")):
        with pytest.raises(NoOffspring, match=f"#{parent.id} "):
            born(operators.Repair(Scripted()), lore, [GOOD], parent)


def named(name: object, value: object) -> str:
    return json.dumps({"name": name, "value": value})


def test_tune_changes_one_number_and_nothing_else(lore: MemoryLore) -> None:
    offspring, _ = born(operators.TuneByLLM(Scripted()), lore, [named("LR", 0.05)])
    assert offspring.genome.files["train.py"] == TEXT.replace("0.1", "0.05")
    assert offspring.idea == "LR 0.1 → 0.05"


def test_tune_keeps_whole_numbers_whole(lore: MemoryLore) -> None:
    offspring, _ = born(operators.TuneByLLM(Scripted()), lore, [named("WIDTH", 15.8)])
    assert offspring.genome.files["train.py"] == TEXT.replace("8", "16")
    assert offspring.idea == "WIDTH 8 → 16"


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (named("RATE", 1), "'RATE' is not in the list"),
        (named(["LR"], 1), "is not in the list"),
        (named("LR", "fast"), "is a number from 0 up; got 'fast'"),
        (named("LR", True), "is a number from 0 up"),
        (named("LR", -1), "is a number from 0 up"),
        ('{"name": "LR", "value": 1e999}', "is a number from 0 up"),
        ('{"name": "LR", "value": NaN}', "is a number from 0 up"),
        (named("WIDTH", 8.3), "is 8 already"),
        ("LR should be 0.05", "no JSON object"),
    ],
)
def test_tune_refuses_what_is_no_value_of_a_listed_number(reply: str, words: str, lore: MemoryLore) -> None:
    with pytest.raises(NoOffspring, match=words):
        born(operators.TuneByLLM(Scripted()), lore, [reply, reply])


def children(lore: MemoryLore, first: tuple[str, str], second: tuple[str, str]) -> list[Individual]:
    texts = [TEXT.replace(*first), TEXT.replace(*second)]
    return [
        lore.bear(Offspring(Genome({"train.py": text}), "edit", (1,), f"idea {n}"), 1.9) for n, text in enumerate(texts)
    ]


def test_a_crossover_without_conflict_costs_no_call(lore: MemoryLore) -> None:
    parents = children(lore, ("0.1", "0.2"), ("* WIDTH", "+ WIDTH"))
    offspring, asked = born(operators.Crossover(Scripted()), lore, [], *parents)
    assert asked == []
    assert offspring.genome.files["train.py"] == TEXT.replace("0.1", "0.2").replace("* WIDTH", "+ WIDTH")
    assert offspring.parents == (2, 3)
    assert offspring.idea == "merge #2 (idea 0) with #3 (idea 1)"


def test_neighbouring_lines_are_no_conflict(lore: MemoryLore) -> None:
    parents = children(lore, ("0.1", "0.2"), ("WIDTH = 8", "WIDTH = 16"))
    offspring, asked = born(operators.Crossover(Scripted()), lore, [], *parents)
    assert asked == []
    assert offspring.genome.files["train.py"] == TEXT.replace("0.1", "0.2").replace("= 8", "= 16")


def test_a_crossover_with_a_conflict_takes_the_resolution(lore: MemoryLore) -> None:
    parents = children(lore, ("LR = 0.1", "LR = 0.2"), ("LR = 0.1", "LR = 0.1 * WIDTH"))
    settled = "IDEA: both\n<<<<<<< RESOLUTION 1\nLR = 0.4\n>>>>>>> RESOLUTION 1\n"
    offspring, asked = born(operators.Crossover(Scripted()), lore, ["no", settled], *parents)
    assert len(asked) == 2
    assert offspring == Offspring(Genome({"train.py": TEXT.replace("0.1", "0.4")}), "crossover", (2, 3), "both")


def test_a_resolution_that_only_repeats_a_parent_is_refused(lore: MemoryLore) -> None:
    parents = children(lore, ("LR = 0.1", "LR = 0.2"), ("LR = 0.1", "LR = 0.3"))
    same = "IDEA: a\n<<<<<<< RESOLUTION 1\nLR = 0.2\n>>>>>>> RESOLUTION 1\n"
    with pytest.raises(NoOffspring, match="the same as #2"):
        born(operators.Crossover(Scripted()), lore, [same, same], *parents)


def test_a_crossover_needs_two_lineages(lore: MemoryLore) -> None:
    child = lore.bear(Offspring(Genome({"train.py": TEXT + "A = 1\n"}), "edit", (1,), "x"), 1.9)
    with pytest.raises(NoOffspring, match="nothing to combine"):
        born(operators.Crossover(Scripted()), lore, [], lore.individual(1), child)


@pytest.mark.parametrize("kind", [operators.Edit, operators.Rewrite, operators.Simplify, operators.Crossover])
def test_operators_are_what_the_search_expects(kind: type[Writer]) -> None:
    made = kind(Scripted(["hello"]))
    assert isinstance(made, Operator)
    assert isinstance(made, Asks)
    assert made.answer(Call("scripted", ())).text == "hello"


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setattr(chat_module, "FIRST_WAIT_S", 0.001)
    with serving() as server:
        yield server


def test_sixty_births_with_failing_calls_all_end_and_no_reply_is_asked_for_twice(lore: MemoryLore, api: Api) -> None:
    chance = np.random.default_rng(7)
    garbage = says("garbage")
    bad: list[Respond] = [
        fails(500),
        fails(429, retry_after="0"),
        drops,
        sends('{"cho'),
        sends("<html>"),
        says(""),
        garbage,
    ]
    usable: Counter[str] = Counter()

    def respond(request: dict[str, object]) -> Respond:
        if chance.random() < 0.3:
            return bad[int(chance.integers(len(bad)))]
        call = Call("m", tuple(request["messages"]))  # type: ignore[arg-type]
        usable[call.prompt_hash] += 1
        return says(nudge(call))

    api.respond = respond
    chat = Chat(["m"], base_url=api.url, attempts=2, probe_s=0.01)
    edit, ended = operators.Edit(chat), Counter[str]()
    for number in range(60):
        best = list(lore.best(4))
        parent = best[number % len(best)]
        rng = np.random.default_rng([5, number])
        birth = edit.breed([parent], lore, rng)
        try:
            call = next(birth)
            while True:
                call = birth.send(edit.answer(call))
        except StopIteration as end:
            lore.bear(end.value, 2.0 - 0.01 * number)
            ended["born"] += 1
        except NoOffspring:
            ended["abandoned"] += 1
    chat.close()
    assert ended.total() == 60
    assert ended["born"] >= 45
    assert max(usable.values()) == 1
    assert usable.total() == len(usable) <= len(api.requests)
