"""Tuning numbers: which move, how far, and what history changes."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genome import Genome, NoOffspring, Offspring
from genome.literals import numbers, step, write
from genome.tune import Tune
from tests.lore import MemoryLore

TEXT = '''"""Train."""

LAYERS = 4  # a power of two
STEPS = 300
RATE = 6e-4  # of the optimizer
BETAS = (0.9, 0.95)
DROPOUT = 0.1
TOKENS = 2**13
HIDDEN = 4 * 128
WARMUP = 0
SEED = 1234
LOG_EVERY = 10
AXIS = -1
NAME = "model3"
FLAG = True


def run(x, eps=1e-5, *, bound=30.0):
    y = x.softmax(dim=-1)
    z = y.sum(axis=2, keepdim=True)
    print(f"{x:.3f}", sep="", end=f"{run(z, eps=0.5)}")
    return optimizer(z, weight_decay=0.1, index=3) + 7
'''
SEED = Path(__file__).parent.parent / "genome" / "seeds" / "train_cpu" / "train.py"


def lore_of(text: str = TEXT, direction: str = "minimize") -> MemoryLore:
    return MemoryLore(Genome({"train.py": text}), direction)


def breed(lore: MemoryLore, seed: int = 0, parent: int = 1, share: float = 0.0) -> Offspring:
    return Tune(tpe_share=share).breed([lore.individual(parent)], lore, np.random.default_rng(seed))


def values(genome: Genome) -> dict[str, str]:
    return {number.name: number.written for number in numbers(genome)}


def test_constants_arithmetic_tuples_defaults_and_keyword_arguments_are_tuned_and_nothing_else() -> None:
    assert values(Genome({"train.py": TEXT})) == {
        "LAYERS": "4",
        "STEPS": "300",
        "RATE": "6e-4",
        "BETAS[0]": "0.9",
        "BETAS[1]": "0.95",
        "DROPOUT": "0.1",
        "TOKENS": "13",
        "HIDDEN[0]": "4",
        "HIDDEN[1]": "128",
        "WARMUP": "0",
        "run(eps=)": "1e-5",
        "run(bound=)": "30.0",
        "optimizer(weight_decay)": "0.1",
    }


@pytest.mark.parametrize("seed", range(40))
def test_an_offspring_differs_in_one_to_three_numbers_and_in_no_other_byte(seed: int) -> None:
    lore = lore_of()
    offspring = breed(lore, seed)
    before, after = values(lore.individual(1).genome), values(offspring.genome)
    changed = [name for name in before if before[name] != after[name]]
    assert 1 <= len(changed) <= 3
    assert offspring.idea == "; ".join(f"{name} {before[name]} → {after[name]}" for name in changed)
    text = offspring.genome.files["train.py"]
    for number in sorted(numbers(offspring.genome), key=lambda n: -n.start):
        text = text[: number.start] + before[number.name] + text[number.end :]
    assert text == TEXT
    assert (offspring.operator, offspring.parents) == ("tune", (1,))


@pytest.mark.parametrize("seed", range(60))
def test_each_number_keeps_its_kind_and_a_few_digits(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for number in numbers(Genome({"train.py": TEXT})):
        text = step(number, rng)
        value = float(text)
        assert value != number.value
        assert len(text.replace(".", "").replace("-", "").lstrip("0")) <= 5
        if number.kind in ("power of two", "integer", "exponent", "zero"):
            assert text.isdigit()
        else:
            assert "." in text or "e" in text
        if number.kind == "power of two":
            assert int(value).bit_count() == 1
        if number.kind == "share":
            assert 0 <= value < 1
        if number.value:
            assert value == 0 or 1 / 5 <= value / number.value <= 5


def test_dropout_can_become_zero_and_a_step_size_cannot() -> None:
    rng = np.random.default_rng(0)
    by_name = {
        number.name: number for number in numbers(Genome({"train.py": "DROPOUT = 0.1\nLR = 0.1\nX_LR = 6e-4\n"}))
    }
    reached = {name: {float(step(number, rng)) for _ in range(200)} for name, number in by_name.items()}
    assert 0.0 in reached["DROPOUT"]
    assert 0.0 not in reached["LR"] | reached["X_LR"]


def test_a_number_near_one_moves_by_its_distance_to_one() -> None:
    (beta,) = numbers(Genome({"train.py": "BETA = 0.95\n"}))
    reached = {float(step(beta, np.random.default_rng(seed))) for seed in range(100)}
    assert {0.9, 0.98} & reached
    assert all(1 / 5 <= (1 - value) / 0.05 <= 5 for value in reached)


def test_zero_leaves_zero_in_its_own_type() -> None:
    whole, real = numbers(Genome({"train.py": "A = 0\nB = 0.0\n"}))
    rng = np.random.default_rng(0)
    assert all(step(whole, rng).isdigit() for _ in range(20))
    assert all(0 < float(step(real, rng)) < 1 for _ in range(20))


@settings(max_examples=200, deadline=None)
@given(st.floats(min_value=1e-9, max_value=1e9), st.floats(min_value=1e-9, max_value=1e9))
def test_a_value_is_written_as_a_float_close_to_it(old: float, new: float) -> None:
    (number,) = numbers(Genome({"train.py": f"X = {old!r}\n"}))
    if number.kind == "share" and new >= 1:
        return
    text = write(number, new)
    assert isinstance(eval(text), float)
    assert float(text) == pytest.approx(new, rel=0.2) or abs(1 - float(text)) == pytest.approx(abs(1 - new), rel=0.2)


def test_what_was_born_before_is_not_proposed_again() -> None:
    lore = lore_of("LAYERS = 1\n")
    texts = [lore.bear(breed(lore, seed), 1.0).genome.files["train.py"] for seed in range(2)]
    assert sorted(texts) == ["LAYERS = 2\n", "LAYERS = 4\n"]
    with pytest.raises(NoOffspring, match="born before"):
        breed(lore, 2)


@pytest.mark.parametrize("files", [{"train.py": "x = 'text'\n"}, {"notes.txt": "RATE = 0.5"}, {"a.py": ""}])
def test_a_genome_without_numbers_or_without_python_has_no_offspring(files: dict[str, str]) -> None:
    with pytest.raises(NoOffspring, match="no number to tune"):
        Tune().breed([MemoryLore(Genome(files)).individual(1)], MemoryLore(Genome(files)), np.random.default_rng(0))


def test_numbers_of_every_python_file_are_tuned() -> None:
    lore = MemoryLore(Genome({"a.py": "X = 3.0\n", "b.py": "Y = 5.0\n", "c.txt": "Z = 7.0\n"}))
    ideas = " ".join(breed(lore, seed).idea for seed in range(20))
    assert "X 3.0" in ideas
    assert "Y 5.0" in ideas
    assert "Z" not in ideas


def test_a_text_with_signs_beyond_ascii_is_edited_at_the_right_place() -> None:
    lore = lore_of("TITLE = 'σ → ∞'; RATE = 0.5  # ±\n")
    assert breed(lore).genome.files["train.py"].startswith("TITLE = 'σ → ∞'; RATE = 0.")


def search(lore: MemoryLore, share: float, births: int, score: Callable[[Genome], float]) -> float:
    rng = np.random.default_rng(7)
    operator = Tune(tpe_share=share)
    for _ in range(births):
        parent = lore.best(3)[int(rng.integers(len(lore.best(3))))]
        offspring = operator.breed([parent], lore, rng)
        lore.bear(offspring, score(offspring.genome))
    best = lore.best(1)[0].score
    assert best is not None
    return best


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_tpe_learns_from_relatives_in_the_direction_of_the_objective(direction: str) -> None:
    def score(genome: Genome) -> float:
        by_name = {number.name: number.value for number in numbers(genome)}
        distance = abs(math.log(by_name["RATE"] / 0.02)) + abs(math.log(by_name["GAIN"] / 40))
        return distance if direction == "minimize" else -distance

    text = "RATE = 6e-4\nGAIN = 1.0\n"
    start = score(Genome({"train.py": text}))
    sign = 1 if direction == "minimize" else -1
    lore = MemoryLore(Genome({"train.py": text}), direction, score=start)
    assert sign * search(lore, 0.5, 80, score) < 0.25 * abs(start)


def test_births_repeat_with_the_same_chance_and_history() -> None:
    def run() -> list[str]:
        lore = MemoryLore(Genome({"train.py": TEXT}))
        search(lore, 1.0, 30, lambda genome: float(len(genome.files["train.py"])))
        return [lore.individual(i).idea for i in range(1, 32)]

    assert run() == run()


def test_the_seed_of_the_default_task_is_tuned_in_its_main_constants() -> None:
    names = values(Genome({"train.py": SEED.read_text(encoding="utf-8")}))
    assert {"LEARNING_RATE", "DROPOUT", "WEIGHT_DECAY", "BETAS[1]"} <= set(names)


def test_a_share_outside_zero_to_one_is_refused() -> None:
    with pytest.raises(ValueError, match="share of births from 0 to 1"):
        Tune(tpe_share=1.5)
