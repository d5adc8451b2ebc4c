"""What one evaluation of the default task costs beyond its training budget: start, data, hand-over and scoring.

    python bench/fixed_cost.py [--runs 5] [--budget-s 2] [--file genome/seeds/train_cpu/train.py]

The aim: below 2 s on an idle core. Needs the data: fitness prepare.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from fitness.training import TrainingRun
from genome.genome import Genome

SEED = Path(__file__).parents[1] / "genome" / "seeds" / "train_cpu" / "train.py"
AIM_S = 2.0


@click.command()
@click.option("--runs", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--budget-s", type=click.FloatRange(min=0.1), default=2.0, show_default=True)
@click.option("--file", type=click.Path(exists=True, path_type=Path), default=SEED, show_default=True)
def main(runs: int, budget_s: float, file: Path) -> None:
    """Print the fixed cost of an evaluation as a table: median, least and most."""
    genome = Genome({"train.py": file.read_text(encoding="utf-8")})
    run = TrainingRun(budget_s=budget_s, slots=1)
    try:
        with tempfile.TemporaryDirectory(prefix="fixed-cost-") as folder:
            began = time.monotonic()
            measure(run, genome, Path(folder) / "first")
            first_s = time.monotonic() - began
            rows = [measure(run, genome, Path(folder) / "workspace") for _ in range(runs)]
    finally:
        run.close()
    table = Table("seconds", "median", "least", "most", title=f"{runs} evaluations of {file.name}, {budget_s:g} CPU-s")
    for name in rows[0]:
        figures = [row[name] for row in rows]
        table.add_row(name, *(f"{pick(figures):.3f}" for pick in (statistics.median, min, max)))
    console = Console()
    console.print(table)
    median_s = statistics.median(row["fixed cost, wall"] for row in rows)
    verdict = "below" if median_s < AIM_S else "not below"
    console.print(
        f"fixed cost {median_s:.2f} s, {verdict} {AIM_S:g} s; the first evaluation, servers cold, {first_s:.1f} s"
    )


def measure(run: TrainingRun, genome: Genome, workspace: Path) -> dict[str, float]:
    """Return the parts of one evaluation's cost.

    Training in wall seconds is what the budget took on this core at the time, so the wall figure is the evaluation
    less that: the CPU-seconds from first batch to hand-over, scaled by wall over CPU of the training process.
    """
    result = run.evaluate(genome, seed=0, slot=0, workspace=workspace)
    if result.failure is not None:
        raise click.ClickException(f"{result.failure.kind}: {result.failure.detail}")
    metrics = result.metrics
    outside_cpu_s = metrics["train_cpu_s"] - metrics["budget_used_s"]
    stretch = metrics["train_wall_s"] / metrics["train_cpu_s"]
    return {
        "start and hand-over, CPU": outside_cpu_s,
        "scoring, CPU": metrics["score_cpu_s"],
        "fixed cost, CPU": outside_cpu_s + metrics["score_cpu_s"],
        "fixed cost, wall": result.seconds - metrics["budget_used_s"] * stretch,
        "scoring, wall": metrics["score_wall_s"],
        "whole evaluation, wall": result.seconds,
    }


if __name__ == "__main__":
    main()
