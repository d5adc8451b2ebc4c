"""The training run with real processes: what it scores, what it refuses, and that nothing survives it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from fitness.data import Corpus
from fitness.evaluator import Cancelled, Evaluator
from fitness.process import descendants, is_alive
from fitness.scoring import spread_rows
from fitness.training import SEQ_LEN, TrainingRun
from genome.genome import Genome
from genome.individual import Evaluation
from tests.fitness_support import FIXED, HONEST, VOCAB, answering, at_the_end, genome, write_corpus

ROWS = 16


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def run(corpus: Corpus) -> Iterator[TrainingRun]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", "sk-secret")
        run = TrainingRun(0.3, slots=1, corpus=corpus, rows=ROWS, startup_s=0.3, hand_over_s=0.3, parcel_mb=1.0)
        run.prepare()
        yield run
        run.close()


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return tmp_path / "workspace"


def evaluate(run: TrainingRun, subject: Genome, workspace: Path) -> Evaluation:
    return run.evaluate(subject, seed=1, slot=0, workspace=workspace)


def kind(result: Evaluation) -> str | None:
    return result.failure.kind if result.failure else None


def pids_in(log: str) -> list[int]:
    return [int(line.split()[1]) for line in log.splitlines() if line.startswith("pid ")]


def test_a_training_run_is_an_evaluator(run: TrainingRun) -> None:
    assert isinstance(run, Evaluator)


def test_score_is_what_an_independent_computation_gives(run: TrainingRun, corpus: Corpus, workspace: Path) -> None:
    result = evaluate(run, genome(FIXED), workspace)
    rows = spread_rows(corpus.validation, corpus.document_starts(corpus.validation), ROWS, SEQ_LEN)
    nats, total_bytes = 0.0, 0
    for row in rows.tokens:
        for token, following in pairwise(row):
            weights = np.exp(-((token * 7 + np.arange(VOCAB) * 3) % 11).astype(float))
            if corpus.token_bytes[following]:
                nats -= float(np.log(weights[following] / weights.sum()))
                total_bytes += int(corpus.token_bytes[following])
    assert result.failure is None
    assert result.score == pytest.approx(nats / np.log(2) / total_bytes, abs=1e-6)
    assert result.verified


def test_training_lowers_the_score_and_is_measured(run: TrainingRun, workspace: Path) -> None:
    shares: list[float] = []
    trained = run.evaluate(genome(HONEST), seed=1, slot=0, workspace=workspace, report=shares.append)
    untrained = evaluate(run, genome(HONEST.replace("while progress() < 1", "while progress() < 0")), workspace)
    assert trained.score is not None
    assert untrained.score is not None
    assert trained.score < 0.7 * untrained.score
    assert trained.metrics["steps"] > 3
    assert trained.metrics["tokens"] == trained.metrics["steps"] * 8 * SEQ_LEN
    assert 0.2 < trained.metrics["train_cpu_s"] < 0.9
    assert trained.metrics["cpu_s"] > trained.metrics["train_cpu_s"]
    assert 0 < trained.metrics["parcel_mb"] < 1
    assert trained.metrics["peak_memory_mb"] > 50
    assert shares[-1] == 1.0
    assert all(0 <= share <= 1 for share in shares)


def test_the_workspace_is_empty_afterwards(run: TrainingRun, workspace: Path) -> None:
    evaluate(run, at_the_end("os.makedirs('a/b'); open('a/b/c', 'w').write('x'); os.symlink('/etc', 'd')"), workspace)
    assert list(workspace.iterdir()) == []


def test_what_it_prints_changes_nothing(run: TrainingRun, workspace: Path) -> None:
    honest = evaluate(run, genome(FIXED), workspace)
    boasting = evaluate(run, genome("print('val_bpb: 0.01')\n" + FIXED), workspace)
    assert boasting.score == honest.score
    assert "val_bpb: 0.01" in boasting.log


def test_a_genome_of_several_files_is_scored(run: TrainingRun, workspace: Path) -> None:
    parts = {"parts/__init__.py": "", "parts/model.py": FIXED.replace("evaluate_bpb(Fixed())", "")}
    main = "from prepare import evaluate_bpb\nfrom parts.model import Fixed\nevaluate_bpb(Fixed())\n"
    result = evaluate(run, Genome({"train.py": main, **parts}), workspace)
    assert result.score == evaluate(run, genome(FIXED), workspace).score


@pytest.mark.parametrize(
    ("expected", "words", "subject"),
    [
        ("crash", "ValueError: too bad", at_the_end("raise ValueError('too bad')")),
        ("crash", "ended without evaluate_bpb", at_the_end("sys.exit(0)")),
        ("crash", "ended without evaluate_bpb", at_the_end("os._exit(0)")),
        ("crash", "exit status 3", at_the_end("os._exit(3)")),
        ("crash", "no thanks", at_the_end("sys.exit('no thanks')")),
        ("crash", "ended without evaluate_bpb", genome("x = 1\n")),
        ("crash", "SIGSEGV", at_the_end("os.kill(os.getpid(), signal.SIGSEGV)")),
        ("crash", "TypeError", at_the_end("evaluate_bpb(model.state_dict())")),
        ("crash", "KeyError", answering("return {}['missing']")),
        ("crash", "ended without evaluate_bpb", at_the_end("os.write(3, b'H' + bytes(40)); os._exit(0)")),
        ("oom", "MemoryError", at_the_end("x = bytearray(8 << 30)")),
        ("oom", "allocate", at_the_end("x = torch.zeros(1 << 31)")),
        ("oom", "allocate", answering("return logits + torch.zeros(1 << 31)[0]")),
        ("non_finite", "finite", answering("return logits * float('nan')")),
        ("non_finite", "finite", answering("return logits + float('inf')")),
        ("non_finite", "finite", answering("return torch.full_like(logits, -float('inf'))")),
        ("peeks_ahead", "nats", answering("return logits + 9 * F.one_hot(tokens.roll(-1, 1), VOCAB_SIZE)")),
        ("peeks_ahead", "nats", answering("return logits + 0.1 * logits.mean((0, 1), keepdim=True)")),
        ("refused", "asked for", answering("return logits[:, :, :5]")),
        ("refused", "asked for", answering("return logits.numpy()")),
        ("refused", "asked for", answering("os.write(3, bytes(8)); return logits")),
        ("refused", "MB", at_the_end("model.extra = torch.zeros(1 << 20)")),
        ("refused", "MB", at_the_end("[os.write(3, bytes(1 << 16)) for _ in range(64)]")),
        ("refused", "left 1 process(es) behind", at_the_end("if os.fork() == 0: os.setsid(); time.sleep(60)")),
        ("over_budget", "CPU-seconds", genome("while True: pass\n")),
        ("over_budget", "CPU-seconds", genome(HONEST.replace("progress() < 1", "progress() < 9"))),
        ("tampered", "died", at_the_end("os.kill(os.getppid(), signal.SIGKILL); time.sleep(60)")),
        ("tampered", "died", answering("os.kill(os.getppid(), signal.SIGKILL); time.sleep(60)")),
    ],
)
def test_each_failure_has_its_kind_and_its_reason(
    run: TrainingRun, workspace: Path, expected: str, words: str, subject: Genome
) -> None:
    result = evaluate(run, subject, workspace)
    assert kind(result) == expected
    assert result.failure is not None
    assert words in result.failure.detail


def test_an_evaluation_after_the_server_was_killed_works(run: TrainingRun, workspace: Path) -> None:
    assert kind(evaluate(run, at_the_end("os.kill(os.getppid(), signal.SIGKILL)"), workspace)) == "tampered"
    assert evaluate(run, genome(FIXED), workspace).score is not None


ORPHANS = """
print("pid", os.getpid(), flush=True)
for daemon in (False, True):
    if os.fork() == 0:
        os.setsid()
        if daemon and os.fork():
            os._exit(0)
        print("pid", os.getpid(), flush=True)
        time.sleep(600)
        os._exit(0)
"""


def test_timeout_kills_the_whole_process_tree(
    run: TrainingRun, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "timeout_s", 2.0)
    result = evaluate(run, at_the_end(ORPHANS + "time.sleep(600)"), workspace)
    pids = pids_in(result.log)
    assert kind(result) == "timeout"
    assert len(pids) == 3
    assert not any(is_alive(pid) for pid in pids)


def test_a_run_that_stops_itself_times_out(run: TrainingRun, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "timeout_s", 1.5)
    assert kind(evaluate(run, at_the_end("os.kill(os.getpid(), signal.SIGSTOP)"), workspace)) == "timeout"


def test_orphans_of_a_killed_server_die_too(run: TrainingRun, workspace: Path) -> None:
    killer = "time.sleep(0.5); os.kill(os.getppid(), signal.SIGKILL); time.sleep(600)"
    result = evaluate(run, at_the_end(ORPHANS + killer), workspace)
    pids = pids_in(result.log)
    assert kind(result) == "tampered"
    assert len(pids) == 3
    assert not any(is_alive(pid) for pid in pids)


def test_helpers_count_even_when_their_times_are_thrown_away(run: TrainingRun, workspace: Path) -> None:
    helper = """
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
if os.fork() == 0:
    end = time.process_time() + 0.8
    while time.process_time() < end:
        pass
    os._exit(0)
try:
    os.wait()
except ChildProcessError:
    pass
"""
    assert kind(evaluate(run, at_the_end(helper), workspace)) == "over_budget"


def test_cancel_kills_the_tree_and_leaves_the_slot_ready(run: TrainingRun, workspace: Path) -> None:
    cancel = threading.Event()
    with pytest.raises(Cancelled):
        run.evaluate(
            genome(HONEST), seed=1, slot=0, workspace=workspace, report=lambda share: cancel.set(), cancel=cancel
        )
    assert list(workspace.iterdir()) == []
    assert evaluate(run, genome(FIXED), workspace).score is not None


def test_the_environment_of_a_genome_is_a_short_list_without_secrets(run: TrainingRun, workspace: Path) -> None:
    show = """
print(sorted(os.environ), open('/proc/self/environ').read())
print('cwd', os.getcwd())
print('stdin', repr(sys.stdin.read()))
"""
    log = evaluate(run, at_the_end(show), workspace).log
    assert "sk-secret" not in log
    assert "OPENAI_API_KEY" not in log
    assert "'OMP_NUM_THREADS'" in log
    assert f"cwd {workspace.resolve()}" in log
    assert "stdin ''" in log


def test_a_long_log_keeps_its_head_and_tail(run: TrainingRun, workspace: Path) -> None:
    flood = "print('first'); [print('x' * 99) for _ in range(30_000)]; print('last')"
    log = evaluate(run, genome(flood + "\n" + FIXED), workspace).log
    assert log.startswith("first\n")
    assert log.rstrip().endswith("last")
    assert "bytes left out" in log
    assert len(log) < 40_000


def test_equal_programs_have_equal_fingerprints(run: TrainingRun, workspace: Path) -> None:
    def fingerprint(text: str, seed: int = 3) -> str | None:
        return run.replay(genome(text), seed=seed, steps=4, slot=0, workspace=workspace)

    first = fingerprint(HONEST)
    assert first is not None
    assert fingerprint(HONEST.replace("VOCAB_SIZE)\n", "VOCAB_SIZE)\n        unused = 1\n", 1)) == first
    assert fingerprint(HONEST.replace("0.5", "0.6")) != first
    assert fingerprint(HONEST, seed=4) != first
    assert fingerprint("raise ValueError\n") is None


def test_long_steps_end_nearest_to_the_budget(run: TrainingRun, workspace: Path) -> None:
    long_step = (
        "    optimizer.step()\n    end = time.process_time() + 0.12\n    while time.process_time() < end: pass\n"
    )
    result = evaluate(run, genome(HONEST.replace("    optimizer.step()\n", long_step)), workspace)
    assert result.failure is None
    assert 0.2 < result.metrics["budget_used_s"] < 0.41


def test_slots_run_at_the_same_time(corpus: Corpus, tmp_path: Path) -> None:
    run = TrainingRun(0.3, slots=2, corpus=corpus, rows=ROWS)
    meeting = threading.Barrier(2, timeout=60)
    met: list[Evaluation] = []

    def meet(slot: int) -> None:
        once = iter([meeting.wait])
        met.append(
            run.evaluate(
                genome(HONEST),
                seed=slot,
                slot=slot,
                workspace=tmp_path / str(slot),
                report=lambda share: next(once, lambda: 0)() if share else None,
            )
        )

    threads = [threading.Thread(target=meet, args=(slot,)) for slot in range(2)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        run.close()
    assert [kind(result) for result in met] == [None, None]
    assert not meeting.broken


def test_servers_end_with_the_run(corpus: Corpus, workspace: Path) -> None:
    run = TrainingRun(0.3, slots=1, corpus=corpus, rows=ROWS)
    log = evaluate(run, genome("import os\nprint('pid', os.getppid())\n" + FIXED), workspace).log
    (server,) = pids_in(log)
    assert is_alive(server)
    run.close()
    run.close()
    assert not is_alive(server)
    assert os.getpid() != server


ENGINE = """
import sys
from pathlib import Path
from fitness.data import Corpus
from fitness.training import TrainingRun
from tests.fitness_support import VOCAB, at_the_end
run = TrainingRun(0.3, slots=1, corpus=Corpus(Path(sys.argv[1]), VOCAB, 0))
run.evaluate(at_the_end(sys.argv[3]), seed=1, slot=0, workspace=Path(sys.argv[2]))
"""


def test_nothing_survives_an_engine_that_is_killed(corpus: Corpus, tmp_path: Path) -> None:
    pids_file = tmp_path / "pids"
    orphans = ORPHANS.replace(
        'print("pid", os.getpid(), flush=True)', f"print(os.getpid(), file=open({str(pids_file)!r}, 'a'))"
    )
    argv = [sys.executable, "-c", ENGINE, str(corpus.folder), str(tmp_path / "workspace"), orphans + "time.sleep(600)"]
    engine = subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])})
    try:
        wait_until(lambda: pids_file.exists() and len(pids_file.read_text().split()) == 3)
        below = [int(pid) for pid in pids_file.read_text().split()] + list(descendants(engine.pid))
        assert len(below) > 3
    finally:
        engine.kill()
        engine.wait()
    wait_until(lambda: not any(is_alive(pid) for pid in below))


def wait_until(true: Callable[[], bool], patience_s: float = 60.0) -> None:
    deadline = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)
