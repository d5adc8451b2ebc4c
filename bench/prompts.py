"""Size of each operator's prompt after 50 births on a file of upstream's length: `python bench/prompts.py [FILE]`.

Without a file, the seed of train_cpu is lengthened to the 26,230 bytes of upstream's train.py with blocks of its kind.
The history is bred by the mechanical operators, with ideas of a sentence or two and one birth in five failing.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from genome import Call, Evaluation, Failure, Genome, Individual, NoOffspring, Offspring, Operator, Task
from genome.ablate import Ablate
from genome.tune import Tune
from llm_mutator import operators
from llm_mutator.scripted import Scripted
from llm_mutator.writer import Writer
from tests.lore import MemoryLore

ROOT = Path(__file__).resolve().parent.parent
LENGTH = 26_230
DRAWS = 20
AIM = 1.6  # times the parent's file
BLOCK = '''

class Mixer{n}(nn.Module):
    """A gated mixing layer, number {n} of several that were tried and stayed."""

    def __init__(self, width: int = {width}, rate: float = {rate}) -> None:
        super().__init__()
        self.gate = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, {factor} * width)
        self.scale = nn.Parameter(torch.full((width,), rate))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        opened = torch.sigmoid(self.gate(x) / {temperature})
        first, *others = self.value(x).chunk({factor}, dim=-1)
        for other in others:
            first = first * torch.tanh(other) + {rate} * x
        return x + self.scale * opened * first
'''
WHY = (
    "because the loss of the parent is still falling at the end of its budget, so that a faster schedule should pay",
    "since two earlier attempts showed that the gain came from fewer parameters and not from the shape of the layer",
    "which frees time for more steps at the same quality, and removes a branch that never runs with these constants",
)


class History(MemoryLore):
    """A lore whose failed individuals have printed a traceback."""

    def evaluations(self, id: int) -> list[Evaluation]:
        log = "".join(f"step {n} loss {7 - n / 90:.4f}\n" for n in range(300)) + "Traceback (most recent call last):\n"
        return [replace(one, log=log) for one in super().evaluations(id)]


def main() -> None:
    """Print one line for each operator."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path)
    asked = parser.parse_args()
    text = asked.file.read_text(encoding="utf-8") if asked.file else lengthened()
    lore = bred(text, births=50)
    parent = len(text.encode())
    print(
        f"parent {parent} bytes, brief {len(lore.task.brief())} characters, {DRAWS} prompts each, first call of a birth"
    )
    print(f"{'':10}{'median':>8}{'max':>8}{'of parent':>11}{'max':>7}")
    worst = 0.0
    for kind in ("Edit", "Rewrite", "Simplify", "Repair", "TuneByLLM", "Crossover"):
        operator = getattr(operators, kind)(Scripted())
        sizes = [sum(len(message["content"].encode()) for message in call.messages) for call in calls(operator, lore)]
        worst = max(worst, max(sizes) / parent)
        middle = statistics.median(sizes)
        print(f"{operator.name:10}{middle:8.0f}{max(sizes):8}{middle / parent:11.2f}{max(sizes) / parent:7.2f}")
    print(f"the largest is {worst:.2f} × the parent; aim: {AIM}")


def lengthened() -> str:
    """Return the seed of train_cpu, made as long as upstream's train.py."""
    text = (ROOT / "genome" / "seeds" / "train_cpu" / "train.py").read_text(encoding="utf-8")
    head, main_part = text.split("\ndef ", 1)
    for n in range(1000):
        block = BLOCK.format(
            n=n, width=32 * (n + 1), rate=round(0.01 * (n + 1), 2), factor=2 + n % 3, temperature=n + 1
        )
        if len((head + block + main_part).encode()) > LENGTH:
            break
        head += block
    return f"{head}\ndef {main_part}"


def bred(text: str, births: int) -> History:
    """Return a history of so many births, made by mechanical operators in place of a model."""
    rng = np.random.default_rng(0)
    lore = History(Genome({"train.py": text}), score=2.6)
    lore.task = Task(
        "train_cpu", ROOT / "program.md", lore.task.seed, offers="prepare offers MAX_SEQ_LEN, VOCAB_SIZE, …"
    )
    lore.sigma = 0.0045
    makers: list[Operator] = [Tune(tpe_share=0.0), Ablate()]
    while len(lore.recent(births + 2)) <= births:
        pool = lore.best(8)
        parent = pool[int(rng.integers(len(pool)))]
        try:
            child = makers[int(rng.integers(2))].breed([parent], lore, rng)
        except NoOffspring:
            continue
        assert isinstance(child, Offspring)
        child = replace(child, idea=f"{child.idea}, {WHY[int(rng.integers(len(WHY)))]}")
        if rng.random() < 0.2:
            lore.bear(
                child, failure=Failure("crash", f"RuntimeError: size {rng.integers(999)} does not match at dimension 1")
            )
        else:
            lore.bear(child, (parent.score or 2.6) + float(rng.normal(-0.005, 0.02)))
    return lore


def calls(operator: Writer, lore: History) -> Iterator[Call]:
    """Yield the first call of births that ask, on parents as a search would draw them."""
    rng = np.random.default_rng(1)
    failed = [one for one in lore.recent(60) if one.failure is not None]
    pool = failed if operator.name == "repair" else list(lore.best(16))
    asked = 0
    for _ in range(2000):
        parents: list[Individual] = [pool[int(at)] for at in rng.choice(len(pool), operator.arity, replace=False)]
        try:
            birth = operator.breed(parents, lore, rng)
            if not isinstance(birth, Offspring):
                yield next(birth)
                asked += 1
        except NoOffspring:
            pass
        if asked == DRAWS:
            return


if __name__ == "__main__":
    main()
