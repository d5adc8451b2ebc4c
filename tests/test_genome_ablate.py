"""Deletions: what goes with what, what stays, and that the rest still runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from genome import Genome, NoOffspring
from genome.ablate import Ablate, ablated
from genome.candidates import Candidate, candidates
from genome.soundness import Facts, compiles, facts, problems
from tests.lore import MemoryLore

SEED = Path(__file__).parent.parent / "genome" / "seeds" / "train_cpu" / "train.py"

PROGRAM = '''"""A program that runs."""

import math
import os
from dataclasses import dataclass

# sizes
WIDTH = 3
DEPTH = 2  # layers
DECAY = 0.9
UNUSED = 5


@dataclass
class Config:
    width: int = WIDTH
    depth: int = DEPTH
    rate: float = 0.1


class Average:
    """A moving average."""

    def __init__(self, start, decay):
        self.decay = decay
        self.value = start

    def update(self, new):
        self.value = self.decay * self.value + (1 - self.decay) * new

    def read(self):
        return self.value


class Layer:
    def __init__(self, config, scale=1.0):
        self.weight = [scale] * config.width
        self.drop = Drop(config.rate)

    def describe(self):
        return f"a layer of {len(self.weight)}"

    def forward(self, x):
        y = sum(self.weight) * x
        return self.drop(y) + x


class Drop:
    def __init__(self, rate):
        self.rate = rate

    def __call__(self, x):
        return x * (1 - self.rate)


def schedule(step, warmup=2):
    # a ramp, then a cosine
    if step < warmup:
        return step / warmup
    elif step == 99:
        return 0.0
    else:
        return 0.5 * (1 + math.cos(step))


def helper(x):
    return x + 1


def main():
    config = Config(width=4)
    layers = [Layer(config) for _ in range(config.depth)]
    average = Average(0.0, DECAY)
    total, count = 0.0, 0
    for step in range(5):
        x = float(step)
        for layer in layers:
            x = layer.forward(x)
        total = total + schedule(step, warmup=3) * x
        average.update(total)
        count += 1
        print(f"step {step} total {total:.3f}")  # progress
    print("average", average.read())
    return total


if __name__ == "__main__":
    main()
'''


def of(text: str = PROGRAM) -> Genome:
    return Genome({"train.py": text})


def found(what: str, text: str = PROGRAM) -> tuple[Facts, Candidate]:
    known = facts(text)
    matches = [c for c in candidates(known) if what in c.what]
    assert matches, f"no candidate {what!r} among {[c.what for c in candidates(known)]}"
    return known, matches[0]


def delete(what: str, text: str = PROGRAM) -> tuple[Genome, str] | None:
    known, candidate = found(what, text)
    return ablated(of(text), "train.py", known, candidate)


def without(what: str, text: str = PROGRAM) -> str:
    result = delete(what, text)
    assert result is not None
    return result[0].files["train.py"]


def test_a_class_goes_with_all_its_uses_and_what_only_it_used() -> None:
    result = delete("class Average")
    assert result is not None
    genome, idea = result
    text = genome.files["train.py"]
    assert "verage" not in text.replace('print("average"', "")
    assert "DECAY" not in text
    lines, nodes = of().lines - genome.lines, of().size - genome.size
    assert idea == (
        f"delete the class Average with its uses and what only it used (line 21): {lines} lines, {nodes} nodes"
    )


def test_a_layer_that_wraps_leaves_what_it_wrapped() -> None:
    text = without("`self.drop = Drop(config.rate)`")
    assert "return y + x\n" in text
    assert "class Drop" not in text
    assert "rate" not in text


def test_a_field_goes_with_the_arguments_that_set_it() -> None:
    text = "from dataclasses import dataclass\n\n\n@dataclass\nclass C:\n    a: int = 1\n    b: int = 2\n\n\n"
    text += "print(C(a=3, b=4).b)\nprint()\n"
    assert without("`a: int = 1`", text) == text.replace("    a: int = 1\n", "").replace("a=3, ", "")


def test_a_parameter_goes_with_what_calls_pass_and_its_default_stands_in() -> None:
    text = without("the parameter warmup=2")
    assert "def schedule(step):" in text
    assert "if step < 2:\n        return step / 2" in text
    assert "schedule(step) * x" in text


def test_a_parameter_of_a_function_used_as_a_value_stays() -> None:
    text = "def f(x, k=2):\n    return x * k\n\n\nprint(list(map(f, [1])))\nprint(f(1))\n"
    assert delete("the parameter k=2", text) is None


def test_either_arm_of_a_branch_can_be_kept() -> None:
    body = without("the test of `if step < warmup`")
    assert "    # a ramp, then a cosine\n    return step / warmup\n" in body
    rest = without("the arm of `if step < warmup`")
    assert "    if step == 99:\n        return 0.0\n    else:\n" in rest
    middle = without("the arm of `elif step == 99`")
    assert "        return step / warmup\n    else:\n        return 0.5" in middle
    forced = without("the test of `elif step == 99`")
    assert "        return step / warmup\n    else:\n        return 0.0\n\n" in forced


def test_a_loop_can_go_and_its_body_stay() -> None:
    text = without("`for step in range(5)`, keeping its body", PROGRAM.replace("x = float(step)", "step, x = 7, 2.0"))
    assert "\n    step, x = 7, 2.0\n    for layer in layers:\n        x = layer.forward(x)\n" in text
    assert 'total {total:.3f}")  # progress\n    print("average"' in text


def test_a_text_over_several_lines_is_not_moved_with_its_block() -> None:
    text = 'def f(x):\n    if x:\n        y = """a\n        b"""\n        # said\n        print(y)\n'
    text += "    return x\n\n\nf(1)\nf(2)\n"
    expected = text.replace("    if x:\n        y", "    y").replace("        # said\n        p", "    # said\n    p")
    assert without("the test of `if x`", text) == expected


def test_a_function_that_returned_a_value_on_every_way_still_does() -> None:
    text = "def f(x):\n    if x > 0:\n        return x\n    return -x\n\n\nprint(f(1))\nprint()\n"
    kept = {c.what for c in candidates(facts(text)) if ablated(of(text), "train.py", facts(text), c)}
    assert "`if x > 0`" in kept
    text = text.replace("    return -x\n", "    else:\n        return -x\n")
    assert delete("the else of `if x > 0`", text) is None


def test_an_attribute_set_from_the_start_is_not_left_to_a_later_method() -> None:
    text = "class A:\n    def __init__(self):\n        self.n = 0\n        self.m = 0\n\n"
    text += "    def add(self):\n        self.n = self.n + 1\n        return self.n + self.m\n\n\n"
    text += "a = A()\nprint(a.add())\nprint()\n"
    result = delete("`self.n = 0`", text)
    assert result is None or "self.n" not in result[0].files["train.py"]


def test_one_of_a_pair_of_assignments_can_go() -> None:
    assert "    total = 0.0\n" in without("unused variable main.count")
    assert "count" not in without("unused variable main.count")


@pytest.mark.parametrize("what", ["import os", "constant UNUSED", "function helper", "method Layer.describe"])
def test_what_nothing_uses_is_known_as_unused(what: str) -> None:
    assert found(f"unused {what}")[1].kind == "unused"
    assert delete(f"unused {what}") is not None


def test_the_rest_of_the_file_keeps_every_byte() -> None:
    assert without("unused constant UNUSED") == PROGRAM.replace("UNUSED = 5\n", "")
    assert without("unused function helper") == PROGRAM.replace("def helper(x):\n    return x + 1\n\n\n", "")
    kept = PROGRAM.replace('        print(f"step {step} total {total:.3f}")  # progress\n', "")
    assert without('`print(f"step') == kept


def test_a_comment_goes_only_with_what_it_stands_above_alone() -> None:
    text = "# sizes\nA = 1\nB = 2\n\n# rate\nC = 3\n\nprint(A, B)\nprint()\n"
    assert without("constant C", text) == "# sizes\nA = 1\nB = 2\n\nprint(A, B)\nprint()\n"
    swapped = text.replace("print(A, B)", "print(B, C)")
    assert without("constant A", swapped) == swapped.replace("A = 1\n", "")


def test_statements_on_one_line_are_told_apart() -> None:
    text = "def f(x):\n    a = x; b = a; c = 3\n    if x: print(x)\n    return b\n\n\nprint(f(1))\nprint()\n"
    assert "    a = x; b = a\n" in without("variable f.c", text)
    assert "if x" not in without("`print(x)`", text)


def test_the_entry_point_init_and_forward_stay() -> None:
    kinds = [c.what for c in candidates(facts(PROGRAM)) if c.kind == "definition"]
    assert not any("__init__" in what or "forward" in what or "__call__" in what for what in kinds)
    assert not any("__main__" in c.what for c in candidates(facts(PROGRAM)))


def test_a_name_other_files_import_stays() -> None:
    files = {
        "train.py": "from model import build\n\nprint(build(1))\nprint()\n",
        "model.py": "def build(x):\n    return x\n\n\ndef spare(x):\n    return x\n\n\nprint()\n",
    }
    lore = MemoryLore(Genome(files))
    for seed in range(20):
        offspring = Ablate().breed([lore.individual(1)], lore, np.random.default_rng(seed))
        assert not any("export" in str(problem) for problem in problems(offspring.genome))
        assert "build" in offspring.genome.files["model.py"] or "build" not in offspring.genome.files["train.py"]


def test_the_last_call_of_a_kept_function_stays() -> None:
    text = "def f(loss):\n    loss.backward()\n    print(loss)\n    return loss\n\n\nprint(f(1))\nprint()\n"
    lore = MemoryLore(of(text))
    for seed in range(30):
        offspring = Ablate().breed([lore.individual(1)], lore, np.random.default_rng(seed))
        assert "backward()" in offspring.genome.files["train.py"]


@pytest.mark.parametrize("text", [PROGRAM, SEED.read_text(encoding="utf-8")], ids=["program", "seed"])
def test_every_offspring_compiles_is_smaller_new_and_lacks_no_name(text: str) -> None:
    lore = MemoryLore(of(text))
    known = set(problems(lore.individual(1).genome))
    rng = np.random.default_rng(1)
    operator, born = Ablate(), 0
    for i in range(60):
        parent = lore.individual(int(rng.integers(1, i + 2)) if i % 2 and i < born else 1)
        try:
            offspring = operator.breed([parent], lore, rng)
        except NoOffspring:
            continue
        born += 1
        assert compiles(offspring.genome.files["train.py"], "train.py")
        assert set(problems(offspring.genome)) <= known
        assert 0.6 * parent.genome.size < offspring.genome.size < parent.genome.size
        assert not lore.seen(offspring.genome)
        assert offspring.idea.startswith("delete ")
        assert (offspring.operator, offspring.parents) == ("ablate", (parent.id,))
        lore.bear(offspring, 1.0)
    assert born > 30


@pytest.mark.slow
def test_nearly_all_single_deletions_of_a_plain_program_still_run(tmp_path: Path) -> None:
    known = facts(PROGRAM)
    results = [ablated(of(), "train.py", known, candidate, ()) for candidate in candidates(known)]
    texts = sorted({result[0].files["train.py"] for result in results if result is not None})
    for number, text in enumerate(texts):
        (tmp_path / f"v{number}.py").write_text(text, encoding="utf-8")
    runner = (
        "import runpy, sys, io, contextlib, glob\nbad = []\nfor path in sorted(glob.glob('v*.py')):\n"
        "    try:\n        with contextlib.redirect_stdout(io.StringIO()):\n"
        "            runpy.run_path(path, run_name='__main__')\n"
        "    except (NameError, AttributeError, TypeError) as error:\n        bad.append((path, repr(error)))\n"
        "print(bad)\n"
    )
    done = subprocess.run([sys.executable, "-c", runner], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    bad = eval(done.stdout)
    assert len(texts) > 50
    assert len(bad) <= 0.05 * len(texts), bad


def test_unused_parts_go_first() -> None:
    ideas = []
    for seed in range(60):
        lore = MemoryLore(of())
        ideas.append(Ablate().breed([lore.individual(1)], lore, np.random.default_rng(seed)).idea)
    unused = sum("unused" in idea for idea in ideas)
    assert 10 <= unused <= 50


def test_the_same_chance_gives_the_same_offspring_whatever_was_bred_before() -> None:
    lore = MemoryLore(of())
    used = Ablate()
    for seed in range(15):
        used.breed([lore.individual(1)], lore, np.random.default_rng(seed))
    for seed in range(5):
        again = used.breed([lore.individual(1)], lore, np.random.default_rng(seed))
        fresh = Ablate().breed([lore.individual(1)], lore, np.random.default_rng(seed))
        assert (again.genome.files, again.idea) == (fresh.genome.files, fresh.idea)


@pytest.mark.parametrize("files", [{"notes.txt": "some words"}, {"train.py": ""}, {"train.py": "print(1)\n"}])
def test_where_nothing_can_go_there_is_no_offspring(files: dict[str, str]) -> None:
    lore = MemoryLore(Genome(files))
    with pytest.raises(NoOffspring, match="#1"):
        Ablate().breed([lore.individual(1)], lore, np.random.default_rng(0))
