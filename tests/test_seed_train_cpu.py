"""The seed of train_cpu learns, its switches work, and the weights that it hands over are the moving average."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from genome import Genome

TEXT = (Path(__file__).parents[1] / "genome" / "seeds" / "train_cpu" / "train.py").read_text(encoding="utf-8")
OFFERED = {"MAX_SEQ_LEN", "TIME_BUDGET", "VOCAB_SIZE", "evaluate_bpb", "make_dataloader", "progress"}

# `prepare` by steps instead of seconds, on text that repeats; `evaluate_bpb` writes down what it was handed
PREPARE = """
import json, random, sys
import torch
random.seed(0); torch.manual_seed(0); torch.set_num_threads(1)
MAX_SEQ_LEN, VOCAB_SIZE, TIME_BUDGET, STEPS = 32, 64, 10.0, 40
TEXT = torch.arange(4096) * 7 % 50
drawn = 0
def make_dataloader(batch_size, seq_len=MAX_SEQ_LEN):
    global drawn
    while True:
        drawn += 1
        rows = torch.stack([TEXT[i:i + seq_len + 1] for i in torch.randint(0, 4000, (batch_size,)).tolist()])
        yield rows[:, :-1], rows[:, 1:]
def progress():
    return drawn / STEPS
def evaluate_bpb(model):
    training = model.training
    model.eval()
    rows = torch.stack([TEXT[i:i + 33] for i in range(8)])
    other = rows.clone()
    other[:, 20:] = 63 - other[:, 20:]
    with torch.no_grad():
        logits, changed = model(rows[:, :-1]), model(other[:, :-1])
    loss = torch.nn.functional.cross_entropy(logits.reshape(-1, VOCAB_SIZE), rows[:, 1:].reshape(-1))
    json.dump({
        "shape": list(logits.shape), "dtype": str(logits.dtype), "loss": loss.item(), "training": training,
        "before_cut": (logits[:, :20] - changed[:, :20]).abs().max().item(),
        "after_cut": (logits[:, 20:] - changed[:, 20:]).abs().max().item(),
        "drawn": drawn, "parameters": sum(p.numel() for p in model.parameters()),
    }, open("result.json", "w"))
    sys.exit(0)
"""


def run_seed(folder: Path, **constants: str) -> dict[str, Any]:
    """Run the seed, made narrow, with some of its constants changed; return what evaluate_bpb saw."""
    (folder / "prepare.py").write_text(PREPARE)
    (folder / "train.py").write_text(with_constants(DEPTH="2", N_EMBD="32", LEARNING_RATE="1e-2", **constants))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "train.py"], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    return {**json.loads((folder / "result.json").read_text()), "log": run.stdout}


def with_constants(**constants: str) -> str:
    lines = TEXT.splitlines()
    for name, value in constants.items():
        (at,) = (index for index, line in enumerate(lines) if line.startswith(f"{name} = "))
        lines[at] = f"{name} = {value}"
    return "\n".join(lines) + "\n"


@cache
def tree() -> ast.Module:
    return ast.parse(TEXT)


def test_the_seed_is_one_file_of_readable_length_and_parses_as_a_genome() -> None:
    genome = Genome({"train.py": TEXT})
    assert 150 <= genome.lines <= 250
    assert max(map(len, TEXT.splitlines())) <= 120


def test_the_seed_takes_from_prepare_only_what_is_offered_and_uses_all_of_it() -> None:
    (imported,) = (node for node in tree().body if isinstance(node, ast.ImportFrom) and node.module == "prepare")
    names = {alias.name for alias in imported.names}
    used = {node.id for node in ast.walk(tree()) if isinstance(node, ast.Name)}
    assert names == OFFERED
    assert names <= used


def test_the_seed_leaves_seeding_to_the_harness() -> None:
    called = {node.attr for node in ast.walk(tree()) if isinstance(node, ast.Attribute)}
    assert not called & {"manual_seed", "seed", "default_rng", "set_num_threads"}


def test_every_constant_at_the_top_is_in_capitals_and_used() -> None:
    constants = {
        target.id: node
        for node in tree().body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant | ast.Tuple)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id.isupper()
    }
    used = {node.id for node in ast.walk(tree()) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    assert {"DEPTH", "N_EMBD", "DROPOUT", "BATCH_SIZE", "LEARNING_RATE", "WARMUP_RATIO", "EMA_DECAY"} <= set(constants)
    assert set(constants) <= used


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return run_seed(tmp_path_factory.mktemp("plain"))


def test_the_seed_hands_over_logits_for_each_position_and_has_learned(plain: dict[str, Any]) -> None:
    assert plain["shape"] == [8, 32, 64]
    assert plain["dtype"] == "torch.float32"
    assert plain["loss"] < 3.5 < 4.158  # ln 64 is what a model knows that learned nothing
    assert plain["training"] is False


def test_the_seed_stops_when_the_budget_is_used_and_says_so_in_few_lines(plain: dict[str, Any]) -> None:
    assert plain["drawn"] == 40
    assert len(plain["log"].splitlines()) < 10
    assert "40 steps" in plain["log"]


def test_the_model_does_not_look_ahead(plain: dict[str, Any]) -> None:
    assert plain["before_cut"] < 1e-5 < plain["after_cut"]


@pytest.mark.parametrize(
    "constants",
    [
        {"N_KV_HEAD": "2"},
        {"WINDOW_PATTERN": '"SL"'},
        {"GRAD_ACCUM_STEPS": "2", "DROPOUT": "0.0"},
    ],
    ids=lambda constants: next(iter(constants)),
)
def test_switches_that_are_off_in_the_seed_work_when_they_are_turned_on(
    constants: dict[str, str], plain: dict[str, Any], tmp_path: Path
) -> None:
    result = run_seed(tmp_path, **constants)
    assert result["loss"] < 3.8
    assert result["before_cut"] < 1e-5 < result["after_cut"]
    assert (result["parameters"] < plain["parameters"]) == ("N_KV_HEAD" in constants)


def test_what_is_evaluated_is_the_moving_average_of_the_weights(tmp_path: Path) -> None:
    # an average that never moves is the untrained model
    assert run_seed(tmp_path, EMA_DECAY="1.0")["loss"] > 4.1
