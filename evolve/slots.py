"""Evaluations in progress: one room for each, and a thread that waits there for the evaluator."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from archive import Archive
from evolve.progress import Observer
from fitness.evaluator import Cancelled, Evaluator
from genome import Evaluation, Individual


@dataclass(frozen=True)
class Job:
    """One evaluation to be run.

    Attributes:
        purpose: first, repeat, confirm or control.
        run: how many evaluations of the individual come before it; decides its random seed.
    """

    individual: Individual
    purpose: str = "first"
    run: int = 0


@dataclass(frozen=True)
class Finished:
    """An evaluation ended; `outcome` is its result, or what the engine's part of it raised."""

    slot: int
    job: Job
    evaluation: int
    outcome: Evaluation | BaseException


class Slots:
    """Rooms for evaluations; used from the coordinator's thread only.

    Args:
        seed: of the run; an evaluation's own seed follows from it, the individual and how many runs it had.
        workspaces: folder that holds one workspace per slot.
        post: called from other threads with a `Finished`; the coordinator hands it back to `finished`.
    """

    def __init__(
        self,
        archive: Archive,
        evaluator: Evaluator,
        count: int,
        *,
        seed: int,
        workspaces: Path,
        observer: Observer,
        post: Callable[[Finished], None],
    ) -> None:
        if count < 1:
            raise ValueError(f"execution.slots is 1 or more; got {count}")
        self.count = count
        self._archive = archive
        self._evaluator = evaluator
        self._seed = seed
        self._workspaces = workspaces
        self._observer = observer
        self._post = post
        self._running: dict[int, Job] = {}
        self._runners = ThreadPoolExecutor(count, thread_name_prefix="slot")
        self._cancel = threading.Event()

    @property
    def running(self) -> int:
        """Evaluations in progress."""
        return len(self._running)

    def free(self) -> list[int]:
        """Return the slots where nothing runs."""
        return [slot for slot in range(self.count) if slot not in self._running]

    def start(self, slot: int, job: Job) -> None:
        """Note the evaluation in the archive and begin it."""
        seed = int(np.random.SeedSequence([self._seed, job.individual.id, job.run]).generate_state(1)[0])
        evaluation = self._archive.start_evaluation(job.individual.id, seed, slot, job.purpose)
        self._running[slot] = job
        self._observer.started(slot, job.individual, job.purpose)

        def measure() -> None:
            try:
                outcome: Evaluation | BaseException = self._evaluator.evaluate(
                    job.individual.genome,
                    seed=seed,
                    slot=slot,
                    workspace=self._workspaces / f"slot-{slot}",
                    report=lambda share: self._observer.progressed(slot, share),
                    cancel=self._cancel,
                )
            except BaseException as error:  # noqa: BLE001 - carried to the coordinator, which raises it
                outcome = error
            self._post(Finished(slot, job, evaluation, outcome))

        self._runners.submit(measure)

    def finished(self, event: Finished) -> Individual | None:
        """Archive what came of an evaluation; None when it was called off.

        Raises:
            BaseException: what the evaluator raised; the evaluation is marked interrupted and runs again on resume.
        """
        self._running.pop(event.slot, None)
        if isinstance(event.outcome, Evaluation):
            return self._archive.finish_evaluation(event.evaluation, event.outcome)
        self._archive.interrupt_evaluation(event.evaluation)
        if not isinstance(event.outcome, Cancelled):
            raise event.outcome
        return None

    def cancel(self) -> None:
        """Kill what runs. Safe from a signal handler."""
        self._cancel.set()

    def close(self) -> None:
        """Kill what runs and wait for the threads."""
        self.cancel()
        self._runners.shutdown(wait=True)
