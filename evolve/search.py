"""The loop: births run ahead, slots evaluate, and each result is archived as it arrives."""

from __future__ import annotations

import gc
import os
import queue
import time
from collections import deque
from pathlib import Path

from archive import Archive
from archive.earnings import earnings
from archive.hours import SESSION, hours_worked
from evolve.breeding import Breeding, Replied
from evolve.budget import Budget, Spent
from evolve.mix import Mix
from evolve.progress import Observer, Silent
from evolve.schedule import Schedule
from evolve.selection import Selection
from evolve.slots import Finished, Job, Slots
from fitness.evaluator import Evaluator
from genome import Evaluation, Individual
from llm_mutator.llm import Llm

STOP_FILE = "STOP"  # in the run's folder: the search ends softly
IDLE_S = 0.02  # quiet for so long, the loop has time for git
TICK_S = 0.5  # how often a quiet loop looks at the clock and the STOP file


class SeedFailed(Exception):
    """The seed has no score, so there is nothing to search from; the message ends with the tail of its log."""


class Search:
    """A steady-state evolutionary search over one archive.

        until the budget is spent:
            begin births until enough offspring wait        (selection, operators)
            put waiting offspring into free slots           (evaluator, other threads)
            wait for a result or a reply, and archive it    (the only thing that changes who is best)

    One thread, the one that calls `run`, owns archive and selection; other threads only wait. Killed at any point, a
    new Search over the same archive goes on where this one was.

    Args:
        workspaces: folder that holds one workspace per slot.
        seed: of all chance in breeding and, with each individual's number, of its evaluations.
        callers, llm, fallback: see Breeding.
        seed_repeats: evaluations of the seed at the start; their spread is the first σ.
    """

    def __init__(
        self,
        archive: Archive,
        evaluator: Evaluator,
        mix: Mix,
        selection: Selection,
        budget: Budget,
        *,
        workspaces: Path,
        schedule: Schedule | None = None,
        slots: int = 1,
        seed: int = 0,
        callers: int = 8,
        llm: Llm | None = None,
        fallback: Mix | None = None,
        seed_repeats: int = 1,
        observer: Observer | None = None,
    ) -> None:
        if seed_repeats < 1:
            raise ValueError(f"rule.seed_repeats is 1 or more; got {seed_repeats}")
        self._archive = archive
        self._budget = budget
        self._schedule = schedule or Schedule()
        self._seed_repeats = seed_repeats
        self._observer: Observer = observer or Silent()
        self._events: queue.SimpleQueue[Finished | Replied | None] = queue.SimpleQueue()
        self._breeding = Breeding(
            archive,
            mix,
            selection,
            seed=seed,
            post=self._events.put,
            callers=callers,
            llm=llm,
            fallback=fallback,
        )
        self._waiting: deque[Job] = deque()
        self._slots = Slots(
            archive,
            evaluator,
            slots,
            seed=seed,
            workspaces=workspaces,
            observer=self._observer,
            post=self._events.put,
        )
        self._stop_reason: str | None = None
        self._was_away: str | None = None
        self._started = time.monotonic()
        self._hours_before = hours_worked(archive.store)
        self._since_improvement = _after_champion(archive)

    def run(self) -> str:
        """Search until an end is reached, and return which, in words.

        Raises:
            SeedFailed: the seed has no score.
            Exception: what an evaluator or an operator raised; everything archived stays.
        """
        gc.set_threshold(100_000, *gc.get_threshold()[1:])  # a parse makes 20,000 objects: half its time went to scans
        try:
            self._archive.event(SESSION, f"pid {os.getpid()}")
            self._resume()
            return self._loop()
        finally:
            self._slots.close()
            if self._breeding.in_progress:
                what = f"{self._breeding.in_progress} replies that are paid for"
                self._observer.note(f"waiting for {what}, to be stored; Ctrl-C gives them up")
            self._breeding.close()
            self._store_late_results()
            self._archive.flush()

    def stop(self, reason: str) -> None:
        """End soon: what runs now finishes and is archived, nothing new begins. Safe from a signal handler."""
        self._stop_reason = reason
        self._events.put(None)

    def cancel(self, reason: str) -> None:
        """End now: what runs is killed and will be run again on resume. Safe from a signal handler."""
        self.stop(reason)
        self._slots.cancel()
        self._breeding.abort()

    def spent(self) -> Spent:
        """Return what the run has used, in-flight evaluations included."""
        return Spent(
            evaluations=self._archive.counts().evaluations + self._slots.running,
            hours=self._hours_before + (time.monotonic() - self._started) / 3600,
            usd=self._archive.spent_usd() + self._breeding.usd_in_flight,
            since_improvement=self._since_improvement,
        )

    def _loop(self) -> str:
        while True:
            self._look_for_stop_file()
            reason = self._stop_reason or self._budget.exhausted(self.spent())
            if reason is None:
                self._breed()
            self._fill_slots()
            if not self._slots.running and not self._breeding.in_progress:
                if reason is not None:
                    return reason
                if not self._waiting and self._breeding.away is None:
                    return "no operator finds anything new to try on this population"
            elif reason is not None and not self._slots.running:
                return reason  # replies still in flight are stored on the way out
            self._wait()

    def _look_for_stop_file(self) -> None:
        file = self._archive.folder / STOP_FILE
        if self._stop_reason is None and file.exists():
            file.unlink()  # heeded, so that the next session does not stop at once
            self.stop(f"{STOP_FILE} file found")

    def _resume(self) -> None:
        self._credit()
        seed = self._archive.seed()
        if seed.failure is not None:
            raise SeedFailed(self._why_seed_failed(seed, ""))
        self._waiting.extend(Job(individual) for individual in self._archive.waiting() if individual.id != seed.id)
        for run in reversed(range(seed.n, self._seed_repeats)):
            self._waiting.appendleft(Job(seed, "repeat" if run else "first", run))
        if seed.score is not None:
            self._waiting.extend(Job(individual) for individual in self._breeding.resume())

    def _breed(self) -> None:
        self._tell_when_llm_goes_or_comes()
        if self._archive.seed().score is None:
            return  # nobody to breed from until the first result
        due = self._schedule.births_due(
            slots=self._slots.count,
            running=self._slots.running,
            ahead=len(self._waiting) + self._breeding.in_progress,
            population=self._archive.settings.population_size,
            born=self._archive.counts().individuals - 1,
        )
        if due > 0:
            self._waiting.extend(Job(individual) for individual in self._breeding.begin(due))
        starving = len(self._slots.free()) - len(self._waiting)
        if starving > 0 and self._breeding.in_progress and not self._schedule.barrier:
            self._waiting.extend(Job(individual) for individual in self._breeding.begin(starving, at_once=True))

    def _tell_when_llm_goes_or_comes(self) -> None:
        away = self._breeding.away
        if (away is None) != (self._was_away is None):
            text = "the LLM answers again" if away is None else f"the LLM is away, breeding without it: {away}"
            self._observer.note(text)
            self._archive.event("llm", text)
        self._was_away = away

    def _fill_slots(self) -> None:
        for slot in self._slots.free():
            done = self._stop_reason is not None or self._budget.exhausted(self.spent()) is not None
            if done or not self._waiting:
                return
            self._slots.start(slot, self._waiting.popleft())

    def _wait(self) -> None:
        event = self._next_event(IDLE_S)
        if event is None:
            self._archive.flush()  # idle: the time to write commits
            event = self._next_event(TICK_S)
        self._handle(event)
        self._observer.tick(self.spent())

    def _next_event(self, timeout_s: float) -> Finished | Replied | None:
        try:
            return self._events.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def _handle(self, event: Finished | Replied | None) -> None:
        if isinstance(event, Finished):
            self._archive_result(event)
        elif isinstance(event, Replied):
            individual = self._breeding.replied(event)
            if individual is not None:
                self._waiting.append(Job(individual))

    def _archive_result(self, event: Finished) -> None:
        individual = self._slots.finished(event)
        if individual is None or not isinstance(event.outcome, Evaluation):
            return
        self._observer.finished(event.slot, individual, event.outcome, self._archive.entry(individual.id))
        if event.job.purpose == "first":
            champion = self._archive.champion()
            improved = champion is not None and champion.id == individual.id
            self._since_improvement = 0 if improved else self._since_improvement + 1
            self._credit(individual.id)
        if not individual.parents and individual.failure is not None:
            raise SeedFailed(self._why_seed_failed(individual, event.outcome.log))

    def _credit(self, birth: int | None = None) -> None:
        for earning in earnings(self._archive, birth):
            self._breeding.credit(earning)

    def _store_late_results(self) -> None:
        """Archive what arrived after the loop had ended: paid for, so kept."""
        while not self._events.empty():
            event = self._events.get()
            if isinstance(event, Finished) and isinstance(event.outcome, Evaluation):
                self._slots.finished(event)
            elif isinstance(event, Finished):
                self._archive.interrupt_evaluation(event.evaluation)
            elif isinstance(event, Replied) and not isinstance(event.outcome, BaseException):
                self._archive.finish_call(event.call, event.outcome)

    def _why_seed_failed(self, seed: Individual, log: str) -> str:
        assert seed.failure is not None
        tail = "\n".join(log.rstrip().splitlines()[-15:])
        why = f"{seed.failure.kind}: {seed.failure.detail}"
        return f"the seed failed, so there is nothing to search from: {why}\n{tail}".rstrip()


def _after_champion(archive: Archive) -> int:
    """Return how many individuals with a result were born after the champion."""
    champion = archive.champion()
    newest = champion.id if champion is not None else 0
    return sum(1 for standing in archive.standings if standing.judged and standing.id > newest)
