"""`fitness`: prepare the data, and measure one genome outside a search with the same code."""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from fitness.data import CorruptCache, prepare_corpus
from fitness.training import TrainingRun
from genome.genome import Genome, GenomeError
from genome.individual import Evaluation

TASKS = {"train_cpu": TrainingRun}


@click.group()
def main() -> None:
    """Measure programs: every score is the evaluator's own, never what a program prints."""


@main.command()
def prepare() -> None:
    """Prepare the data of the default task; safe to run twice."""
    try:
        corpus = prepare_corpus()
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{corpus.folder}: {len(corpus.train):,} training tokens, {len(corpus.validation):,} validation tokens")


@main.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--task", type=click.Choice(sorted(TASKS)), default="train_cpu", show_default=True)
@click.option("--budget-s", type=click.FloatRange(min=0, min_open=True), default=10.0, show_default=True)
@click.option(
    "--repeats", type=click.IntRange(min=1), default=1, show_default=True, help="Runs, with seeds that count up."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Random seed of the first run.")
@click.option("--slot", type=click.IntRange(min=0), default=0, show_default=True, help="Which core it runs on.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array with one object.")
@click.pass_context
def score(
    context: click.Context, file: Path, task: str, budget_s: float, repeats: int, seed: int, slot: int, as_json: bool
) -> None:
    """Measure FILE: its score, or the failure that kept it from one."""
    try:
        genome = Genome({"train.py": file.read_text(encoding="utf-8")})
    except (GenomeError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{file} is no genome: {error}") from None
    run = TASKS[task](budget_s=budget_s, first_slot=slot, slots=1)
    try:
        run.prepare()
        with tempfile.TemporaryDirectory(prefix="fitness-") as folder:
            results = [
                run.evaluate(genome, seed=seed + i, slot=0, workspace=Path(folder) / "workspace")
                for i in range(repeats)
            ]
    except (FileNotFoundError, CorruptCache, RuntimeError) as error:
        raise click.ClickException(str(error)) from None
    finally:
        run.close()
    if as_json:
        click.echo(json.dumps([_row(file, genome, results)]))
    else:
        _show(file, genome, results)
    context.exit(0 if all(result.failure is None for result in results) else 1)


def _row(file: Path, genome: Genome, results: Sequence[Evaluation]) -> dict[str, object]:
    scores = [result.score for result in results if result.score is not None]
    failure = next((result.failure for result in results if result.failure), None)
    names = dict.fromkeys(name for result in results for name in result.metrics)
    return {
        "file": str(file),
        "score": statistics.fmean(scores) if scores and failure is None else None,
        "n": len(scores),
        "sd": statistics.stdev(scores) if len(scores) > 1 else None,
        "scores": [result.score for result in results],
        "size": genome.size,
        "lines": genome.lines,
        "failure": failure.kind if failure else None,
        "detail": failure.detail if failure else None,
        "verified": all(result.verified for result in results),
        "device": results[0].device,
        "seconds": statistics.fmean(result.seconds for result in results),
        "metrics": {
            name: statistics.fmean(result.metrics[name] for result in results if name in result.metrics)
            for name in names
        },
        "log": results[-1].log[-2000:] if failure else "",
    }


def _show(file: Path, genome: Genome, results: Sequence[Evaluation]) -> None:
    row = _row(file, genome, results)
    table = Table("seed", "val_bpb", "failure", "seconds", "CPU-s", "of it scoring", "steps", "parcel MB")
    for result in results:
        names = ("cpu_s", "score_cpu_s", "steps", "parcel_mb")
        figures = [f"{result.metrics[name]:.6g}" if name in result.metrics else "" for name in names]
        bpb = "" if result.score is None else f"{result.score:.6f}"
        failure = f"{result.failure.kind}: {result.failure.detail}" if result.failure else ""
        table.add_row(str(result.seed), bpb, failure, f"{result.seconds:.1f}", *figures)
    console = Console()
    console.print(table)
    mark = "verified" if row["verified"] else "unverified"
    sd = f", sd {row['sd']:.4f}" if row["sd"] is not None else ""
    mean = "no score" if row["score"] is None else f"val_bpb {row['score']:.6f}"
    console.print(f"{file}: {mean}{sd} (n = {row['n']}, {mark}), size {genome.size} nodes, {genome.lines} lines")
    if row["log"]:
        console.print(str(row["log"]), markup=False, highlight=False)


if __name__ == "__main__":
    main()
