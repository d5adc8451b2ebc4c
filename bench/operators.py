"""Time and yield of the mechanical operators: `python bench/operators.py [FILE] [--births 300]`.

Without a file, a module of the standard library of about 670 lines with twenty constants in front stands in for a
training script of upstream's length. Parents are the seed half of the time, else any individual born so far.
"""

from __future__ import annotations

import argparse
import pprint
import statistics
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from genome import Genome, NoOffspring, Operator
from genome.ablate import Ablate
from genome.merge import Merge
from genome.soundness import compiles, problems
from genome.tune import Tune
from tests.lore import MemoryLore

CONSTANTS = "".join(f"RATE_{i} = {3 + i}e-4\nWIDTH_{i} = {2**i}\n" for i in range(10))


def main() -> None:
    """Print one line for each operator."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--births", type=int, default=300)
    parser.add_argument("--ideas", type=int, default=0, help="print this many ideas of each operator")
    asked = parser.parse_args()
    text = (asked.file or Path(pprint.__file__)).read_text(encoding="utf-8")
    seed = Genome({"train.py": text if asked.file else CONSTANTS + text})
    print(f"{text.count(chr(10))} lines, {len(text)} bytes, {seed.size} nodes; {asked.births} births each; CPU time")
    print(f"{'':8}{'median ms':>10}{'p95 ms':>8}{'max ms':>8}{'born':>6}{'distinct':>9}{'compile':>8}{'lacking':>8}")
    for operator in (Tune(), Ablate(), Merge()):
        measure(operator, seed, asked.births, asked.ideas)


def measure(operator: Operator, seed: Genome, births: int, ideas: int) -> None:
    """Breed, and print what it took and what came of it."""
    rng = np.random.default_rng(0)
    lore = MemoryLore(seed)
    if operator.arity == 2:
        for i in range(60):
            parent = lore.individual(int(rng.integers(1, i + 2)))
            lore.bear((Tune() if i % 2 else Ablate()).breed([parent], lore, rng), float(rng.random()))
    start, known = lore.count, set(problems(seed))
    seconds, digests, sound, lacking, said = [], set(), 0, 0, []
    for _ in range(births):
        any_one = [lore.individual(int(i) + 1) for i in rng.choice(lore.count, size=operator.arity, replace=False)] \
            if lore.count > 1 else [lore.individual(1)]  # fmt: skip
        parents = any_one if operator.arity == 2 or rng.random() < 0.5 else [lore.individual(1)]
        began = time.process_time()
        try:
            offspring = operator.breed(parents, lore, rng)
        except NoOffspring:
            continue
        finally:
            seconds.append(time.process_time() - began)
        assert not hasattr(offspring, "send"), "a mechanical operator waits for nothing"
        lore.bear(offspring, float(rng.random()))
        digests.add(offspring.genome.digest)
        sound += compiles(offspring.genome.files["train.py"], "train.py")
        lacking += bool(set(problems(offspring.genome)) - known)
        said.append(offspring.idea)
    times = sorted(1000 * s for s in seconds)
    print(f"{operator.name:8}{statistics.median(times):10.0f}{times[int(0.95 * len(times))]:8.0f}{times[-1]:8.0f}"
          f"{lore.count - start:6}{len(digests):9}{sound:8}{lacking:8}")  # fmt: skip
    for idea in said[:: max(1, len(said) // ideas)] if ideas else []:
        print("   ", idea)


if __name__ == "__main__":
    main()
